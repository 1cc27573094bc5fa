from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.games import catalogue
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.games.mixed_support import dresher, townsend
from strategic_envs.games.polynomial import nie_yang_zhou, parrilo_3_1, parrilo_3_2
from strategic_envs.games.stability import adolphs, almost_bilinear, daskalakis_panageas
from strategic_envs.games.weak_minty import PolarGame, global_forsaken
from strategic_envs.profile import Profile
from strategic_envs.sets import Box


def grid(game: VIGame, n: int) -> Profile:
    assert all(isinstance(s, Box) for s in game.sets)
    axes = [torch.linspace(float(s.low[0]), float(s.high[0]), n, dtype=torch.float64) for s in game.sets]  # pyright: ignore[reportAttributeAccessIssue]
    return Profile.from_flat(torch.cartesian_prod(*axes), game.dims)


def first_order_points(game: VIGame, n: int = 41) -> torch.Tensor:
    """All roots of the projected fixed-point residual that Newton's method on free coordinates finds from a grid."""
    x = grid(game, n).flat()
    low = torch.stack([s.low[0] for s in game.sets])  # pyright: ignore[reportAttributeAccessIssue]
    high = torch.stack([s.high[0] for s in game.sets])  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(60):
        profile = Profile.from_flat(x, game.dims)
        v, j = game.field(profile).flat(), game.jacobian(profile)
        stuck = ((x <= low) & (v < 0)) | ((x >= high) & (v > 0))
        j = torch.where(stuck.unsqueeze(-1), torch.eye(2, dtype=x.dtype), j)
        step = torch.linalg.lstsq(j, -torch.where(stuck, 0.0, v).unsqueeze(-1)).solution.squeeze(-1)
        x = (x + step.clamp(-0.5, 0.5)).clamp(low, high)
    profile = Profile.from_flat(x, game.dims)
    solved = (game.project(profile + game.field(profile)) - profile).norm() < 1e-10
    return torch.unique((x[solved] * 1e6).round() / 1e6 + 0.0, dim=0)


def known_first_order_points(game: VIGame) -> torch.Tensor:
    pure = [e for e in game.known().equilibria if e.kind == "first_order_nash"]
    points = torch.stack([torch.cat([p[0] for p in e.points]) for e in pure])
    return points[points[:, 0].argsort()]


def weak_minty(game: VIGame, x: Profile) -> torch.Tensor:
    """The ratio <F(z), z>/|F(z)|^2, whose least value is the weak Minty constant of a solution at the origin."""
    f = -game.field(x)
    return f.dot(x) / f.dot(f).clamp(min=1e-300)


ONLY_LISTED = ["global_forsaken", "polar", "almost_bilinear", "adolphs", "daskalakis_panageas"]


@pytest.mark.parametrize("name", [*ONLY_LISTED, "parrilo_3_1", "parrilo_3_2"])
def test_the_listed_first_order_equilibria_are_all_there_are(name: str) -> None:
    game = catalogue.game(name)
    torch.testing.assert_close(first_order_points(game), known_first_order_points(game), atol=1e-6, rtol=0)


# GlobalForsaken and the polar game


@pytest.mark.parametrize("box", [4 / 3, 1.5])
def test_global_forsaken_has_a_strict_saddle_at_the_origin_and_the_stated_constants(box: float) -> None:
    game, x = global_forsaken(box), grid(global_forsaken(box), 1001)
    constants = game.known().constants
    away = x[0].abs().squeeze(-1) > 0
    assert (-game.utilities(x.replace(1, torch.zeros_like(x[1])))[away, 0]).gt(0).all()  # the others' best is psi > 0
    ratio = weak_minty(game, x)[x.norm() > 1e-6]
    assert ratio.min().item() == pytest.approx(constants["weak_minty"], abs=2e-6)
    assert first_order_points(game).tolist() == [[0.0, 0.0]]
    inside = constants["weak_minty"] > -1 / (2 * constants["smoothness"])
    assert inside == (box < 1.4)


