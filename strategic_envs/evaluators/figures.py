"""Figures that a kind of game has beside its gaps, such as the profit gain of a pricing game.

They stand in every row about such a game, and in leaderboards as columns of their own. A kind of game adds its own
here; all other games have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.congestion import congestion_figures
from strategic_envs.games.pricing import PricingGame
from strategic_envs.play import TabularPlay

if TYPE_CHECKING:
    from torch import Tensor

    from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["WARDROP", "figures", "mean_figures", "wardrop_figures"]

WARDROP = ("layer_gap", "layer_excess", "path_gap", "norm_gap", "identity_error")
"""The figures of `wardrop_figures`."""


def figures(game: object, play: object, start: int | None = None) -> dict[str, float]:
    """The figures of play that its game has, by name; none for most games.

    Args:
        game: A game of any kind.
        play: What everybody plays.
        start: The state in which play begins, where the game has states; None for its initial distribution.

    Returns:
        Of a `PricingGame`, those of `strategic_envs.evaluators.collusion.policies`; of congestion games those of
        `strategic_envs.evaluators.congestion.congestion_figures`.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> game = pricing()
        >>> round(figures(game, TabularPlay(game.uniform_policy()))["profit_gain"], 3)
        0.497
    """
    if isinstance(game, PricingGame) and isinstance(play, TabularPlay):
        from strategic_envs.evaluators.collusion.policies import policy_figures

        return policy_figures(game, play, start).row()
    return congestion_figures(game, play)


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


def wardrop_figures(game: DynamicGame, x: Sequence[Tensor]) -> dict[str, float]:
    """The Wardrop gaps of a network at one profile of weights, on the game's own data; in float64.

    They are no part of `figures`: on networks with many paths they cost more than a step of training.

    Args:
        game: The layers of a network as players.
        x: Their weights, tensors `(d_i,)`.

    Returns:
        `layer_gap` and `layer_excess`, the largest over the layers (`layer_equilibrium`; excess of linear ones); and
        `path_gap`, `norm_gap` and `identity_error` of `path_wardrop`, where it covers the network: linear layers with
        ReLU or nothing between. Of ReLU networks these are experimental, at frozen gates.

    Example:
        >>> from strategic_envs.games.layers import layers
        >>> game = layers(hidden=(4,), samples=50)
        >>> row = wardrop_figures(game, game.initial(seed=0))
        >>> sorted(row) == sorted(WARDROP), row["identity_error"] < 1e-12, row["path_gap"] > 0
        (True, True, True)
    """
    from strategic_envs.evaluators.wardrop import layer_equilibrium, path_wardrop

    of_layers = layer_equilibrium(game, x, best_response=False)
    found = {"layer_gap": max(one.gap for one in of_layers)}
    excess = [one.excess for one in of_layers if one.excess is not None]
    found |= {"layer_excess": max(excess)} if excess else {}
    try:
        of_paths = path_wardrop(game, x)
    except InvalidGameError:  # no chain of linear layers: there are no paths to speak of
        return found
    row = of_paths.row()
    return found | {name: row[name] for name in WARDROP[2:] if name in row}
