"""The strategic test of policies: expected correctness, regret, forfeits, exploitability."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.baselines.turn_based import FIXED_PLAYERS, fixed_player
from strategic_envs.errors import InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.gaps import exploitability, nash_conv
from strategic_envs.evaluators.strategic import strategic_test
from strategic_envs.evaluators.strategic_classes import CLASSES, strategic_classes
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.seeding import torch_stream

GAME = TicTacToe()
GRAPH = GAME.state_graph()
LIVE = ~GRAPH.terminal


def random_table(seed: int) -> torch.Tensor:
    draws = torch.rand(GRAPH.legal.shape, generator=torch_stream(seed, "policy"), dtype=torch.float64) * GRAPH.legal
    return draws / draws.sum(-1, keepdim=True).clamp(min=1e-300)


def test_uniform_play_scores_the_known_fractions():
    report = strategic_test(GAME.uniform_policy())
    kept = [report[name].value_kept for name in ("win1", "fork", "prevent_fork", "critical", "all")]
    assert kept == pytest.approx([0.5544, 0.3330, 0.5845, 0.4046, 0.5797], abs=5e-5)
    assert report.nash_conv == pytest.approx(116101 / 60480, abs=1e-12)
    assert report.exploitability == pytest.approx(116101 / 120960, abs=1e-12)
    assert (report.slide_right, report.slide_value_kept) == (pytest.approx(1 / 5), pytest.approx(2 / 5))
    assert report.positions == 4520 and report["scored"].positions == 2358 + 860 + 192 + 254 + 232


def test_fastest_play_is_right_everywhere_and_optimal_play_only_keeps_the_value():
    best, optimal = (strategic_test(fixed_player(GAME, name)) for name in ("fastest", "optimal"))
    assert best["all"].accuracy == 1 and best.exploitability == 0 and best.slide_right == 1
    assert optimal["all"].value_kept == 1 and optimal["all"].regret == 0 and optimal.exploitability == 0
    assert optimal.slide_right == 0.5 and optimal.slide_value_kept == 1
    assert optimal["win1"].accuracy < 0.83  # to keep the value is not to win now


def test_two_moves_ahead_wins_and_blocks_and_knows_nothing_of_forks():
    report, uniform = strategic_test(fixed_player(GAME, "two_moves_ahead")), strategic_test(GAME.uniform_policy())
    assert report["win1"].accuracy == 1 and report["block1"].accuracy == 1
    assert report["fork"].accuracy == pytest.approx(uniform["fork"].accuracy)


def test_scores_of_a_policy_that_draws_are_expected_numbers_over_slow_sums():
    table, classes, report = random_table(3), strategic_classes(), strategic_test(random_table(3))
    for name in CLASSES:
        rows = (classes[name] & classes.scored).nonzero().flatten().tolist()
        if not rows:
            assert report[name].positions == 0 and report[name].accuracy != report[name].accuracy
            continue
        right, lost = 0.0, 0.0
        for row in rows:
            for a in GRAPH.legal[row].nonzero().flatten().tolist():
                right += float(table[row, a]) * bool(classes.correct[row, a])
                lost += float(table[row, a]) * float(classes.perfect.value[row] - classes.perfect.worth[row, a])
        score = report[name]
        assert (score.accuracy, score.regret) == pytest.approx((right / len(rows), lost / len(rows)), abs=1e-12)
        by_mover = [(classes[name] & classes.scored & (GRAPH.mover == p)).sum() for p in (0, 1)]
        mixed = (score.accuracy_x * by_mover[0] + score.accuracy_o * by_mover[1]) / len(rows)
        assert float(mixed) == pytest.approx(score.accuracy)


@pytest.mark.parametrize("seed", range(4))
def test_exploitability_is_that_of_the_evaluators(seed):
    play = TabularPlay((random_table(seed), random_table(seed + 100)))
    report = strategic_test(play)
    assert report.nash_conv == pytest.approx(nash_conv(GAME, play).value, abs=1e-12)
    assert report.exploitability == pytest.approx(exploitability(GAME, play).value, abs=1e-12)


def test_functions_of_what_players_see_are_play_too():
    uniform = (lambda seen, mask: mask / mask.sum(-1, keepdim=True),) * 2
    assert strategic_test(uniform).row() == pytest.approx(strategic_test(GAME.uniform_policy()).row(), abs=1e-6)


def test_a_player_that_always_forfeits_is_never_right_and_loses_the_game():
    report = strategic_test(fixed_player(GAME, "fastest"), forfeits=torch.ones(len(LIVE)))
    assert report["all"].accuracy == 0 and report["all"].value_kept == 0 and report["all"].forfeits == 1
    assert report["win1"].regret == 2 and report["fork"].regret == 2
    assert report.nash_conv == 2  # a best response always wins


def test_a_forfeit_is_worth_as_much_as_a_move_after_which_the_game_is_lost():
    """One position: to forfeit half the time there equals half a move that loses, also in exploitability."""
    classes = strategic_classes()
    row = int((classes["block1"] & classes.scored & (GRAPH.mover == 0)).nonzero()[0])
    forfeits = torch.zeros(len(LIVE), dtype=torch.float64)
    forfeits[row] = 0.5
    best = fixed_player(GAME, "fastest")
    loser = best.clone()
    loser[row] *= 0.5
    wrong = int((GRAPH.legal[row] & ~classes.correct[row]).nonzero()[0])
    loser[row, wrong] += 0.5
    a, b = strategic_test(best, forfeits=forfeits), strategic_test(loser)
    assert a.nash_conv == b.nash_conv and a["block1"].accuracy == b["block1"].accuracy
    assert a["block1"].regret == pytest.approx(b["block1"].regret)


def test_positions_that_were_not_asked_do_not_count_and_leave_no_exploitability():
    asked = strategic_classes()["fork"]
    report = strategic_test(fixed_player(GAME, "optimal"), asked=asked)
    assert report.positions == 192 and report["win1"].positions == 0
    assert report.exploitability is None and report.slide_right is None
    assert "exploitability" not in report.row() and "win1_accuracy" not in report.row()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t * 0.9, "sum to"),
        (lambda t: t + 0.1, "illegal action"),
        (lambda t: -t, "negative"),
        (lambda t: t * torch.nan, "NaN"),
        (lambda t: t[:5], "expected .*5478, 9"),
    ],
)
def test_policies_that_are_none_are_refused(spoil, message):
    with pytest.raises(InvalidStrategyError, match=message):
        strategic_test(spoil(GAME.uniform_policy()))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("forfeits", [torch.zeros(3), torch.full((5478,), 1.5), torch.full((5478,), torch.nan)])
def test_probabilities_of_forfeit_are_checked(forfeits):
    with pytest.raises(InvalidStrategyError, match="probabilities of forfeit"):
        strategic_test(GAME.uniform_policy(), forfeits=forfeits)


@pytest.mark.parametrize("name", FIXED_PLAYERS)
def test_fixed_players_are_policies(name):
    table = fixed_player(GAME, name)
    assert torch.allclose(GAME.validate_policy(table)[LIVE], table[LIVE], atol=1e-12)


def test_unknown_fixed_player_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'optimal'"):
        fixed_player(GAME, "optimum")
