"""The Wardrop excess of a congestion game: what its members could save, each alone, at the costs that play makes.

With mass d_k and mean cost `u_k` of population k, and `m_k` the cost of its cheapest strategy, the excess is
`E = sum_k d_k (u_k - m_k)`: 0 exactly at a Wardrop equilibrium. Where costs do not decrease, E is also a certificate:
the Beckmann potential is at most E above its minimum, for it is convex and E is its Frank-Wolfe gap.

Against play that is drawn, `u_k` and the costs are expectations, and the cheapest strategy is fixed before the draw.
The certificate then holds for the mean potential of the draws.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.expectation import expected_utilities, joint_play
from strategic_envs.evaluators.gap import Gap
from strategic_envs.games.kinds.congestion import AtomicCongestionGame, CongestionGame
from strategic_envs.play import Empirical

__all__ = ["congestion_figures", "mean_costs", "wardrop_excess"]

_ENTRIES = 2**22  # numbers in one call


def wardrop_excess(game: object, play: object) -> Gap:
    """What all members of all populations could save together, each alone, by its cheapest strategy.

    In a game on a network every path of the network counts, whether it is one of the game's strategies or not.

    Args:
        game: A nonatomic congestion game.
        play: A profile of shares, `Empirical` or `Independent`.

    Returns:
        The total E in units of cost times mass, with the populations' parts `d_k (u_k - m_k)`. `upper` bounds how far
        the (mean) potential is above its minimum.

    Raises:
        InvalidGameError: If the game is of another kind.
        InvalidStrategyError: If the play does not fit the game.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]))
        >>> wardrop_excess(pigou, pigou.profile([0.5, 0.5])).value, wardrop_excess(pigou, pigou.profile([0, 1])).value
        (0.25, 0.0)
    """
    if not isinstance(game, CongestionGame):
        raise InvalidGameError(
            f"wardrop_excess: got a {type(game).__name__}, expected a CongestionGame, whose players are populations; "
            "of atomic players the gain by a best response is nash_conv"
        )
    joint = joint_play(game, play)
    parts = game.masses * (-expected_utilities(game, joint) - game.least_costs(mean_costs(game, joint)))
    return Gap.total([max(part, 0.0) for part in parts.tolist()])  # below 0 by rounding only


def mean_costs(game: CongestionGame, joint: Empirical) -> Tensor:
    """The expected costs of the resources `(E,)` under joint play."""
    total = torch.zeros(game.costs.size, dtype=torch.float64)
    size = max(1, _ENTRIES // max(game.costs.size, sum(game.dims)))
    for start in range(0, len(joint), size):
        rows = slice(start, start + size)
        total += joint.weights[rows] @ game.costs.value(game.loads([t[rows] for t in joint.points]))
    return total


def congestion_figures(game: object, play: object) -> dict[str, float]:
    """The figures of a congestion game beside its gaps, for tables.

    Args:
        game: A game of any kind.
        play: What everybody plays, in a form that `wardrop_excess` takes.

    Returns:
        Of a `CongestionGame`: `total_cost` of all members, `wardrop_excess` and, where costs cannot be negative,
        `relative_gap`, the excess over the total cost. Of atomic players: `total_cost`. Of others: none.

    Example:
        >>> from strategic_envs.games.kinds.congestion import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]))
        >>> row = congestion_figures(pigou, pigou.profile([0.5, 0.5]))
        >>> {name: round(value, 6) for name, value in row.items()}
        {'total_cost': 0.75, 'wardrop_excess': 0.25, 'relative_gap': 0.333333}
    """
    if isinstance(game, AtomicCongestionGame):
        paid = -float(expected_utilities(game, joint_play(game, play)).sum())
        return {"total_cost": getattr(game, "mass", 1.0) * paid}
    if not isinstance(game, CongestionGame):
        return {}
    joint = joint_play(game, play)
    total, excess = -float(game.masses @ expected_utilities(game, joint)), wardrop_excess(game, joint).value
    row = {"total_cost": total, "wardrop_excess": excess}
    return {**row, "relative_gap": excess / total if total > 0 else 0.0} if game.costs.nonnegative else row
