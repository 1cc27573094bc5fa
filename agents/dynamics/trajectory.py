"""What a run leaves behind: recorded points, call counts, and how each row of the batch ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.gap import Gap
from strategic_envs.play import Empirical
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["Trajectory", "merged"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run of a dynamic from a batch of starts.

    Args:
        steps: The recorded steps `(R,)`: row r was recorded after `steps[r]` steps; the last row is the end.
        points: The profiles there, tensors `(R, *batch, d_i)`.
        fields: The fields there, of the same shapes.
        residuals: The projected local Nash gap at every recorded point, largest over players, `(R, *batch)`.
        step_sizes: The step size that was used next, `(R,)` or `(R, *batch)`; NaN for a dynamic without one.
        calls: Oracle calls of the whole run; one batched call counts once.
        codes: An `Outcome` for each row of the batch, `(*batch,)`.
        ended: The step at which each row stopped moving, `(*batch,)`.
        sets: The players' sets.
        sums: The accumulator over all profiles that were stepped from, when `run` was asked to keep it.
        outside: How far the iterate itself lay outside the sets at each recorded step, `(R, *batch)`; `points` are what
            is played, and lie inside.
        moved: How far each row's point moved in the last step that was taken, `(*batch,)`; 0 for rows that ended early.
        notes: For each row (flattened) what a method that gave up says; empty strings otherwise.
        game: What the game is called.
        compiled: Whether steps after the first were compiled; asked for, it is False where they could not be.
    """

    steps: Int[Tensor, " R"]
    points: Profile
    fields: Profile
    residuals: Float[Tensor, "R *batch"]
    step_sizes: Tensor
    calls: Mapping[str, int]
    codes: Int[Tensor, "*batch"]
    ended: Int[Tensor, "*batch"]
    sets: tuple[StrategySet, ...]
    outside: Float[Tensor, "R *batch"]
    moved: Float[Tensor, "*batch"]
    sums: FieldAccumulator | None = None
    notes: tuple[str, ...] = ()
    game: str = "the game"
    compiled: bool = False

    @property
    def final(self) -> Profile:
        """The profiles at the end, tensors `(*batch, d_i)`."""
        return self.points.map(lambda t: t[-1])

    @property
    def outcome(self) -> str:
        """How the run ended, if it had one start.

        Raises:
            InvalidStrategyError: If there was a batch of starts: use `outcomes` or `count`.
        """
        if self.codes.ndim:
            raise InvalidStrategyError(
                f"this run had starts of batch shape {tuple(self.codes.shape)}: use outcomes or count()"
            )
        return str(Outcome(int(self.codes)))

    @property
    def outcomes(self) -> list[str]:
        """How each row ended, batch dimensions flattened."""
        return [str(Outcome(c)) for c in self.codes.reshape(-1).tolist()]

    def count(self) -> dict[str, int]:
        """How many rows ended in each way."""
        return {str(o): int((self.codes == o).sum()) for o in Outcome}

    def verdicts(self, solved: float = 1e-3, rest: float = 1e-9) -> list[str]:
        """What became of each row, batch dimensions flattened.

        `solved`: its last point has a projected gap below `solved`. `resting`: it has not, yet the last step moved it
        by at most `rest`: a rest point of the rule that is no solution. `moving`: neither. `diverged`, `nonfinite`
        and `failed` are the outcomes of that name.
        """
        bad = {Outcome.DIVERGED, Outcome.NONFINITE, Outcome.FAILED}
        gaps, moved = self.gaps()[-1].reshape(-1).tolist(), self.moved.reshape(-1).tolist()
        verdicts = []
        for code, gap, step in zip(self.codes.reshape(-1).tolist(), gaps, moved, strict=True):
            ended = "solved" if gap < solved else "resting" if step <= rest else "moving"
            verdicts.append(str(Outcome(code)) if Outcome(code) in bad else ended)
        return verdicts

    def reasons(self) -> list[str]:
        """Why each row ended `nonfinite` or `failed`, batch dimensions flattened: the game, the player, the value."""
        notes = list(self.notes) + [""] * (self.codes.numel() - len(self.notes))
        for row in (self.codes.reshape(-1) == Outcome.NONFINITE).nonzero().reshape(-1).tolist():
            after = f"after {int(self.ended.reshape(-1)[row])} steps"
            where = [t[-1].reshape(-1, t.shape[-1])[row] for t in self.points]
            slopes = [g[-1].reshape(-1, g.shape[-1])[row] for g in self.fields]
            bad = [i for i, g in enumerate(slopes) if not bool(g.isfinite().all())]
            notes[row] = (
                f"{self.game}: the gradient of player_{bad[0]} is {slopes[bad[0]][:6].tolist()} at {_short(where)}, "
                f"{after}: its utility must be finite and differentiable on the sets"
                if bad
                else f"{self.game}: the step from {_short(where)}, {after}, is not finite: a smaller step size may help"
            )
        return notes

    def gaps(self) -> Tensor:
        """The projected local Nash gap at every recorded point, largest over players, `(R, *batch)`."""
        return self.residuals

    def empirical(self, row: int | tuple[int, ...] = ()) -> Empirical:
        """The recorded play of one start, every recorded profile equally often, as far as it moved.

        The end point is left out, since nothing was stepped from it, unless it is all there is.

        Args:
            row: Which start of the batch.
        """
        index = (row,) if isinstance(row, int) else row
        ended = self.ended[index]
        if ended.ndim:
            raise InvalidStrategyError(
                f"this run had starts of batch shape {tuple(self.codes.shape)}: name one, such as empirical(0)"
            )
        played = self.steps < ended
        if not bool(played.any()):
            played = self.steps == self.steps[-1]
        return Empirical.uniform([t[played][(slice(None), *index)] for t in self.points])

    def local_cce_gaps(self) -> Tensor:
        """The local CCE gap of each start's whole run, largest over players, `(*batch,)`."""
        if self.sums is None:
            raise InvalidStrategyError("this run kept no sums: call run(..., accumulate=True)")
        return self.sums.gaps(self.sets).amax(-1)

    def local_cce_gap(self) -> Gap:
        """The local CCE gap of the whole run, if it had one start."""
        if self.sums is None:
            raise InvalidStrategyError("this run kept no sums: call run(..., accumulate=True)")
        return self.sums.gap(self.sets)


