from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.double_oracle.erm import ActionOracle, FullGame, erm_oracle
from strategic_envs.agents.double_oracle.finite.unbounded import UnboundedLargerNumber
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.gaps import cce_gap, gains
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import larger_number

SLOW = pytest.mark.slow


def truncated(n: int) -> NormalFormGame:
    game = larger_number(n)
    assert isinstance(game, NormalFormGame)
    return game


THRESHOLDS = [(8, 2263), pytest.param(16, 6279, marks=SLOW), pytest.param(32, 16465, marks=SLOW)]


@pytest.mark.parametrize(("n", "rounds"), THRESHOLDS)
def test_on_thresholds_up_to_n_it_takes_exactly_n_phases(n: int, rounds: int) -> None:
    result = erm_oracle(truncated(n), epsilon=0.4)
    assert len(result.history) == n and result.rounds == rounds and result.outcome is Outcome.CONVERGED
    assert [phase.added for phase in result.history] == [*((k, k) for k in range(1, n)), (None, None)]
    assert all(min(phase.gains) > 0.4 for phase in result.history[:-1])


@pytest.mark.parametrize("n", [16, pytest.param(64, marks=SLOW), pytest.param(256, marks=SLOW)])
def test_on_hide_and_seek_it_takes_nine_phases_and_five_actions_whatever_n(n: int) -> None:
    game = NormalFormGame.zero_sum(torch.eye(n, dtype=torch.float64))
    result = erm_oracle(game, epsilon=0.2, payoff_range=2.0)
    assert len(result.history) == 9 and result.rounds == 8219 and result.history[-1].sizes == (5, 5)
    assert cce_gap(game, result.play(game.n_actions)).value == pytest.approx(max(result.gains), abs=1e-12)


def test_without_a_largest_number_both_gains_stay_one_for_ever() -> None:
    result = erm_oracle(UnboundedLargerNumber(), epsilon=0.4, max_phases=5)
    assert isinstance(UnboundedLargerNumber(), ActionOracle)
    assert [phase.gains for phase in result.history] == [pytest.approx((1.0, 1.0), abs=1e-12)] * 5
    assert result.outcome is Outcome.MAX_STEPS and "gains 1 > 0.4 after the last phase" in result.reason
    assert [a.tolist() for a in result.actions] == [[0], [0]]  # the first phase is as good as any


@SLOW
def test_without_a_largest_number_both_gains_are_still_one_after_25_phases() -> None:
    result = erm_oracle(UnboundedLargerNumber(), epsilon=0.4, max_phases=25)
    assert all(phase.gains == pytest.approx((1.0, 1.0), abs=1e-12) for phase in result.history)
    assert [phase.sizes for phase in result.history] == [(k, k) for k in range(1, 26)]


@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_the_certificate_holds_in_general_sum_games_of_any_number_of_players(seed: int, actions: list[int]) -> None:
    stream = torch.Generator().manual_seed(seed)
    game = NormalFormGame(torch.rand((len(actions), *actions), generator=stream, dtype=torch.float64))
    result = erm_oracle(game, epsilon=0.25, tie_break="random", seed=seed)
    judged = gains(game, result.play(actions))
    assert result.outcome is Outcome.CONVERGED and max(result.gains) <= 0.25
    assert judged.utilities == pytest.approx(result.utilities, abs=1e-12)
    assert judged.gain == pytest.approx(result.gains, abs=1e-12)
    assert float(result.probability.sum()) == pytest.approx(1) and bool((result.probability >= 0).all())
    for phase in result.history:
        width = FullGame(game).payoff_range
        rounds = math.ceil(8 * width**2 * math.log(max(2, *phase.sizes)) / 0.25**2)
        assert phase.rounds == rounds


def test_nobody_regrets_a_held_action_by_more_than_a_quarter_of_epsilon() -> None:
    result = erm_oracle(truncated(6), epsilon=0.4)
    held = FullGame(truncated(6)).payoffs([a.tolist() for a in result.actions])
    for i in (0, 1):
        best = float((held[i].movedim(i, 0).flatten(1) @ result.probability.sum(i).flatten()).max())
        assert best - result.utilities[i] <= 0.1


def test_an_oracle_whose_best_responses_are_none_is_a_failure_in_words() -> None:
    class Stubborn(UnboundedLargerNumber):
        def reply(self, player: int, actions: Sequence[Sequence[int]], probability: Tensor) -> tuple[int, float]:
            return 0, 1.0

    result = erm_oracle(Stubborn(), epsilon=0.4, max_phases=5)
    assert result.outcome is Outcome.FAILED and "every best response is held already" in result.reason


def test_the_largest_tie_needs_two_phases() -> None:
    assert len(erm_oracle(truncated(64), epsilon=0.4, tie_break="highest").history) == 2


BAD = [
    ({"epsilon": 0.0}, InvalidSettingError, "got epsilon=0.0"),
    ({"payoff_range": 0.5}, InvalidSettingError, "got payoff_range=0.5, but a player's payoffs span 2"),
    ({"max_phases": 0}, InvalidSettingError, "got max_phases=0"),
    ({"start": [0]}, InvalidStrategyError, r"got start=\[0\], expected an action for each"),
    ({"start": [0, 9]}, InvalidStrategyError, r"got start=\[0, 9\]"),
    ({"tie_break": "first"}, UnknownNameError, "unknown tie-break 'first'"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD)
def test_settings_that_make_no_sense_are_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        erm_oracle(truncated(3), **{"epsilon": 0.4, **settings})


def test_oracles_without_a_largest_action_need_an_end_and_answer_with_actions() -> None:
    with pytest.raises(InvalidSettingError, match="larger_number: there is no largest action"):
        erm_oracle(UnboundedLargerNumber(), epsilon=0.4)

    class Negative(UnboundedLargerNumber):
        def reply(self, player: int, actions: Sequence[Sequence[int]], probability: Tensor) -> tuple[int, float]:
            return -1, 1.0

    with pytest.raises(InvalidStrategyError, match="player_0: got the best response -1 worth 1.0"):
        erm_oracle(Negative(), epsilon=0.4, max_phases=2)
