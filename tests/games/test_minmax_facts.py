from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.games.bilinear import bilinear, matching_pennies_box
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.multiplayer import three_player_polynomial, three_player_trigonometric
from strategic_envs.games.nonconcave import f1, f2, forsaken
from strategic_envs.games.squared_difference import SquaredDifference
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile


def value_of_minmax(game: Game, x: Profile) -> torch.Tensor:
    return game.utilities(x)[..., 1]


def residual(game: Game, x: Profile) -> torch.Tensor:
    return (game.project(x + game.field(x)) - x).norm()


def grid(game: Game, n: int) -> Profile:
    axes = [torch.linspace(float(s.low[0]), float(s.high[0]), n, dtype=torch.float64) for s in game.sets]  # pyright: ignore[reportAttributeAccessIssue]
    return Profile.from_flat(torch.cartesian_prod(*axes), game.dims)


def newton_roots(game: Game, starts: Profile, steps: int = 60) -> torch.Tensor:
    """Roots of the projected fixed-point residual of a two-player scalar game, from Newton on free coordinates."""
    x = starts.flat()
    low = torch.stack([s.low[0] for s in game.sets])  # pyright: ignore[reportAttributeAccessIssue]
    high = torch.stack([s.high[0] for s in game.sets])  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(steps):
        profile = Profile.from_flat(x, game.dims)
        v, j = game.field(profile).flat(), game.jacobian(profile)
        stuck = ((x <= low) & (v < 0)) | ((x >= high) & (v > 0))
        j = torch.where(stuck.unsqueeze(-1), torch.eye(2, dtype=x.dtype), j)
        step = torch.linalg.lstsq(j, -torch.where(stuck, 0.0, v).unsqueeze(-1)).solution.squeeze(-1)
        x = (x + step.clamp(-0.5, 0.5)).clamp(low, high)
    profile = Profile.from_flat(x, game.dims)
    solved = (game.project(profile + game.field(profile)) - profile).norm() < 1e-10
    return torch.unique((x[solved] * 1e6).round() / 1e6 + 0.0, dim=0)


# The squared difference


def test_squared_difference_first_order_set_is_exactly_the_diagonal() -> None:
    game = SquaredDifference()
    x = grid(game, 41)
    gap = (game.project(x + game.field(x)) - x).norm()
    on_diagonal = (x[0] - x[1]).abs().squeeze(-1) < 1e-12
    assert bool((gap[on_diagonal] == 0).all()) and bool((gap[~on_diagonal] > 0).all())


def test_squared_difference_has_no_pure_equilibrium() -> None:
    game = SquaredDifference()
    x = grid(game, 41)
    best_0 = torch.maximum((1 - x[1]) ** 2, (-1 - x[1]) ** 2).squeeze(-1)
    gain = best_0 - game.utilities(x)[:, 0] + 0 - game.utilities(x)[:, 1]
    assert gain.min() >= 1.0


def test_squared_difference_on_the_unit_interval_has_value_one_quarter() -> None:
    known = SquaredDifference(0.0, 1.0).known()
    assert known.values["value"] == 0.25
    assert known.equilibria[0].points[0].flatten().tolist() == [0.0, 1.0]
    assert known.equilibria[0].points[1].flatten().tolist() == [0.5]


@pytest.mark.parametrize("low", [-1.0, 0.0, -3.0])
def test_squared_difference_best_responses_match_a_dense_grid(low: float) -> None:
    game, generator = SquaredDifference(low, 1.0), torch.Generator().manual_seed(0)
    candidates = torch.linspace(low, 1.0, 4001, dtype=torch.float64)
    for _ in range(20):
        points = [s.sample((4,), generator=generator) for s in game.sets]
        weights = torch.rand(4, generator=generator, dtype=torch.float64)
        play = Empirical(Profile(points), weights / weights.sum())
        for player in (0, 1):
            reply = game.best_response(player, play)
            square = (candidates.unsqueeze(1) - points[1 - player].T) ** 2 @ play.weights
            best = square.max() if player == 0 else -square.min()
            assert reply.value >= best - 1e-12
            assert reply.value == pytest.approx(float(best), abs=1e-6)
            assert reply.exact and reply.attained and reply.lower == reply.upper == reply.value
            assert bool(game.sets[player].contains(reply.strategy))
            joint = [p.clone() for p in points]
            joint[player] = reply.strategy.expand(4, 1)
            assert float(play.weights @ game.utilities(joint)[:, player]) == pytest.approx(reply.value, abs=1e-12)


