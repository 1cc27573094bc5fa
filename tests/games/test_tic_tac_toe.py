"""Tic-tac-toe: every exact fact, and slow rules beside the batched ones."""

from __future__ import annotations

import functools
import random
from fractions import Fraction

import pytest
import torch

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.tic_tac_toe import LINES, TicTacToe, board_text, parse_board

GAME = TicTacToe()
SYMMETRIES = [[(r, c) for r in range(3) for c in range(3)]]
for turn in (lambda r, c: (c, 2 - r), lambda r, c: (r, 2 - c)):  # quarter turns, then a mirror
    for cells in list(SYMMETRIES):
        image = cells
        for _ in range(3):
            image = [turn(*cell) for cell in image]
            if image not in SYMMETRIES:
                SYMMETRIES.append(image)


@functools.cache
def graph():
    return GAME.state_graph()


def canonical(states: torch.Tensor) -> torch.Tensor:
    """The least code among the eight symmetric images of each state."""
    images = []
    for cells in SYMMETRIES:
        to = torch.tensor([3 * r + c for r, c in cells])
        bits = states.unsqueeze(-1) >> torch.arange(9) & 1, states.unsqueeze(-1) >> torch.arange(9, 18) & 1
        images.append((bits[0] << to).sum(-1) + (bits[1] << (to + 9)).sum(-1))
    return torch.stack(images).amin(0)


def minimax_uniform() -> torch.Tensor:
    """The table that draws uniformly among the moves that keep the value."""
    g, value = graph(), GAME.optimal_values()
    sign = torch.where(g.mover == 0, 1.0, -1.0).double()
    ahead = (sign.unsqueeze(-1) * value[g.child, 0]).masked_fill(~g.legal, -9.0)
    best = (ahead == ahead.amax(-1, keepdim=True)) & g.legal
    return best.double() / best.double().sum(-1, keepdim=True).clamp(min=1)


def outcome_shares(policy: torch.Tensor) -> tuple[float, float, float]:
    """Probabilities that X wins, O wins, and of a draw."""
    g = graph()
    reach = torch.zeros(len(g.states), dtype=torch.float64)
    reach[0] = 1
    for level in g.levels:
        flow = reach[level].unsqueeze(-1) * policy[level] * g.legal[level]
        reach.index_add_(0, g.child[level].flatten(), flow.flatten() * g.legal[level].flatten())
    u = g.returns[:, 0]
    return tuple(float(reach[g.terminal & (u == w)].sum()) for w in (1, -1, 0))


def test_there_are_eight_symmetries():
    assert len(SYMMETRIES) == 8


def test_reachable_states_by_number_of_moves():
    sizes = [level.stop - level.start for level in graph().levels]
    assert sizes == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert len(graph().states) == 5478


def test_states_up_to_symmetry_by_number_of_moves():
    sizes = [len(canonical(graph().states[level]).unique()) for level in graph().levels]
    assert sizes == [1, 3, 12, 38, 108, 174, 204, 153, 57, 15]
    assert sum(sizes) == 765


def test_958_terminal_states_of_which_138_up_to_symmetry():
    g = graph()
    u = g.returns[:, 0]
    found = [g.states[g.terminal & (u == w)] for w in (1, -1, 0)]
    assert [len(f) for f in found] == [626, 316, 16]
    assert [len(canonical(f).unique()) for f in found] == [91, 44, 3]


def test_4520_live_states_and_who_moves():
    g = graph()
    live = ~g.terminal
    assert [int((live & (g.mover == p)).sum()) for p in (0, 1)] == [2423, 2097]
    assert len(canonical(g.states[live]).unique()) == 627


