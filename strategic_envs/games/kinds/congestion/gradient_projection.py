"""Wardrop equilibria by path-based gradient projection (Jayakrishnan et al. 1994), with an exact step a pair of paths.

Each pass looks at every population in turn: of every dearer strategy, flow moves to the cheapest one until both cost
the same or nothing is left, and loads and costs follow at once. The potential falls with each move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.moves import Moves, repeat

__all__ = ["gradient_projection"]


def gradient_projection(
    incidence: Incidence,
    counts: Sequence[int],
    costs: Costs,
    start: np.ndarray,
    *,
    tol: float,
    max_steps: int,
    compiled: bool = True,
) -> tuple[np.ndarray, str, np.ndarray]:
    """Passes over all pairs of paths until the excess is small. Arguments and result as of `moves.repeat`."""
    return repeat(incidence, counts, costs, start, _sweep, tol=tol, max_steps=max_steps, compiled=compiled)


def _sweep(state: Moves) -> bool:
    return state.sweep()
