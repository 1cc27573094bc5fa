"""A whole step of a dynamic as one compiled kernel, for closed-form games.

The step is traced into tensor operations, the gradients of the utilities included, and compiled for any batch size: by
torch, or row by row by numba (`scalar.py`), whichever is faster for these operations. The numbers are those of the
eager step up to rounding: a kernel that gives others is not used. Compiling takes seconds, so it pays in long runs and
large batches; kernels are kept, so the next run of the same dynamic on the same game starts at once.
"""

from __future__ import annotations

import shutil
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from strategic_envs.agents.dynamics.base import Dynamic, State
from strategic_envs.agents.dynamics.compiled.expressions import UnsupportedOperationError
from strategic_envs.agents.dynamics.compiled.scalar import Advance, row_kernel
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.profile import Profile

__all__ = ["COMPILERS", "CompiledStep", "compiled_step"]

COMPILERS = ("inductor", "numba", "eager")
_KEPT = 32  # kernels
_FEW = 8  # rows on which a kernel is compared with the eager step
_MANY = 2048  # rows from which exponentials of all rows at once outweigh the overhead of torch's kernels
_ROWS = 97  # of the batch that is traced: unlike any other size, so that torch does not take two sizes for one


class _TracedOracle(GameOracle):
    """The oracle of the same game by pure functions, which tracing can see through."""

    def _field(self, x: Profile, player: int | None) -> Profile:
        value = self.game._functional_field(tuple(x))
        return Profile(value) if player is None else Profile([value[player]])


@dataclass(frozen=True)
class CompiledStep:
    """A compiled `step`.

    Args:
        advance: From the packed tensors of a state and a number of steps to those before the last step and after it.
        calls: The oracle calls that one step makes.
        compiler: What compiled it, one of `COMPILERS`.
    """

    advance: Advance
    calls: Counter[str]
    compiler: str

    def __call__(self, state: State) -> State:
        """The next state."""
        return self.steps(state, 1)[1]

    def steps(self, state: State, count: int) -> tuple[State, State]:
        """The states before the last of so many steps, at least one, and after it."""
        kinds, batch = _kinds(state), state.x.batch_shape
        with torch.no_grad():
            last, new = self.advance(_packed(_tensors(state), kinds, batch), count)
        return _rebuilt(state, _unpacked(last, kinds, batch)), _rebuilt(state, _unpacked(new, kinds, batch))


_kept: OrderedDict[Hashable, CompiledStep | None] = OrderedDict()


def compiled_step(
    dynamic: Dynamic[Any], state: State, oracle: Oracle, compiler: str | None = None
) -> CompiledStep | None:
    """A compiled `step` for states like the given one, or None where there can be none.

    Args:
        dynamic: The dynamic.
        state: A state whose structure, dtypes and number of batch dimensions the step is for.
        oracle: The oracle; only a plain `GameOracle` can be traced.
        compiler: One of `COMPILERS`; `"eager"` runs the traced operations one by one. None chooses: numba where a step
            is arithmetic alone or the rows are few, since it is ready in under a second and as fast; torch's inductor,
            which computes exponentials and sines of many rows at once, elsewhere; and each where the other fails.
    """
    if type(oracle) is not GameOracle:
        return None
    key = (oracle.game, dynamic, compiler, _signature(state))
    try:
        found = key in _kept
    except TypeError:  # a dynamic with settings that cannot be hashed
        return _compile(dynamic, state, oracle, compiler)
    kept = _kept.pop(key) if found else _compile(dynamic, state, oracle, compiler)
    if found and kept is not None and not _agrees(kept.advance, dynamic, state, oracle):
        kept = _compile(dynamic, state, oracle, compiler)  # the utilities read data that have changed since
    _kept[key] = kept
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
    return _kept[key]


def _compile(dynamic: Dynamic[Any], state: State, oracle: GameOracle, compiler: str | None) -> CompiledStep | None:
    traced, kinds, batch = _TracedOracle(oracle.game), _kinds(state), state.x.batch_shape
    packed = _packed(_tensors(state), kinds, batch)

    def one_row(*tensors: Tensor) -> tuple[Tensor, ...]:
        return _tensors(dynamic.step(_rebuilt(state, tensors), traced))

    def many_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
        rows = [t.mT if k == "columns" else t for t, k in zip(tensors, kinds, strict=True)]
        return _turned(one_row(*rows), kinds)

    def by_rows() -> tuple[Advance, bool]:
        if any(t.is_cuda or t.dtype not in (torch.float64, torch.int64) for t in packed):
            raise UnsupportedOperationError("numba's kernels are in float64, on the CPU")
        graph = make_fx(functionalize(one_row), _allow_non_fake_inputs=True)(*_first_row(packed, kinds))
        return row_kernel(graph, kinds)

    def by_batch(backend: str) -> Advance:
        example = _repeated(packed, kinds)
        graph = make_fx(many_rows, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)
        return _repeating(torch.compile(graph, dynamic=True, backend=backend))

    def attempt(name: str) -> CompiledStep | None:
        traced.calls.clear()
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                advance, plain = by_rows() if name == "numba" else (by_batch(name), True)
                calls = traced.calls.copy()
                if compiler is None and name == "numba" and not plain and batch.numel() >= _MANY and _has_compiler():
                    other = attempt("inductor")
                    if other is not None:
                        return other
                _check(advance, dynamic, state, oracle)
        except Exception:  # tracing and compiling fail in too many ways to name; the eager step is always there
            return None
        return CompiledStep(advance, calls, name)

    if compiler is not None:
        return attempt(compiler)
    return attempt("numba") or (attempt("inductor") if _has_compiler() else None)


