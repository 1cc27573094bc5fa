"""The payoffs of a meta-game: who gets what when one policy of each population meets the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError

__all__ = ["PayoffTable"]

_LARGEST = 2**26  # numbers in a table


@dataclass(frozen=True, eq=False)
class PayoffTable:
    """Mean payoffs of a meta-game, with what is known about their error. A cell not yet filled holds NaN.

    Args:
        mean: Payoffs to each player `(n, k_0, ..., k_{n-1})`, float64.
        standard_error: Of the means, the same shape; 0 where the payoff is exact.
        count: How many plays each cell's mean rests on `(k_0, ..., k_{n-1})`, float64; `inf` where it is exact.

    Raises:
        InvalidGameError: If the shapes do not fit together.

    Example:
        >>> table = PayoffTable.empty((1, 2))
        >>> table.missing().tolist()
        [[0, 0], [0, 1]]
        >>> one = table.filled(table.missing()[:1], torch.tensor([[1.0, -1.0]]).double())
        >>> one.mean[:, 0, 0].tolist(), one.missing().tolist()
        ([1.0, -1.0], [[0, 1]])
    """

    mean: Float[Tensor, "n *sizes"]
    standard_error: Float[Tensor, "n *sizes"]
    count: Float[Tensor, "*sizes"]

    def __post_init__(self) -> None:
        mean, error, count = (tuple(t.shape) for t in (self.mean, self.standard_error, self.count))
        if len(mean) != mean[0] + 1 or error != mean or count != mean[1:]:
            raise InvalidGameError(
                f"payoff table: got means {mean}, standard errors {error} and counts {count}, expected "
                "(n, k_0, ..., k_(n-1)) twice and (k_0, ..., k_(n-1)): one axis a population"
            )

    @classmethod
    def empty(cls, sizes: Sequence[int]) -> PayoffTable:
        """A table for populations of the given sizes in which every cell is missing.

        Raises:
            InvalidSettingError: If there is no population, or one is empty.
            InvalidGameError: If there are too many players or policies for a table.
        """
        if not sizes or min(sizes) < 1:
            raise InvalidSettingError(
                f"payoff table: got populations of sizes {tuple(sizes)}, expected at least one policy for every player"
            )
        if len(sizes) > 63 or len(sizes) * math.prod(sizes) > _LARGEST:  # a tensor has at most 64 axes
            raise InvalidGameError(
                f"payoff table: got {len(sizes)} populations, up to {max(sizes)} policies each, too many "
                "for a table of joint choices: use a dynamic (hedge, independent gradient), which needs none"
            )
        nothing = torch.full((len(sizes), *sizes), torch.nan, dtype=torch.float64)
        return cls(nothing, nothing.clone(), torch.zeros(tuple(sizes), dtype=torch.float64))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many policies each population holds."""
        return tuple(self.count.shape)

    def grown(self, sizes: Sequence[int]) -> PayoffTable:
        """The same numbers in a larger table: new policies come last, and their cells are missing.

        Raises:
            InvalidSettingError: If a population would shrink.
        """
        if len(sizes) != len(self.sizes) or any(new < old for new, old in zip(sizes, self.sizes, strict=True)):
            raise InvalidSettingError(
                f"payoff table: got sizes {tuple(sizes)} for a table of sizes {self.sizes}, expected no smaller ones"
            )
        table = PayoffTable.empty(sizes)
        corner = tuple(slice(k) for k in self.sizes)
        table.mean[:, *corner] = self.mean
        table.standard_error[:, *corner] = self.standard_error
        table.count[corner] = self.count
        return table

    def missing(self) -> Int[Tensor, "cells n"]:
        """The cells without a number, in row-major order."""
        return self.mean.isnan().any(0).nonzero()

    def filled(
        self,
        cells: Int[Tensor, "cells n"],
        mean: Float[Tensor, "cells n"],
        standard_error: Float[Tensor, "cells n"] | None = None,
        count: Float[Tensor, " cells"] | None = None,
    ) -> PayoffTable:
        """The table with some cells filled.

        Args:
            cells: Which: for each, the number of each player's policy.
            mean: The mean payoffs there, one column a player.
            standard_error: Of these means; None for exact payoffs.
            count: How many plays each rests on; None for exact payoffs.

        Raises:
            InvalidGameError: If a payoff is not finite; the message names the cell and the player.
        """
        bad = ~mean.isfinite()
        if bool(bad.any()):
            row, player = bad.nonzero()[0].tolist()
            raise InvalidGameError(
                f"payoff table, player_{player}: got the payoff {float(mean[row, player])} for the policies "
                f"{cells[row].tolist()}, expected a finite number"
            )
        at = cells.unbind(-1)
        table = PayoffTable(self.mean.clone(), self.standard_error.clone(), self.count.clone())
        table.mean[:, *at] = mean.double().T
        table.standard_error[:, *at] = 0.0 if standard_error is None else standard_error.double().T
        table.count[at] = torch.inf if count is None else count.double()
        return table

    def arrays(self) -> dict[str, np.ndarray]:
        """The table as three arrays, for a checkpoint."""
        return {k: getattr(self, k).numpy().copy() for k in ("mean", "standard_error", "count")}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PayoffTable:
        """The table that `arrays` wrote, bit by bit.

        Raises:
            CheckpointError: If a part is missing.
        """
        names = ("mean", "standard_error", "count")
        if not set(names) <= set(arrays):
            raise CheckpointError(f"payoff table: got the arrays {sorted(arrays)}, expected {sorted(names)}")
        return cls(*(torch.from_numpy(np.array(arrays[k], dtype=np.float64)) for k in names))
