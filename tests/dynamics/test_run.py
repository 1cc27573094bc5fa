from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import (
    Dynamic,
    Extragradient,
    GameOracle,
    OptimisticGradient,
    Oracle,
    SimultaneousGradient,
    State,
    run,
)
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, OracleError
from strategic_envs.evaluators import local_cce_gap
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

PLANE = Box(-math.inf, math.inf)


def test_every_start_of_a_batch_ends_in_its_own_way() -> None:
    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        z = x[0]
        return torch.where(z > 10, (z - 1e300) * 1e308, torch.where(z > 0, z**2, -(z**2))).sum(-1, keepdim=True)

    game = Game(utilities, [PLANE], name="fates")
    starts = Profile([torch.tensor([[-1.0], [1.0], [20.0], [0.0]], dtype=torch.float64)])
    end = run(game, SimultaneousGradient(0.25), starts, 200, tolerance=1e-6, divergence=1e6, record=10)
    assert end.outcomes == ["converged", "diverged", "diverged", "converged"]
    assert end.count()["converged"] == 2
    assert end.ended[3] == 0 and 0 < int(end.ended[0]) < 200


def test_a_row_that_becomes_nan_stays_at_its_last_finite_profile() -> None:
    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        return torch.where(x[0] > 0.5, torch.log(0.7 - x[0]), x[0]).sum(-1, keepdim=True)

    game = Game(utilities, [Box(-1, 1)], name="cliff")
    starts = Profile([torch.tensor([[0.65], [-1.0]], dtype=torch.float64)])
    end = run(game, SimultaneousGradient(0.01), starts, 30)
    assert end.outcomes[1] == "max_steps"
    assert bool(end.final.isfinite().all())
    broken = Game(lambda x: (x[0] * float("nan")).sum(-1, keepdim=True), [Box(-1, 1)], name="broken")
    dead = run(broken, SimultaneousGradient(0.01), Profile([torch.zeros(2, 1)]), 30)
    assert dead.outcomes == ["nonfinite", "nonfinite"]
    assert dead.ended.tolist() == [0, 0] and dead.final[0].tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("compile", [False, True])
def test_an_infinite_field_is_nonfinite_although_the_box_would_hide_it(compile: bool) -> None:
    def operator(x: tuple[Tensor, ...]) -> list[Tensor]:
        return [-1 / (0.5 - x[0]).clamp(min=0.0)]  # minus infinity from 0.5 on

    game = VIGame(operator, [Box(-1, 1)], name="pole")
    starts = Profile([torch.tensor([[0.6], [-0.9]], dtype=torch.float64)])
    for method in (SimultaneousGradient(0.01), Extragradient(0.01), OptimisticGradient(0.01)):
        end = run(game, method, starts, 10, compile=compile)
        assert end.outcomes == ["nonfinite", "max_steps"] and end.ended.tolist() == [0, 10]
        assert "pole: the gradient of player_0 is [" in end.reasons()[0] and "after 0 steps" in end.reasons()[0]
        assert end.reasons()[1] == ""
        assert end.final[0][0].tolist() == [0.6]
    oracle = GameOracle(game)
    assert bool(oracle.project(Profile([torch.tensor([math.inf])]))[0].isnan())
    assert oracle.project(Profile([torch.tensor([3.0])]), 0)[0].tolist() == [1.0]


def test_a_row_that_converged_does_not_move_while_the_others_do() -> None:
    game = catalogue_game("f2", box=1.0)
    starts = Profile([torch.tensor([[0.0], [0.8]], dtype=torch.float64)] * 2)
    end = run(game, Extragradient(0.1), starts, 500, tolerance=1e-8)
    assert end.ended[0] == 0
    assert torch.equal(end.points[0][:, 0], torch.zeros_like(end.points[0][:, 0]))
    assert end.outcomes[0] == "converged"


