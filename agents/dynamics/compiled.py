"""A whole step of a dynamic as one compiled kernel, for closed-form games.

The step is traced into tensor operations, the gradients of the utilities included, and compiled by torch for any batch
size. The numbers are those of the eager step up to rounding. Compiling takes seconds, so it pays in long runs and large
batches, and it needs a C++ compiler: without one, or where a step cannot be traced, `compiled_step` returns None and
`run` stays eager.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from strategic_envs.agents.dynamics.base import Dynamic, State
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.profile import Profile

__all__ = ["compiled_step"]


class _TracedOracle(GameOracle):
    """The oracle of the same game by pure functions, which tracing can see through."""

    def _field(self, x: Profile, player: int | None) -> Profile:
        value = self.game._functional_field(tuple(x))
        return Profile(value) if player is None else Profile([value[player]])


def compiled_step(
    dynamic: Dynamic[Any], state: State, oracle: Oracle, compiler: str = "inductor"
) -> Callable[[State], State] | None:
    """A compiled `step` for states like the given one, or None where there can be none.

    Args:
        dynamic: The dynamic.
        state: A state whose structure, dtypes and number of batch dimensions the step is for.
        oracle: The oracle; only a `GameOracle` can be traced.
        compiler: The backend of `torch.compile`; `"eager"` runs the traced operations one by one and needs no compiler.
    """
    lacks_compiler = compiler == "inductor" and not any(map(shutil.which, ("g++", "clang++", "c++")))
    if not isinstance(oracle, GameOracle) or lacks_compiler:
        return None
    traced = _TracedOracle(oracle.game)

    def flat_step(*tensors: Tensor) -> tuple[Tensor, ...]:
        return _tensors(dynamic.step(_state(state, tensors), traced))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = make_fx(flat_step, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*_tensors(state))
            kernel = torch.compile(graph, dynamic=True, backend=compiler)
            with torch.no_grad():
                kernel(*_tensors(state))
    except Exception:  # tracing and compiling fail in too many ways to name; the eager step is always there
        return None

    def step(now: State) -> State:
        with torch.no_grad():
            return _state(now, kernel(*_tensors(now)))

    return step


def _tensors(state: State) -> tuple[Tensor, ...]:
    values = [getattr(state, f.name) for f in fields(state)]
    return tuple(t for v in values for t in (v if isinstance(v, Profile) else (v,)))


def _state(like: State, tensors: tuple[Tensor, ...]) -> State:
    rest = iter(tensors)
    values: dict[str, Any] = {}
    for f in fields(like):
        value = getattr(like, f.name)
        values[f.name] = Profile([next(rest) for _ in value]) if isinstance(value, Profile) else next(rest)
    return replace(like, **values)
