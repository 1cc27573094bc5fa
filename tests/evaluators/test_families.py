from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from strategic_envs.agents.dynamics import OnlineGradientDescent, run
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators import FieldAccumulator, ce_gap, local_cce_gap, local_nash_gap
from strategic_envs.evaluators.deviations import delta_regime, local_deviation_gain
from strategic_envs.evaluators.local_ce import affine_gain, cell_gain, local_ce_gap
from strategic_envs.evaluators.projection import projection_gain
from strategic_envs.evaluators.rates import fit_rate, gaps_by_horizon, regret_bound
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Empirical
from strategic_envs.sets import Ball, Box, Polytope, Product, Simplex, StrategySet, Torus

seeds = st.integers(0, 2**31)
triangle = Polytope([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])
boxes = [Box(-1, 1), Box([-1.0, 0.0], [2.0, 0.5]), Box([0.0, -torch.inf], [torch.inf, 1.0])]
others = [Simplex(2), Simplex(3), Ball(0.0, 1.0, dim=2), Product([Simplex(2), Box(-1, 1)]), triangle]


def drawn(s: StrategySet, seed: int, count: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    x = s.sample((count,), generator=stream)
    far = s.project(3 * torch.randn(x.shape, generator=stream, dtype=torch.float64))
    x = torch.where(torch.rand(count, 1, generator=stream) < 0.4, far, x)
    g = torch.randn(x.shape, generator=stream, dtype=torch.float64)
    w = torch.rand(count, generator=stream, dtype=torch.float64)
    return x, g, w / w.sum()


def dense(s: StrategySet, x: Tensor, g: Tensor, w: Tensor, delta: float, norm: str) -> float:
    shifts = Box(-delta, delta, dim=s.dim) if norm == "sup" else Ball(0.0, delta, dim=s.dim)
    v = torch.cat([shifts.sample((4000,), generator=torch.Generator().manual_seed(1)), shifts.support(g).argmax])
    return float((((s.project(x + v.unsqueeze(1)) - x) * g).sum(-1) @ w).max())


@settings(max_examples=40)
@given(st.sampled_from(boxes), seeds, st.floats(0.01, 2.0), st.sampled_from(["sup", "euclidean"]))
def test_on_boxes_no_shift_beats_the_projection_gap_and_it_is_reached(
    s: Box, seed: int, delta: float, norm: str
) -> None:
    x, g, w = drawn(s, seed)
    bounds, best = projection_gain(s, x, g, w, delta, norm), dense(s, x, g, w, delta, norm)
    assert best <= bounds.upper + 1e-12 and bounds.lower >= 0
    if norm == "sup" or s.dim == 1:
        assert bounds.lower == bounds.upper <= best + 0.1 * delta * float(w @ g.abs().sum(-1)) + 1e-12


@settings(max_examples=6)
@given(st.sampled_from(others), seeds, st.sampled_from(["sup", "euclidean"]))
def test_elsewhere_the_projection_gap_lies_between_its_bounds(s: StrategySet, seed: int, norm: str) -> None:
    x, g, w = drawn(s, seed)
    bounds, best = projection_gain(s, x, g, w, 0.3, norm), dense(s, x, g, w, 0.3, norm)
    assert best <= bounds.upper + 1e-12 and bounds.lower >= 0.9 * best
    if isinstance(s, Simplex | Ball):
        assert bounds.upper - bounds.lower < 0.02


def test_without_bounds_the_projection_gap_is_delta_times_the_mean_gradient() -> None:
    for s in (Box(-torch.inf, torch.inf, dim=3), Torus(3)):
        _, g, w = drawn(Box(-1, 1, dim=3), 0)
        x = s.sample((12,), generator=torch.Generator().manual_seed(0))
        for norm, p in (("euclidean", 2), ("sup", 1)):
            bounds = projection_gain(s, x, g, w, 0.1, norm)
            assert bounds.lower == bounds.upper == pytest.approx(0.1 * float((w @ g).norm(p=p)))


def outwards() -> tuple[Game, Empirical]:
    game = Game(lambda x: x[0] ** 2 / 2, [Box(-1, 1)], name="outwards")
    return game, Empirical.uniform([torch.tensor([[-1.0], [1.0]], dtype=torch.float64)])


def test_two_ends_pulled_outwards_have_interpolation_gap_minus_one_and_projection_gap_zero() -> None:
    game, ends = outwards()
    assert local_cce_gap(game, ends).value == -1.0
    shifts = local_cce_gap(game, ends, family="projection", delta=0.1)
    assert shifts.value == 0.0 and shifts.exact and "delta=0.1, sup norm" in str(shifts)


def test_at_a_first_order_equilibrium_both_families_have_no_gap() -> None:
    game = catalogue_game("f1", box=1.0)
    for point in ([1.0], [1.0]), ([0.0], [0.0]), ([0.6156097132530169], [1.0]):
        x = game.profile(*point)
        assert local_cce_gap(game, x).value == pytest.approx(0.0, abs=1e-12)
        assert local_cce_gap(game, x, family="projection", delta=0.5).value == pytest.approx(0.0, abs=1e-12)


def affine_program(box: Box, x: Tensor, g: Tensor, w: Tensor) -> float:
    """The best affine map of a box by a linear program with explicit absolute values."""
    d, r = box.dim, ((box.high - box.low) / 2).numpy()
    c = ((box.high + box.low) / 2).numpy()
    moment = torch.einsum("t,tj,tk->jk", w, g, x - torch.as_tensor(c)).numpy()
    mean, total = (w @ g).numpy(), 0.0
    for j in range(d):
        goal = -np.concatenate([moment[j], [mean[j]]])
        signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * (d + 1))).reshape(d + 1, -1).T
        total -= linprog(goal, A_ub=signs * np.append(r, 1.0), b_ub=np.full(len(signs), r[j]), bounds=(None, None)).fun
    return total - float(np.trace(moment))


