"""Players that never learn: uniformly random, or constant. The floor that every learner is compared with.

Their global gaps are those of any play. Their local gaps are those of a learner frozen at this play:

- finite actions: the play is a softmax of logits, one vector a state. The gap is the norm of a player's own-utility
  gradient in these logits, `p (q - <p, q>)` with p the action probabilities and q the gradient by the entries of the
  table. A frozen policy's mean gradient over a run is its gradient, so the local Nash gap and the local CCE gap are one
  number.
- a compact set: uniform play is a mixed strategy, and the gap is that of the interpolation family,
  `h(E g) - E <g, x>`, over independent draws.
- the layers of a network: the weights at which training would start, frozen, and the norm of the loss gradient in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import IllegalActionError, InvalidGameError
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.local import local_cce_gap
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import Independent, TabularPlay
from strategic_envs.seeding import torch_stream

__all__ = ["ConstantPolicy", "UniformPolicy", "constant_play", "local_gaps", "parameterisation", "uniform_play"]

_SUPPORT = 2**14  # joint strategies that stand for the uniform distribution on a continuous product


@dataclass(frozen=True)
class UniformPolicy:
    """Draws uniformly among the legal actions, whatever it sees.

    Args:
        n_actions: How many actions there are.

    Example:
        >>> UniformPolicy(2)(torch.zeros(1, 5)).tolist()
        [[0.5, 0.5]]
        >>> UniformPolicy(3)(torch.zeros(1, 5), torch.tensor([[1, 0, 1]])).tolist()
        [[0.5, 0.0, 0.5]]
    """

    n_actions: int

    def __call__(self, observation: Tensor, mask: Tensor | None = None) -> Float[Tensor, "batch A"]:
        legal = torch.ones(len(observation), self.n_actions) if mask is None else mask.float()
        return legal / legal.sum(-1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class ConstantPolicy:
    """Always plays one action; where it is illegal, the lowest legal one.

    Args:
        n_actions: How many actions there are.
        action: The action.

    Raises:
        IllegalActionError: If there is no such action.

    Example:
        >>> ConstantPolicy(3, 1)(torch.zeros(2, 5), torch.tensor([[1, 1, 1], [0, 0, 1]])).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    n_actions: int
    action: int

    def __post_init__(self) -> None:
        if not 0 <= self.action < self.n_actions:
            raise IllegalActionError(f"a constant policy got action {self.action}, expected 0..{self.n_actions - 1}")

    def __call__(self, observation: Tensor, mask: Tensor | None = None) -> Float[Tensor, "batch A"]:
        chosen = torch.full((len(observation),), self.action)
        if mask is not None:
            lowest = mask.to(torch.uint8).argmax(-1)
            chosen = torch.where(mask[:, self.action].bool(), chosen, lowest)
        return torch.nn.functional.one_hot(chosen, self.n_actions).float()


def uniform_play(game: object, seed: int = 0) -> Independent | TabularPlay:
    """Everybody uniformly random: over legal actions, over a compact set, or over initial weights of a network.

    On continuous sets the distribution is finitely many draws a player, and `evaluate` judges these draws.

    Args:
        game: A game of any kind.
        seed: The seed of the draws, where there are any.

    Raises:
        InvalidGameError: If a strategy set is unbounded: there is no uniform distribution on it.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> uniform_play(pennies).points[0].tolist()
        [[0.5, 0.5]]
    """
    if isinstance(game, MarkovGame):
        return TabularPlay(game.uniform_policy())
    if isinstance(game, TurnBasedGame):
        return TabularPlay(tuple(game.uniform_policy() for _ in range(game.n_players)))
    if isinstance(game, DynamicGame):
        return Independent.pure(game.initial(seed))
    if isinstance(game, NormalFormGame):
        return Independent.pure([s.centre() for s in game.sets])
    if not isinstance(game, Game):
        raise InvalidGameError(f"uniform play: got a {type(game).__name__}, expected a game with utilities")
    for i, s in enumerate(game.sets):
        if not s.bounded:
            raise InvalidGameError(
                f"{game.name}, player_{i}: there is no uniform distribution on the unbounded set {s}: "
                "bound the game, or play a constant with constant_play"
            )
    draws = int(_SUPPORT ** (1 / game.n_players))
    points = tuple(s.sample((draws,), generator=torch_stream(seed, "uniform", i)) for i, s in enumerate(game.sets))
    weight = torch.full((draws,), 1.0 / draws, dtype=torch.float64)
    return Independent(points, tuple(weight for _ in points))


