"""Markets that firms enter and leave."""

from __future__ import annotations

import numpy as np

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.collusion.analysis import Analysis
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse
from strategic_envs.games.pricing.tables import PricingTables


def analyse_comings(tables: PricingTables, strategy: np.ndarray, state: np.ndarray, converged: np.ndarray) -> Analysis:
    """Not there yet."""
    raise InvalidGameError("analyse: markets that firms enter and leave cannot be judged yet")


def held_response(
    tables: PricingTables,
    strategy: np.ndarray,
    state: np.ndarray,
    deviation: str | int,
    periods: int,
    converged: np.ndarray,
) -> ImpulseResponse:
    """Not there yet."""
    raise InvalidGameError("impulse_response: markets that firms enter and leave cannot be judged yet")
