"""The contract of a nonatomic congestion game."""

from __future__ import annotations

import torch

from strategic_envs.evaluators.congestion import wardrop_excess
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.profile import Profile

__all__ = ["check_congestion"]

_STEP = 1e-6  # of the central differences, as a share of the way between two profiles
_DENSE = 256  # strategies up to which the whole Jacobian is looked at


def check_congestion(game: CongestionGame, x: Profile, tolerance: float) -> None:
    """Checks what holds of a nonatomic congestion game beyond other games, at profiles of shape `(samples,)`.

    1. The field is minus the path costs, utilities are its means, and with the masses they add up to the total cost.
    2. The slope of the potential is masses times path costs; the Jacobian is the field's derivative.
    3. The Jacobian, its rows multiplied by the masses, is symmetric and negative semidefinite.
    4. Adding 1 to every resource's cost adds the rates of a strategy to its cost.
    5. The excess is at least 0, at least what the potential of any other profile is lower, and the weighted sum of the
       gains of which NashConv is made (at least that, where more strategies count than the game lists).
    6. The known potential and total cost of the equilibrium, least total cost (`optimum`) and price of anarchy are
       those that the solvers find.

    Args:
        game: The game.
        x: Profiles, tensors `(samples, P_k)`, with every strategy in use.
        tolerance: The largest error allowed, relative to the size of the numbers.

    Raises:
        AssertionError: Naming the game, the invariant and the numbers.

    Example:
        >>> from strategic_envs.games.congestion import braess
        >>> check_congestion(braess(), braess().sample((3,), generator=torch.Generator().manual_seed(0)), 1e-5)
    """
    y = x.map(lambda t: t.roll(1, 0))
    _check_costs(game, x)
    _check_slopes(game, x, y - x, tolerance)
    _check_jacobian(game, x, y - x, x)
    _check_excess(game, x, y)
    _check_known(game, tolerance)


def _close(game: CongestionGame, what: str, a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-9) -> None:
    worst = float(((a - b).abs() / (1 + a.abs() + b.abs())).max())
    assert worst <= tolerance, f"{game.name}: {what}: got a relative difference of {worst}, expected {tolerance}"


def _check_costs(game: CongestionGame, x: Profile) -> None:
    field, paths = game.field(x), Profile(game.path_costs(x))
    _close(game, "the field is minus the path costs", field.flat(), -paths.flat())
    means = torch.stack([(t * v).sum(-1) for t, v in zip(x, field, strict=True)], -1)
    _close(game, "utilities are mean values of the field", game.utilities(x), means)
    _close(game, "utilities times masses are minus the total cost", means @ game.masses, -game.total_cost(x))
    costs = game.costs.value(game.loads(x))
    more = game.incidence.path_costs(costs + 1) - game.incidence.path_costs(torch.ones_like(costs))
    _close(game, "path costs when every resource costs 1 more", more, paths.flat())


def _check_slopes(game: CongestionGame, x: Profile, way: Profile, tolerance: float) -> None:
    weights = game.masses.unbind()
    ahead, behind = x + _STEP * way, x - _STEP * way
    slope = (game.potential(ahead) - game.potential(behind)) / (2 * _STEP)
    paths = game.path_costs(x)
    exact = sum((m * (c * w).sum(-1) for m, c, w in zip(weights, paths, way, strict=True)), torch.zeros(()))
    _close(game, "the slope of the potential is masses times path costs", slope, exact, tolerance)
    change = ((game.field(ahead) - game.field(behind)) / (2 * _STEP)).flat()
    _close(game, "jvp is the derivative of the field", game.jvp(x, way).flat(), change, 10 * tolerance)


def _check_jacobian(game: CongestionGame, x: Profile, v: Profile, w: Profile) -> None:
    def weighted(a: Profile, b: Profile) -> torch.Tensor:
        return sum((m * (s * t).sum(-1) for m, s, t in zip(game.masses, a, b, strict=True)), torch.zeros(()))

    moved = game.jvp(x, v)
    _close(game, "the Jacobian times masses is symmetric", weighted(w, moved), weighted(v, game.jvp(x, w)))
    _close(game, "vjp is the transpose of jvp", w.dot(moved), game.vjp(x, w).dot(v))
    worst = float(weighted(v, moved).max())
    assert worst <= 1e-9 * (1 + float(moved.norm().max())), f"{game.name}: costs decrease: got the curvature {-worst}"
    if sum(game.dims) <= _DENSE:
        full = game.jacobian(x)
        product = (full @ v.flat().unsqueeze(-1)).squeeze(-1)
        _close(game, "jvp is the Jacobian's product", moved.flat(), product)
        last, ends = game.n_players - 1, game.dims[0]
        block = game.hessian(x, 0, last)
        _close(game, "hessian(i, j) is a block of it", block, full[..., :ends, full.shape[-1] - game.dims[last] :])


def _check_excess(game: CongestionGame, x: Profile, y: Profile) -> None:
    excess, lower = game.excess(x), game.potential(x) - game.potential(y)
    scale = 1 + float(excess.abs().max()) + float(lower.abs().max())
    assert float(excess.min()) >= 0, f"{game.name}: got an excess of {float(excess.min())}, expected at least 0"
    worst = float((lower - excess).max())
    assert worst <= 1e-9 * scale, f"{game.name}: the potential can fall by {worst} more than the excess"
    one = x.map(lambda t: t[0])
    gains = torch.tensor(nash_conv(game, one).per_player, dtype=torch.float64) @ game.masses
    assert float(gains) <= float(excess[0]) + 1e-9 * scale, (
        f"{game.name}: the members gain {float(gains)} by best responses, and the excess is {float(excess[0])}"
    )
    _close(game, "the evaluator's excess is the game's", excess.new_tensor(wardrop_excess(game, one).value), excess[0])


def _check_known(game: CongestionGame, tolerance: float) -> None:
    known = game.known().values
    found = {
        "potential": lambda: game.wardrop().potential,
        "total_cost": lambda: game.wardrop().total_cost,
        "optimum": lambda: game.system_optimum().total_cost,
        "price_of_anarchy": game.price_of_anarchy,
    }
    for name, compute in found.items():
        if name in known:
            value = compute()
            assert abs(value - known[name]) <= tolerance * (1 + abs(known[name])), (
                f"{game.name}: the known {name} is {known[name]}, and the solvers find {value}"
            )