def constant_play(game: object, strategies: Sequence[float | Sequence[float] | Tensor]) -> Independent | TabularPlay:
    """Everybody constant: one action a player, or one point of its set.

    Args:
        game: A game of any kind.
        strategies: For each player an action (games with actions) or a point (continuous games).

    Raises:
        IllegalActionError: If there is no such action.
        InvalidStrategyError: If a point lies outside its set.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> constant_play(pennies, [0, 1]).points[1].tolist()
        [[0.0, 1.0]]
    """
    if isinstance(game, TurnBasedGame):
        graph = game.state_graph()
        seen = torch.zeros(len(graph.states), 1)
        tables = (ConstantPolicy(game.n_actions, _action(s))(seen, graph.legal).double() for s in strategies)
        return TabularPlay(tuple(tables))
    if isinstance(game, MarkovGame):
        seen = torch.zeros(game.n_states, 1)
        tables = (ConstantPolicy(a, _action(s))(seen) for a, s in zip(game.n_actions, strategies, strict=True))
        return TabularPlay(tuple(t.double() for t in tables))
    if isinstance(game, NormalFormGame):
        seen = torch.zeros(1, 1)
        rows = (ConstantPolicy(a, _action(s))(seen)[0] for a, s in zip(game.n_actions, strategies, strict=True))
        return Independent.pure([r.double() for r in rows])
    if isinstance(game, Game):
        return Independent.pure(game.profile(*(_point(s) for s in strategies)))
    raise InvalidGameError(f"constant play: got a {type(game).__name__}, expected a game with utilities")


def _action(strategy: object) -> int:
    if isinstance(strategy, bool) or not isinstance(strategy, int):
        raise IllegalActionError(f"constant play of a game with actions: got {strategy!r}, expected an action number")
    return strategy


def _point(strategy: float | Sequence[float] | Tensor) -> Tensor:
    return torch.as_tensor(strategy, dtype=torch.float64).reshape(-1)


def parameterisation(game: object) -> str:
    """In which parameters `local_gaps` of this game are measured: a word for tables."""
    if isinstance(game, DynamicGame):
        return "weights"
    return "coordinates" if isinstance(game, Game) and not isinstance(game, NormalFormGame) else "tabular softmax"


def local_gaps(game: object, play: Independent | TabularPlay) -> dict[str, Gap]:
    """The local Nash gap and the local CCE gap of play that never changes; they are equal.

    Args:
        game: A game of any kind.
        play: What everybody plays, independently; in a `NormalFormGame` and in a `DynamicGame` one profile.

    Returns:
        `local_nash_gap` and `local_cce_gap`, the largest over players.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> local_gaps(pennies, uniform_play(pennies))["local_cce_gap"].value
        0.0
    """
    if isinstance(game, MarkovGame | TurnBasedGame) and isinstance(play, TabularPlay):
        slopes = zip(play.policies, tabular_fields(game, play), strict=True)
        gap = Gap.largest([_softmax_norm(p.double(), q) for p, q in slopes])
    elif isinstance(game, NormalFormGame) and isinstance(play, Independent):
        x = play.mean()
        payoffs = [game.deviation_payoffs(x, i) for i in range(game.n_players)]
        gap = Gap.largest([_softmax_norm(p, q) for p, q in zip(x, payoffs, strict=True)])
    elif isinstance(game, Game):
        gap = local_cce_gap(game, play)
    else:
        raise InvalidGameError(
            f"local gaps of fixed play: got a {type(game).__name__} with play of type {type(play).__name__}, expected "
            "a Markov or turn-based game with TabularPlay, or another game with Independent play"
        )
    return {"local_nash_gap": gap, "local_cce_gap": gap}


def _softmax_norm(p: Tensor, q: Tensor) -> float:
    """The norm of the gradient in the logits of p, of a utility whose gradient by p is q."""
    return float((p * (q - (p * q).sum(-1, keepdim=True))).norm())
