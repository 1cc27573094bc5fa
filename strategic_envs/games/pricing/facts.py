"""What is known of a pricing game."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategic_envs.games.kinds.known import Equilibrium, Known

if TYPE_CHECKING:
    from strategic_envs.games.pricing.game import PricingGame

__all__ = ["known_facts"]


def known_facts(game: PricingGame, *, tabulated: bool) -> Known:
    """Anchors of every firm, and the one-period game's pure equilibria (points are price indices).

    Args:
        game: The game.
        tabulated: Whether there are few enough joint prices to look for the equilibria.
    """
    values = {"profit_gain_at_nash": 0.0, "profit_gain_at_monopoly": 1.0}
    for kind in ("nash", "monopoly"):
        prices, profits = game.states.anchors(kind)[0], game.mean_anchor(kind)
        for i in range(game.n_players):
            values[f"{kind}_profit_{i}"] = float(profits[i])
            for d, row in enumerate(prices):
                state = f"_in_state_{d}" if len(prices) > 1 else ""
                values[f"{kind}_price_{i}{state}"] = float(row[i])
    equilibria: tuple[Equilibrium, ...] = ()
    if tabulated:
        values["profit_gain_uniform"] = float(game.profit_gain(game.payoff_table.mean(0)))
        equilibria = tuple(Equilibrium.pure("nash", [float(a) for a in e], tolerance=0.0) for e in game.pure_nash())
    return Known(
        equilibria=equilibria,
        values=values,
        constants={"discount": game.discount, "states": float(game.n_states)},
        source="Calvano, Calzolari, Denicolò and Pastorello, AER 110(10), 2020; anchors by closed form",
        note="Equilibria are price indices of the one-period game; repeated in every state they are equilibria of "
        "the whole game, which has many others, collusive ones among them.",
    )
