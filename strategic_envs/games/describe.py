"""What the catalogue knows of a game, in a line: for tables and for the command line."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass

from strategic_envs.errors import UnknownNameError
from strategic_envs.games.catalogue import factories, game, reads_files
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.sets import Ball, Box, Polytope, Product, Simplex, StrategySet, Torus

__all__ = ["GameDescription", "describe_game"]

_KINDS = {"first_order_nash": "first-order", "local_minimax": "local minimax"}


@dataclass(frozen=True)
class GameDescription:
    """One game of the catalogue, with its default options.

    Args:
        name: Its name.
        players: How many players; None when the game needs options or data to be built.
        dims: The dimension of each player's strategy.
        domain: The strategy sets as text.
        known: The known equilibria as text; "at least" where the list is not complete.
        summary: The first sentence of its description.
    """

    name: str
    players: int | None
    dims: tuple[int, ...]
    domain: str
    known: str
    summary: str


def describe_game(name: str) -> GameDescription:
    """Describes a game of the catalogue.

    Raises:
        UnknownNameError: If there is no such game.

    Example:
        >>> one = describe_game("f1")
        >>> one.players, one.dims, one.domain
        (2, (1, 1), '[-3, 3]^2')
        >>> one.known
        '1 first-order, 1 local minimax, 1 mixed Nash; value -20.5843'
    """
    if name not in factories():
        raise UnknownNameError("game", name, factories())
    factory = factories()[name]
    summary = " ".join((inspect.getdoc(factory) or "").split("\n\n")[0].split())
    if any(
        p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        for p in inspect.signature(factory).parameters.values()
    ):
        return GameDescription(name, None, (), "", "needs options", summary)
    if name in reads_files():
        return GameDescription(name, None, (), "", "needs files", summary)
    found = game(name)
    if not isinstance(found, VIGame):
        return GameDescription(name, getattr(found, "n_players", None), (), "", "", summary)
    domain = _set_text(found.joint.set) if found.joint is not None else _domain(found)
    return GameDescription(name, found.n_players, found.dims, domain, _known_text(found), summary)


def _domain(found: VIGame) -> str:
    if isinstance(found, NormalFormGame):
        return " x ".join(f"{d} actions" for d in found.dims)
    if isinstance(found, CongestionGame):
        few = found.n_players <= 3
        whole = f"{found.n_players} populations, {sum(found.dims)} strategies"
        return " x ".join(f"{d} strategies" for d in found.dims) if few else whole
    parts = [_set_text(s) for s in found.sets]
    if len(set(parts)) > 1:
        return " x ".join(parts)
    whole = _set_text(Product(found.sets)) if all(isinstance(s, Box) for s in found.sets) else ""
    return whole or f"{parts[0]} for each player"


def _set_text(strategies: StrategySet) -> str:
    low, high = strategies.bounds() if strategies.dim <= 64 else (None, None)
    if isinstance(strategies, Polytope):
        return f"joint polytope in R^{strategies.dim}"
    if isinstance(strategies, Simplex):
        return f"simplex of {strategies.dim}"
    if isinstance(strategies, Torus):
        return f"circle^{strategies.dim}" if strategies.dim > 1 else "circle"
    if isinstance(strategies, Ball):
        return f"ball in R^{strategies.dim}"
    if low is None or high is None or bool((low != low[0]).any() | (high != high[0]).any()):
        return f"{'box' if strategies.bounded else 'unbounded box'} in R^{strategies.dim}"
    if not strategies.bounded and not bool(low.isfinite().any() | high.isfinite().any()):
        return f"R^{strategies.dim}"
    interval = f"[{float(low[0]):.4g}, {float(high[0]):.4g}]"
    return interval if strategies.dim == 1 else f"{interval}^{strategies.dim}"


def _known_text(found: VIGame) -> str:
    known = found.known()
    strategies = isinstance(found, NormalFormGame | CongestionGame)  # their points are mixed strategies themselves
    equilibrium = "Wardrop" if isinstance(found, CongestionGame) else "Nash"
    counts: Counter[str] = Counter()
    for e in known.equilibria:
        form = "" if strategies else "pure " if e.is_pure else "mixed "
        counts[_KINDS.get(e.kind, f"{form}{equilibrium}")] += 1
    text = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    text = text if known.complete or not text else f"at least {text}"
    value = f"value {known.values['value']:.6g}" if "value" in known.values else ""
    name = "price_of_anarchy"
    anarchy = f"price of anarchy {known.values[name]:.6g}" if name in known.values else ""
    return "; ".join(part for part in (text, value, anarchy) if part)