@pytest.mark.parametrize("a", [1.0, 0.75, 1 / 3, 4.0, 30.0])
def test_polar_constants_in_closed_form_are_those_on_a_grid(a: float) -> None:
    game = PolarGame(a)
    x = grid(game, 601)
    ratio = weak_minty(game, x)[x.norm() > 1e-9]
    assert ratio.min().item() == pytest.approx(game.known().constants["weak_minty"], rel=1e-4)
    largest = torch.linalg.matrix_norm(game.jacobian(grid(game, 101)), 2).max()
    assert largest.item() == pytest.approx(game.known().constants["smoothness"], rel=1e-9)


def test_polar_regimes_of_the_paper() -> None:
    published = {1.0: (-50176 / 1050977, 18.548), 0.75: (-0.035843, 13.938), 1 / 3: (-0.015946, 6.306)}
    regimes = {1.0: (1, 2), 0.75: (2, 3), 1 / 3: (8, 10)}
    for a, (rho, smoothness) in published.items():
        constants = PolarGame(a).known().constants
        assert constants["weak_minty"] == pytest.approx(rho, abs=5e-7)
        assert constants["smoothness"] == pytest.approx(smoothness, abs=5e-4)
        low, high = regimes[a]
        assert -1 / (low * constants["smoothness"]) < constants["weak_minty"] < -1 / (high * constants["smoothness"])


def test_polar_circles_are_invariant_and_attract_or_repel() -> None:
    game = PolarGame()
    angle = torch.linspace(0, 2 * math.pi, 25, dtype=torch.float64)

    def radial_speed(radius: float) -> torch.Tensor:
        x = Profile([radius * angle.cos().unsqueeze(-1), radius * angle.sin().unsqueeze(-1)])
        return game.field(x).dot(x) / radius

    for radius in (0.75, 1.0):
        assert radial_speed(radius).abs().max() < 1e-15
    assert (radial_speed(1.02) < 0).all() and (radial_speed(0.98) > 0).all()  # attracts
    assert (radial_speed(0.77) > 0).all() and (radial_speed(0.73) < 0).all()  # repels
    assert (radial_speed(0.1) < 0).all()  # and the origin attracts


# Stability against meaning


