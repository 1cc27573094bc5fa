from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle, Outcome, run
from strategic_envs.agents.dynamics.ridge.invariant import violations
from strategic_envs.agents.dynamics.ridge.path import RidgePath, all_corners, follow_ridge, orders
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.agents.dynamics.stonr_first_order import FirstOrderRidge
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.sets import Ball, Box, Product
from strategic_envs.testing import check_dynamic

# Game, its options, the end points, the range of moves at a step of 0.005, the range of epochs.
TABLE: list[tuple[str, dict[str, float], list[list[float]], tuple[int, int], tuple[int, int]]] = [
    ("shifted_bilinear", {}, [[0.5, 0.5]], (200, 402), (3, 3)),
    ("f1", {"box": 1.0}, [[1.0, 1.0], [-1.0, -1.0]], (0, 201), (2, 2)),
    ("f1", {"box": 3.0}, [[0.0, 0.0]], (150, 495), (2, 3)),
    ("f1", {"box": 5.0}, [[0.0, 0.0]], (171, 383), (2, 2)),
    ("f2", {"box": 1.0}, [[0.0, 0.0]], (200, 423), (3, 3)),
    ("f2", {"box": 2.0}, [[0.0, 0.0]], (200, 423), (3, 3)),
    ("forsaken", {}, [[0.07802666873846009, 0.41193385136581984]], (200, 460), (2, 3)),
    ("global_forsaken", {}, [[0.0, 0.0]], (208, 412), (3, 3)),
    ("squared_difference", {}, [[1.0, 1.0], [-1.0, -1.0]], (0, 201), (2, 2)),
]
NAMES = [f"{name}{options.get('box', '')}" for name, options, *_ in TABLE]


def distance(path: RidgePath, ends: list[list[float]]) -> float:
    return min(float((path.end.flat() - torch.tensor(e, dtype=torch.float64)).abs().max()) for e in ends)


def check_invariant(game: Game, dynamic: StayOnTheRidge, most: int = 2000) -> Outcome:
    """Follows a path and checks the invariant after every step."""
    oracle = GameOracle(game)
    state = dynamic.init(game.sample(generator=torch.Generator().manual_seed(0)), oracle)
    for _ in range(most):
        assert violations(state, 1e-8) == []
        if dynamic.status(state) is not Outcome.MAX_STEPS:
            break
        state = dynamic.step(state, oracle)
    return dynamic.status(state)


def random_game(seed: int, players: int) -> Game:
    stream = torch.Generator().manual_seed(seed)
    quadratic, linear, waves = (torch.randn(*[players] * k, generator=stream, dtype=torch.float64) for k in (3, 2, 2))

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        z = torch.cat(x, dim=-1)
        return z @ linear.T + torch.einsum("...i,pij,...j->...p", z, quadratic, z) + torch.sin(2 * z @ waves.T)

    return Game(utilities, [Box(-1, 1)] * players, name=f"random_{seed}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "ends", "moves", "epochs"), TABLE, ids=NAMES)
def test_every_corner_and_order_ends_where_the_table_says(
    name: str, options: dict[str, Any], ends: list[list[float]], moves: tuple[int, int], epochs: tuple[int, int]
) -> None:
    game = catalogue_game(name, **options)
    starts = list(all_corners(2)) if name == "shifted_bilinear" else [(0, 0), (0, 1)]  # the games are symmetric
    for corner in starts:
        for order in orders(2):
            path = follow_ridge(game, corner=corner, order=order)
            assert path.outcome == "converged" and path.residual < 1e-10 and distance(path, ends) < 1e-8
            assert moves[0] <= path.steps <= moves[1] and epochs[0] <= len(path.epochs) <= epochs[1]


def test_the_worked_example_goes_over_the_corner_and_the_edge_in_three_epochs() -> None:
    path = follow_ridge(catalogue_game("shifted_bilinear"), corner=(0, 0), order=(0, 1))
    assert path.outcome == "converged" and path.length == pytest.approx(2.0, abs=1e-9) and 400 <= path.steps <= 402
    assert [(e.examined, e.free, e.left_by) for e in path.epochs] == [
        (0, (), "good"),
        (1, (), "middling"),
        (1, (0,), "good"),
    ]
    entered = torch.tensor([e.entered_at for e in path.epochs] + [path.end.flat().tolist()], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5]], dtype=torch.float64)
    assert torch.allclose(entered, expected, atol=1e-9)


def test_on_the_small_box_the_path_on_f1_ends_in_a_strict_corner_and_on_the_large_one_at_the_origin() -> None:
    small = follow_ridge(catalogue_game("f1", box=1.0), corner=(0, 1), step_size=0.05)
    large = follow_ridge(catalogue_game("f1", box=3.0), corner=(0, 1), step_size=0.05)
    assert distance(small, [[1.0, 1.0], [-1.0, -1.0]]) == 0.0
    assert distance(large, [[0.0, 0.0]]) < 1e-12 and large.residual < 1e-10