def test_255168_games_by_length_and_winner():
    g = graph()
    paths = torch.zeros(len(g.states), dtype=torch.int64)
    paths[0] = 1
    by_length = {}
    for plies, level in enumerate(g.levels):
        ends = g.terminal[level]
        by_length[plies] = int(paths[level][ends].sum())
        flow = paths[level].unsqueeze(-1) * g.legal[level]
        paths.index_add_(0, g.child[level].flatten(), flow.flatten())
    # illegal children point at row 0 with flow 0, so nothing flows back to the root
    assert {k: v for k, v in by_length.items() if v} == {5: 1440, 6: 5328, 7: 47952, 8: 72576, 9: 127872}
    u = g.returns[:, 0]
    winners = [int(paths[g.terminal & (u == w)].sum()) for w in (1, -1, 0)]
    assert winners == [131184, 77904, 46080] and sum(winners) == 255168


def test_perfect_play_draws_and_every_first_move_keeps_the_draw():
    g, value = graph(), GAME.optimal_values()
    assert value[0].tolist() == [0.0, 0.0]
    assert value[g.child[0], 0].tolist() == [0.0] * 9


@pytest.mark.parametrize(
    ("first", "replies"), [(0, {4}), (2, {4}), (6, {4}), (8, {4}), (1, {0, 2, 4, 7}), (4, {0, 2, 6, 8})]
)
def test_drawing_replies_to_the_first_move(first, replies):
    g, value = graph(), GAME.optimal_values()
    row = int(g.child[0, first])
    drawing = {a for a in range(9) if g.legal[row, a] and value[g.child[row, a], 0] == 0}
    assert drawing == replies


def test_random_against_random_wins_737_of_1260():
    shares = outcome_shares(GAME.uniform_policy())
    exact = (Fraction(737, 1260), Fraction(121, 420), Fraction(8, 63))
    assert shares == pytest.approx([float(f) for f in exact], abs=1e-14)
    assert float(GAME.values(GAME.uniform_policy())[0, 0]) == pytest.approx(187 / 630, abs=1e-15)


def test_uniform_tic_tac_toe_nash_conv_is_116101_over_60480():
    uniform = GAME.uniform_policy()
    best = [float(GAME.best_response(uniform, p)[1][0]) for p in (0, 1)]
    assert best == pytest.approx([191 / 192, 874 / 945], abs=1e-14)
    value = GAME.values(uniform)[0]
    gain = sum(best) - float(value.sum())
    assert abs(gain - 116101 / 60480) < 1e-12
    assert abs(gain - GAME.known().values["nash_conv_uniform"]) < 1e-12
    assert abs(gain / 2 - GAME.known().values["exploitability_uniform"]) < 1e-12


def test_best_response_to_uniform_shares_of_wins_draws_and_losses():
    uniform = GAME.uniform_policy()
    as_x = outcome_shares(GAME.best_response(uniform, 0)[0])
    as_o = outcome_shares(GAME.best_response(uniform, 1)[0])
    assert as_x == pytest.approx((0.994792, 0.0, 0.005208), abs=1e-6)
    assert as_o == pytest.approx((0.007407, 0.932275, 0.060317), abs=1e-6)


def test_uniform_over_minimax_moves_has_nash_conv_zero_and_never_loses_to_random():
    table, uniform = minimax_uniform(), GAME.uniform_policy()
    best = [float(GAME.best_response(table, p)[1][0]) for p in (0, 1)]
    assert sum(best) == pytest.approx(0, abs=1e-14)
    assert outcome_shares(GAME.merge((table, uniform))) == pytest.approx((0.967811, 0.0, 0.032189), abs=1e-6)
    assert outcome_shares(GAME.merge((uniform, table))) == pytest.approx((0.0, 0.777484, 0.222516), abs=1e-6)


def test_3191_critical_states_of_which_431_up_to_symmetry():
    g, value = graph(), GAME.optimal_values()
    sign = torch.where(g.mover == 0, 1.0, -1.0).double()
    ahead = sign.unsqueeze(-1) * value[g.child, 0]
    loses_value = (g.legal & (ahead < (sign * value[:, 0]).unsqueeze(-1))).any(-1)
    assert int(loses_value.sum()) == 3191
    assert len(canonical(g.states[loses_value]).unique()) == 431


