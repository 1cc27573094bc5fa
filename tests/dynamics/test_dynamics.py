from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.dynamics import (
    AlternatingGradient,
    Extragradient,
    GameOracle,
    OnlineGradientDescent,
    OptimisticGradient,
    SimultaneousGradient,
    dynamic,
    dynamics,
    run,
)
from strategic_envs.errors import CheckpointError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators import cce_gap
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.sets import Ball, Box, Simplex
from strategic_envs.testing import check_dynamic

PLANE = Box(-math.inf, math.inf)


def product(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1)


def grid(box: float, side: int = 10, share: float = 0.9) -> Profile:
    """The starts of the published counts: a square grid on a share of the box."""
    axis = torch.linspace(-share * box, share * box, side, dtype=torch.float64)
    return Profile(t.unsqueeze(-1) for t in torch.cartesian_prod(axis, axis).unbind(-1))


STEPPED = sorted(n for n, kind in dynamics().items() if "step_size" in kind.__dataclass_fields__)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", sorted(dynamics()))
def test_every_dynamic_keeps_the_contract(name: str) -> None:
    check_dynamic(dynamic(name, step_size=0.05) if name in STEPPED else dynamic(name))


def test_the_anytime_schedule_keeps_the_contract() -> None:
    check_dynamic(OnlineGradientDescent(0.05, schedule="anytime"))


def test_simultaneous_gradient_on_xy_multiplies_the_norm_by_sqrt_one_plus_eta_squared() -> None:
    game = Game.minmax(product, [PLANE, PLANE])
    for eta in (0.01, 0.3):
        path = run(game, SimultaneousGradient(eta), game.profile([0.6], [0.8]), 50).points.norm()
        assert torch.allclose(
            path[1:] / path[:-1], torch.tensor(math.sqrt(1 + eta**2), dtype=torch.float64), rtol=1e-14
        )


def test_alternating_gradient_on_xy_conserves_its_quadratic_form() -> None:
    game, eta = Game.minmax(product, [PLANE, PLANE]), 0.3
    x, y = (t.squeeze(-1) for t in run(game, AlternatingGradient(eta), game.profile([0.6], [0.8]), 1000).points)
    conserved = x**2 + y**2 - eta * x * y
    assert float(conserved.max() - conserved.min()) < 1e-13


def test_on_xy_extragradient_and_optimism_converge_from_all_100_starts_and_gradient_from_none() -> None:
    game, starts = catalogue_game("bilinear"), grid(1.0)
    for method in (Extragradient(0.5), OptimisticGradient(0.3)):
        end = run(game, method, starts, 2000, record=None)
        assert int((end.gaps()[-1] < 1e-3).sum()) == 100
    for method in (SimultaneousGradient(0.1), AlternatingGradient(0.1)):
        end = run(game, method, starts, 2000, record=None)
        assert int((end.gaps()[-1] < 1e-3).sum()) == 0


def test_extragradient_equals_its_definition() -> None:
    game = catalogue_game("forsaken")
    path = run(game, Extragradient(0.05), game.profile([1.2], [-0.7]), 20)
    x = torch.tensor([1.2, -0.7], dtype=torch.float64)

    def field(z: Tensor) -> Tensor:
        def slope(t: Tensor) -> Tensor:
            return t / 2 - 2 * t**3 + t**5

        return torch.stack([-(z[1] - 0.45) - slope(z[0]), z[0] - slope(z[1])])

    for t in range(20):
        assert torch.allclose(path.points.flat()[t], x, atol=1e-12)
        ahead = (x + 0.05 * field(x)).clamp(-1.5, 1.5)
        x = (x + 0.05 * field(ahead)).clamp(-1.5, 1.5)


