from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.agents.dynamics import GameOracle, Outcome, run
from strategic_envs.agents.dynamics.ridge.invariant import violations
from strategic_envs.agents.dynamics.ridge.path import follow_ridge
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.agents.dynamics.stonr_first_order import FirstOrderRidge
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.nonconcave import f1, f2, forsaken
from strategic_envs.scripts.reproduce._ridge_cases import CASES, LARGER, Case, Larger, ends_there, follow, random_game
from strategic_envs.sets import Ball, Box, Product
from strategic_envs.testing import check_dynamic


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


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_corner_and_order_ends_where_the_table_says(case: Case) -> None:
    paths = follow(case.game(), [(0, 0), (0, 1)], 0.02, all_orders=True)  # most look the same from opposite corners
    for path in paths:
        assert ends_there(path, case.ends) and path.residual < 1e-10
        assert case.moves[0] // 4 <= path.steps <= case.moves[1] // 4 + 3
    found = [len(path.epochs) for path in paths]
    assert (min(found), max(found)) == case.epochs


@pytest.mark.slow
def test_the_number_of_moves_is_the_tables() -> None:
    paths = [follow_ridge(f1(3.0), corner=(0, 0), order=order) for order in ((0, 1), (1, 0))]
    assert [path.steps for path in paths] == [493, 152]
    assert all(path.outcome == "converged" and path.residual < 1e-14 for path in paths)


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


def test_a_kink_of_the_field_is_passed() -> None:
    path = follow_ridge(f2(2.0), corner=(0, 1), order=(1, 0), step_size=0.007)  # turns by 67 degrees at the radius 2^.5
    radius = path.points.flat().norm(dim=-1)
    assert ends_there(path, [[0.0, 0.0]])
    assert float((radius - 2**0.5).abs().min()) < 1e-5  # met closely


def test_on_the_small_box_the_path_on_f1_ends_in_a_strict_corner_and_on_the_large_one_at_the_origin() -> None:
    small = follow_ridge(catalogue_game("f1", box=1.0), corner=(0, 1), step_size=0.05)
    large = follow_ridge(catalogue_game("f1", box=3.0), corner=(0, 1), step_size=0.05)
    assert ends_there(small, [[1.0, 1.0], [-1.0, -1.0]])
    assert ends_there(large, [[0.0, 0.0]]) and large.residual < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "published"),
    [(f1(3.0), {0.02: 0.58, 0.01: 0.46, 0.005: 0.23}), (forsaken(), {0.02: 0.081, 0.01: 0.041, 0.005: 0.021})],
    ids=["f1", "forsaken"],
)
def test_without_the_corrector_the_residual_is_of_the_order_of_the_step(
    game: Game, published: dict[float, float]
) -> None:
    for gamma, residual in published.items():
        path = follow_ridge(game, corner=(0, 0), step_size=gamma, corrector=False, polish=False)
        assert path.outcome == "converged" and f"{path.residual:.2g}" == f"{residual:g}"


def test_a_straight_path_needs_no_corrector() -> None:
    path = follow_ridge(f2(1.0), corner=(0, 0), step_size=0.05, corrector=False, polish=False)
    assert path.outcome == "converged" and path.residual < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGER, ids=lambda case: case.name)
def test_games_of_more_coordinates_end_at_their_known_equilibria(case: Larger) -> None:
    paths = follow(case.game(), case.corners[:4], 0.04)
    assert all(ends_there(path, case.ends) and path.residual < 1e-8 for path in paths)
    assert all(any(ends_there(path, [end]) for path in paths) for end in case.ends)


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


def test_the_invariant_holds_on_a_random_game_of_four_players() -> None:
    assert check_invariant(random_game(3, 4), StayOnTheRidge(0.05, corner=(0, 1, 1, 0))) is Outcome.CONVERGED


def test_run_maps_it_over_starts_and_says_converged() -> None:
    game = catalogue_game("f1", box=3.0)
    starts = game.sample((2,), generator=torch.Generator().manual_seed(0))
    end = run(game, StayOnTheRidge(0.05), starts, 400)
    assert end.outcomes == ["converged"] * 2 and float(end.final.norm().max()) < 1e-10


def test_players_of_several_coordinates_and_products_of_boxes_are_boxes() -> None:
    sets = [Product([Box(-1, 2), Box(0, 1)]), Box([-1.0], [3.0])]
    game = Game.minmax(lambda x, y: ((x - 0.25) ** 2).sum(-1) - ((y - 0.5) ** 2).sum(-1), sets)
    path = follow_ridge(game, step_size=0.05)
    assert ends_there(path, [[0.25, 0.25, 0.5]])


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
