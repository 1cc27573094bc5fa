"""The one loop: a dynamic, an oracle and a batch of starts give a trajectory.

That a method fails is an outcome and no exception: each row of the batch ends as `converged` (its projected gap fell
below the tolerance), `max_steps`, `diverged` or `nonfinite`. A row that ended stays where it is; one that became NaN or
infinite stays at its last finite profile.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, keep_rows
from strategic_envs.agents.dynamics.compiled import CompiledStep, compiled_step
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.agents.dynamics.trajectory import Trajectory, merged
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, OracleError
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile

__all__ = ["run"]

_LOOK_EVERY = 100  # steps between two looks at a state that nobody else asks for


def run(
    source: Oracle | VIGame,
    dynamic: Dynamic[Any],
    x0: Sequence[Tensor],
    steps: int,
    *,
    record: int | Collection[int] | None = 1,
    tolerance: float | None = None,
    check_every: int = 10,
    divergence: float = 1e8,
    accumulate: bool = False,
    compile: bool = False,
) -> Trajectory:
    """Runs a dynamic from a batch of starts.

    Args:
        source: A game with continuous strategies, or an oracle.
        dynamic: The update rule.
        x0: The starts, tensors `(*batch, d_i)` inside the sets.
        steps: How many steps to take at most.
        record: Record every so many steps, or at these steps, or (None) nothing but start and end, which are always
            recorded.
        tolerance: Stop rows whose projected local Nash gap is at most this; None runs all steps.
        check_every: How often the tolerance is checked, in steps.
        divergence: Stop rows whose norm exceeds this, looked at with the tolerance, else at least every 100 steps.
        accumulate: Keep the sums for the local CCE gap of the whole run (`Trajectory.local_cce_gap`), over every
            profile that was stepped from, recorded or not.
        compile: Compile the step, where it can be (`strategic_envs.agents.dynamics.compiled`): the same numbers up to
            rounding, faster in long runs and large batches.

    Returns:
        The trajectory.

    Raises:
        OracleError: If the oracle lacks something that the dynamic needs.
        InvalidStrategyError: If a start is outside its set, NaN, or of a wrong shape.
        InvalidSettingError: If the dynamic is not made for these sets or so many players, a number of steps is
            negative, or an interval is below one.

    Example:
        >>> from strategic_envs.agents.dynamics.extragradient import Extragradient
        >>> from strategic_envs.games.kinds.game import Game
        >>> from strategic_envs.sets import Box
        >>> game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)], name="bilinear")
        >>> end = run(game, Extragradient(0.5), game.profile([0.9], [0.3]), steps=1000, tolerance=1e-9)
        >>> end.outcome, end.calls["field"] == 2 * int(end.ended)
        ('converged', True)
    """
    oracle = GameOracle(source) if isinstance(source, VIGame) else source
    _check(oracle, dynamic, steps, check_every, tolerance)
    if accumulate and oracle.joint is not None:
        raise InvalidSettingError(
            f"run: got accumulate=True on {oracle.name}, whose players share a set: the local CCE gap of a run is "
            "defined for sets of their own; judge profiles with local_nash_gap"
        )
    x = _check_start(oracle, x0)
    wanted = _recorded(record, steps)
    if not dynamic.batched and x.batch_shape:  # a method of one start: a run for each
        settings = {"record": record, "tolerance": tolerance, "check_every": check_every, "divergence": divergence}
        rows = [Profile(row) for row in zip(*(t.reshape(-1, t.shape[-1]) for t in x), strict=True)]
        runs = [run(oracle, dynamic, row, steps, accumulate=accumulate, **settings) for row in rows]
        return merged(runs, x.batch_shape)
    before = oracle.calls.copy()
    state = dynamic.init(x, oracle)
    recorder = _Recorder(dynamic, oracle)
    sums = FieldAccumulator() if accumulate else None
    rows = _Rows(x, steps)
    stepper = _Stepper(dynamic, oracle, compile and dynamic.batched)
    look_every = check_every if tolerance is not None else max(check_every, _LOOK_EVERY)
    unwatched = type(oracle) is GameOracle and dynamic.batched and sums is None  # several steps at once
    time, last = 0, state
    while True:
        if tolerance is not None and (time % check_every == 0 or time == steps):
            rows.stop(recorder.gap(state) <= tolerance, Outcome.CONVERGED, time)
        if time in wanted:
            rows.stop(~recorder.record(state, time).isfinite(), Outcome.NONFINITE, time)
        if not dynamic.batched:
            rows.stop(rows.moving & (dynamic.status(state) is not Outcome.MAX_STEPS), dynamic.status(state), time)
        if time == steps or not bool(rows.moving.any()):
            break
        if sums is not None:
            sums.update(dynamic.point(state), recorder.field(state), rows.moving.double())
        count = _until_next_look(time, steps, look_every, wanted) if unwatched else 1
        kept = oracle.calls.copy()
        before_last, new = stepper.steps(state, count)
        if _all_below(rows.of_moving(new.x), divergence):
            last, state, time = rows.held(before_last, state), rows.held(new, state), time + count
            continue
        oracle.calls = kept  # some row became huge or NaN on the way: the same steps again, one by one
        for _ in range(count):
            last, (_, new) = state, stepper.steps(state, 1)
            rows.stop(~new.x.isfinite(), Outcome.NONFINITE, time)
            state, time = rows.held(new, state), time + 1
            rows.stop(state.x.norm() > divergence, Outcome.DIVERGED, time)
    if not recorder.times or recorder.times[-1] != time:
        rows.stop(~recorder.record(state, time).isfinite(), Outcome.NONFINITE, time)
    calls = {name: count - before[name] for name, count in oracle.calls.items() if count > before[name]}
    moved = oracle.difference(dynamic.point(last), dynamic.point(state)).norm()
    found = recorder.trajectory(calls, rows.codes, rows.ended, sums, moved)
    notes = (dynamic.explain(state),) * (not x.batch_shape)
    return replace(found, compiled=stepper.kernel is not None, notes=notes, game=oracle.name)


def _until_next_look(time: int, steps: int, look_every: int, wanted: Collection[int]) -> int:
    """How many steps there are until somebody looks at the state: an end, a check or a record."""
    until = min(steps, time - time % look_every + look_every)
    return next((t for t in range(time + 1, until) if t in wanted), until) - time


class _Rows:
    """Which rows still move, and how and when the others ended."""

    def __init__(self, x: Profile, steps: int) -> None:
        batch, device = x.batch_shape, x[0].device
        self.codes = torch.full(batch, int(Outcome.MAX_STEPS), dtype=torch.int64, device=device)
        self.ended = torch.full(batch, steps, dtype=torch.int64, device=device)
        self.moving = torch.ones(batch, dtype=torch.bool, device=device)

    def stop(self, rows: Tensor, outcome: Outcome, time: int) -> None:
        """Ends those of the rows that still move."""
        rows = rows & self.moving
        self.codes[rows], self.ended[rows] = int(outcome), time
        self.moving = self.moving & ~rows

    def of_moving(self, x: Profile) -> Profile:
        """The profile, with zeros in the rows that ended."""
        if bool(self.moving.all()):
            return x
        return x.map(lambda t: torch.where(self.moving.unsqueeze(-1), t, 0.0))

    def held(self, new: State, old: State) -> State:
        """The new state, with the rows that ended left where they were."""
        return new if bool(self.moving.all()) else keep_rows(self.moving, new, old)


class _Stepper:
    """Steps, by a compiled kernel if asked to and where there can be one."""

    def __init__(self, dynamic: Dynamic[Any], oracle: Oracle, compile: bool) -> None:
        self.dynamic, self.oracle, self.compile = dynamic, oracle, compile
        self.kernel: CompiledStep | None = None

    def steps(self, state: State, count: int) -> tuple[State, State]:
        """The states before the last of so many steps, and after it."""
        if self.compile:
            self.kernel, self.compile = compiled_step(self.dynamic, state, self.oracle), False
        if self.kernel is not None:
            self.oracle.calls.update({name: count * calls for name, calls in self.kernel.calls.items()})
            return self.kernel.steps(state, count)
        last = state
        for _ in range(count):
            last, state = state, self.dynamic.step(state, self.oracle)
        return last, state


class _Recorder:
    """Measures without being counted, and keeps what was asked for."""

    def __init__(self, dynamic: Dynamic[Any], oracle: Oracle) -> None:
        self.dynamic, self.oracle = dynamic, oracle
        self.times: list[int] = []
        self.points: list[Profile] = []
        self.fields: list[Profile] = []
        self.residuals: list[Tensor] = []
        self.outside: list[Tensor] = []
        self.rates: list[Tensor] = []

    def field(self, state: State) -> Profile:
        with self.oracle.uncounted():
            return self.oracle.field(self.dynamic.point(state))

    def gap(self, state: State) -> Tensor:
        return self.oracle.residuals(self.dynamic.point(state), self.field(state)).amax(-1)

    def record(self, state: State, time: int) -> Profile:
        """Keeps a state, and returns the field there."""
        point, field = self.dynamic.point(state), self.field(state)
        self.times.append(time)
        self.points.append(point)
        self.fields.append(field)
        self.residuals.append(self.oracle.residuals(point, field).amax(-1))
        self.outside.append(self.oracle.difference(state.x, self.oracle.project(state.x)).norm())
        self.rates.append(torch.as_tensor(self.dynamic.rate(state), dtype=torch.float64))
        return field

    def trajectory(
        self, calls: dict[str, int], codes: Tensor, ended: Tensor, sums: FieldAccumulator | None, moved: Tensor
    ) -> Trajectory:
        return Trajectory(
            steps=torch.tensor(self.times),
            points=Profile(torch.stack(t) for t in zip(*self.points, strict=True)),
            fields=Profile(torch.stack(t) for t in zip(*self.fields, strict=True)),
            residuals=torch.stack(self.residuals),
            step_sizes=torch.stack(self.rates),
            calls=calls,
            codes=codes,
            ended=ended,
            sets=self.oracle.sets,
            outside=torch.stack(self.outside),
            moved=moved,
            sums=sums,
        )


def _all_below(x: Profile, limit: float) -> bool:
    """Whether no coordinate is NaN or could make a norm exceed the limit: one cheap look at the whole batch."""
    worst = torch.stack([t.abs().amax() for t in x]).amax()  # NaN goes through amax
    return float(worst) <= limit / math.sqrt(sum(x.dims))


def _check(oracle: Oracle, dynamic: Dynamic[Any], steps: int, check_every: int, tolerance: float | None) -> None:
    lacking = [need for need in dynamic.needs if not oracle.provides(need)]
    if lacking:
        raise OracleError(
            f"{dynamic.name} needs {' and '.join(lacking)}, which the oracle of {oracle.name} does not give: "
            "use a game with utilities that are differentiable so often, or a first-order dynamic"
        )
    if oracle.joint is not None and type(dynamic).suits is not Dynamic.suits:
        raise OracleError(
            f"{dynamic.name} plays on sets of the players' own, and {oracle.name} ties them together in "
            f"{oracle.joint}: use a dynamic that projects, such as simultaneous_gradient or extragradient"
        )
    unsuited = dynamic.suits(oracle.sets)
    if unsuited is not None:
        raise InvalidSettingError(f"{dynamic.name}, on {oracle.name}: {unsuited}")
    if steps < 0 or check_every < 1:
        raise InvalidSettingError(
            f"run: got steps={steps} and check_every={check_every}, expected steps >= 0 and check_every >= 1"
        )
    if tolerance is not None and not tolerance > 0:
        raise InvalidSettingError(f"run: got tolerance={tolerance}, expected a number > 0, or None to take all steps")


def _check_start(oracle: Oracle, x0: Sequence[Tensor]) -> Profile:
    if len(x0) != len(oracle.sets):
        raise InvalidStrategyError(f"{oracle.name}: got a start of {len(x0)} players, expected {len(oracle.sets)}")
    for i, (s, t) in enumerate(zip(oracle.sets, x0, strict=True)):
        s.validate(t, f"{oracle.name}, start of player_{i}")
    if oracle.joint is not None:
        oracle.joint.set.validate(Profile(x0).flat(), f"{oracle.name}, start of all players together")
    shapes = {tuple(t.shape[:-1]) for t in x0}
    if len(shapes) > 1:
        raise InvalidStrategyError(f"{oracle.name}: got starts of batch shapes {sorted(shapes)}, expected one shape")
    return Profile(x0).detach().clone()


def _recorded(record: int | Collection[int] | None, steps: int) -> Collection[int]:
    if record is None:
        return {0}
    if isinstance(record, int):
        if record < 1:
            raise InvalidSettingError(f"run: got record={record}, expected an interval of at least 1 step, or None")
        return range(0, steps + 1, record)
    return {0, *record}
