"""What every learning dynamic is: hyper-parameters, and three functions on small states.

A dynamic is a frozen dataclass whose fields are its hyper-parameters. `init` makes a state of a start, `step` makes the
next state of a state, `point` reads the profile that is played. Whoever drives it (`run`, a training loop on a cluster)
hands in the oracle; a dynamic sees nothing else.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import Simplex, StrategySet

__all__ = [
    "Dynamic",
    "State",
    "check_share",
    "check_step_size",
    "keep_rows",
    "simplices_only",
    "state_from_dict",
    "state_to_dict",
]


@dataclass(frozen=True, eq=False)
class State:
    """Where a dynamic is. Subclasses add what else it must remember: profiles and tensors only.

    Args:
        x: The profile that is updated, tensors `(*batch, d_i)`.
    """

    x: Profile


S = TypeVar("S", bound=State)


class Dynamic(ABC, Generic[S]):
    """An update rule on a joint field.

    Class attributes: `name` is what lists and errors call it, `needs` what it asks of its oracle, `summary` one line
    for a reader, `state_type` the class of its states. Rows of a batch never influence each other. A method that takes
    one start says `batched = False`, and `run` maps it over the batch. `experimental` marks rules without a theory.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("field", "project")
    state_type: ClassVar[type[State]] = State
    batched: ClassVar[bool] = True
    experimental: ClassVar[bool] = False

    @abstractmethod
    def init(self, x0: Profile, oracle: Oracle) -> S:
        """The state at a start x0, a profile inside the sets."""

    @abstractmethod
    def step(self, state: S, oracle: Oracle) -> S:
        """The state after one step."""

    def point(self, state: S) -> Profile:
        """The profile that is played in a state."""
        return state.x

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        """Why this rule cannot play on these sets, one a player, and what would; None where it can."""
        return None

    def status(self, state: S) -> Outcome:
        """Whether the method itself has ended: `MAX_STEPS` while it goes on. Only where `batched` is False."""
        return Outcome.MAX_STEPS

    def explain(self, state: S) -> str:
        """Why `status` says `FAILED`, and what might help; empty otherwise."""
        return ""

    def rate(self, state: S) -> float | Tensor:
        """The step size that the next step from this state uses; NaN for a dynamic without one."""
        return getattr(self, "step_size", math.nan)


def check_step_size(dynamic: Dynamic[Any], value: object) -> None:
    """Refuses a step size that is not a finite number above zero.

    Raises:
        InvalidSettingError: Naming the dynamic and the value.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    if not good:
        raise InvalidSettingError(
            f"{dynamic.name}: got step_size={value!r}, expected a finite number > 0, such as 0.01"
        )


def check_share(dynamic: Dynamic[Any], name: str, value: object, *, closed: bool = False) -> None:
    """Refuses a setting that is not a number in (0, 1), or in (0, 1] with `closed`.

    Raises:
        InvalidSettingError: Naming the dynamic, the setting and the value.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and (0 < value < 1 or (closed and value == 1))
    if not good:
        interval = "(0, 1]" if closed else "(0, 1)"
        raise InvalidSettingError(f"{dynamic.name}: got {name}={value!r}, expected a number in {interval}")


def simplices_only(sets: Sequence[StrategySet]) -> str | None:
    """What `suits` says for a rule on probabilities: which player's set is no simplex; None where all are.

    Example:
        >>> simplices_only([Simplex(2), Simplex(3)]) is None
        True
    """
    for i, s in enumerate(sets):
        if not isinstance(s, Simplex):
            return f"got {s} for player_{i}, expected a Simplex for every player; online_gradient plays on any set"
    return None


def state_to_dict(state: State) -> dict[str, Tensor]:
    """A state as a flat dictionary of tensors, for checkpoints: `x.0`, `x.1`, ... for a profile, the name for a tensor.

    Example:
        >>> sorted(state_to_dict(State(Profile([torch.zeros(1), torch.ones(2)]))))
        ['x.0', 'x.1']
    """
    flat: dict[str, Tensor] = {}
    for f in fields(state):
        value = getattr(state, f.name)
        if isinstance(value, Profile):
            flat.update({f"{f.name}.{i}": t.detach().clone() for i, t in enumerate(value)})
        else:
            flat[f.name] = value.detach().clone()
    return flat


def state_from_dict(kind: type[S], flat: Mapping[str, Tensor]) -> S:
    """The state that `state_to_dict` wrote, bit by bit.

    Args:
        kind: The class of the state, the `state_type` of its dynamic.
        flat: What `state_to_dict` returned.

    Raises:
        CheckpointError: If a part is missing or one too many is there.
    """
    values: dict[str, Profile | Tensor] = {}
    used: set[str] = set()
    for f in fields(kind):
        parts = sorted((k for k in flat if k.startswith(f.name + ".")), key=lambda k: int(k.rsplit(".", 1)[1]))
        if parts:
            values[f.name] = Profile(flat[k].clone() for k in parts)
            used.update(parts)
        elif f.name in flat:
            values[f.name] = flat[f.name].clone()
            used.add(f.name)
    missing, extra = {f.name for f in fields(kind)} - set(values), set(flat) - used
    if missing or extra:
        raise CheckpointError(
            f"got a state with parts {sorted(flat)}, expected {[f.name for f in fields(kind)]} of {kind.__qualname__}: "
            "it was written by another dynamic or is damaged"
        )
    return kind(**values)  # pyright: ignore[reportArgumentType]


def keep_rows(moving: Tensor, new: S, old: S) -> S:
    """The new state where `moving` is True and the old one elsewhere.

    Args:
        moving: Which rows move, `(*batch,)`.
        new: The state after a step.
        old: The state before it.
    """

    def choose(a: Tensor, b: Tensor) -> Tensor:
        if a.shape[: moving.ndim] != moving.shape:
            return a  # shared by all rows, such as the time
        mask = moving.reshape(*moving.shape, *[1] * (a.ndim - moving.ndim))
        return torch.where(mask, a, b)

    chosen: dict[str, Profile | Tensor] = {}
    for f in fields(new):
        a, b = getattr(new, f.name), getattr(old, f.name)
        chosen[f.name] = Profile(map(choose, a, b)) if isinstance(a, Profile) else choose(a, b)
    return replace(new, **chosen)
