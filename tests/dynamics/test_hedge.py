from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.agents.dynamics import Hedge, run
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators import nash_conv
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Simplex


def uniform(game: Game) -> Profile:
    return Profile(torch.full((d,), 1 / d, dtype=torch.float64) for d in game.dims)


@given(st.integers(0, 2**31), st.lists(st.integers(2, 5), min_size=2, max_size=3), st.integers(5, 80))
@settings(max_examples=20)
def test_nobodys_mean_regret_exceeds_r_sqrt_ln_n_over_2t_from_the_uniform_start(
    seed: int, actions: list[int], horizon: int
) -> None:
    stream = torch.Generator().manual_seed(seed)
    payoffs = 3 * torch.rand((len(actions), *actions), generator=stream, dtype=torch.float64)  # of range r = 3
    game = NormalFormGame(payoffs)
    hedge = Hedge.tuned(actions=max(actions), horizon=horizon, payoff_range=3.0)
    end = run(game, hedge, uniform(game), horizon, accumulate=True)
    assert max(end.local_cce_gap().per_player) <= 3 * math.sqrt(math.log(max(actions)) / (2 * horizon)) + 1e-12


def test_on_rock_paper_scissors_the_average_is_an_equilibrium_and_the_last_iterate_spirals_out() -> None:
    game, horizon = catalogue_game("rock_paper_scissors"), 1500
    hedge = Hedge.tuned(actions=3, horizon=horizon, payoff_range=2.0)
    start = game.profile([0.5, 0.3, 0.2], [0.3, 0.3, 0.4])
    path = run(game, hedge, start, horizon)
    divergence = sum(-torch.log(3 * t).mean(-1) for t in path.points)  # KL from the equilibrium, over both players
    assert isinstance(divergence, torch.Tensor) and bool((divergence.diff() > 0).all())
    average = Profile(t.mean(0) for t in path.points)
    assert nash_conv(game, average).value < 0.1 < 0.3 < nash_conv(game, path.final).value


def test_in_the_prisoners_dilemma_hedge_learns_to_defect() -> None:
    game = catalogue_game("prisoners_dilemma")
    end = run(game, Hedge(0.5), uniform(game), 200, tolerance=1e-9)
    assert end.outcome == "converged" and float(end.final[0][1]) > 1 - 1e-6


def test_large_payoffs_and_small_weights_keep_their_digits() -> None:
    game = NormalFormGame.zero_sum([[1e6, -1e6], [-2e6, 1e6]])
    start = game.profile([1 - 1e-300, 1e-300], [0.5, 0.5])
    end = run(game, Hedge(1.0), start, 300)
    assert end.outcome == "max_steps" and bool(end.points.isfinite().all())
    torch.testing.assert_close(end.points[0].sum(-1), torch.ones(301, dtype=torch.float64))
    lone = NormalFormGame(torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    back = run(lone, Hedge(10.0), lone.profile([1.0, 1e-300]), 80).final[0]
    assert float(back[1]) == pytest.approx(1.0), "a weight of 1e-300 is no zero: it grows by e^10 a step"


def test_an_action_of_weight_zero_stays_away_so_pure_profiles_rest_without_being_solutions() -> None:
    game = catalogue_game("prisoners_dilemma")
    end = run(game, Hedge(0.5), game.profile([1.0, 0.0], [1.0, 0.0]), 50)
    assert end.final.flat().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert end.verdicts() == ["resting"]


def test_sets_other_than_simplices_are_refused_with_game_player_and_set() -> None:
    game = Game(lambda x: torch.stack([x[0].sum(-1), x[1].sum(-1)], -1), [Simplex(2), Box(0, 1)], name="mixed")
    message = r"hedge, on mixed: got Box\(0.0, 1.0\) for player_1, expected a Simplex for every player; online_gradient"
    with pytest.raises(InvalidSettingError, match=message):
        run(game, Hedge(0.1), game.profile([0.5, 0.5], [0.5]), 1)


def test_the_tuned_step_size_and_what_it_refuses() -> None:
    assert Hedge.tuned(actions=4, horizon=100).step_size == pytest.approx(math.sqrt(8 * math.log(4) / 100))
    assert Hedge.tuned(actions=4, horizon=100, payoff_range=2.0).step_size == pytest.approx(
        Hedge.tuned(actions=4, horizon=100).step_size / 2
    )
    for bad in ({"actions": 1}, {"horizon": 0}, {"payoff_range": 0.0}):
        with pytest.raises(InvalidSettingError, match="hedge: got actions="):
            Hedge.tuned(**{"actions": 2, "horizon": 10, **bad})
