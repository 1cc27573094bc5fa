"""Atomic congestion games with known equilibria: tight examples for the price of anarchy, Braess's paradox, machines.

Players' actions are numbers of strategies, payoffs are minus costs, and mixed strategies are probability vectors, as in
every game in normal form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.kinds.congestion.costs import PowerCosts
from strategic_envs.games.kinds.known import Equilibrium, Known

__all__ = ["GAMES", "atomic_braess", "atomic_pigou", "four_player_routing", "load_balancing", "three_player_affine"]


def three_player_affine() -> AtomicCongestionGame:
    """Three players and six resources of cost x: an equilibrium costs 5/2 times the optimum, the worst there is.

    Player i takes {h_i, g_i} or {g_{i+1}, h_{i-1}, h_{i+1}}, indices modulo 3. There are two pure equilibria: the first
    strategies, which are the optimum, of total cost 6, and the second ones, of total cost 15. No atomic congestion game
    of equal players with affine costs has a larger price of anarchy (Christodoulou and Koutsoupias 2005; Awerbuch, Azar
    and Epstein 2005).

    Example:
        >>> game = three_player_affine()
        >>> game.pure_equilibria().tolist(), game.price_of_anarchy()
        ([[0, 0, 0], [1, 1, 1]], 2.5)
    """
    h, g = (0, 1, 2), (3, 4, 5)
    strategies = [[[h[i], g[i]], [g[(i + 1) % 3], h[(i - 1) % 3], h[(i + 1) % 3]]] for i in range(3)]
    return AtomicCongestionGame(
        strategies,
        PowerCosts.affine([1.0] * 6, [0.0] * 6),
        name="three_player_affine",
        known=_known(
            [[0, 0, 0], [1, 1, 1]],
            strategies,
            {"optimum": 6.0, "worst_equilibrium": 15.0, "price_of_anarchy": 2.5, "price_of_stability": 1.0},
            "Christodoulou and Koutsoupias (2005); Awerbuch, Azar and Epstein (2005)",
        ),
    )


def four_player_routing() -> AtomicCongestionGame:
    """Four drivers between three towns u, v and w, whose worst equilibrium costs 5/2 times the optimum.

    The roads uv, uw, vw and wv cost their load, vu and wu nothing. The drivers go u-v, u-w, v-w and w-v, each directly
    or through the third town. All direct is the optimum and an equilibrium of total cost 4; all detours are an
    equilibrium of total cost 10 (Awerbuch, Azar and Epstein 2005).

    Example:
        >>> game = four_player_routing()
        >>> game.total_cost([0, 0, 0, 0]).item(), game.total_cost([1, 1, 1, 1]).item()
        (4.0, 10.0)
    """
    uv, uw, vw, wv, vu, wu = range(6)
    strategies = [[[uv], [uw, wv]], [[uw], [uv, vw]], [[vw], [vu, uw]], [[wv], [wu, uv]]]
    return AtomicCongestionGame(
        strategies,
        PowerCosts.affine([1.0] * 4 + [0.0] * 2, [0.0] * 6),
        name="four_player_routing",
        known=_known(
            [[0, 0, 0, 0], [1, 1, 1, 1]],
            strategies,
            {"optimum": 4.0, "worst_equilibrium": 10.0, "price_of_anarchy": 2.5, "price_of_stability": 1.0},
            "Awerbuch, Azar and Epstein (2005)",
        ),
    )


def atomic_braess(n: int = 4, shortcut: bool = True) -> AtomicCongestionGame:
    """Braess's paradox with n drivers: a free road through the middle makes everybody slower.

    From s to t over v or w; the roads s-v and w-t cost load / n, v-t and s-w cost 1, and the shortcut v-w nothing.
    Strategies: s-v-t, s-w-t, s-v-w-t. With an even number of drivers the optimum splits them evenly over the first two,
    3/2 each; with the shortcut everybody on it is an equilibrium, 2 each. In every equilibrium at most one driver takes
    each of the other routes.

    Args:
        n: The number of drivers, at least 1.
        shortcut: Whether there is the road v-w.

    Raises:
        InvalidGameError: If `n < 1`.

    Example:
        >>> with_road, without = atomic_braess(4), atomic_braess(4, shortcut=False)
        >>> with_road.price_of_anarchy(), without.price_of_anarchy()
        (1.3333333333333333, 1.0)
    """
    _whole("atomic_braess", "n", n)
    sv, vt, sw, wt, vw = range(5)
    routes = [[sv, vt], [sw, wt], *([[sv, vw, wt]] if shortcut else [])]
    optimum = 2 * n - (n * n - n % 2) / (2 * n)  # by how many drivers take s-v and how many w-t
    worst = 2.0 * n if shortcut else optimum
    best = min(2 * n - 2 + 2 / n if n > 1 else 2.0, worst) if shortcut else optimum
    equilibrium = [2] * n if shortcut else [i % 2 for i in range(n)]
    values = {
        "optimum": optimum,
        "worst_equilibrium": worst,
        "price_of_anarchy": worst / optimum,
        "price_of_stability": best / optimum,
    }
    return AtomicCongestionGame(
        [routes] * n,
        PowerCosts.affine([1 / n, 0.0, 0.0, 1 / n, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0]),
        name="atomic_braess",
        known=_known([equilibrium], [routes] * n, values, "Braess (1968), with whole drivers"),
    )


def atomic_pigou(n: int = 4, power: float = 1.0) -> AtomicCongestionGame:
    """Pigou's two roads with n drivers: one always costs 1, the other (load / n)^power.

    Everybody on the second road, or all but one, is an equilibrium: the last driver does not care.

    Args:
        n: The number of drivers, at least 1.
        power: How sharply the second road's cost grows, at least 0.

    Raises:
        InvalidGameError: If `n < 1` or the power is negative.

    Example:
        >>> game = atomic_pigou(4)
        >>> game.optimum()[1], game.price_of_anarchy(), game.price_of_stability()
        (3.0, 1.3333333333333333, 1.0833333333333333)
    """
    _whole("atomic_pigou", "n", n)
    if not power >= 0:
        raise InvalidGameError(f"atomic_pigou: got power={power!r}, expected a number >= 0")
    second = (torch.arange(1, n + 1, dtype=torch.float64) / n) ** power
    k = torch.arange(n + 1, dtype=torch.float64)  # drivers on the second road
    total = (n - k) + k * (k / n) ** power
    pure = [[1] * n, [0] + [1] * (n - 1)]
    values = {
        "optimum": float(total.min()),
        "worst_equilibrium": float(n),
        "price_of_anarchy": n / float(total.min()),
    }
    return AtomicCongestionGame(
        [[[0], [1]]] * n,
        torch.stack([torch.ones(n, dtype=torch.float64), second]),
        name="atomic_pigou",
        known=_known(pure, [[[0], [1]]] * n, values, "Pigou (1920), with whole drivers"),
    )


def load_balancing(n: int = 4, m: int = 2, slopes: Sequence[float] | None = None) -> AtomicCongestionGame:
    """Jobs choose among machines; each waits as long as its machine takes for all that are on it.

    On equal machines the pure equilibria are the even distributions, which are optimal too, and everybody drawing a
    machine evenly is a mixed equilibrium.

    Args:
        n: The number of jobs, at least 1.
        m: The number of machines, at least 1.
        slopes: How long each machine takes for one job, `(m,)`, each at least 0; by default 1.

    Raises:
        InvalidGameError: If a number is out of range.

    Example:
        >>> game = load_balancing(100, 20)
        >>> path = game.better_response()
        >>> path.outcome, game.loads(path.actions[-1].tolist()).unique().tolist()
        ('converged', [5.0])
    """
    _whole("load_balancing", "n", n)
    _whole("load_balancing", "m", m)
    given = [1.0] * m if slopes is None else [float(s) for s in slopes]
    if len(given) != m:
        raise InvalidGameError(f"load_balancing: got {len(given)} slopes for {m} machines, expected one each")
    machines = [[e] for e in range(m)]
    known = Known()
    if slopes is None:
        full, rest = divmod(n, m)
        least = float(rest * (full + 1) ** 2 + (m - rest) * full**2)
        values = {"optimum": least, "worst_equilibrium": least, "price_of_anarchy": 1.0, "price_of_stability": 1.0}
        known = _known([[i % m for i in range(n)], None], [machines] * n, values, "defined here")
    costs = PowerCosts.affine(given, [0.0] * m)
    return AtomicCongestionGame([machines] * n, costs, name="load_balancing", known=known)


def _known(
    joint: Sequence[Sequence[int] | None],
    strategies: Sequence[Sequence[object]],
    values: dict[str, float],
    source: str,
) -> Known:
    """Facts with equilibria given as joint actions; None is everybody drawing evenly."""
    counts = [len(own) for own in strategies]
    profiles = [
        [[1 / k] * k for k in counts]
        if actions is None
        else [[float(b == a) for b in range(k)] for a, k in zip(actions, counts, strict=True)]
        for actions in joint
    ]
    equilibria = tuple(Equilibrium.pure("nash", profile) for profile in profiles)
    return Known(equilibria=equilibria, values=values, source=source)


def _whole(game: str, what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidGameError(f"{game}: needs a whole number {what} >= 1, got {value!r}")


GAMES = {
    "atomic_braess": atomic_braess,
    "atomic_pigou": atomic_pigou,
    "four_player_routing": four_player_routing,
    "load_balancing": load_balancing,
    "three_player_affine": three_player_affine,
}