def test_almost_bilinear_repels_at_the_origin_and_cycles_at_the_averaged_radius() -> None:
    game = almost_bilinear()
    assert torch.linalg.eigvals(game.jacobian(game.profile([0.0], [0.0]))).real.min() > 0
    gentle = almost_bilinear(epsilon=0.05)
    x, h = Profile([torch.tensor([[1.0], [1.5]]).double(), torch.zeros(2, 1).double()]), 0.2
    radii = []
    for k in range(1000):  # Runge-Kutta of order four, from inside and from outside the cycle
        k1 = gentle.field(x)
        k2 = gentle.field(x + h / 2 * k1)
        k3 = gentle.field(x + h / 2 * k2)
        k4 = gentle.field(x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if k >= 900:
            radii.append(x.norm())
    for radius in torch.stack(radii).mean(0).tolist():
        assert radius == pytest.approx(game.known().constants["cycle_radius"], abs=2e-3)


def test_adolphs_has_one_local_nash_point_but_gradient_play_finds_two_points() -> None:
    game = adolphs()
    points = known_first_order_points(game)
    profile = Profile.from_flat(points, game.dims)
    torch.testing.assert_close(profile[0], -profile[1])
    second = torch.cat([game.hessian(profile, i).reshape(-1, 1) for i in range(2)], dim=-1)
    assert (second < 0).all(-1).tolist() == [True, False, False]  # only (-2 - sqrt 2, 2 + sqrt 2)
    stable = torch.linalg.eigvals(game.jacobian(profile)).real.amax(-1) < 0
    assert stable.tolist() == [True, False, True]
    x = grid(game, 21)
    for _ in range(4_000):
        x = game.project(x + 0.005 * game.field(x))
    ends = torch.unique((x.flat() * 1e3).round() / 1e3 + 0.0, dim=0, return_counts=True)
    assert ends[0].tolist() == [[-3.414, 3.414], [0.0, 0.0]]
    assert ends[1].tolist() == [303, 138]


def test_adolphs_mixed_equilibrium_in_closed_form() -> None:
    mixed = adolphs().known().equilibria[-1]
    assert mixed.points[0].item() == pytest.approx(-50 / 27)
    assert adolphs().known().values["value"] == pytest.approx(14.574759945130315)


def test_daskalakis_panageas_attracts_at_a_maximum_of_the_minimiser() -> None:
    game = daskalakis_panageas()
    x = game.profile([0.0], [0.0])
    eigenvalues = torch.linalg.eigvals(-game.jacobian(x)).real.sort().values
    torch.testing.assert_close(eigenvalues, torch.tensor([0.2, 0.55], dtype=torch.float64))
    assert game.hessian(x, 0).item() > 0


# Games with pure or mixed equilibria in closed form


def test_parrilo_values_and_saddle_inequalities() -> None:
    game = parrilo_3_1()
    x, y = (p[0] for p in game.known().equilibria[0].points)
    assert (x.item(), y.item()) == (pytest.approx(0.396850, abs=1e-6), pytest.approx(0.629961, abs=1e-6))
    assert game.known().values["value"] == pytest.approx(-0.472470, abs=1e-6)
    assert y.item() ** 4 - y.item() == pytest.approx(game.known().values["value"])
    assert parrilo_3_2().utilities(parrilo_3_2().profile([0.2], [1.0]))[0].item() == pytest.approx(-0.48)


def test_nie_yang_zhou_saddle_inequalities_hold_on_a_dense_sample() -> None:
    game = nie_yang_zhou()
    y = torch.quasirandom.SobolEngine(3).draw(2**14, dtype=torch.float64) * 2 - 1
    for equilibrium in game.known().equilibria:
        best = [p.expand(len(y), -1) for p in equilibrium.points]
        assert game.utilities([best[0], y])[:, 1].max() <= 2.0
        assert (-game.utilities([y, best[1]])[:, 0]).min() >= 2.0


def test_townsend_mixed_equilibrium_meets_a_million_deviations_and_its_conditions() -> None:
    game = townsend()
    mixed, value = game.known().equilibria[0], game.known().values["value"]
    assert value == pytest.approx(0.972183, abs=1e-6)
    for player in (0, 1):
        own = game.sets[player]
        candidates = torch.linspace(float(own.low), float(own.high), 1_000_001, dtype=torch.float64).unsqueeze(-1)  # pyright: ignore[reportAttributeAccessIssue]
        total = torch.zeros(len(candidates), dtype=torch.float64)
        for point, weight in zip(mixed.points[1 - player], mixed.weights[1 - player], strict=True):
            profile = [point.expand(len(candidates), 1)] * 2
            profile[player] = candidates
            total += weight * game.utilities(profile)[:, player]
        assert total.max().item() == pytest.approx(value if player == 0 else -value, abs=1e-11)


def test_dresher_uniform_play_earns_one_sixth_against_everything() -> None:
    game = dresher()
    n = 100_000
    uniform = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).unsqueeze(-1)
    for z in (0.0, 0.123, 0.5, 1.0):
        point = torch.full_like(uniform, z)
        assert game.utilities([uniform, point])[:, 0].mean().item() == pytest.approx(1 / 6, abs=1e-9)
        assert game.utilities([point, uniform])[:, 0].mean().item() == pytest.approx(1 / 6, abs=1e-9)


def test_dresher_is_one_sixth_minus_a_kernel_with_positive_fourier_coefficients() -> None:
    t = (torch.arange(4096, dtype=torch.float64) / 4096).unsqueeze(-1)
    u = dresher().utilities([t, torch.zeros_like(t)])[:, 0]
    spectrum = torch.fft.rfft(u).real / 4096
    assert spectrum[0].item() == pytest.approx(1 / 6, abs=1e-6) and (spectrum[1:] < 0).all()


def test_dresher_first_order_points_lie_at_distance_one_half() -> None:
    game: Game = dresher()
    for x in torch.linspace(0, 0.5, 7, dtype=torch.float64).tolist():
        assert game.field(game.profile([x], [x + 0.5])).norm().item() < 1e-12