def _repeating(step: Callable[..., Sequence[Tensor]]) -> Advance:
    def advance(tensors: Sequence[Tensor], count: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        last = new = tensors
        with warnings.catch_warnings():  # torch compiles anew for sizes of a new kind, and may warn of its own code
            warnings.simplefilter("ignore")
            for _ in range(count):
                last, new = new, step(*new)
        return last, new

    return advance


def _check(advance: Advance, dynamic: Dynamic[Any], state: State, oracle: GameOracle) -> None:
    """Compares a kernel with the eager step on a few rows."""
    batch, kinds = state.x.batch_shape, _kinds(state)
    few = {"rows": lambda t: t[:_FEW], "columns": lambda t: t[:, :_FEW].contiguous(), "shared": lambda t: t}
    packed = [few[k](t) for t, k in zip(_packed(_tensors(state), kinds, batch), kinds, strict=True)]
    size = torch.Size([min(_FEW, batch.numel())]) if batch else batch
    eager = _tensors(dynamic.step(_rebuilt(state, _unpacked(packed, kinds, size)), GameOracle(oracle.game)))
    for ours, theirs in zip(_unpacked(advance(packed, 1)[1], kinds, size), eager, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8, equal_nan=True)


def _agrees(advance: Advance, dynamic: Dynamic[Any], state: State, oracle: GameOracle) -> bool:
    try:
        _check(advance, dynamic, state, oracle)
    except AssertionError:
        return False
    return True


def _has_compiler() -> bool:
    return any(map(shutil.which, ("g++", "clang++", "c++")))


def _signature(state: State) -> Hashable:
    """What a kernel depends on: the structure of a state, and the sizes that it does not leave open."""
    batch, kinds = state.x.batch_shape, _kinds(state)
    rows = min(batch.numel(), 2) + (batch.numel() >= _MANY) if batch else 0  # one row is a case of its own
    sizes = [t.shape if k == "shared" else t.shape[len(batch) :] for t, k in zip(_tensors(state), kinds, strict=True)]
    return type(state), rows, kinds, tuple(map(tuple, sizes)), tuple((t.dtype, t.device) for t in _tensors(state))


# A state as a flat tuple of tensors. Kinds: "rows" have the batch dimensions first and are packed with all rows in one
# dimension; "columns" too, and are packed with the rows last, because such memory is what vector units want; "shared"
# tensors, such as a time, belong to all rows. Without batch dimensions everything is shared by the one row.


def _tensors(state: State) -> tuple[Tensor, ...]:
    values = [getattr(state, f.name) for f in fields(state)]
    return tuple(t for v in values for t in (v if isinstance(v, Profile) else (v,)))


def _rebuilt(like: State, tensors: Sequence[Tensor]) -> State:
    rest = iter(tensors)
    values: dict[str, Any] = {}
    for f in fields(like):
        value = getattr(like, f.name)
        values[f.name] = Profile([next(rest) for _ in value]) if isinstance(value, Profile) else next(rest)
    return replace(like, **values)


def _kinds(state: State) -> tuple[str, ...]:
    batch = state.x.batch_shape

    def kind(t: Tensor) -> str:
        if not batch or t.shape[: len(batch)] != batch:
            return "shared"
        return "columns" if t.ndim == len(batch) + 1 and t.shape[-1] > 1 else "rows"

    return tuple(map(kind, _tensors(state)))


def _packed(tensors: Sequence[Tensor], kinds: Sequence[str], batch: torch.Size) -> tuple[Tensor, ...]:
    flat = [t if k == "shared" else t.reshape(-1, *t.shape[len(batch) :]) for t, k in zip(tensors, kinds, strict=True)]
    return _turned(flat, kinds)


def _unpacked(tensors: Sequence[Tensor], kinds: Sequence[str], batch: torch.Size) -> list[Tensor]:
    rows = zip([t.mT if k == "columns" else t for t, k in zip(tensors, kinds, strict=True)], kinds, strict=True)
    return [t if k == "shared" else t.reshape(*batch, *t.shape[1:]) for t, k in rows]


def _turned(tensors: Sequence[Tensor], kinds: Sequence[str]) -> tuple[Tensor, ...]:
    """Rows last where they come first, and the other way round."""
    return tuple(t.mT.contiguous() if k == "columns" else t for t, k in zip(tensors, kinds, strict=True))


def _repeated(packed: Sequence[Tensor], kinds: Sequence[str]) -> list[Tensor]:
    """The first row, `_ROWS` times."""
    many = {"rows": lambda t: t[:1].repeat(_ROWS, *[1] * (t.ndim - 1)), "columns": lambda t: t[:, :1].repeat(1, _ROWS)}
    # Copies, for a state may hold one tensor twice (a start and its anchor), and a trace would take one for the other.
    return [many[k](t) if k != "shared" else t.clone() for t, k in zip(packed, kinds, strict=True)]


def _first_row(packed: Sequence[Tensor], kinds: Sequence[str]) -> list[Tensor]:
    """The first row, without batch dimensions."""
    first = {"rows": lambda t: t[0].clone(), "columns": lambda t: t[:, 0].clone(), "shared": lambda t: t.clone()}
    return [first[k](t) for t, k in zip(packed, kinds, strict=True)]