def _short(point: Sequence[Tensor]) -> list[list[float]]:
    return [[round(v, 6) for v in t[:6].tolist()] for t in point]


def merged(runs: Sequence[Trajectory], batch: Sequence[int]) -> Trajectory:
    """One trajectory of runs that were made one by one, a row each; a row that ended stays where it is.

    Args:
        runs: The runs of one game and one dynamic, each from one start.
        batch: The batch shape that the rows fill.
    """
    steps = torch.tensor(sorted({int(t) for run in runs for t in run.steps}), dtype=torch.int64)
    held = [torch.searchsorted(run.steps, steps, right=True) - 1 for run in runs]

    def join(values: Sequence[Tensor]) -> Tensor:  # one a run, (R, ...) each, with its own R
        rows = torch.stack([value[index] for value, index in zip(values, held, strict=True)], dim=1)
        return rows.reshape(len(steps), *batch, *rows.shape[2:])

    def shaped(values: Sequence[Tensor]) -> Tensor:  # one a run, ()
        return torch.stack(list(values)).reshape(*batch)

    calls: Counter[str] = Counter()
    for run in runs:
        calls.update(run.calls)
    return Trajectory(
        steps=steps,
        points=Profile(join(t) for t in zip(*(run.points for run in runs), strict=True)),
        fields=Profile(join(t) for t in zip(*(run.fields for run in runs), strict=True)),
        residuals=join([run.residuals for run in runs]),
        step_sizes=join([run.step_sizes for run in runs]),
        calls=dict(calls),
        codes=shaped([run.codes for run in runs]),
        ended=shaped([run.ended for run in runs]),
        sets=runs[0].sets,
        outside=join([run.outside for run in runs]),
        moved=shaped([run.moved for run in runs]),
        sums=FieldAccumulator.stacked([run.sums for run in runs if run.sums is not None], batch),
        notes=tuple(note for run in runs for note in run.notes),
        game=runs[0].game,
    )