@pytest.mark.slow
def test_without_the_corrector_the_residual_is_of_the_order_of_the_step() -> None:
    game = catalogue_game("f1", box=3.0)
    for gamma, published in ((1e-2, 0.46), (5e-3, 0.23)):
        paths = [
            follow_ridge(game, corner=corner, order=order, step_size=gamma, corrector=False, polish=False)
            for corner in ((0, 0), (0, 1))
            for order in orders(2)
        ]
        worst = max(path.residual for path in paths)
        assert published / 2 < worst < 2 * published, worst


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("three_player_trigonometric", 4), ("three_player_polynomial", 4), ("nie_yang_zhou", 2)]
)
def test_games_of_more_coordinates_end_at_first_order_equilibria(name: str, count: int) -> None:
    game = catalogue_game(name)
    corners = list(all_corners(sum(game.dims)))
    for corner in corners[:: len(corners) // count]:
        path = follow_ridge(game, corner=corner, step_size=0.02)
        assert path.outcome == "converged" and path.residual < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_games_of_four_players_are_solved(seed: int) -> None:
    path = follow_ridge(random_game(seed, 4), corner=(0, 1, 1, 0), step_size=0.02)
    assert path.outcome == "converged" and path.residual < 1e-8, path.reason


@pytest.mark.parametrize("name", ["f1", "f2", "forsaken", "shifted_bilinear", "squared_difference"])
def test_the_invariant_holds_after_every_step(name: str) -> None:
    assert check_invariant(catalogue_game(name), StayOnTheRidge(0.05)) is Outcome.CONVERGED


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**20), st.integers(2, 3))
def test_the_invariant_holds_on_random_games_and_no_epoch_is_entered_twice(seed: int, players: int) -> None:
    outcome = check_invariant(random_game(seed, players), StayOnTheRidge(0.05))
    assert outcome in (Outcome.CONVERGED, Outcome.MAX_STEPS)


def test_run_maps_it_over_starts_and_says_converged() -> None:
    game = catalogue_game("f1", box=3.0)
    starts = game.sample((2,), generator=torch.Generator().manual_seed(0))
    end = run(game, StayOnTheRidge(0.05), starts, 400)
    assert end.outcomes == ["converged"] * 2 and float(end.final.norm().max()) < 1e-10


def test_players_of_several_coordinates_and_products_of_boxes_are_boxes() -> None:
    sets = [Product([Box(-1, 2), Box(0, 1)]), Box([-1.0], [3.0])]
    game = Game.minmax(lambda x, y: ((x - 0.25) ** 2).sum(-1) - ((y - 0.5) ** 2).sum(-1), sets)
    path = follow_ridge(game, step_size=0.05)
    assert path.outcome == "converged" and distance(path, [[0.25, 0.25, 0.5]]) < 1e-10


def test_a_degenerate_game_is_an_outcome_with_advice() -> None:
    game = Game(lambda x: torch.cat([x[0] * (1 - x[0]) * 0 + 0.5 * x[0] ** 0, x[1]], -1), [Box(0, 1)] * 2)
    assert follow_ridge(game, step_size=0.05).outcome == "converged"
    cubic = Game(lambda x: torch.cat([-((x[0] - 0.5) ** 4), x[1] * (x[1] - 0.5 + x[0])], -1), [Box(0, 1)] * 2)
    path = follow_ridge(cubic, step_size=0.05)
    assert path.outcome in ("converged", "failed") and (path.outcome == "converged" or "corner" in path.reason)


def test_other_sets_and_bad_settings_are_refused_by_name() -> None:
    disk = Game(lambda x: torch.cat(x, -1), [Box(0, 1), Ball([0.0], 1.0)], name="disk")
    with pytest.raises(InvalidGameError, match="disk, player_1: got the set Ball"):
        StayOnTheRidge().init(disk.profile([0.0], [0.0]), GameOracle(disk))
    with pytest.raises(InvalidSettingError, match="player_1: got the set Ball"):
        run(disk, StayOnTheRidge(), disk.profile([0.0], [0.0]), 1)
    game = catalogue_game("f1")
    bad: list[tuple[dict[str, Any], str]] = [
        ({"step_size": 0.6}, "at most half"),
        ({"corner": (0, 2)}, "zeros"),
        ({"order": (0, 0)}, "permutation"),
        ({"tolerance": 0.0}, "tolerance"),
    ]
    for options, message in bad:
        with pytest.raises(InvalidSettingError, match=message):
            StayOnTheRidge(**options)
    with pytest.raises(InvalidSettingError, match="2 coordinates"):
        follow_ridge(game, corner=(0, 0, 0))


def test_it_keeps_the_contract() -> None:
    check_dynamic(StayOnTheRidge(0.05))


@pytest.mark.parametrize("name", ["f1", "forsaken"])
def test_the_first_order_variant_asks_for_the_field_alone_and_finds_the_end(name: str) -> None:
    path = follow_ridge(catalogue_game(name), corner=(0, 1), step_size=0.02, method=FirstOrderRidge)
    assert set(path.calls) == {"field"}
    assert path.outcome == "converged" and path.residual < 1e-8
