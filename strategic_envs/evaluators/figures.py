"""Figures that a kind of game has beside its gaps, such as the profit gain of a pricing game.

They stand in every row about such a game, and in leaderboards as columns of their own. A kind of game adds its own
here; all other games have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from strategic_envs.games.pricing import PricingGame
from strategic_envs.play import TabularPlay

__all__ = ["figures", "mean_figures"]


def figures(game: object, play: object, start: int | None = None) -> dict[str, float]:
    """The figures of play that its game has, by name; none for most games.

    Args:
        game: A game of any kind.
        play: What everybody plays.
        start: The state in which play begins, where the game has states; None for its initial distribution.

    Returns:
        Of a `PricingGame`, those of `strategic_envs.evaluators.collusion.policies`.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> game = pricing()
        >>> round(figures(game, TabularPlay(game.uniform_policy()))["profit_gain"], 3)
        0.497
    """
    if isinstance(game, PricingGame) and isinstance(play, TabularPlay):
        from strategic_envs.evaluators.collusion.policies import policy_figures

        return policy_figures(game, play, start).row()
    return {}


def mean_figures(cells: Iterable[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """The figures of play that is drawn before the game begins: their means over the draws.

    Args:
        cells: The probability of each draw, and its figures.

    Example:
        >>> mean_figures([(0.25, {"profit_gain": 1.0}), (0.75, {"profit_gain": 0.0})])
        {'profit_gain': 0.25}
    """
    total: dict[str, float] = {}
    for weight, row in cells:
        for name, value in row.items():
            total[name] = total.get(name, 0.0) + weight * value
    return total