# Bilinear games and gradient play on them


def test_simultaneous_gradient_multiplies_the_norm_by_root_one_plus_eta_squared() -> None:
    game, eta = bilinear(dim=3, box=None), 0.1
    x = game.sample((10,), generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        stepped = x + eta * game.field(x)
        torch.testing.assert_close(stepped.norm() / x.norm(), torch.full((10,), math.sqrt(1 + eta**2)).double())
        x = stepped


def test_alternating_gradient_conserves_x2_plus_y2_minus_eta_xy() -> None:
    game, eta = bilinear(box=None), 0.3
    x = game.profile([0.7], [-0.4])
    start = (x[0] ** 2 + x[1] ** 2 - eta * x[0] * x[1]).item()
    for _ in range(1000):
        x = x.replace(0, x[0] + eta * game.field(x, 0)[0])
        x = x.replace(1, x[1] + eta * game.field(x, 1)[0])
        assert (x[0] ** 2 + x[1] ** 2 - eta * x[0] * x[1]).item() == pytest.approx(start, abs=1e-13)


@pytest.mark.parametrize("game", [bilinear(matrix=[[1.0, 2.0], [0.5, -3.0]]), matching_pennies_box()], ids=["A", "mp"])
def test_bilinear_best_responses_are_exact(game: Game) -> None:
    generator = torch.Generator().manual_seed(0)
    play = Independent(
        tuple(s.sample((5,), generator=generator) for s in game.sets), tuple(torch.full((5,), 0.2) for _ in game.sets)
    )
    for player in (0, 1):
        reply = game.best_response(player, play)  # pyright: ignore[reportAttributeAccessIssue]
        others = play.mean()
        candidates = game.sets[player].sample((5000,), generator=generator)
        profile = [m.expand(5000, -1) for m in others]
        profile[player] = candidates
        assert game.utilities(profile)[:, player].max() <= reply.value + 1e-12
        attained = others.replace(player, reply.strategy)
        assert float(game.utilities(attained)[player]) == pytest.approx(reply.value, abs=1e-12)


def test_unbounded_bilinear_best_response_is_infinite_and_not_attained_away_from_zero() -> None:
    game = bilinear(box=None)
    reply = game.best_response(0, Independent.pure(game.profile([0.0], [1.0])))
    assert reply.value == math.inf and not reply.attained
    reply = game.best_response(0, Independent.pure(game.profile([5.0], [0.0])))
    assert reply.value == 0.0 and reply.attained


def test_matching_pennies_box_is_the_mixed_extension() -> None:
    game, x = matching_pennies_box(), torch.tensor([[0.9], [0.2]], dtype=torch.float64)
    u = game.utilities([x, x.flip(0)])[:, 0]
    torch.testing.assert_close(u, ((2 * x - 1) * (2 * x.flip(0) - 1)).squeeze(-1))


# f_1


def test_f1_hessian_at_the_origin() -> None:
    game, x = f1(), Profile([torch.zeros(1).double(), torch.zeros(1).double()])
    f_tt, f_ww = -game.hessian(x, 0).item(), game.hessian(x, 1).item()
    f_tw = -game.hessian(x, 0, 1).item()
    assert (f_tt, f_tw, f_ww) == (-10.0, 6.0, -2.0)
    assert f_tt - f_tw**2 / f_ww == 8.0  # local minimax, although f_tt < 0: no second-order local Nash
    torch.testing.assert_close(
        torch.linalg.eigvals(-game.jacobian(x)), torch.full((2,), -4.0, dtype=torch.complex128), atol=1e-6, rtol=0
    )


def test_f1_field_at_the_strict_corner() -> None:
    game = f1(1.0)
    v = game.field(game.profile([1.0], [1.0])).flat()
    torch.testing.assert_close(v, torch.tensor([3.05523, 3.42878]).double(), atol=5e-6, rtol=0)


def test_f1_has_five_first_order_equilibria_on_the_unit_box_and_one_on_the_larger_ones() -> None:
    edge = 0.61561
    expected = torch.tensor([[-1, -1], [-edge, -1], [0, 0], [edge, 1], [1, 1]]).double()
    game = f1(1.0)
    found = newton_roots(game, grid(game, 41))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    pure = [e for e in game.known().equilibria if e.kind == "first_order_nash"]
    known = torch.stack([torch.cat([p[0] for p in e.points]) for e in pure])
    torch.testing.assert_close(known[known[:, 0].argsort()], found[found[:, 0].argsort()], atol=1e-5, rtol=0)
    for box in (3.0, 5.0):
        assert newton_roots(f1(box), grid(f1(box), 41)).tolist() == [[0.0, 0.0]]


def test_f1_mixed_values() -> None:
    assert f1(1.0).known().values["value"] == pytest.approx(-4.655709, abs=1e-6)
    assert f1(3.0).known().values["value"] == pytest.approx(-20.584322, abs=1e-6)


# f_2 and forsaken


def test_f2_attracts_at_the_origin_and_repels_outside_the_unit_circle() -> None:
    game = f2()
    eigenvalues = torch.linalg.eigvals(-game.jacobian(game.profile([0.0], [0.0])))
    torch.testing.assert_close(eigenvalues.real, torch.tensor([0.05, 0.05], dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(eigenvalues.imag.abs(), torch.full((2,), 0.99875).double(), atol=1e-5, rtol=0)
    for box in (1.0, 2.0):
        assert newton_roots(f2(box), grid(f2(box), 41)).tolist() == [[0.0, 0.0]]
    w = torch.tensor([0.3]).double()
    inner, outer = (value_of_minmax(game, Profile([t, w])) + (t * w).squeeze(-1) for t in (w * 0, w * 0 + 1.4))
    assert inner < 0 and outer.item() == pytest.approx(0.09 * 0.05)  # the coefficient of w^2 changes from -1/20 to 1/20


def test_forsaken_critical_point_is_unique_and_has_the_wrong_curvature_for_the_maximiser() -> None:
    game = forsaken()
    found = newton_roots(game, grid(game, 41))
    torch.testing.assert_close(found, torch.tensor([[0.0780267, 0.4119339]]).double(), atol=1e-6, rtol=0)
    x = Profile([t[0] for t in game.known().equilibria[0].points])
    assert residual(game, x) < 1e-14
    assert -game.hessian(x, 0).item() == pytest.approx(0.4637, abs=5e-5)
    assert game.hessian(x, 1).item() == pytest.approx(0.3742, abs=5e-5)


def test_forsaken_mixed_equilibrium_in_closed_form() -> None:
    mixed = forsaken().known().equilibria[1]
    assert mixed.points[0].abs().max().item() == pytest.approx(1.306563, abs=1e-6)
    assert mixed.weights[1][0].item() == pytest.approx(0.672208, abs=1e-6)


def test_forsaken_weak_minty_constant_is_far_below_the_published_one() -> None:
    game = forsaken()
    z = Profile([t[0] for t in game.known().equilibria[0].points])
    x = game.profile([-0.258], [0.792])
    f = -game.field(x)
    assert (f.dot(x - z) / f.dot(f)).item() == pytest.approx(-1.52, abs=0.01)


# Three players


def test_three_player_polynomial_sums_to_zero_and_its_first_order_set_is_a_segment() -> None:
    game = three_player_polynomial()
    for z in torch.linspace((6 - math.sqrt(6)) / 4, 1.0, 11).tolist():
        assert residual(game, game.profile([0.75 - z], [1.0], [z])) < 1e-6
    assert residual(game, game.profile([0.75 - 0.87], [1.0], [0.87])) > 1e-2
    corner = game.profile([-0.25], [1.0], [1.0])
    assert game.field(corner)[0].item() == 0.0


def test_rotating_the_players_rotates_the_trigonometric_game() -> None:
    game = three_player_trigonometric()
    x = game.sample((20,), generator=torch.Generator().manual_seed(0))
    u, rotated = game.utilities(x), game.utilities([x[1], x[2], x[0]])
    torch.testing.assert_close(rotated, u.roll(-1, dims=-1))
