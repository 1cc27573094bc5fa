"""Wardrop equilibria by the method of Frank and Wolfe (1956), the first used for traffic (LeBlanc et al. 1975).

Each step goes from the flows towards those in which everybody takes a cheapest strategy at present costs, as far as the
potential falls. Its gap falls like one over the steps, so it is for rough answers and for comparison; gradient
projection reaches the rounding error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.moves import Moves, repeat

__all__ = ["frank_wolfe"]


def frank_wolfe(
    incidence: Incidence,
    counts: Sequence[int],
    costs: Costs,
    start: np.ndarray,
    *,
    tol: float,
    max_steps: int,
    compiled: bool = True,
) -> tuple[np.ndarray, str, np.ndarray]:
    """Steps towards cheapest strategies until the excess is small. Arguments and result as of `moves.repeat`."""
    return repeat(incidence, counts, costs, start, _descend, tol=tol, max_steps=max_steps, compiled=compiled)


def _descend(state: Moves) -> bool:
    return state.descend()