def test_optimistic_gradient_equals_its_definition() -> None:
    game = catalogue_game("bilinear")
    path = run(game, OptimisticGradient(0.2), game.profile([0.9], [0.5]), 15).points.flat()
    v = [torch.stack([-p[1], p[0]]) for p in path]
    for t in range(14):
        before = v[t - 1] if t else v[0]
        assert torch.allclose(path[t + 1], (path[t] + 0.2 * (2 * v[t] - before)).clamp(-1, 1), atol=1e-14)


def test_alternating_gradient_counts_one_call_for_each_player() -> None:
    game = catalogue_game("three_player_polynomial")
    end = run(game, AlternatingGradient(0.01), game.sample((3,)), 7)
    assert end.calls == {"field_of_one": 21}


def test_gradient_play_is_attracted_to_the_origin_though_it_is_no_local_nash_point() -> None:
    """Daskalakis and Panageas (2018): f = -x^2/8 - y^2/2 + 6xy/10."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        return (-(x**2) / 8 - y**2 / 2 + 0.6 * x * y).sum(-1)

    game = Game.minmax(f, [PLANE, PLANE])
    end = run(game, SimultaneousGradient(0.1), game.profile([1.0], [1.0]), 5000, tolerance=1e-9)
    assert end.outcome == "converged" and float(end.final.norm()) < 1e-7
    assert float(game.hessian(end.final, 0)) == pytest.approx(0.25)  # the minimiser's own utility -f is convex


def test_adolphs_game_attracts_303_starts_to_the_nash_point_and_138_to_the_origin() -> None:
    """f = 2x^2 + y^2 + 4xy + 4y^3/3 - y^4/4, eta = .005, 441 starts on [-5, 5]^2."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        return (2 * x * x + y * y + 4 * x * y + 4 * y**3 / 3 - y**4 / 4).sum(-1)

    game = Game.minmax(f, [PLANE, PLANE], name="adolphs")
    end = run(game, SimultaneousGradient(0.005), grid(5.0, 21, 1.0), 6000, record=None).final
    nash = torch.tensor([-2 - math.sqrt(2), 2 + math.sqrt(2)], dtype=torch.float64)
    assert int(((end.flat() - nash).norm(dim=-1) < 1e-3).sum()) == 303
    assert int((end.norm() < 1e-3).sum()) == 138


# Of 100 starts, at the last iterate after 20,000 steps: simultaneous, alternating, extragradient, optimistic.
COUNTS = {
    ("f1", 1.0, 13.29): (100, 100, 100, 100),
    ("f1", 3.0, 20.46): (0, 0, 0, 0),
    ("f2", 1.0, 2.09): (32, 52, 100, 100),
}
METHODS = (
    (SimultaneousGradient, 0.1),
    (AlternatingGradient, 0.1),
    (Extragradient, 0.5),
    (OptimisticGradient, 0.3),
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "box", "smoothness"), COUNTS)
def test_the_measured_counts_of_converged_starts_are_reproduced_within_three(
    name: str, box: float, smoothness: float
) -> None:
    game = catalogue_game(name, box=box)
    counts = []
    for method, share in METHODS:
        end = run(game, method(share / smoothness), grid(box), 20_000, record=None, compile=True)
        counts.append(int((end.gaps()[-1] < 1e-3).sum()))
    expected = COUNTS[name, box, smoothness]
    assert all(abs(a - b) <= 3 for a, b in zip(counts, expected, strict=True)), f"{counts}, expected {expected}"


def test_on_the_small_box_gradient_play_on_f1_ends_in_the_strict_corners_50_starts_each() -> None:
    game = catalogue_game("f1", box=1.0)
    end = run(game, SimultaneousGradient(0.1 / 13.29), grid(1.0), 3000, record=None).final.flat()
    assert int((end == 1.0).all(-1).sum()) == 50 == int((end == -1.0).all(-1).sum())


