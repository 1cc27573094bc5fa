"""Step sizes that are found by asking afterwards: was the move worth it at the payoffs that it led to?

A player that went from x_i to y_i regrets it when `<V_i(y), y_i - x_i> < 0`, where y is where all players went: at the
new payoffs it would rather have stayed. Steps are shortened, each player's on its own, until nobody regrets.

In a population game with the convex potential Phi of Beckmann (masses m_i, `V_i = -C_i = -grad_i Phi / m_i`) that makes
Phi fall in every step, whatever the masses are, for by convexity

    Phi(x) - Phi(y) >= <grad Phi(y), x - y> = sum_i m_i <V_i(y), y_i - x_i> >= 0.

The field alone is asked, so the rule needs neither the potential nor the masses. It is this project's own, of the kind
of the curvature condition of line searches (Wolfe 1969); of other games it promises nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["first_rates", "largest_rate", "unregretted"]

_SHORTER = 6  # moves that are regretted are quartered so often, and then not made
_TRIALS = 12  # after so many all players of a row wait
_LONGEST = 1e30


def first_rates(x: Profile, step_size: float) -> Profile:
    """The same rate for every player: tensors `(*batch, 1)` for a profile of tensors `(*batch, d_i)`.

    Example:
        >>> first_rates(Profile([torch.zeros(2), torch.zeros(3)]), 0.5)
        (tensor([0.5000]), tensor([0.5000]))
    """
    return x.map(lambda t: torch.full_like(t[..., :1], step_size))


def largest_rate(rates: Profile) -> Tensor:
    """What a table shows of all players' rates, `(*batch,)`.

    Example:
        >>> float(largest_rate(Profile([torch.tensor([0.5]), torch.tensor([2.0])])))
        2.0
    """
    return torch.cat(tuple(rates), dim=-1).amax(-1)


def unregretted(
    x: Profile, rates: Profile, move: Callable[[Profile], tuple[Profile, Profile]], oracle: Oracle
) -> tuple[Profile, Profile, Profile]:
    """Moves as long as the given rates, or the longest shorter ones that were tried and that nobody regrets.

    A player whose move others spoil, however short it is, waits for this step.

    Args:
        x: Where the players are, tensors `(*batch, d_i)`.
        rates: The step sizes to try first, tensors `(*batch, 1)`.
        move: From rates to where they lead, and how far that is from x, to all digits; a rate of zero leads to x.
        oracle: Where the payoffs are asked for, once a trial.

    Returns:
        Where the players went, at which rates (0 where they waited), and the rates to try next: twice as long where the
        first trial was a gain.

    Example:
        >>> from strategic_envs.agents.dynamics.oracle import GameOracle
        >>> from strategic_envs.games.kinds.vi import VIGame
        >>> from strategic_envs.sets import Box
        >>> oracle = GameOracle(VIGame(lambda x: (x[0],), [Box(-1, 1)]))  # the payoff of x is -x
        >>> x = Profile([torch.tensor([1.0])])
        >>> y, rates, _ = unregretted(x, first_rates(x, 8.0), lambda eta: (x - eta * x, -1 * (eta * x)), oracle)
        >>> float(y[0]), float(rates[0])  # from 1 to -7 and to -1 one would rather not have gone
        (0.5, 0.5)
    """

    def ahead(rates: Profile) -> tuple[Profile, Profile, Profile]:
        y, way = move(rates)
        gains = Profile(map(_gain, y, way, oracle.field(y)))
        return y, gains, gains.map(lambda gain: gain >= 0)  # NaN is no gain

    tried = rates
    y, gains, good = ahead(tried)
    easily = good
    for trial in range(_TRIALS):
        if bool(_all(good).all()):
            break
        share = 0.25 if trial < _SHORTER else 0.0
        tried = Profile(torch.where(kept, rate, share * rate) for kept, rate in zip(good, tried, strict=True))
        y, gains, good = ahead(tried)
        easily = Profile(a & b for a, b in zip(easily, good, strict=True))
    moving = _all(good)
    tried = tried.map(lambda rate: torch.where(moving, rate, 0.0))
    if not bool(moving.all()):
        y = Profile(torch.where(moving, new, old) for new, old in zip(y, x, strict=True))
    return y, tried, Profile(map(_next, rates, tried, easily, gains))


def _all(flags: Profile) -> Tensor:
    """Whether a flag is up for all players, `(*batch, 1)`."""
    return torch.cat(tuple(flags), dim=-1).all(-1, keepdim=True)


def _gain(y: Tensor, way: Tensor, w: Tensor) -> Tensor:
    """What a way to y was worth at the payoffs w of y, `(*batch, 1)`; centred, for their mean earns only rounding."""
    return ((w - (y * w).sum(-1, keepdim=True)) * way).sum(-1, keepdim=True)


def _next(first: Tensor, used: Tensor, easily: Tensor, gain: Tensor) -> Tensor:
    kept = torch.where(used > 0, used, first * 0.25**_SHORTER)
    return torch.where(easily & (gain > 0), (2 * kept).clamp(max=_LONGEST), kept)  # at rest every rate would do