def test_points_are_recorded_when_asked_and_at_start_and_end_always() -> None:
    game = catalogue_game("bilinear")
    x0 = game.profile([0.5], [0.5])
    assert run(game, SimultaneousGradient(0.1), x0, 10, record=4).steps.tolist() == [0, 4, 8, 10]
    assert run(game, SimultaneousGradient(0.1), x0, 10, record=[3, 7]).steps.tolist() == [0, 3, 7, 10]
    assert run(game, SimultaneousGradient(0.1), x0, 10, record=None).steps.tolist() == [0, 10]
    path = run(game, SimultaneousGradient(0.1), x0, 0)
    assert path.steps.tolist() == [0] and path.calls == {} and len(path.empirical()) == 1
    assert path.step_sizes.tolist() == [0.1]


def test_recorded_points_do_not_depend_on_what_is_recorded_or_measured() -> None:
    game = catalogue_game("forsaken")
    x0 = game.sample((5,), generator=torch.Generator().manual_seed(0))
    a = run(game, Extragradient(0.05), x0, 50)
    b = run(game, Extragradient(0.05), x0, 50, record=None, accumulate=True)
    assert all(torch.equal(s, t) for s, t in zip(a.final, b.final, strict=True))
    assert a.calls == b.calls == {"field": 100}


def test_measuring_a_game_costs_no_further_evaluation_of_its_field() -> None:
    evaluations = 0

    class Counting(VIGame):
        def field(self, x, player=None):
            nonlocal evaluations
            evaluations += 1
            return super().field(x, player)

    game = Counting(lambda x: (x[1], -x[0]), [Box(-1, 1), Box(-1, 1)], name="rotation")
    run(game, SimultaneousGradient(0.1), game.profile([0.5], [0.5]), 20, accumulate=True, tolerance=1e-9, check_every=1)
    assert evaluations == 21


def test_streamed_local_gap_equals_that_of_the_recorded_play() -> None:
    game = catalogue_game("three_player_trigonometric")
    x0 = game.sample((3,), generator=torch.Generator().manual_seed(0))
    end = run(game, SimultaneousGradient(0.05), x0, 40, accumulate=True)
    for row in range(3):
        expected = local_cce_gap(game, end.empirical(row)).value
        assert float(end.local_cce_gaps()[row]) == pytest.approx(expected, abs=1e-12)
    assert len(end.empirical(0)) == 40


def test_a_batch_of_many_dimensions_is_a_batch() -> None:
    game = catalogue_game("f1", box=3.0)
    x0 = game.sample((2, 3), generator=torch.Generator().manual_seed(0))
    end = run(game, OptimisticGradient(0.01), x0, 5)
    assert end.points[0].shape == (6, 2, 3, 1) and end.codes.shape == (2, 3)
    flat = run(game, OptimisticGradient(0.01), x0.map(lambda t: t.reshape(6, 1)), 5)
    assert torch.allclose(end.final[0].reshape(6, 1), flat.final[0], atol=1e-15)
    assert end.empirical((1, 2)).points[0].shape == (5, 1)
    assert end.gaps().shape == (6, 2, 3)


class NeedsCurvature(Dynamic[State]):
    """A dynamic that asks for second derivatives."""

    name, summary, needs = "needs_curvature", "for this test", ("field", "project", "hessian")

    def init(self, x0: Profile, oracle: Oracle) -> State:
        raise AssertionError("run must refuse before it starts")

    def step(self, state: State, oracle: Oracle) -> State:
        raise AssertionError("run must refuse before it starts")


def test_an_oracle_that_lacks_what_a_dynamic_needs_is_refused_by_name() -> None:
    game = VIGame(lambda x: (x[1], -x[0]), [Box(-1, 1), Box(-1, 1)], name="rotation")
    with pytest.raises(OracleError, match="needs_curvature needs hessian, which the oracle of rotation does not give"):
        run(game, NeedsCurvature(), game.profile([0.0], [0.0]), 1)
    with pytest.raises(OracleError, match="gives no hessian"):
        GameOracle(game).hessian(game.profile([0.0], [0.0]), 0)
    assert GameOracle(catalogue_game("f1")).provides("hessian")
    assert GameOracle(game).provides("jvp") and not GameOracle(game).provides("utilities")


