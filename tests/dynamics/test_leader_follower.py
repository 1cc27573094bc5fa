"""A leader against followers that respond, and steepest ascent in a geometry for each player."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import SimultaneousGradient, run
from strategic_envs.agents.dynamics.leader_follower import GradientVsBestResponse
from strategic_envs.agents.dynamics.steepest import SteepestAscent
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.adversarial import adversarial_digits
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.sets import Box
from strategic_envs.testing import check_dynamic

PLANE = Box(-math.inf, math.inf)


@pytest.mark.parametrize(
    "dynamic",
    [
        GradientVsBestResponse(0.05),
        GradientVsBestResponse(0.05, inner_steps=0),
        GradientVsBestResponse(0.05, inner_steps=3, inner_step_size=0.1, geometry="sign", leader=2),
        SteepestAscent(0.05),
        SteepestAscent((0.05, 0.1, 0.02), ("sign", "euclidean", "sign")),
    ],
    ids=repr,
)
def test_the_contract_holds(dynamic: GradientVsBestResponse | SteepestAscent) -> None:
    check_dynamic(dynamic)


def test_the_leader_finds_the_stackelberg_point_where_gradient_play_ends_elsewhere() -> None:
    """f = x^2 / 2 - y^2 / 2 + 2 x y + x: against y = 2x the leader minimises 5 x^2 / 2 + x, so x = -1/5."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        return (x**2 / 2 - y**2 / 2 + 2 * x * y + x).sum(-1)

    game = Game.minmax(f, [PLANE, PLANE], name="quadratic")
    end = run(game, GradientVsBestResponse(0.1, 15, 0.5), game.profile([1.0], [1.0]), 60, record=None)
    torch.testing.assert_close(end.final.flat(), torch.tensor([-0.2, -0.4], dtype=torch.float64), atol=1e-6, rtol=0)


def test_with_no_inner_step_the_followers_rest_and_the_leader_follows_its_gradient() -> None:
    game = catalogue_game("f1")
    path = run(game, GradientVsBestResponse(0.01, inner_steps=0), game.profile([0.4], [0.9]), 10)
    assert bool((path.points[1] == 0.9).all())
    first, second = path.points[0][0], path.points[0][1]
    torch.testing.assert_close(second, first + 0.01 * game.field(game.profile([0.4], [0.9]))[0])


def test_calls_are_counted_one_for_each_inner_step_and_one_for_the_leader() -> None:
    game = catalogue_game("three_player_polynomial")
    end = run(game, GradientVsBestResponse(0.01, inner_steps=4), game.sample((3,)), 7)
    assert end.calls == {"field_of_one": 7 * (4 * 2 + 1)}


def test_random_starts_are_drawn_from_the_sets_by_seed_and_step() -> None:
    game = catalogue_game("squared_difference")
    start = game.profile([0.5], [0.0])

    def path(seed: int) -> Tensor:
        rule = GradientVsBestResponse(0.01, inner_steps=0, start="random", seed=seed)
        return run(game, rule, start, 50).points[1].squeeze(-1)

    first, again, other = path(0), path(0), path(1)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first[1:].unique()) == 50 and float(first.abs().max()) <= 1.0
    assert float(first.min()) < -0.5 and float(first.max()) > 0.5


def test_compiling_never_freezes_the_random_starts() -> None:
    game = catalogue_game("squared_difference")
    rule, start = GradientVsBestResponse(0.01, inner_steps=1, start="random"), game.sample((4,))
    plain, compiled = (run(game, rule, start, 5, compile=c).points.flat() for c in (False, True))
    torch.testing.assert_close(plain, compiled)


def test_sign_steps_have_the_length_of_the_step_and_rest_at_the_faces_of_a_box() -> None:
    game = catalogue_game("matching_pennies_box")
    path = run(game, SteepestAscent((0.25, 0.1)), game.profile([0.5], [0.5]), 3).points
    moved = [t.diff(dim=0).abs() for t in path]
    assert bool(((moved[0] - 0.25).abs() < 1e-12).logical_or(moved[0] == 0).all())
    assert bool(((moved[1] - 0.1).abs() < 1e-12).logical_or(moved[1] == 0).all())
    climbing = Game(lambda x: torch.cat([x[0], x[1]], -1), [Box(0, 1), Box(0, 1)], name="climb")
    end = run(climbing, SteepestAscent(0.3), climbing.profile([0.0], [0.0]), 10).final
    assert end.flat().tolist() == [1.0, 1.0]


def test_with_euclidean_steps_of_one_size_steepest_ascent_is_gradient_play() -> None:
    game = catalogue_game("forsaken")
    start = game.profile([1.2], [-0.7])
    steepest, plain = (
        run(game, d, start, 20).points for d in (SteepestAscent(0.05, "euclidean"), SimultaneousGradient(0.05))
    )
    assert torch.equal(steepest.flat(), plain.flat())


def test_leader_and_followers_look_at_one_draw_and_the_next_step_at_another() -> None:
    game = adversarial_digits((32,), samples=40, batch_size=5)
    oracle, rule = StochasticOracle(game, seed=0), GradientVsBestResponse(0.1, 6, 0.02, "sign")
    state = rule.init(game.start(0), oracle)
    touched = []
    for _ in range(3):
        after = rule.step(state, oracle)
        touched.append(((after.x[1] - state.x[1]).reshape(40, 64).abs().sum(-1) > 0).nonzero().squeeze(-1).tolist())
        state = after
    assert oracle.draws == 3
    assert [len(rows) for rows in touched] == [5, 5, 5] and touched[0] != touched[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": -1}, "got inner_steps=-1, expected a whole number >= 0"),
        ({"inner_step_size": 0.0}, r"got step_size=0\.0"),
        ({"geometry": "taxi"}, "got geometry='taxi', expected one of euclidean, sign"),
        ({"start": "cold"}, "got start='cold'"),
        ({"leader": 1.5}, "got leader=1.5"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        GradientVsBestResponse(0.1, **settings)  # pyright: ignore[reportArgumentType]


def test_settings_that_do_not_fit_the_game_are_refused() -> None:
    game = catalogue_game("f1")
    start = game.profile([0.0], [0.0])
    with pytest.raises(InvalidSettingError, match=r"got leader=2 in f1.*expected one of its players 0\.\.1"):
        run(game, GradientVsBestResponse(0.1, leader=2), start, 1)
    with pytest.raises(InvalidSettingError, match=r"got step_size=\(0\.1,\) in f1.* of 2 players"):
        run(game, SteepestAscent((0.1,)), start, 1)
    with pytest.raises(InvalidSettingError, match="step_size=-1"):
        SteepestAscent((0.1, -1.0))
