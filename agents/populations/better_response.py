"""Thousands of agents in a congestion game of single resources, each moving to any better one that it comes across.

A move by one agent changes Rosenthal's potential `sum_k sum_{n <= N_k} c_k(n)` by exactly what the agent saves, so the
potential falls with every move and play ends, at a pure equilibrium of the finite game (Rosenthal 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.seeding import numpy_stream
from strategic_envs.solvers.compiled import exact_loop

__all__ = ["Settled", "settle"]

_LARGEST_TABLE = 2**26  # numbers


@dataclass(frozen=True, eq=False)
class Settled:
    """Where agents ended.

    Args:
        counts: How many are at each resource, `(P,)`.
        potentials: Rosenthal's potential divided by the number of agents, before each sweep and at the end.
        moves: How many moves were made.
        outcome: `converged`: no agent can improve by moving alone; or `max_steps`.
    """

    counts: Int[Tensor, " P"]
    potentials: Float[Tensor, " sweeps"]
    moves: int
    outcome: str

    @property
    def shares(self) -> Float[Tensor, " P"]:
        """The share of the agents at each resource."""
        return self.counts.double() / self.counts.sum()


def settle(
    game: CongestionGame,
    agents: int = 20_000,
    *,
    start: Tensor | None = None,
    sweeps: int = 100_000,
    seed: int = 0,
) -> Settled:
    """Better responses of so many equal agents, each of an equal part of the mass, in random order.

    In a sweep as many agents are drawn as there are, each with a resource to compare with; it moves there if that costs
    less after its move than where it is.

    Args:
        game: One population, each of whose strategies is one resource of its own.
        agents: How many, at least 1.
        start: How many start at each resource, `(P,)`; by default every agent starts at a resource drawn for it.
        sweeps: After so many nothing more is tried.
        seed: Seeds start, order and comparisons.

    Returns:
        The counts and how it ended.

    Raises:
        InvalidGameError: If the game has several populations, or a strategy is not one resource of its own.
        InvalidSettingError: If a number is out of its range or the start does not fit.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> lines = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.5]), name="lines")
        >>> settle(lines, 8).counts.tolist()  # at six and two both lines cost 3/4
        [6, 2]
    """
    _check(game, agents, sweeps)
    resources = game.incidence.count
    if agents * resources > _LARGEST_TABLE:
        raise InvalidSettingError(
            f"settle: got {agents} agents and {resources} resources, expected a product of at most {_LARGEST_TABLE}: "
            "take fewer agents"
        )
    random = numpy_stream(seed, "better response")
    place = _places(start, agents, resources, random)
    counts = np.bincount(place, minlength=resources)
    table = _table(game, agents)
    rosenthal = np.concatenate([np.zeros((1, resources)), table.cumsum(0)])  # by the number there
    potentials, moves, outcome = [], 0, "max_steps"
    for sweep in range(sweeps + 1):
        potentials.append(rosenthal[counts, np.arange(resources)].sum() / agents)
        if _settled(table, counts):
            outcome = "converged"
            break
        if sweep < sweeps:
            who, where = random.integers(agents, size=agents), random.integers(resources, size=agents)
            moves += int(_sweep(table, place, counts, who, where))
    return Settled(torch.from_numpy(counts), torch.tensor(potentials, dtype=torch.float64), moves, outcome)


def _check(game: CongestionGame, agents: int, sweeps: int) -> None:
    use = game.incidence
    alone = (
        use.count == use.size and np.array_equal(use.resources, np.arange(use.size)) and bool((use.rates == 1).all())
    )
    if game.n_players != 1 or not alone:
        raise InvalidGameError(
            f"{game.name}: got {game.n_players} populations over {use.count} strategies and {use.size} "
            "resources, expected one population with strategy k the resource k and nothing else"
        )
    if agents < 1 or sweeps < 0:
        raise InvalidSettingError(f"settle: got agents={agents} and sweeps={sweeps}, expected at least 1 and 0")


def _places(start: Tensor | None, agents: int, resources: int, random: np.random.Generator) -> np.ndarray:
    if start is None:
        return random.integers(resources, size=agents)
    counts = start.cpu().numpy()
    if counts.shape != (resources,) or (counts < 0).any() or (counts % 1 != 0).any() or counts.sum() != agents:
        raise InvalidSettingError(
            f"settle: got a start of shape {counts.shape} that sums to {counts.sum()}, expected {resources} whole "
            f"numbers from 0 that sum to {agents}"
        )
    return np.repeat(np.arange(resources), counts.astype(np.int64))


def _table(game: CongestionGame, agents: int) -> np.ndarray:
    """What a member pays at each resource when n = 1, 2, ... agents are there, `(agents, P)`."""
    loads = game.masses * torch.arange(1, agents + 1, dtype=torch.float64).unsqueeze(-1) / agents
    return game.costs.value(loads.expand(-1, game.costs.size)).contiguous().numpy()


def _settled(table: np.ndarray, counts: np.ndarray) -> bool:
    """Whether nobody can improve: the dearest place anybody is at is no dearer than any place after a move."""
    places = np.arange(len(counts))
    after = np.where(counts < len(table), table[np.minimum(counts, len(table) - 1), places], np.inf)
    now = table[np.maximum(counts, 1) - 1, places]
    return all(now[k] <= np.delete(after, k).min(initial=np.inf) for k in np.flatnonzero(counts))


@exact_loop
def _sweep(table: ndarray, place: ndarray, counts: ndarray, who: ndarray, where: ndarray) -> int:
    moves = 0
    for agent, new in zip(who, where):  # noqa: B905  (numba knows no strict)
        old = place[agent]
        if new != old and table[counts[new], new] < table[counts[old] - 1, old]:
            counts[old] -= 1
            counts[new] += 1
            place[agent] = new
            moves += 1
    return moves
