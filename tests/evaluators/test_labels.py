from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.labels import label, label_points
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.sets import Ball, Box, Product, Simplex

EDGE = 0.6156097132530169


def test_the_origin_of_f1_is_first_order_and_local_minimax_but_not_second_order() -> None:
    game = catalogue_game("f1")
    found = label(game, game.profile([0.0], [0.0]))
    assert found.first_order and found.local_minimax is True
    assert found.second_order is False and found.strict is False and found.differential is False
    assert found.curvature == pytest.approx((10.0, -2.0))  # the minimiser's own f_tt is -10
    assert [v.real for v in found.eigenvalues] == pytest.approx([-4.0, -4.0], abs=1e-6) and found.attracting is False
    assert "first-order local Nash, not second-order (player 0: own curvature 10" in found.summary


def test_corners_of_f1_on_the_small_box_are_strict_and_its_edge_points_are_not_of_second_order() -> None:
    game = catalogue_game("f1", box=1.0)
    points = [
        torch.tensor([[1.0], [-1.0], [EDGE], [-EDGE]]).double(),
        torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double(),
    ]
    corners, edges = (label_points(game, points)[k : k + 2] for k in (0, 2))
    assert all(c.strict and c.second_order and not c.differential and c.curvature == (-math.inf,) * 2 for c in corners)
    assert all(
        e.first_order and e.second_order is False and e.curvature[0] == pytest.approx(8.9066323, 1e-6) for e in edges
    )
    elsewhere = label(game, game.profile([0.3], [0.2]))
    assert not elsewhere.first_order and elsewhere.strict is False and elsewhere.summary.startswith("no local Nash")


def test_own_curvatures_of_forsaken_at_its_equilibrium() -> None:
    # f_yy is +0.37416; a published table rounds it to 0.3740.
    game = catalogue_game("forsaken")
    found = label(game, [t[0] for t in game.known().equilibria[0].points])
    assert found.curvature == pytest.approx((-0.463656, 0.374164), abs=1e-6)
    assert found.first_order and found.second_order is False and found.local_minimax is False


def test_only_one_critical_point_of_adolphs_is_a_local_nash_equilibrium_and_another_attracts() -> None:
    game = catalogue_game("adolphs")
    far, near = 2 + math.sqrt(2), 2 - math.sqrt(2)
    y = torch.tensor([[far], [0.0], [near]], dtype=torch.float64)
    nash, origin, third = label_points(game, [-y, y])
    assert nash.differential and nash.strict and nash.local_minimax and nash.attracting
    assert origin.first_order and origin.second_order is False and origin.attracting and origin.curvature[1] == 2.0
    assert third.first_order and third.second_order is False and not third.attracting


def test_gradient_play_is_attracted_to_the_origin_of_daskalakis_panageas_which_is_no_local_nash() -> None:
    game = catalogue_game("daskalakis_panageas")
    found = label(game, game.profile([0.0], [0.0]))
    assert sorted(v.real for v in found.eigenvalues) == pytest.approx([0.2, 0.55])
    assert found.attracting and found.second_order is False and found.curvature[0] == pytest.approx(0.25)


def test_the_diagonal_of_the_squared_difference_is_of_first_order_only() -> None:
    game = catalogue_game("squared_difference")
    t = torch.linspace(-1, 1, 9, dtype=torch.float64).unsqueeze(-1)
    for found in label_points(game, [t, t]):
        assert found.first_order and found.second_order is False and found.curvature[0] == 2.0
        assert found.non_degenerate is False and found.local_minimax is None


def test_the_torus_game_has_two_differential_nash_equilibria() -> None:
    game = catalogue_game("torus")
    points = [[t[0] for t in e.points] for e in game.known().equilibria if e.is_pure]
    strict = [p for p in points if label(game, p).differential]
    found = sorted((float(a), float(b)) for a, b in strict)
    assert found == [pytest.approx((-1.063, 1.014), abs=2e-3), pytest.approx((1.408, -0.325), abs=1e-3)]


