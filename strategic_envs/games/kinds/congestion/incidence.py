"""Which strategy uses which resource, and at what rate: the sparse matrix A of a congestion game.

Loads are `A^T f` and path costs are `A c`. Rows are kept as in a CSR matrix, which is also what compiled solvers read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.costs import numbers

__all__ = ["Incidence"]

_DENSE = 2**18  # entries up to which a full matrix is the faster one


class Incidence:
    """The rates `a_pe >= 0` at which strategies p use resources e.

    Args:
        starts: Where each row begins in `resources`, `(P + 1,)`.
        resources: The resources of all rows, one after another.
        rates: The rate of each entry.
        size: E, the number of resources.
        dense: Whether the full matrix may be used; not where costs are infinite, for then 0 times infinity would count.

    Example:
        >>> a = Incidence.of_lists([[0, 2], [1]], None, 3, "example")
        >>> a.loads(torch.tensor([2.0, 3.0], dtype=torch.float64)).tolist()
        [2.0, 3.0, 2.0]
        >>> a.path_costs(torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)).tolist()
        [101.0, 10.0]
    """

    def __init__(
        self, starts: np.ndarray, resources: np.ndarray, rates: np.ndarray, size: int, *, dense: bool = True
    ) -> None:
        self.starts = np.ascontiguousarray(starts, dtype=np.int64)
        self.resources = np.ascontiguousarray(resources, dtype=np.int64)
        self.rates = np.ascontiguousarray(rates, dtype=np.float64)
        self.size = size
        self._dense = dense and self.count * size <= _DENSE

    @classmethod
    def of_lists(
        cls,
        strategies: Sequence[Sequence[int]],
        rates: Sequence[Sequence[float]] | None,
        size: int,
        who: str,
        *,
        dense: bool = True,
    ) -> Incidence:
        """From one list of resources a strategy, and the rates in the same lists (1 where they are not given).

        Raises:
            InvalidGameError: If a strategy is empty, names a resource twice or one that does not exist, or a rate is
                not a finite number above 0.
        """
        if rates is not None and [len(r) for r in rates] != [len(s) for s in strategies]:
            raise InvalidGameError(f"{who}: got rates that do not fit the strategies, expected one rate a resource")
        for p, strategy in enumerate(strategies):
            _check_strategy(strategy, size, f"{who}, strategy {p}")
        lengths = [len(s) for s in strategies]
        entries = [e for s in strategies for e in s]
        values = [1.0] * len(entries) if rates is None else [float(a) for r in rates for a in r]
        finite = np.asarray(values, dtype=np.float64)
        if not np.isfinite(finite).all() or (finite <= 0).any():
            raise InvalidGameError(f"{who}: got the rate {finite.min()}, expected finite rates > 0")
        return cls(np.cumsum([0, *lengths]), np.asarray(entries), finite, size, dense=dense)

    @classmethod
    def of_matrix(cls, matrix: object, size: int, who: str, *, dense: bool = True) -> Incidence:
        """From a full matrix of rates `(P, E)`, each at least 0.

        Raises:
            InvalidGameError: If the shape does not fit, or a rate is negative or not finite.
        """
        a = numbers(matrix, f"{who}, rates")
        if a.ndim != 2 or a.shape[1] != size or bool((a < 0).any()):
            raise InvalidGameError(
                f"{who}: got rates of shape {tuple(a.shape)}, the smallest {a.min().item() if a.numel() else None}; "
                f"expected (strategies, {size}), each at least 0"
            )
        rows, columns = a.nonzero(as_tuple=True)
        starts = np.searchsorted(rows.numpy(), np.arange(len(a) + 1))
        return cls(starts, columns.numpy(), a[rows, columns].numpy(), size, dense=dense)

    @classmethod
    def stacked(cls, parts: Sequence[Incidence], *, dense: bool = True) -> Incidence:
        """The rows of several, one below the other."""
        starts = np.cumsum([0, *(n for part in parts for n in np.diff(part.starts))])
        resources = np.concatenate([part.resources for part in parts])
        return cls(starts, resources, np.concatenate([part.rates for part in parts]), parts[0].size, dense=dense)

    @property
    def count(self) -> int:
        """P, the number of strategies."""
        return len(self.starts) - 1

    @cached_property
    def matrix(self) -> Float[Tensor, "P E"]:
        """The full matrix; made when it is first asked for."""
        full = torch.zeros(self.count, self.size, dtype=torch.float64)
        full[self._rows, torch.from_numpy(self.resources)] = torch.from_numpy(self.rates)
        return full

    @cached_property
    def _rows(self) -> Tensor:
        return torch.from_numpy(np.repeat(np.arange(self.count), np.diff(self.starts)))

    def loads(self, flows: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch E"]:
        """The loads `A^T f` of flows."""
        if self._dense:
            return flows @ self.matrix.to(flows)
        return self._gather(flows, self._rows, torch.from_numpy(self.resources), self.size)

    def path_costs(self, costs: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch P"]:
        """The costs `A c` of strategies."""
        if self._dense:
            return costs @ self.matrix.to(costs).T
        return self._gather(costs, torch.from_numpy(self.resources), self._rows, self.count)

    def _gather(self, values: Tensor, source: Tensor, target: Tensor, size: int) -> Tensor:
        device = values.device
        terms = values[..., source.to(device)] * torch.from_numpy(self.rates).to(values)
        return terms.new_zeros(*values.shape[:-1], size).index_add(-1, target.to(device), terms)

    def most(self) -> Float[Tensor, " E"]:
        """The largest rate at which any strategy uses each resource."""
        most = torch.zeros(self.size, dtype=torch.float64)
        return most.scatter_reduce(0, torch.from_numpy(self.resources), torch.from_numpy(self.rates), "amax")


def _check_strategy(strategy: Sequence[int], size: int, who: str) -> None:
    if isinstance(strategy, str) or not isinstance(strategy, Sequence | np.ndarray) or len(strategy) == 0:
        raise InvalidGameError(f"{who}: got {strategy!r}, expected a list of at least one resource")
    for e in strategy:
        if isinstance(e, bool) or not isinstance(e, int | np.integer) or not 0 <= e < size:
            raise InvalidGameError(f"{who}: got the resource {e!r}, expected whole numbers 0..{size - 1}")
    if len(set(strategy)) < len(strategy):
        raise InvalidGameError(
            f"{who}: got {list(strategy)}, which names a resource twice: give it the rate 2 in `rates`"
        )
