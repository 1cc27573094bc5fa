"""Global gaps: what players could gain by deviating anywhere in their sets.

Player i's gain is `max_y u_i(y, others) - u_i(play)`. Against independent play the gains measure a Nash equilibrium:
`nash_conv` is their sum and `exploitability` is NashConv / n. Against joint play, with a deviation that is fixed before
anything is drawn, the largest gain is the `cce_gap`; a deviation that may depend on one's own drawn action gives the
`ce_gap`. Order: `ce_gap >= cce_gap`, and on independent play the CCE gap is the largest Nash gain.

In a `CongestionGame` a player is a population, and its gain is that of one member, who does not move the loads: the
mean cost of the population minus the cost of its cheapest strategy. NashConv is 0 exactly at a Wardrop equilibrium.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.best_response import (
    all_responses,
    best_response,
    finite_responses,
    population_responses,
)
from strategic_envs.evaluators.expectation import (
    expected_utilities,
    initial_utilities,
    joint_play,
    largest_support,
    merged_policy,
    tabulate,
)
from strategic_envs.evaluators.gap import Gap
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.play import BestResponse, Empirical, Independent

__all__ = ["Gains", "cce_gap", "ce_gap", "exploitability", "gains", "hoeffding_radius", "nash_conv"]


@dataclass(frozen=True)
class Gains:
    """What each player gets and could gain.

    Args:
        utilities: Each player's expected utility.
        gain: Each player's gain by its best response.
        upper: A proved upper bound of each gain; `inf` when nothing was proved.
        exact: Whether every gain is exact.
        replies: The best responses behind the gains.
        lower: A lower bound of each gain; proved where the reply is certified.
    """

    utilities: tuple[float, ...]
    gain: tuple[float, ...]
    upper: tuple[float, ...]
    exact: bool
    replies: tuple[BestResponse, ...]
    lower: tuple[float, ...]

    def total(self) -> Gap:
        """The sum of the gains."""
        return Gap.total(self.gain, self.upper, lowers=self.lower, exact=self.exact)

    def largest(self) -> Gap:
        """The largest gain."""
        return Gap.largest(self.gain, self.upper, lowers=self.lower, exact=self.exact)


def gains(
    game: object, play: object, replies: Sequence[BestResponse] | None = None, *, certify: float | None = None
) -> Gains:
    """Every player's gain against joint play.

    Args:
        game: A `Game`, `NormalFormGame`, `TurnBasedGame` or `MarkovGame`.
        play: As in `best_response`.
        replies: Each player's best response, if it is known already.
        certify: A tolerance for proved bounds, as in `best_response`; the players' utilities under the play are then
            enclosed as well.

    Returns:
        The gains; not exact when the product of independent marginals was too large and drawn from.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> gains(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0])).gain
        (1.0, 0.0)
    """
    if isinstance(game, TurnBasedGame) and replies is None:
        utilities, replies = all_responses(game, play)
    elif isinstance(game, MarkovGame | TurnBasedGame):
        play = tabulate(game, play)
        utilities = initial_utilities(game, play.policies).tolist()
    elif isinstance(game, CongestionGame | NormalFormGame):
        joint = joint_play(game, play)
        utilities = expected_utilities(game, joint).tolist()
        if replies is None:  # of all at once
            finite = isinstance(game, NormalFormGame)
            replies = finite_responses(game, joint) if finite else population_responses(game, joint)
    elif isinstance(game, Game):
        utilities = expected_utilities(game, joint_play(game, play)).tolist()
    else:
        best_response(game, 0, play)  # says what is wrong
        raise InvalidGameError(f"got a {type(game).__name__}, whose utilities are not known here")
    drawn = (
        isinstance(game, Game)
        and not isinstance(game, NormalFormGame)
        and isinstance(play, Independent)
        and play.size > largest_support(game)
    )
    replies = [best_response(game, i, play, certify) for i in range(len(utilities))] if replies is None else replies
    paid = [_paid(game, i, play, u, reply) for i, (u, reply) in enumerate(zip(utilities, replies, strict=True))]
    lower = tuple(r.lower - high for r, (_, high) in zip(replies, paid, strict=True))
    upper = tuple(math.inf if drawn else r.upper - low for r, (low, _) in zip(replies, paid, strict=True))
    gain = [r.value - u for r, u in zip(replies, utilities, strict=True)]
    return Gains(
        tuple(utilities),
        tuple(min(max(g, low), high) for g, low, high in zip(gain, lower, upper, strict=True)),
        upper,
        all(r.exact for r in replies) and not drawn,
        tuple(replies),
        lower,
    )


def _paid(game: object, player: int, play: object, utility: float, reply: BestResponse) -> tuple[float, float]:
    """Bounds of what a player gets under the play: proved if the reply is."""
    if not reply.certified or not isinstance(game, Game):
        return utility, utility
    from strategic_envs.evaluators.certified.response import utility_bounds  # as late as in best_response

    return utility_bounds(game, player, joint_play(game, play))


def independent(play: object) -> object:
    """Play in which everyone draws alone: joint play becomes its marginals, other play is so already."""
    return play.marginals() if isinstance(play, Empirical) and len(play) > 1 else play


def nash_conv(game: object, play: object, *, certify: float | None = None) -> Gap:
    """The sum of the players' gains, when everyone draws alone.

    Args:
        game: A game of any kind with utilities.
        play: As in `best_response`; of an `Empirical` the marginals are judged, drawn independently.
        certify: A tolerance for proved bounds of each gain, as in `best_response`.

    Returns:
        The sum; 0 exactly at a Nash equilibrium.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> nash_conv(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0])).value
        1.0
    """
    if isinstance(game, TurnBasedGame):  # the same numbers as below, without the tables that reach them
        return Gap.total(game.gains(merged_policy(game, play)))
    return gains(game, independent(play), certify=certify).total()


def exploitability(game: object, play: object, *, certify: float | None = None) -> Gap:
    """NashConv divided by the number of players: the mean gain. With `certify`, between proved bounds.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> exploitability(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0])).value
        0.5
    """
    gap = nash_conv(game, play, certify=certify)
    return gap.divided(len(gap.per_player))


def cce_gap(game: object, play: object, *, certify: float | None = None) -> Gap:
    """The largest gain by a deviation that is fixed before anything is drawn.

    It is 0 or less exactly at a coarse correlated equilibrium. With `certify`, between proved bounds.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> together = Empirical.of_joint_actions(torch.tensor([[0.25, 0.25], [0.25, 0.25]], dtype=torch.float64))
        >>> cce_gap(pennies, together).value
        0.0
    """
    return gains(game, play, certify=certify).largest()


def ce_gap(game: object, play: object) -> Gap:
    """The largest gain by a deviation that may depend on the player's own drawn action, in a finite game.

    For player i it is `sum_a max_b sum_{a_-i} p(a, a_-i) [u_i(b, a_-i) - u_i(a, a_-i)]`. Play at mixed profiles is
    first drawn to actions, independently at each profile.

    Raises:
        InvalidGameError: If the game is not a `NormalFormGame`.

    Example:
        >>> chicken = NormalFormGame([[[0.0, 7.0], [2.0, 6.0]], [[0.0, 2.0], [7.0, 6.0]]])
        >>> lights = torch.tensor([[0.0, 0.25], [0.25, 0.5]], dtype=torch.float64)
        >>> ce_gap(chicken, Empirical.of_joint_actions(lights)).value
        0.0
    """
    if not isinstance(game, NormalFormGame):
        raise InvalidGameError(
            f"the CE gap needs a finite game, got a {type(game).__name__}: use cce_gap, or discretise it"
        )
    joint = joint_play(game, play)
    parts: list[float] = []
    for own, payoff in zip(joint.points, game.field(joint.points), strict=True):  # (T, A) each
        table = torch.einsum("t,ta,tb->ab", joint.weights, own, payoff)  # recommended a, played b
        parts.append(float((table.max(-1).values - table.diagonal()).sum()))
    return Gap.largest(parts)


def hoeffding_radius(width: float, players: int, samples: int, alpha: float = 0.05) -> float:
    """How far sampled mean utilities may be from the true ones: `b sqrt(ln(2 n / alpha) / (2 M))`.

    With probability at least `1 - alpha` the mean of M independent draws is this near to its expectation for all n
    players at once (Hoeffding 1963, and a union bound).

    Args:
        width: b, the length of an interval that holds every player's utility.
        players: n.
        samples: M, the number of independent draws.
        alpha: The probability of being wrong, in (0, 1).

    Raises:
        InvalidSettingError: If a number is out of range.

    Example:
        >>> round(hoeffding_radius(2.0, players=2, samples=10_000), 4)
        0.0296
    """
    if not (0 < width < math.inf and players >= 1 and samples >= 1 and 0 < alpha < 1):
        raise InvalidSettingError(
            f"hoeffding_radius: got width={width}, players={players}, samples={samples}, alpha={alpha}; expected a "
            "finite width > 0, at least one player and sample, and 0 < alpha < 1"
        )
    return width * math.sqrt(math.log(2 * players / alpha) / (2 * samples))