def linear_and_quadratic(sets: object, pull: list[float], curve: float) -> Game:
    """One player: `<pull, x> + curve |x|^2 / 2`."""
    c = torch.tensor(pull, dtype=torch.float64)
    return Game(lambda x: (x[0] @ c + curve * (x[0] ** 2).sum(-1) / 2).unsqueeze(-1), [sets], name="quadratic")  # pyright: ignore[reportArgumentType]


def test_the_boundary_of_a_ball_adds_its_curvature() -> None:
    ball, top = Ball(0.0, 2.0, dim=2), [torch.tensor([0.0, 2.0]).double()]
    # Along the circle of radius 2 the gain is pull/R less than the own curvature: 3 / 2 against 1, then against 2.
    held, loose = (linear_and_quadratic(ball, [0.0, 3.0 - 2.0 * c], c) for c in (1.0, 2.0))
    assert label(held, top).curvature == (pytest.approx(1.0 - 1.5),) and label(held, top).strict
    assert label(loose, top).curvature == (pytest.approx(2.0 - 1.5),) and label(loose, top).second_order is False


def test_curvature_on_a_simplex_counts_along_its_face() -> None:
    game = linear_and_quadratic(Simplex(3), [1.0, 1.0, -9.0], -1.0)
    found = label(game, [torch.tensor([0.5, 0.5, 0.0]).double()])
    assert found.strict and found.curvature == (pytest.approx(-1.0),)
    both = linear_and_quadratic(Product([Simplex(3), Box(-1, 1)]), [1.0, 1.0, -9.0, 0.0], 1.0)
    mixed = label(both, [torch.tensor([0.5, 0.5, 0.0, 0.0]).double()])
    assert mixed.first_order and mixed.second_order is False
    pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    assert label(pennies, pennies.profile([0.5, 0.5], [0.5, 0.5])).second_order is True


def test_a_bound_that_is_touched_without_a_push_is_a_half_line() -> None:
    def saddle(x: tuple[torch.Tensor, ...]) -> torch.Tensor:  # x y on the positive quadrant is worst at the corner
        return (-x[0][..., 0] * x[0][..., 1]).unsqueeze(-1)

    corner = [torch.zeros(2, dtype=torch.float64)]
    quadrant = Game(saddle, [Box(0, 1, dim=2)], name="quadrant")
    whole = Game(saddle, [Box(-1, 1, dim=2)], name="whole")
    assert label(quadrant, corner).second_order is True and label(quadrant, corner).strict is False
    assert label(whole, corner).second_order is False


def test_a_game_with_a_kink_is_refused_for_second_order_by_name_and_labelled_for_first() -> None:
    kinked = Game.minmax(lambda x, y: (x.abs() - y**2).sum(-1), [Box(-1, 1), Box(-1, 1)], name="kinked")
    here = kinked.profile([0.0], [0.0])
    with pytest.raises(InvalidGameError, match=r"kinked, player_0: .* kink in coordinate 0 at \[0.0\]"):
        label(kinked, here)
    assert label(kinked, here, order=1).first_order and label(kinked, here, order=1).second_order is None
    assert label(kinked, kinked.profile([0.5], [0.0])).first_order is False
    with pytest.raises(InvalidGameError, match="root, player_0"):
        root = Game(lambda x: x[0] ** 1.5, [Box(0, 1)], name="root")
        label(root, root.profile([0.0]))


def test_bad_questions_to_labels_are_refused() -> None:
    game = catalogue_game("f2")
    with pytest.raises(InvalidSettingError, match="order=3"):
        label(game, game.profile([0.0], [0.0]), order=3)
    with pytest.raises(InvalidSettingError, match="tolerance=0"):
        label(game, game.profile([0.0], [0.0]), tolerance=0.0)


def test_without_utilities_the_jacobian_is_judged_alone() -> None:
    polar = catalogue_game("polar")
    found = label(polar, polar.profile([0.0], [0.0]))
    assert found.first_order and found.second_order is None and found.attracting is True
