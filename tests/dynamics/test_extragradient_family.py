from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.agents.dynamics import (
    AdaptiveExtragradient,
    AnchoredExtragradient,
    CurvatureEGPlus,
    EGPlus,
    Extragradient,
    GameOracle,
    run,
)
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.bilinear import bilinear
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box


def grid(box: float, side: int = 10) -> Profile:
    axis = torch.linspace(-0.9 * box, 0.9 * box, side, dtype=torch.float64)
    return Profile(t.unsqueeze(-1) for t in torch.cartesian_prod(axis, axis).unbind(-1))


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_adaptive_extragradient_converges_on_xy_of_any_scale_from_all_starts_and_one_first_guess(scale: float) -> None:
    game = bilinear([[scale]])
    end = run(game, AdaptiveExtragradient(), grid(1.0), 400, record=None, tolerance=1e-6 * scale)
    assert end.count()["converged"] == 100
    # On a linear field a step is accepted just when eta <= nu / L, and what is tried next is at most 1 / L.
    rates = end.step_sizes[-1] * scale
    assert end.step_sizes.shape == (2, 100)
    assert float(rates.max()) <= 1.0 + 1e-9 and float(rates.min()) >= 0.45 - 1e-9


def test_rows_find_their_own_step_sizes() -> None:
    def rotation(x: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        turn = 1 + 9 * (x[2] > 0.5).to(x[0])  # the third player says how fast the first two turn, and never moves
        return turn * x[1], -turn * x[0], torch.zeros_like(x[2])  # type: ignore[return-value]

    game = VIGame(rotation, [Box(-1, 1), Box(-1, 1), Box(0, 1)], name="two speeds")
    starts = Profile([torch.tensor([[0.5], [0.5]], dtype=torch.float64)] * 2 + [torch.tensor([[0.0], [1.0]]).double()])
    end = run(game, AdaptiveExtragradient(), starts, 50)
    slow, fast = end.step_sizes[-1].tolist()
    assert 0.45 <= slow <= 1.0 and 0.045 <= fast <= 0.1
    alone = run(game, AdaptiveExtragradient(), starts.map(lambda t: t[1]), 50)
    assert torch.equal(alone.final.flat(), end.final.flat()[1])


def test_at_rest_the_step_size_does_not_grow_and_where_nothing_is_accepted_the_halvings_end() -> None:
    game = catalogue_game("f1", box=1.0)
    corner = run(game, AdaptiveExtragradient(0.1), game.profile([1.0], [1.0]), 300, record=None)
    assert torch.equal(corner.final.flat(), torch.ones(2, dtype=torch.float64)) and float(corner.step_sizes[-1]) <= 0.1
    jump = VIGame(lambda x: [torch.where(x[0] > 0, 1.0, -1.0).to(x[0])], [Box(-1, 1)], name="jump")
    end = run(jump, AdaptiveExtragradient(1.0), jump.profile([1e-9]), 2)
    assert end.outcome == "max_steps" and end.calls["field"] <= 2 * 62


def test_adaptive_extragradient_calls_the_field_twice_a_step_and_once_more_for_each_halving() -> None:
    game = bilinear([[1.0]])
    assert run(game, AdaptiveExtragradient(0.5), game.profile([0.5], [0.5]), 5).calls == {"field": 10}
    # 1 -> 1/2 is accepted, after one halving
    assert run(game, AdaptiveExtragradient(1.0), game.profile([0.5], [0.5]), 1).calls == {"field": 3}


def test_eg_plus_leaves_the_sets_and_is_played_and_judged_at_its_projection() -> None:
    game = VIGame(lambda x: (-x[1], -torch.ones_like(x[1])), [Box(-1, 1), Box(-1, 1)], name="slope")
    path = run(game, EGPlus(0.9), game.profile([1.0], [0.9]), 1)
    assert path.outside.tolist() == pytest.approx([0.0, 0.045])
    torch.testing.assert_close(path.final.flat(), torch.tensor([1.0, 0.95], dtype=torch.float64))
    oracle, method = GameOracle(game), EGPlus(0.9)
    state = method.step(method.init(path.points.map(lambda t: t[0]), oracle), oracle)
    torch.testing.assert_close(state.x.flat(), torch.tensor([1.045, 0.95], dtype=torch.float64))
    assert run(game, method, game.profile([-1.0], [-1.0]), 300, tolerance=1e-9).verdicts() == ["solved"]


def test_eg_plus_without_constraints_is_the_form_with_one_look_ahead() -> None:
    game = bilinear(dim=2, box=None)
    x = game.sample((3,), generator=torch.Generator().manual_seed(0))
    after = run(game, EGPlus(0.3, weight=0.7), x, 1, record=None).final
    by_hand = x + 0.7 * 0.3 * game.field(x + 0.3 * game.field(x))
    torch.testing.assert_close(after.flat(), by_hand.flat())


def test_a_weight_of_one_makes_eg_plus_extragradient_where_there_are_no_constraints() -> None:
    game = bilinear(dim=2, box=None)
    x = game.sample((3,), generator=torch.Generator().manual_seed(0))
    plus, plain = (run(game, m, x, 30, record=None).final.flat() for m in (EGPlus(0.3, 1.0), Extragradient(0.3)))
    torch.testing.assert_close(plus, plain)


def test_curvature_eg_plus_leaves_the_cycle_of_the_polar_game_that_holds_extragradient() -> None:
    """Pethick et al. (2022): with a = 1 the weak Minty constant lies between -1/L and -1/(2L)."""
    game = catalogue_game("polar", a=1.0)
    starts = grid(1.1, 6)
    free = run(game, CurvatureEGPlus(), starts, 300, record=None)
    assert float(free.final.norm().max()) < 0.01
    held = run(game, Extragradient(0.5 / 18.55), starts, 3000, record=None, compile=True)
    outer = starts.norm() > 0.75
    assert bool((held.final.norm()[outer] > 0.9).all()), "the attracting circle has radius one"


def test_curvature_eg_plus_on_xy_shrinks_by_the_closed_form_factor() -> None:
    """gamma = nu and alpha = 1/(1 + nu^2) - 0.99/2, so z <- (1 - alpha nu^2) z - alpha nu J z."""
    game, nu = bilinear(box=None), 0.99
    path = run(game, CurvatureEGPlus(nu=nu), game.profile([0.6], [0.8]), 40)
    alpha = 1 / (1 + nu**2) - 0.99 / 2
    factor = math.hypot(1 - alpha * nu**2, alpha * nu)
    norms = path.points.norm()
    torch.testing.assert_close(norms[1:] / norms[:-1], torch.full((40,), factor, dtype=torch.float64))
    torch.testing.assert_close(path.step_sizes[1:], torch.full((40,), nu, dtype=torch.float64))


def test_the_anchored_residual_on_xy_falls_like_one_over_t_within_the_proved_constant() -> None:
    """Yoon and Ryu (2021), theorem 1: with eta = 1/(8R), |F(z_k)|^2 <= 260 R^2 |z_0 - z*|^2 / (k + 1)^2."""
    game = bilinear(box=None)
    path = run(game, AnchoredExtragradient(1 / 8), game.profile([0.6], [0.8]), 4000, record=100)
    residual, k = path.fields.norm(), path.steps + 1
    assert bool((residual * k <= math.sqrt(260)).all())
    early, late = float(residual[4]), float(residual[40])
    assert math.log(late / early) / math.log(4001 / 401) == pytest.approx(-1, abs=0.02)


def test_anchored_extragradient_converges_on_a_box_but_more_slowly_than_extragradient() -> None:
    game = bilinear()
    end = run(game, AnchoredExtragradient(0.3), grid(1.0, 6), 2000, record=None)
    fast = run(game, Extragradient(0.5), grid(1.0, 6), 300, record=None)
    assert float(end.gaps()[-1].max()) < 6e-3 and float(fast.gaps()[-1].max()) < 1e-12 < float(end.gaps()[-1].min())


def test_a_jacobian_that_is_not_finite_ends_the_row_and_not_the_run() -> None:
    def operator(x: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        return [torch.where(x[0] > 0.5, torch.sqrt(0.6 - x[0]), x[0])]

    game = VIGame(operator, [Box(-1, 1)], name="cliff")
    starts = Profile([torch.tensor([[0.9], [0.2]], dtype=torch.float64)])
    end = run(game, CurvatureEGPlus(), starts, 200, tolerance=1e-6)
    assert end.outcomes[0] == "nonfinite" and float(end.final[0][0]) == 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveExtragradient(nu=1.0), r"adaptive_extragradient: got nu=1.0, expected a number in \(0, 1\)"),
        (lambda: AdaptiveExtragradient(0.0), "adaptive_extragradient: got step_size=0.0"),
        (lambda: EGPlus(0.1, weight=0.0), r"eg_plus: got weight=0.0, expected a number in \(0, 1\]"),
        (lambda: CurvatureEGPlus(tau=True), "curvature_eg_plus: got tau=True"),
        (lambda: CurvatureEGPlus(nu=math.nan), "curvature_eg_plus: got nu=nan"),
        (
            lambda: CurvatureEGPlus(relaxation=2.0),
            r"curvature_eg_plus: got relaxation=2.0, expected a number in \(0, 2\)",
        ),
        (lambda: CurvatureEGPlus(power_iterations=0), "power_iterations=0, expected a whole number >= 1"),
        (lambda: AnchoredExtragradient(-1), "anchored_extragradient: got step_size=-1"),
    ],
)
def test_senseless_settings_are_refused_by_name(make, message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        make()