def test_in_the_slide_position_cells_1_and_5_win_and_the_rest_lose():
    g, value = graph(), GAME.optimal_values()
    row = int(g.index(torch.tensor(parse_board("X.X / OO. / ..."))))
    assert int(g.mover[row]) == 0
    ahead = {a: float(value[g.child[row, a], 0]) for a in range(9) if g.legal[row, a]}
    assert ahead == {1: 1.0, 5: 1.0, 6: -1.0, 7: -1.0, 8: -1.0}
    wins_now = [a for a in ahead if g.returns[g.child[row, a], 0] == 1]
    assert wins_now == [1]


def test_known_values_agree_with_the_graph():
    known = GAME.known()
    assert known.constants["states"] == len(graph().states)
    assert known.constants["terminal_states"] == int(graph().terminal.sum())
    assert known.values["value_uniform"] == 187 / 630


def test_batched_rules_agree_with_slow_rules_on_random_games():
    rng = random.Random(0)
    for _ in range(200):
        board, state = ["."] * 9, torch.tensor(GAME.initial())
        for ply in range(9):
            won = {m: any(all(board[c] == m for c in line) for line in LINES) for m in "XO"}
            over = won["X"] or won["O"] or "." not in board
            assert bool(GAME.terminal(state)) == over
            assert GAME.returns(state).tolist() == [won["X"] - won["O"], won["O"] - won["X"]]
            legal = [c for c in range(9) if board[c] == "." and not over]
            assert GAME.legal(state).nonzero().flatten().tolist() == legal
            if over:
                break
            assert int(GAME.mover(state)) == ply % 2
            for p, (own, other) in enumerate(("XO", "OX")):
                seen = GAME.observe(state, p)
                assert seen.dtype == torch.float32
                assert seen.tolist() == [float(m == mark) for mark in (own, other, ".") for m in board]
            action = rng.choice(legal)
            board[action] = "XO"[ply % 2]
            state = GAME.step(state, torch.tensor(action))
            assert board_text(int(state)).replace("\n", "") == "".join(board)


def test_rules_of_a_batch_are_the_rules_of_each_board():
    states = graph().states.reshape(2, 3, -1)
    for rule in (GAME.mover, GAME.legal, GAME.terminal, GAME.returns, lambda s: GAME.observe(s, 1)):
        whole = rule(states)
        assert torch.equal(whole.flatten(0, 2), rule(graph().states))
    movers = GAME.mover(states)
    each = torch.where(movers.unsqueeze(-1) == 1, GAME.observe(states, 1), GAME.observe(states, 0))
    assert torch.equal(GAME.observe(states, movers), each)


def test_values_do_not_change_when_boards_are_rotated():
    g, value = graph(), GAME.optimal_values()
    assert torch.equal(value, value[g.index(canonical(g.states))])


@pytest.mark.usefixtures("unchecked")
def test_taken_cell_is_refused_with_the_legal_cells():
    state = torch.tensor([parse_board("XO. / ... / ...")])
    with pytest.raises(IllegalActionError, match=r"got action 0, expected one of the legal actions \[2, 3"):
        GAME.check_actions(state, torch.tensor([0]))
    with pytest.raises(IllegalActionError, match="got action 9"):
        GAME.check_actions(state, torch.tensor([9]))
    with pytest.raises(InvalidStrategyError, match="float32"):
        GAME.check_actions(state, torch.tensor([0.0]))


def test_unreachable_board_is_refused():
    with pytest.raises(InvalidStrategyError, match="cannot be reached"):
        graph().index(torch.tensor(parse_board("XXX / ... / ...")))


@pytest.mark.parametrize("text", ["", "XO", "X" * 10, "XOZ......"])
def test_text_that_is_no_board_is_refused(text):
    with pytest.raises(InvalidGameError, match="nine of X, O"):
        parse_board(text)


def test_policy_on_a_taken_cell_is_refused():
    table = torch.full((5478, 9), 1 / 9)
    with pytest.raises(InvalidStrategyError, match="illegal action"):
        GAME.validate_policy(table)
