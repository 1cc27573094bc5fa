"""Stay on the ridge, STON'R (Daskalakis, Golowich, Skoulakis and Zampetakis, COLT 2023): one curve to an equilibrium.

From a corner of the box the coordinates are settled one after another. While coordinate i is examined, the point moves
along the curve on which the free coordinates S keep their field at zero; what happens on the way decides which are free
next (`strategic_envs.agents.dynamics.ridge` has the rules). The curve ends where every coordinate is satisfied: at a
first-order equilibrium, whatever gradient play does there. It is a second-order method for few coordinates, about 20:
in the worst case the curve is exponentially long. For games of any number of players whose sets are boxes; convergence
for general-sum games was shown by Kosohorska, Kroupa and Votroubek (2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.agents.dynamics.ridge.corrector import Probe, polished
from strategic_envs.agents.dynamics.ridge.events import Happening, at_once, next_epoch, satisfied
from strategic_envs.agents.dynamics.ridge.frame import Frame, Here, box_bounds, no_box
from strategic_envs.agents.dynamics.ridge.geometry import direction
from strategic_envs.agents.dynamics.ridge.moves import Move, Mover
from strategic_envs.agents.dynamics.ridge.state import REASONS, Event, Failure, RidgeState
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["StayOnTheRidge"]

_SHORTEST = 1e-12  # of a step that is halved because it could not be corrected, or turned too sharply
_SHARP = 0.5  # cosine of the largest turn in one step
_KINK = 1e-6  # a turn that is still sharp in so short a step is a kink of the field, and the path goes on behind it
_SAME = 1e-9  # entry points of one epoch so near to each other are one


@dataclass(frozen=True)
class StayOnTheRidge(Dynamic[RidgeState]):
    """STON'R with a corrector: one step is a move along the curve, or a change of epoch without a move.

    A move costs a Jacobian (none while no coordinate is free) and two or three fields; one that ends in an event is
    bisected to the last bit. `status` says when every coordinate is satisfied, and when the path was given up because
    the game is degenerate there; `explain` says why.

    Args:
        step_size: Length of a move on the unit cube, in (0, 1/2].
        corner: Where to start: for each flat coordinate 0 (its lower bound) or 1. None takes the corner nearest to the
            start x0, lower bounds in ties; either way the path starts at the corner and not at x0 itself.
        order: The flat coordinates in the order in which they are examined; None means 0, 1, 2, ...
        corrector: Whether each move is corrected back onto the curve. Without, the published Euler method, the residual
            at the end is of the order of the step size.
        polish: Whether the end point is improved by Newton steps on the free coordinates.
        tolerance: What counts as a field of zero, in path coordinates (the field times the width of the box).

    Raises:
        InvalidSettingError: If a setting makes no sense.

    Example:
        >>> from strategic_envs.agents.dynamics.run import run
        >>> from strategic_envs.games.nonconcave import f1
        >>> game = f1(3.0)  # gradient play cycles around the origin
        >>> end = run(game, StayOnTheRidge(step_size=0.02), game.profile([-2.0], [-1.0]), steps=1000)
        >>> end.outcome, bool(end.final.norm() < 1e-10)
        ('converged', True)
    """

    name: ClassVar[str] = "stonr"
    summary: ClassVar[str] = "follow one curve from a corner of a box to a first-order equilibrium"
    needs: ClassVar[tuple[str, ...]] = ("field", "jacobian")
    state_type: ClassVar[type[State]] = RidgeState
    batched: ClassVar[bool] = False
    step_size: float = 0.005
    corner: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    corrector: bool = True
    polish: bool = True
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        for setting in ("corner", "order"):  # lists may come from a command line
            value = getattr(self, setting)
            if value is not None:
                object.__setattr__(self, setting, tuple(value))
        if self.step_size > 0.5:
            raise InvalidSettingError(f"{self.name}: got step_size={self.step_size!r}, expected at most half the cube")
        if self.corner is not None and not all(c in (0, 1) for c in self.corner):
            raise InvalidSettingError(f"{self.name}: got corner={self.corner!r}, expected zeros (low) and ones (high)")
        if self.order is not None and sorted(self.order) != list(range(len(self.order))):
            raise InvalidSettingError(f"{self.name}: got order={self.order!r}, expected a permutation of 0, 1, 2, ...")
        if not 0 < self.tolerance < 1e-2:
            raise InvalidSettingError(f"{self.name}: got tolerance={self.tolerance!r}, expected a number in (0, 0.01)")

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        return no_box(sets)

    def init(self, x0: Profile, oracle: Oracle) -> RidgeState:
        """The first epoch, at a corner.

        Raises:
            InvalidGameError: If a set is no bounded box, or the strategies are constrained jointly.
            InvalidSettingError: If the corner or the order does not fit the game, or x0 is a batch.
        """
        frame = self._frame(x0, oracle)
        total = len(frame.origin)
        start = frame.here(oracle, torch.zeros(total, dtype=torch.float64))
        blank = torch.zeros(total, dtype=torch.float64)
        state = RidgeState(
            x=start.x,
            z=start.z,
            v=start.v,
            slope=torch.zeros(total, total, dtype=torch.float64),
            direction=blank,
            origin=frame.origin,
            far=frame.far,
            order=frame.order,
            examined=torch.tensor(0),
            free=torch.zeros(total, dtype=torch.bool),
            suppressed=torch.tensor(False),
            event=torch.tensor(int(Event.NONE)),
            coordinate=torch.tensor(-1),
            failure=torch.tensor(int(Failure.NONE)),
            moves=torch.tensor(0),
            entries=torch.zeros(0, 1 + 2 * total, dtype=torch.float64),
        )
        return self._enter(state, 0, (), oracle)

    def step(self, state: RidgeState, oracle: Oracle) -> RidgeState:
        if self.status(state) is not Outcome.MAX_STEPS:
            return state
        tolerance = self._tolerance(state.x)
        moving = [*state.free_list, int(state.examined)]
        happening = at_once(state.here, state.direction, moving, bool(state.suppressed), tolerance)
        if happening is not None:
            return self._after(state, [happening], oracle)
        move, slope, onward = self._moved(state, oracle)
        if move is None:
            return _failed(state, Failure.STUCK)
        there = Here(move.here.z, state.frame.profile(move.here.z), move.here.v)
        state = replace(
            state,
            x=there.x,
            z=there.z,
            v=there.v,
            slope=slope,
            direction=onward,
            suppressed=torch.tensor(False),
            event=torch.tensor(int(Event.NONE)),
            coordinate=torch.tensor(-1),
            moves=state.moves + 1,
        )
        return self._after(state, move.happenings, oracle) if move.happenings else state

    def status(self, state: RidgeState) -> Outcome:
        if int(state.failure):
            return Outcome.FAILED
        return Outcome.CONVERGED if state.finished else Outcome.MAX_STEPS

    def explain(self, state: RidgeState) -> str:
        return REASONS[Failure(int(state.failure))]

    def _moved(self, state: RidgeState, oracle: Oracle) -> tuple[Move | None, Tensor, Tensor]:
        """A move, the derivative where it ended, and the direction there: shortened until the curve hardly turns."""
        here, free, examined, length = state.here, state.free_list, int(state.examined), self.step_size
        mover = Mover(self._probe(state.frame, oracle), free, examined, self._tolerance(state.x), self.corrector)
        slope = state.slope
        while length > _SHORTEST:
            move = mover.move(here, slope, state.direction, length)
            if move is not None and (move.happenings or not free):
                return move, move.slope, state.direction
            if move is not None:
                onward = self._derivative(state.frame, oracle, move.here, move.slope)
                turned = direction(onward, free, examined)
                largest = _SHARP if length > _KINK else -_SHARP
                if turned is not None and float(turned @ state.direction) >= largest:
                    return move, onward, turned
            length /= 2
        return None, slope, state.direction

    def _after(self, state: RidgeState, happenings: list[Happening], oracle: Oracle) -> RidgeState:
        """The state after events: the next epoch, or the end."""
        happening = happenings[0]
        examined, free = next_epoch(int(state.examined), state.free_list, happening)
        solved = len(happenings) > 1 and self._all_satisfied(state)
        if solved or examined == len(state.z):
            return self._finish(state, happening, oracle)
        if len(happenings) > 1:
            return _failed(state, Failure.COINCIDENT)
        back = happening.event is Event.BAD and happening.coordinate == int(state.examined)
        state = replace(
            state,
            event=torch.tensor(int(happening.event)),
            coordinate=torch.tensor(happening.coordinate),
            suppressed=torch.tensor(back),
        )
        return _failed(state, Failure.DEGENERATE) if examined < 0 else self._enter(state, examined, free, oracle)

    def _all_satisfied(self, state: RidgeState) -> bool:
        tolerance = self._tolerance(state.x)
        pairs = zip(state.z.tolist(), state.v.tolist(), strict=True)
        return all(satisfied(z, v, tolerance) is not Event.NONE for z, v in pairs)

    def _enter(self, state: RidgeState, examined: int, free: tuple[int, ...], oracle: Oracle) -> RidgeState:
        """The state at the start of an epoch."""
        mask = torch.zeros_like(state.free)
        mask[list(free)] = True
        entry = torch.cat([torch.tensor([float(examined)], dtype=torch.float64), mask.double(), state.z])
        seen = bool(((state.entries - entry).abs() <= _SAME).all(-1).any())
        entries = torch.cat([state.entries, entry.unsqueeze(0)])
        state = replace(state, examined=torch.tensor(examined), free=mask, entries=entries)
        if not bool(state.v.isfinite().all()):
            return _failed(state, Failure.NONFINITE)
        if seen:
            return _failed(state, Failure.REVISITED)
        slope = self._first_derivative(state, oracle) if free else torch.zeros_like(state.slope)
        way = direction(slope, free, examined)
        state = replace(state, slope=slope)
        return _failed(state, Failure.DEGENERATE) if way is None else replace(state, direction=way)

    def _finish(self, state: RidgeState, happening: Happening, oracle: Oracle) -> RidgeState:
        """The end of the path, polished."""
        total = len(state.z)
        inside = (state.z > 0.0) & (state.z < 1.0)
        state = replace(
            state,
            examined=torch.tensor(total),
            free=inside,
            event=torch.tensor(int(happening.event)),
            coordinate=torch.tensor(happening.coordinate),
            suppressed=torch.tensor(False),
            direction=torch.zeros_like(state.direction),
        )
        rows = state.free_list
        if not self.polish or not rows:
            return state
        slope = self._first_derivative(state, oracle)
        here = polished(self._probe(state.frame, oracle), state.here, slope, rows)
        end = replace(state, x=state.frame.profile(here.z), z=here.z, v=here.v, slope=slope)
        return state if self._all_satisfied(state) and not self._all_satisfied(end) else end

    def _frame(self, x0: Profile, oracle: Oracle) -> Frame:
        if x0.batch_shape:
            raise InvalidSettingError(
                f"{self.name}: got starts of batch shape {tuple(x0.batch_shape)}, expected one: run maps over them"
            )
        if getattr(getattr(oracle, "game", None), "joint", None) is not None:
            raise InvalidGameError(
                f"{oracle.name}: got strategies that are constrained jointly, {self.name} expects a bounded box for "
                "every player: use a projected method, such as extragradient"
            )
        reason = no_box(oracle.sets)
        if reason is not None:
            raise InvalidGameError(f"{self.name}, on {oracle.name}, {reason}")
        low, high = box_bounds(oracle.sets)
        nearest = x0.flat().detach().to("cpu", torch.float64) > (low + high) / 2
        corner = self.corner if self.corner is not None else tuple(nearest.int().tolist())
        order = self.order if self.order is not None else tuple(range(len(low)))
        return Frame.at_corner(low, high, corner, order, x0, f"{self.name}, on {oracle.name}")

    def _probe(self, frame: Frame, oracle: Oracle) -> Probe:
        return lambda z: frame.here(oracle, z)

    def _tolerance(self, x: Profile) -> float:
        """The tolerance, as far as the dtype of the profiles allows it."""
        return max(self.tolerance, 100 * max(torch.finfo(t.dtype).eps for t in x))

    def _first_derivative(self, state: RidgeState, oracle: Oracle) -> Tensor:
        """DV where an epoch begins."""
        return state.frame.jacobian(oracle, state.here)

    def _derivative(self, frame: Frame, oracle: Oracle, here: Here, learned: Tensor) -> Tensor:
        """DV at a point inside an epoch."""
        return frame.jacobian(oracle, here)


def _failed(state: RidgeState, failure: Failure) -> RidgeState:
    return replace(state, failure=torch.tensor(int(failure)))