def test_a_game_oracle_gives_the_games_derivatives_and_counts() -> None:
    game = catalogue_game("f1", box=3.0)
    oracle, x = GameOracle(game), game.profile([0.3], [0.2])
    v = game.profile([1.0], [-1.0])
    assert torch.allclose(oracle.jvp(x, v).flat(), game.jacobian(x) @ v.flat())
    assert torch.allclose(oracle.vjp(x, v).flat(), game.jacobian(x).T @ v.flat())
    assert torch.allclose(oracle.hessian(x, 1), oracle.jacobian(x)[1:, 1:])
    assert dict(oracle.calls) == {"jvp": 1, "vjp": 1, "hessian": 1, "jacobian": 1}
    with oracle.uncounted():
        oracle.field(x)
    assert oracle.calls["field"] == 0


def test_bad_starts_and_settings_are_refused_before_anything_runs() -> None:
    game = catalogue_game("f1", box=3.0)
    good, method = game.profile([0.0], [0.0]), SimultaneousGradient(0.1)
    with pytest.raises(InvalidStrategyError, match=r"f1, start of player_0: got \[4.0\], which lies outside"):
        run(game, method, [torch.tensor([4.0]), torch.tensor([0.0])], 1)
    with pytest.raises(InvalidStrategyError, match="start of player_1: got a value that is NaN"):
        run(game, method, [torch.tensor([0.0]), torch.tensor([float("nan")])], 1)
    with pytest.raises(InvalidStrategyError, match="got a start of 1 players"):
        run(game, method, good[:1], 1)
    with pytest.raises(InvalidStrategyError, match="expected one shape"):
        run(game, method, [torch.zeros(2, 1), torch.zeros(3, 1)], 1)
    with pytest.raises(InvalidSettingError, match="steps=-1"):
        run(game, method, good, -1)
    with pytest.raises(InvalidSettingError, match="record=0"):
        run(game, method, good, 1, record=0)
    with pytest.raises(InvalidSettingError, match="tolerance=-1"):
        run(game, method, good, 1, tolerance=-1.0)
    batch = run(game, method, game.sample((2,)), 1)
    for ask in (lambda: batch.outcome, batch.empirical):
        with pytest.raises(InvalidStrategyError, match="batch shape"):
            ask()
    with pytest.raises(InvalidStrategyError, match="accumulate=True"):
        batch.local_cce_gaps()


@pytest.mark.parametrize("compile", [False, True])
def test_how_rows_end_does_not_depend_on_how_often_somebody_looks(compile: bool) -> None:
    def utilities(x: tuple[Tensor, ...]) -> Tensor:  # from above 1 it runs away, and is NaN beyond 50
        t = x[0].squeeze(-1)
        return (t**3 / 3 - t**2 / 2 + 0.0 * (50 - t).sqrt()).unsqueeze(-1)

    game = Game(utilities, [Box(-100, 100)], name="runaway")
    starts = Profile([torch.tensor([[0.5], [1.5], [-0.3], [1.01]], dtype=torch.float64)])
    often = run(game, SimultaneousGradient(0.1), starts, 230, record=1, compile=compile)
    seldom = run(game, SimultaneousGradient(0.1), starts, 230, record=None, compile=compile)
    assert often.outcomes == seldom.outcomes == ["max_steps", "nonfinite", "max_steps", "nonfinite"]
    assert torch.equal(often.ended, seldom.ended) and torch.equal(often.final.flat(), seldom.final.flat())
    assert torch.equal(often.moved, seldom.moved) and often.calls == seldom.calls