def test_gradient_play_on_the_squared_difference_has_a_small_local_and_the_largest_global_gap() -> None:
    game, horizon = catalogue_game("squared_difference"), 10_000
    method = OnlineGradientDescent.tuned(diameter=2.0, gradient_bound=4.0, horizon=horizon)
    end = run(game, method, game.profile([0.9], [-0.4]), horizon, accumulate=True)
    local, everywhere = end.local_cce_gap(), cce_gap(game, end.empirical())
    assert local.value <= 0.04 and local.exact
    assert everywhere.value >= 3.9


def random_smooth_game(seed: int) -> Game:
    """Polynomials with random coefficients: three players on a box, a ball and a simplex."""
    stream = torch.Generator().manual_seed(seed)
    sets = [Box(-1, 1, dim=2), Ball([0.0, 0.0], 1.0), Simplex(3)]
    first = torch.randn(3, 7, generator=stream, dtype=torch.float64)
    second = torch.randn(3, 7, 7, generator=stream, dtype=torch.float64)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        z = torch.cat(x, dim=-1)
        quadratic = torch.einsum("...i,pij,...j->...p", z, second, z)
        return z @ first.T + quadratic + torch.sin(2 * quadratic)

    return Game(utilities, sets, name="random")


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.floats(0.005, 0.5))
def test_online_gradient_has_the_regret_bound_of_its_step_size_on_any_smooth_game(seed: int, eta: float) -> None:
    """Every player's mean linearised regret is at most D^2/(2 eta T) + eta G^2/2; G: the largest gradient met."""
    game, horizon = random_smooth_game(seed), 60
    start = game.sample((), generator=torch.Generator().manual_seed(seed))
    end = run(game, OnlineGradientDescent(eta), start, horizon, accumulate=True)
    for i, gap in enumerate(end.local_cce_gap().per_player):
        largest = float(end.fields[i][:-1].norm(dim=-1).max())
        bound = game.sets[i].diameter ** 2 / (2 * eta * horizon) + eta * largest**2 / 2
        assert gap <= bound + 1e-9


def test_the_anytime_schedule_shrinks_like_one_over_the_root_of_time() -> None:
    game = catalogue_game("squared_difference")
    method = OnlineGradientDescent.anytime(diameter=2.0, gradient_bound=4.0)
    sizes = run(game, method, game.profile([0.5], [0.0]), 9).step_sizes
    assert torch.allclose(sizes, 0.5 / torch.arange(1, 11, dtype=torch.float64).sqrt())


def test_dynamics_are_discovered_by_name() -> None:
    assert {"simultaneous_gradient", "extragradient", "curvature_eg_plus", "hedge"} <= set(dynamics())
    assert dynamic("extragradient", step_size=0.1) == Extragradient(0.1)


def test_bad_names_and_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'extragradient'"):
        dynamic("extragradent", step_size=0.1)
    with pytest.raises(InvalidSettingError, match="expected \\['step_size'\\]"):
        dynamic("extragradient", eta=0.1)
    for name in STEPPED:
        for bad in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(InvalidSettingError, match=f"{name}: got step_size={bad}"):
                dynamic(name, step_size=bad)
    with pytest.raises(InvalidSettingError, match="'constant' or 'anytime'"):
        OnlineGradientDescent(0.1, schedule="sometimes")
    with pytest.raises(InvalidSettingError, match="horizon=0"):
        OnlineGradientDescent.tuned(diameter=1.0, gradient_bound=1.0, horizon=0)
    with pytest.raises(InvalidSettingError, match="gradient_bound=0"):
        OnlineGradientDescent.anytime(diameter=1.0, gradient_bound=0)


def test_a_state_of_another_dynamic_is_refused() -> None:
    from strategic_envs.agents.dynamics import state_from_dict, state_to_dict

    game = catalogue_game("bilinear")
    state = SimultaneousGradient(0.1).init(game.profile([0.0], [0.0]), GameOracle(game))
    with pytest.raises(CheckpointError, match="another dynamic"):
        state_from_dict(OptimisticGradient.state_type, state_to_dict(state))
