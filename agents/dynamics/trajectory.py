"""What a run leaves behind: recorded points, call counts, and how each row of the batch ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from jaxtyping import Int
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.play import Empirical
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["Outcome", "Trajectory"]


class Outcome(IntEnum):
    """How a run ended; `str` gives the name that tables show."""

    MAX_STEPS = 0
    CONVERGED = 1
    DIVERGED = 2
    NONFINITE = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run of a dynamic from a batch of starts.

    Args:
        steps: The recorded steps `(R,)`: row r was recorded after `steps[r]` steps; the last row is the end.
        points: The profiles there, tensors `(R, *batch, d_i)`.
        fields: The fields there, of the same shapes.
        step_sizes: The step size that was used next, `(R,)` or `(R, *batch)`; NaN for a dynamic without one.
        calls: Oracle calls of the whole run; one batched call counts once.
        codes: An `Outcome` for each row of the batch, `(*batch,)`.
        ended: The step at which each row stopped moving, `(*batch,)`.
        sets: The players' sets.
        sums: The accumulator over all profiles that were stepped from, when `run` was asked to keep it.
        compiled: Whether steps after the first were compiled; asked for, it is False where they could not be.
    """

    steps: Int[Tensor, " R"]
    points: Profile
    fields: Profile
    step_sizes: Tensor
    calls: Mapping[str, int]
    codes: Int[Tensor, "*batch"]
    ended: Int[Tensor, "*batch"]
    sets: tuple[StrategySet, ...]
    sums: FieldAccumulator | None = None
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

    def gaps(self) -> Tensor:
        """The projected local Nash gap at every recorded point, largest over players, `(R, *batch)`."""
        return projected_gaps(self.sets, self.points, self.fields).amax(-1)

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
