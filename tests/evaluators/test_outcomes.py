from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.expectation import initial_utilities
from strategic_envs.evaluators.outcomes import outcome_probabilities, reach_probabilities
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay


@pytest.fixture(scope="module")
def game() -> TicTacToe:
    return TicTacToe()


def random_table(game: TicTacToe, seed: int) -> Tensor:
    legal = game.state_graph().legal
    weights = torch.rand(legal.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * legal
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-300)


def optimal(game: TicTacToe) -> Tensor:
    """Uniform over the moves that keep the value."""
    graph, worth = game.state_graph(), game.optimal_values()
    ahead = worth[graph.child].gather(-1, graph.mover.view(-1, 1, 1).expand(-1, 9, 1)).squeeze(-1)
    best = ahead.masked_fill(~graph.legal, -torch.inf).amax(-1, keepdim=True)
    keeps = ((ahead == best) & graph.legal).double()
    return keeps / keeps.sum(-1, keepdim=True).clamp(min=1)


def test_random_play_wins_draws_and_loses_with_known_fractions(game: TicTacToe) -> None:
    found = outcome_probabilities(game, TabularPlay((game.uniform_policy(),) * 2))
    for ours, expected in ((found.win, (737, 1260)), (found.draw, (8, 63)), (found.loss, (121, 420))):
        assert float(ours[0]) == pytest.approx(float(Fraction(*expected)), abs=1e-14)
    assert found.win.flip(0).allclose(found.loss, atol=1e-15)


def test_best_responses_to_random_play_have_known_outcomes(game: TicTacToe) -> None:
    uniform = game.uniform_policy()
    as_x, as_o = (game.best_response(uniform, i)[0] for i in range(2))
    of_x = outcome_probabilities(game, TabularPlay((as_x, uniform)))
    assert [float(t[0]) for t in (of_x.win, of_x.draw, of_x.loss)] == pytest.approx([191 / 192, 1 / 192, 0], abs=1e-14)
    of_o = outcome_probabilities(game, TabularPlay((uniform, as_o)))
    assert [float(t[1]) for t in (of_o.win, of_o.draw, of_o.loss)] == pytest.approx(
        [0.932275, 0.060317, 0.007407], abs=1e-6
    )


def test_optimal_play_never_loses_to_random_play(game: TicTacToe) -> None:
    uniform, perfect = game.uniform_policy(), optimal(game)
    of_x = outcome_probabilities(game, TabularPlay((perfect, uniform)))
    of_o = outcome_probabilities(game, TabularPlay((uniform, perfect)))
    assert [float(t[0]) for t in (of_x.win, of_x.draw, of_x.loss)] == pytest.approx([0.967811, 0.032189, 0], abs=1e-6)
    assert [float(t[1]) for t in (of_o.win, of_o.draw, of_o.loss)] == pytest.approx([0.777484, 0.222516, 0], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_sum_to_one_and_give_the_expected_payoffs(game: TicTacToe, seed: int) -> None:
    play = TabularPlay((random_table(game, seed), random_table(game, seed + 10)))
    found = outcome_probabilities(game, play)
    assert (found.win + found.draw + found.loss - 1).abs().max() < 1e-14
    assert (found.win - found.loss - initial_utilities(game, play.policies)).abs().max() < 1e-14


def test_every_game_comes_through_one_state_of_each_level_or_has_ended(game: TicTacToe) -> None:
    graph = game.state_graph()
    reach = reach_probabilities(game, random_table(game, 5))
    ended = 0.0
    for level in graph.levels:
        assert float(reach[level].sum()) + ended == pytest.approx(1.0, abs=1e-14)
        ended += float(reach[level][graph.terminal[level]].sum())


def test_functions_are_play_too_and_what_is_no_play_is_refused(game: TicTacToe) -> None:
    uniform = lambda seen, legal: legal / legal.sum(-1, keepdim=True)  # noqa: E731
    assert float(outcome_probabilities(game, (uniform, uniform)).win[0]) == pytest.approx(737 / 1260, abs=1e-6)
    with pytest.raises(InvalidStrategyError, match="illegal action"):
        outcome_probabilities(game, TabularPlay((torch.full((5478, 9), 1 / 9).double(), game.uniform_policy())))
