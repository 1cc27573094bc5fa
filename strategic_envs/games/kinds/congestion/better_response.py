"""Better-response dynamics in atomic congestion games: players move one at a time, each to its own advantage.

    while somebody gains by a move:  one such player moves

Every move lowers Rosenthal's potential by just what the mover gains, so no joint action comes twice and the path ends
in a pure equilibrium (Rosenthal 1973), though it may be exponentially long (Fabrikant, Papadimitriou, Talwar 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.seeding import numpy_stream

if TYPE_CHECKING:
    from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame

__all__ = ["ORDERS", "REPLIES", "BetterResponsePath", "better_response"]

REPLIES = ("best", "better")
_ROUNDING = 1e-12  # of a player's cost: a smaller gain is none


@dataclass(frozen=True, eq=False)
class BetterResponsePath:
    """A path of improving moves.

    Args:
        actions: The joint actions on the path, the start first, `(T + 1, n)`.
        movers: Who moved in each step `(T,)`.
        gains: By how much the mover's cost fell `(T,)`.
        potential: Rosenthal's potential along the path `(T + 1,)`: it falls by the gains.
        total_cost: What all players pay together `(T + 1,)`.
        outcome: `"converged"`: nobody gains by a move, the last joint action is a pure equilibrium; or `"max_steps"`.
    """

    actions: Int[Tensor, "steps n"]
    movers: Int[Tensor, " moves"]
    gains: Float[Tensor, " moves"]
    potential: Float[Tensor, " steps"]
    total_cost: Float[Tensor, " steps"]
    outcome: str

    @property
    def steps(self) -> int:
        """How many moves were made."""
        return len(self.movers)


class _Play:
    """Joint actions, and what each player would pay for each of its strategies."""

    def __init__(self, game: AtomicCongestionGame, actions: list[int]) -> None:
        self.uses = [u.cpu().numpy() for u in game.uses]
        self.costs, self.resources = game.costs.cpu().numpy(), np.arange(game.n_resources)
        self.actions = actions
        self.loads = np.sum([u[a] for u, a in zip(self.uses, actions, strict=True)], 0).astype(np.int64)

    def prices(self, player: int) -> np.ndarray:
        """The cost of each of the player's strategies `(A,)`, the others staying as they are."""
        others = self.loads - self.uses[player][self.actions[player]].astype(np.int64)
        return self.uses[player] @ self.costs[self.resources, others]

    def better(self, player: int) -> tuple[np.ndarray, np.ndarray]:
        """The player's strategies that cost less than the present one, and by how much."""
        prices = self.prices(player)
        gains = prices[self.actions[player]] - prices
        found = np.flatnonzero(gains > _ROUNDING * abs(prices[self.actions[player]]))
        return found, gains[found]

    def move(self, player: int, action: int) -> None:
        own = self.uses[player]
        self.loads += (own[action] - own[self.actions[player]]).astype(np.int64)
        self.actions[player] = action


def _round_robin(play: _Play, stream: np.random.Generator) -> Iterator[int]:
    while True:
        yield from range(len(play.actions))


def _random(play: _Play, stream: np.random.Generator) -> Iterator[int]:
    while True:  # each round in an order of its own, so that nobody waits for ever
        yield from stream.permutation(len(play.actions)).tolist()


def _largest_gain(play: _Play, stream: np.random.Generator) -> Iterator[int]:
    while True:
        yield int(np.argmax([play.better(i)[1].max(initial=0.0) for i in range(len(play.actions))]))


ORDERS: dict[str, Callable[[_Play, np.random.Generator], Iterator[int]]] = {
    "round_robin": _round_robin,
    "random": _random,
    "largest_gain": _largest_gain,
}


def better_response(
    game: AtomicCongestionGame,
    start: Sequence[int] | Tensor | None = None,
    *,
    order: str = "round_robin",
    reply: str = "best",
    seed: int = 0,
    max_steps: int = 100_000,
) -> BetterResponsePath:
    """Lets players move, one at a time, until nobody gains by it.

    Args:
        game: The game.
        start: The number of each player's strategy; by default everybody's first.
        order: Who is asked next: `"round_robin"`, `"random"` (a new order in each round) or `"largest_gain"`.
        reply: What a player that gains by a move takes: its `"best"` strategy, the first of several, or any `"better"`
            one, drawn evenly.
        seed: The seed of all draws.
        max_steps: How many moves at most.

    Returns:
        The path; its end is a pure equilibrium if the outcome is `"converged"`.

    Raises:
        UnknownNameError: If there is no such order or reply.
        InvalidSettingError: If the number of moves is below 0.
        InvalidStrategyError: If the start is no joint action.
    """
    if order not in ORDERS:
        raise UnknownNameError("order of better responses", order, ORDERS)
    if reply not in REPLIES:
        raise UnknownNameError("reply", reply, REPLIES)
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 0:
        raise InvalidSettingError(f"{game.name}: got max_steps={max_steps!r}, expected a whole number >= 0")
    stream = numpy_stream(seed, "better_response")
    play = _Play(game, _start(game, start))
    path, movers, gains = [list(play.actions)], list[int](), list[float]()
    outcome, idle = "max_steps", 0
    for player in ORDERS[order](play, stream):
        strategies, gain = play.better(player)
        idle = 0 if len(strategies) else idle + 1
        if idle == (1 if order == "largest_gain" else game.n_players) and _nobody(play):
            outcome = "converged"
            break
        if not len(strategies):
            continue
        if len(movers) == max_steps:
            break
        k = int(gain.argmax()) if reply == "best" else int(stream.integers(len(strategies)))
        play.move(player, int(strategies[k]))
        path.append(list(play.actions))
        movers.append(player)
        gains.append(float(gain[k]))
    actions = torch.tensor(path)
    return BetterResponsePath(
        actions,
        torch.tensor(movers, dtype=torch.int64),
        torch.tensor(gains, dtype=torch.float64),
        game.rosenthal_potential(actions.unbind(-1)),
        game.total_cost(actions.unbind(-1)),
        outcome,
    )


def _nobody(play: _Play) -> bool:
    """Whether nobody gains by a move: in a random order some may not have been asked since the last one."""
    return not any(len(play.better(i)[0]) for i in range(len(play.actions)))


def _start(game: AtomicCongestionGame, start: Sequence[int] | Tensor | None) -> list[int]:
    given = [0] * game.n_players if start is None else [int(a) for a in start]
    if len(given) != game.n_players or any(not 0 <= a < k for a, k in zip(given, game.n_actions, strict=False)):
        raise InvalidStrategyError(
            f"{game.name}: got start={given[:6]}, expected a strategy's number for each of {game.n_players} players"
        )
    return given