@settings(max_examples=20)
@given(st.sampled_from(boxes[:2]), seeds)
def test_the_affine_gain_on_a_box_equals_a_linear_program_and_in_one_dimension_the_closed_form(
    s: Box, seed: int
) -> None:
    x, g, w = drawn(s, seed)
    bounds = affine_gain(s, x, g, w)
    assert bounds.lower == bounds.upper == pytest.approx(affine_program(s, x, g, w), abs=1e-7)
    if s.dim == 1:
        mean, product = float(w @ g[:, 0]), float(w @ (g * x)[:, 0])
        assert bounds.lower == pytest.approx(max(abs(product), abs(mean)) - product, abs=1e-12)


def test_the_affine_gain_of_a_product_and_of_a_polytope_agree_with_those_of_boxes_and_simplices() -> None:
    square = Box(-1, 1, dim=2)
    x, g, w = drawn(square, 3)
    exact = affine_gain(square, x, g, w).lower
    assert affine_gain(Product([Box(-1, 1), Box(-1, 1)]), x, g, w).lower == pytest.approx(exact, abs=1e-7)
    sides = Polytope([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [1.0] * 4)
    assert affine_gain(sides, x, g, w).lower == pytest.approx(exact, abs=1e-7)
    ball = affine_gain(Ball(0.0, 2.0, dim=2), x, g, w)
    assert 0 <= ball.lower <= ball.upper


def test_in_a_finite_game_affine_maps_and_cells_by_action_give_the_ce_gap() -> None:
    stream = torch.Generator().manual_seed(4)
    game = NormalFormGame(torch.randn(2, 3, 4, generator=stream, dtype=torch.float64))
    joint = torch.rand(3, 4, generator=stream, dtype=torch.float64)
    play = Empirical.of_joint_actions(joint / joint.sum())
    expected = ce_gap(game, play).per_player
    assert local_ce_gap(game, play).per_player == pytest.approx(expected, abs=1e-12)
    by_action = local_ce_gap(game, play, family="cells")
    assert by_action.per_player == pytest.approx(expected, abs=1e-12) and by_action.family == "cells, K=3/4 occupied"
    mixed = Empirical.uniform(game.sample((5,), generator=stream))
    assert local_ce_gap(game, mixed).per_player == pytest.approx(ce_gap(game, mixed).per_player, abs=1e-12)


def test_one_cell_is_the_interpolation_gap_and_a_cell_a_point_the_mean_frank_wolfe_gap() -> None:
    game = catalogue_game("forsaken")
    play = Empirical.uniform(game.sample((20,), generator=torch.Generator().manual_seed(5)))
    one, cce = local_ce_gap(game, play, family="cells", cells=1), local_cce_gap(game, play)
    assert one.per_player == pytest.approx(cce.per_player, abs=1e-12) and "K=1/1" in one.family
    assert local_ce_gap(game, play, family="interpolation").per_player == pytest.approx(cce.per_player, abs=1e-12)
    each = local_ce_gap(game, play, family="cells", cells=lambda x: torch.arange(len(x)))
    points = [play.points.map(lambda t, k=k: t[k]) for k in range(20)]
    gaps = [local_nash_gap(game, p, "frank_wolfe").per_player for p in points]
    assert each.per_player == pytest.approx([sum(g[i] for g in gaps) / 20 for i in range(2)], abs=1e-12)
    assert each.value >= local_ce_gap(game, play, family="cells", cells=4).value - 1e-12 >= one.value - 2e-12


def smooth_game(sets: list[StrategySet], seed: int) -> Game:
    """Random sines of random linear forms, one a player, plus random couplings."""
    stream = torch.Generator().manual_seed(seed)
    total = sum(s.dim for s in sets)
    a = torch.randn(len(sets), 4, total, generator=stream, dtype=torch.float64)
    c = torch.randn(len(sets), 4, generator=stream, dtype=torch.float64)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        return torch.einsum("...nk,nk->...n", torch.einsum("nkd,...d->...nk", a, torch.cat(x, -1)).sin(), c)

    return Game(utilities, sets, name="smooth")


@settings(max_examples=6)
@given(
    st.sampled_from([[Box(-1, 1), Box(0, 2)], [Simplex(3), Ball(0.0, 1.0, dim=2)], [Box(-1, 1, dim=2), Box(-1, 1)]]),
    seeds,
)
def test_online_gradient_stays_below_both_regret_bounds_in_random_smooth_games(
    sets: list[StrategySet], seed: int
) -> None:
    game, steps, eta, delta = smooth_game(sets, seed), 120, 0.05, 0.2
    start = game.sample((), generator=torch.Generator().manual_seed(seed))
    path = run(game, OnlineGradientDescent(eta), start, steps=steps)
    play = path.empirical()
    fields = game.field(play.points)
    for i, s in enumerate(sets):
        bound = float(fields[i].norm(dim=-1).max())
        inter = local_cce_gap(game, play).per_player[i]
        assert inter <= regret_bound(s.diameter, bound, steps, step_size=eta) + 1e-9
        shift = projection_gain(s, play.points[i], fields[i], play.weights, delta, "euclidean").lower
        promised = regret_bound(s.diameter, bound, steps, family="projection", delta=delta, step_size=eta)
        assert shift <= promised + 1e-9


def test_true_gain_on_the_squared_difference_is_the_curvature_floor() -> None:
    game = catalogue_game("squared_difference")
    rule = OnlineGradientDescent.anytime(diameter=2.0, gradient_bound=4.0)
    play = run(game, rule, game.profile([0.5], [-0.25]), steps=800).empirical()
    row, tiny = delta_regime(game, play, [0.1, 1e-4])
    assert row.floor == pytest.approx(0.01) and row.label == "curvature" and tiny.label == "first order"
    assert 0 <= row.linearised < row.true <= row.linearised + row.floor + 1e-12
    assert local_deviation_gain(game, play, 0.1, family="interpolation").value <= 0.011
    wide = Game(lambda x: x[0] ** 2 / 2, [Box(-1, 1)], name="wide")
    assert local_deviation_gain(wide, wide.profile([0.0]), 0.5, family="interpolation").value == pytest.approx(0.03125)


def test_prefixes_of_a_run_have_the_gaps_of_shorter_runs() -> None:
    game = catalogue_game("three_player_trigonometric")
    points = game.sample((30, 2), generator=torch.Generator().manual_seed(0))
    for options in ({"family": "interpolation"}, {"family": "projection", "delta": 0.1}):
        gaps = gaps_by_horizon(game.sets, points, game.field(points), [10, 30], **options)
        for k, count in enumerate((10, 30)):
            for row in range(2):
                play = Empirical.uniform(points.map(lambda t, c=count, r=row: t[:c, r]))
                assert gaps[k, row].tolist() == pytest.approx(
                    local_cce_gap(game, play, **options).per_player, abs=1e-12
                )


def test_a_power_law_is_found_again() -> None:
    rate = fit_rate([10, 100, 1000, 5000], [3 * t**-0.7 for t in (10, 100, 1000, 5000)])
    assert rate.slope == pytest.approx(-0.7) and rate.factor == pytest.approx(3.0) and rate.spread < 1e-12
    tuned = regret_bound(2.0, 4.0, 100)
    assert tuned == pytest.approx(regret_bound(2.0, 4.0, 100, step_size=2.0 / (4.0 * 10.0)))


@pytest.mark.parametrize(
    ("question", "error", "says"),
    [
        (lambda g, p: local_cce_gap(g, p, family="swap"), InvalidSettingError, "'interpolation' or 'projection'"),
        (lambda g, p: local_cce_gap(g, p, family="projection"), InvalidSettingError, "delta=None"),
        (lambda g, p: local_cce_gap(g, p, family="projection", delta=-1.0), InvalidSettingError, "delta=-1.0"),
        (lambda g, p: local_cce_gap(g, p, family="projection", delta=1.0, norm="l1"), InvalidSettingError, "norm='l1'"),
        (
            lambda g, _: local_cce_gap(g, FieldAccumulator(), family="projection", delta=1.0),
            InvalidStrategyError,
            "record",
        ),
        (lambda g, p: local_ce_gap(g, p, family="swap"), InvalidSettingError, "affine, cells"),
        (lambda g, p: local_ce_gap(g, p, family="cells", cells=0), InvalidSettingError, "got 0"),
        (
            lambda g, p: local_ce_gap(g, p, family="cells", cells=lambda x: x),
            InvalidSettingError,
            "the function returned",
        ),
        (lambda g, p: local_deviation_gain(g, p, 0.0), InvalidSettingError, "delta=0.0"),
        (lambda g, p: delta_regime(g, p, [0.1], family="swap"), InvalidSettingError, "family='swap'"),
        (lambda g, p: fit_rate([10], [0.0]), InvalidSettingError, "0 positive gaps"),
        (lambda g, p: regret_bound(1.0, 1.0, 1, family="swap"), InvalidSettingError, "family='swap'"),
        (lambda g, p: gaps_by_horizon(g.sets, p.points, p.points, [9]), InvalidStrategyError, r"from 1 to 2"),
    ],
)
def test_bad_questions_about_families_are_refused(
    question: Callable[[Game, Empirical], object], error: type[Exception], says: str
) -> None:
    game, play = outwards()
    with pytest.raises(error, match=says):
        question(game, play)


def test_cells_without_a_number_are_eight_a_coordinate() -> None:
    x, g, w = drawn(Box(-1, 1), 0, count=200)
    assert cell_gain(Box(-1, 1), x, g, w)[1] == 8
