"""Exact PSRO on every kind of game: where it ends, and that its replies, payoffs and play are what they say."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.agents.double_oracle.policy_space.exact import arena
from strategic_envs.agents.double_oracle.policy_space.machine import PSROState, advance
from strategic_envs.agents.double_oracle.policy_space.meta import meta_solver
from strategic_envs.agents.double_oracle.policy_space.run import psro
from strategic_envs.agents.double_oracle.policy_space.sampled import SampledPlays
from strategic_envs.agents.dynamics import Outcome
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators import best_response, cce_gap, exploitability
from strategic_envs.games.kinds.behaviour import mixture_reach
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import larger_number
from strategic_envs.games.pricing import pricing
from strategic_envs.games.squared_difference import SquaredDifference
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.sets import Box

BOARD = TicTacToe()


@pytest.mark.parametrize(("unreached", "most"), [("uniform", 100), ("policies", 30)])
def test_tic_tac_toe_is_solved_from_replies_to_the_mixture_alone(unreached: str, most: int) -> None:
    found = psro(BOARD, unreached=unreached)
    assert found.outcome is Outcome.CONVERGED and found.exact and found.gap <= 1e-9
    assert exploitability(BOARD, found.play).value < 1e-9
    assert len(found.history) <= most
    for record, later in zip(found.history, found.history[1:], strict=False):
        assert tuple(k + new for k, new in zip(record.sizes, record.added, strict=True)) == later.sizes
        assert all(1 <= s <= k for s, k in zip(record.support, record.sizes, strict=True))


@pytest.fixture(scope="module")
def early() -> PSROState:
    """A state of tic-tac-toe in its sixteenth iteration, with a mixture and without replies."""
    field, solver = arena(BOARD), meta_solver("nash")
    state = PSROState.start(field.first())
    while state.iteration < 15 or state.meta is None:
        state = advance(state, field, field, solver)
    return state


@pytest.mark.parametrize("player", [0, 1])
def test_a_reply_is_worth_as_much_as_the_best_response_of_the_evaluators(early: PSROState, player: int) -> None:
    field = arena(BOARD)
    reply, play = field.reply(player, early), field.play(early.populations, early.meta)
    assert reply.value == pytest.approx(best_response(BOARD, player, play).value, abs=1e-12)
    tables = list(play.policies)
    tables[player] = torch.nn.functional.one_hot(reply.policy.long(), 9).double()
    paid = BOARD.values(BOARD.merge(tuple(tables)))[0]
    assert float(paid[player]) == pytest.approx(reply.value, abs=1e-12)
    assert reply.utility == pytest.approx(float(BOARD.values(BOARD.merge(play.policies))[0, player]), abs=1e-12)


@pytest.mark.parametrize("player", [0, 1])
def test_a_reply_that_knows_nothing_names_the_lowest_cell_wherever_the_mixture_never_goes(
    early: PSROState, player: int
) -> None:
    field = arena(BOARD, unreached="nothing")
    reply = field.reply(player, early).policy.long()
    drawn = early.meta.marginals[1 - player]
    tables = torch.nn.functional.one_hot(torch.stack(early.populations[1 - player]).long(), 9).double()
    met = mixture_reach(BOARD, tables, drawn, 1 - player)[1]
    graph = BOARD.state_graph()
    elsewhere = ~met & (graph.mover == player) & ~graph.terminal
    assert torch.equal(reply[elsewhere], graph.legal[elsewhere].to(torch.uint8).argmax(-1))
    assert field.reply(player, early).value == pytest.approx(arena(BOARD).reply(player, early).value, abs=1e-12)


def test_policies_played_out_and_tables_swept_pay_the_same(early: PSROState) -> None:
    field = arena(BOARD)
    cells = torch.tensor([[0, 1], [3, 2], [5, 5], [3, 2]])
    tables = tuple(tuple(torch.nn.functional.one_hot(p.long(), 9).double() for p in ps) for ps in early.populations)
    pure, swept = field.payoffs(early.populations, cells), field.payoffs(tables, cells)
    torch.testing.assert_close(pure.mean, swept.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(pure.mean, early.table.mean[:, cells[:, 0], cells[:, 1]].T, rtol=0, atol=0)


def test_sampled_payoffs_are_near_the_exact_ones_and_do_not_depend_on_the_order_of_cells() -> None:
    uniform = BOARD.uniform_policy()
    populations = ((uniform, arena(BOARD).first()[0][0]), (uniform,))
    cells = torch.tensor([[0, 0], [1, 0]])
    sampled = SampledPlays(BOARD, plays=4000, seed=1)
    paid, exact = sampled.payoffs(populations, cells), arena(BOARD).payoffs(populations, cells)
    assert bool(((paid.mean - exact.mean).abs() <= 4 * paid.standard_error).all())
    assert paid.count.tolist() == [4000.0, 4000.0]
    turned = sampled.payoffs(populations, cells.flip(0))
    assert torch.equal(turned.mean.flip(0), paid.mean)
    with pytest.raises(InvalidSettingError, match="plays=1"):
        SampledPlays(BOARD, plays=1)


def test_a_table_may_be_among_the_first_policies() -> None:
    uniform = BOARD.uniform_policy()
    found = psro(BOARD, start=[[uniform], [uniform]], max_iterations=2)
    assert found.history[0].gains == pytest.approx((191 / 192 - 187 / 630, 874 / 945 + 187 / 630), abs=1e-12)


def test_the_truncated_larger_number_takes_as_many_iterations_as_numbers_as_ties_go_to_the_lowest() -> None:
    for n in (4, 16):
        sizes = [record.sizes for record in psro(larger_number(n)).history]
        assert sizes == [(k, k) for k in range(1, n + 1)]  # the smallest reply that wins is one more


def test_without_a_bound_the_larger_number_never_ends_and_its_gap_stays_two() -> None:
    found = psro(larger_number(None), max_iterations=6)
    assert found.outcome is Outcome.MAX_STEPS
    assert [record.gap for record in found.history] == [2.0] * 6
    assert [float(p) for p in found.state.populations[0]] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_squared_difference_ends_at_its_value_one() -> None:
    game = SquaredDifference()
    found = psro(game, tolerance=1e-6)
    assert found.outcome is Outcome.CONVERGED and found.history[-1].utilities[0] == pytest.approx(1.0, abs=1e-6)
    assert exploitability(game, found.play).value <= 1e-6


def test_a_searched_reply_makes_no_claim_and_a_certified_one_does() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
    searched, proved = psro(game, start=CORNERS), psro(game, start=CORNERS, certify=1e-6, tolerance=1e-5)
    assert searched.outcome is Outcome.CONVERGED and not searched.exact and "not proved" in searched.reason
    assert proved.outcome is Outcome.CONVERGED and proved.exact and proved.gap <= 1e-5


CORNERS = [[torch.tensor([0.5], dtype=torch.float64)], [torch.tensor([0.25], dtype=torch.float64)]]


def test_three_players_reach_a_coarse_correlated_equilibrium_of_the_whole_game() -> None:
    stream = torch.Generator().manual_seed(2)
    game = NormalFormGame(2 * torch.rand(3, 3, 4, 3, generator=stream, dtype=torch.float64) - 1)
    found = psro(game, "cce", tolerance=1e-7)
    assert found.outcome is Outcome.CONVERGED and found.exact
    assert cce_gap(game, found.play).value <= 1e-6
    with pytest.raises(InvalidGameError, match="got 3 players"):
        psro(game)


def test_prices_are_answered_exactly_while_the_rival_plays_one_policy_and_said_not_to_be_after_that() -> None:
    game = pricing(m=5, delta=0.9)
    found = psro(game, "uniform")
    assert [record.exact for record in found.history] == [True, False]
    uniform = exploitability(game, TabularPlay(game.uniform_policy()))
    assert found.history[0].gap / 2 == pytest.approx(uniform.value, abs=1e-9)
    assert found.outcome is Outcome.FAILED and "not the best" in found.reason
    assert found.play is None  # a mixture of stationary policies is none


def test_prices_end_at_an_equilibrium_of_the_repeated_game_when_one_policy_each_is_left() -> None:
    game = pricing(m=5, delta=0.9)
    found = psro(game, "alpha_rank")
    assert found.outcome is Outcome.CONVERGED and found.exact and found.gap <= 1e-9
    assert exploitability(game, found.play).value <= 1e-9


def test_strategies_tied_together_are_refused() -> None:
    from strategic_envs.games.shared import GAMES

    game = next(make() for make in GAMES.values() if getattr(make(), "joint", None) is not None)
    with pytest.raises(InvalidGameError, match="joint set"):
        psro(game)


def test_nothing_in_a_game_of_another_players_sum_is_hidden_from_nash() -> None:
    with pytest.raises(InvalidGameError, match="nash: got payoffs whose sum varies"):
        psro(pricing(m=2, delta=0.5), max_iterations=5)
