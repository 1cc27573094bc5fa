"""Local gaps in games with states, in the direct parameterisation: a strategy is its table of probabilities.

A player's set is a product of simplices, one a state. In a Markov game the own-utility gradient is
`d(s) Q_i(s, a)`, with d the discounted share of periods spent in s and Q_i the value of an action against the others
(Sutton et al. 2000), so the Frank-Wolfe gap is `sum_s d(s) (max_a Q_i(s, a) - v_i(s))`. In a turn-based game d(s) is
the probability of reaching s, and only the states where the player moves count: one sweep forward, one backward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.evaluators.gap import Gap
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import TabularPlay
from strategic_envs.sets import Simplex

__all__ = ["occupancy", "tabular_fields", "tabular_gap", "welfare_fields"]


def occupancy(game: MarkovGame, policies: tuple[Tensor, ...]) -> Float[Tensor, " S"]:
    """The discounted share of periods spent in each state: `(1 - delta) sum_t delta^t P(s_t = s)`."""
    tables = game.tables()
    flow = game._joint_probability(policies).unsqueeze(-1) * tables.probability
    target = tables.next_state.reshape(-1)
    now, total, ahead = tables.initial, torch.zeros_like(tables.initial), 1.0
    while ahead > 1e-16:  # the share of periods still ahead
        total = total + ahead * (1 - game.discount) * now
        ahead *= game.discount
        after = torch.zeros_like(now).index_add_(0, target, (now.view(-1, 1, 1) * flow).reshape(-1))
        rests, now = float((after - now).abs().sum()) < 1e-15, after
        if rests:
            break
    return total + ahead * now


def tabular_fields(game: MarkovGame | TurnBasedGame, play: TabularPlay) -> tuple[Float[Tensor, "S A"], ...]:
    """Every player's gradient of its own expected utility by the entries of its policy table."""
    if isinstance(game, MarkovGame):
        return _markov_fields(game, play.policies)
    return _turn_based_fields(game, game.merge(play.policies).detach())


def _turn_based_fields(game: TurnBasedGame, policy: Tensor) -> tuple[Tensor, ...]:
    graph, values = game.state_graph(), game.values(policy)
    share = game.reach(policy).unsqueeze(-1) * graph.allowed
    return tuple((1 - graph.theirs[i]) * share * values[:, i][graph.child] for i in range(game.n_players))


def welfare_fields(
    game: MarkovGame, play: TabularPlay, weights: Sequence[float] | None = None
) -> tuple[Float[Tensor, "S A"], ...]:
    """Every player's gradient of the sum of all expected utilities by the entries of its policy table.

    Args:
        game: A Markov game.
        play: Valid tables.
        weights: One number a player for a weighted sum; all one when not given.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> game = pricing()
        >>> first, second = welfare_fields(game, TabularPlay(game.uniform_policy()))
        >>> bool(first.sum(0).argmax() == second.sum(0).argmax())
        True
    """
    n = game.n_players
    each = [list(weights) if weights is not None else [1.0] * n] * n
    return _markov_fields(game, play.policies, torch.tensor(each, dtype=torch.float64))


def _markov_fields(
    game: MarkovGame, policies: tuple[Tensor, ...], shares: Float[Tensor, "n n"] | None = None
) -> tuple[Tensor, ...]:
    """The fields of players who are paid the utilities of all with these shares; each its own where there are none."""
    tables, share, values = game.tables(), occupancy(game, policies), game.values(policies)
    fields: list[Tensor] = []
    for i, a in enumerate(game.n_actions):
        value, payoff = values[:, i], tables.payoff[..., i]
        if shares is not None:
            value, payoff = values @ shares[i], tables.payoff @ shares[i]
        others = game._joint_probability(policies, without=i)
        ahead = (tables.probability * value[tables.next_state]).sum(-1)
        mine = torch.nn.functional.one_hot(tables.actions[:, i], a).double()
        q = (others * (payoff + game.discount * ahead)) @ mine
        fields.append(share.unsqueeze(-1) * q)
    return tuple(fields)


def tabular_gap(game: MarkovGame | TurnBasedGame, play: TabularPlay, kind: str) -> Gap:
    """The largest gap over players, each over the product of its simplices of legal actions.

    Args:
        game: The game.
        play: Valid tables.
        kind: `projected` or `frank_wolfe`.
    """
    parts: list[float] = []
    for i, (table, g) in enumerate(zip(play.policies, tabular_fields(game, play), strict=True)):
        legal = torch.ones_like(g, dtype=torch.bool)
        if isinstance(game, TurnBasedGame):
            graph = game.state_graph()
            mine = (graph.mover == i) & ~graph.terminal
            table, g, legal = table[mine], g[mine], graph.legal[mine]
        if kind == "frank_wolfe":
            best = g.masked_fill(~legal, -torch.inf).max(-1).values
            parts.append(float((best - (g * table).sum(-1)).sum()))
        else:
            moved = Simplex(table.shape[-1]).project((table + g).masked_fill(~legal, -1e9))
            parts.append(float((moved - table).norm()))
    return Gap.largest(parts)
