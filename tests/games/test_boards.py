"""Batched boards: compiled steps, torch steps and the rules agree everywhere; random play has the exact shares."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from strategic_envs.errors import IllegalActionError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.boards import RandomPlay, counter, tensors
from strategic_envs.games.tic_tac_toe import Boards, TicTacToe, parse_board, random_play

GAME = TicTacToe()
FIELDS = ("state", "mover", "legal", "legal_bits", "terminated", "rewards")
SHARES = (Fraction(737, 1260), Fraction(121, 420), Fraction(8, 63))


def same(first: Boards, second: Boards) -> None:
    for name in FIELDS:
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype and torch.equal(a, b), name


def every_legal_move() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, actions and next states of every edge of the state graph."""
    graph = GAME.state_graph()
    rows, actions = graph.legal.nonzero(as_tuple=True)
    return graph.states[rows], actions, graph.states[graph.child[rows, actions]]


@pytest.mark.parametrize("restart", [False, True])
def test_the_step_follows_the_rules_on_every_state_and_legal_action(restart: bool) -> None:
    state, action, after = every_legal_move()
    found = Boards.of(state).step(action, restart=restart)
    over = GAME.terminal(after)
    left = torch.where(over, 0, after) if restart else after
    expected = (left, GAME.mover(left), GAME.legal(left), over, GAME.returns(after).float())
    for name, tensor in zip(("state", "mover", "legal", "terminated", "rewards"), expected, strict=True):
        assert torch.equal(getattr(found, name), tensor), name
    assert torch.equal((found.legal.long() << torch.arange(9)).sum(-1), found.legal_bits.long())


@pytest.mark.parametrize("restart", [False, True])
def test_compiled_and_torch_steps_agree_on_all_states_and_actions(restart: bool) -> None:
    from strategic_envs.games.boards import compiled

    states = GAME.state_graph().states.repeat_interleave(15)
    actions = torch.arange(-3, 12).repeat(len(states) // 15)
    over, legal = GAME.terminal(states), GAME.legal(states)
    inside = (actions >= 0) & (actions < 9)
    fits = torch.where(over, actions == -1, inside & legal.gather(-1, actions.clamp(0, 8).unsqueeze(-1)).squeeze(-1))
    expected = tensors.step(states[fits], actions[fits], restart)
    assert expected is not None
    same(Boards.of(states[fits]).step(actions[fits], restart=restart), Boards(*expected))

    single = Boards.start(1)
    outputs = [t.numpy() for t in (single.state, single.mover, single.legal_bits)]
    outputs += [single.legal.T.contiguous().numpy(), single.terminated.numpy(), single.rewards.T.contiguous().numpy()]
    codes, moves = states.numpy(), actions.numpy()
    again = np.uint32(restart)
    refused = [compiled.make_moves(codes[k : k + 1], moves[k : k + 1], again, *outputs) for k in range(len(codes))]
    assert refused == (~fits).tolist()
    for k in (~fits).nonzero().flatten()[::997].tolist():
        assert tensors.step(states[k : k + 1], actions[k : k + 1], restart) is None


def test_random_play_by_steps_agrees_with_torch_for_three_hundred_turns() -> None:
    boards = twin = Boards.start(257)
    lane = counter.seed_words(7)[0]
    for turn in range(300):
        action = boards.draw(seed=7, turn=turn)
        assert torch.equal(action, tensors.draw(twin.legal_bits, lane, counter.round_word(7, turn)))
        found = tensors.step(twin.state, action, True)
        assert found is not None
        boards, twin = boards.step(action, restart=True), Boards(*found)
        same(boards, twin)


def test_the_fused_loop_plays_the_games_of_the_steps() -> None:
    rounds, lanes, counts = 60, 33, [0, 0, 0, 0]
    boards = Boards.start(lanes)
    for turn in range(rounds + 9):
        action = boards.draw(seed=3, turn=turn)
        if turn >= rounds:  # boards that would begin another game are left out
            keep = boards.state != 0
            boards = Boards.of(torch.where(keep, boards.state, parse_board("XOX/XOO/OXX")))
            action = torch.where(keep, action, -1)
        live = boards.legal_bits != 0
        boards = boards.step(action, restart=turn < rounds)
        gain, ended = boards.rewards[:, 0], boards.terminated & live
        for k, hit in enumerate((live, gain > 0, gain < 0, ended & (gain == 0))):
            counts[k] += int(hit.sum())
    assert random_play(rounds, lanes=lanes, seed=3) == RandomPlay(*counts)


def test_random_play_on_a_device_path_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategic_envs.games.boards.random_play import _on_device

    assert _on_device(40, 65, 5, torch.device("cpu")) == random_play(40, lanes=65, seed=5)


def test_random_play_has_the_exact_shares_within_sampling_error() -> None:
    found = random_play(8192, lanes=4096, seed=0)
    assert found.games > 4_000_000
    for count, share in zip((found.x_wins, found.o_wins, found.draws), SHARES, strict=True):
        error = math.sqrt(float(share * (1 - share)) / found.games)
        assert abs(count / found.games - float(share)) < 4 * error
    length = Fraction(5 * 1440, 15120) + Fraction(6 * 5328, 60480) + Fraction(7 * 47952, 181440)
    length += Fraction(8 * 72576, 362880) + Fraction(9 * 127872, 362880)  # each game of length k has 1/(9 ... (10 - k))
    assert found.moves / found.games == pytest.approx(float(length), abs=0.005)


def test_same_seed_same_bytes_other_seed_others() -> None:
    assert random_play(50, lanes=100, seed=1) == random_play(50, lanes=100, seed=1)
    assert random_play(50, lanes=100, seed=1) != random_play(50, lanes=100, seed=2)
    boards = Boards.start(1000)
    assert torch.equal(boards.draw(1, 5), boards.draw(1, 5))
    for other in ((2, 5), (1, 6)):
        assert (boards.draw(1, 5) != boards.draw(*other)).sum() > 800


@pytest.mark.parametrize("text", ["... / ... / ...", "X.X / OO. / ...", "XOX / XOO / O.."])
def test_draws_are_uniform_over_the_legal_cells(text: str) -> None:
    boards = Boards.of(torch.full((20_000,), parse_board(text)))
    counts = torch.stack([torch.bincount(boards.draw(seed=0, turn=t), minlength=9) for t in range(20)]).sum(0)
    legal = boards.legal[0]
    assert (counts[~legal] == 0).all()
    expected = 400_000 / int(legal.sum())
    chi2 = float(((counts[legal] - expected) ** 2 / expected).sum())
    assert chi2 < 35  # eight degrees of freedom at most: p < 3e-5


def test_draws_of_neighbours_and_of_following_turns_are_independent() -> None:
    boards = Boards.start(100_000)
    now, later = boards.draw(seed=0, turn=0), boards.draw(seed=0, turn=1)
    for a, b in ((now[1:], now[:-1]), (now, later), (now[2:], later[:-2])):
        table = torch.bincount(9 * a + b, minlength=81).double()
        expected = len(a) / 81
        assert float(((table - expected) ** 2 / expected).sum()) < 80 + 4 * math.sqrt(160)


def test_words_of_the_three_forms_of_the_mixer_agree() -> None:
    words = torch.arange(0, 2**32, 2**22 - 1)
    assert counter.mix_words(words).tolist() == [counter.mix(int(w)) for w in words]
    assert counter.round_words(3, range(5, 9)).tolist() == [counter.round_word(3, t) for t in range(5, 9)]
    assert len(counter.lane_words(4096, 0).unique()) == 4096


def test_an_illegal_action_names_its_board_and_moves_nothing() -> None:
    boards = Boards.start((2, 3)).step(torch.tensor([[0, 1, 2], [3, 4, 5]]))
    before = boards.state.clone()
    for bad in (4, 9, -1, 2**32 + 1, -(2**40)):
        with pytest.raises(
            IllegalActionError, match=rf"board 1, 1, state 16: got action {bad}, .*\[0, 1, 2, 3, 5, 6, 7, 8\]"
        ):
            boards.step(torch.tensor([[1, 2, 3], [4, bad, 9]]))
    with pytest.raises(IllegalActionError, match=r"^tic_tac_toe, state 0: got action 9"):
        Boards.start(()).step(torch.tensor(9))
    assert torch.equal(boards.state, before)
    assert boards.step(torch.tensor([[1, 2, 3], [4, 5, 6]])).mover.tolist() == [[0] * 3] * 2


def test_boards_that_are_over_pass_and_refuse_moves() -> None:
    boards = Boards.of(torch.tensor([parse_board("XXX/OO./..."), parse_board("XX./OO./...")]))
    assert boards.terminated.tolist() == [True, False] and boards.draw(0, 0)[0] == -1
    after = boards.step(torch.tensor([-1, 2]))
    assert after.state.tolist() == [boards.state[0], parse_board("XXX/OO./...")]
    assert after.rewards.tolist() == [[0.0, 0.0], [1.0, -1.0]] and after.terminated.tolist() == [True, True]
    with pytest.raises(IllegalActionError, match="board 0.*got action 5, expected -1: its game is over"):
        boards.step(torch.tensor([5, 2]))
    with pytest.raises(IllegalActionError, match="board 1.*got action -1"):
        boards.step(torch.tensor([-1, -1]))


def test_any_shape_dtype_and_stride_of_actions_is_taken() -> None:
    state, action, _ = every_legal_move()
    plain = Boards.of(state).step(action)
    for cast in (torch.int8, torch.int16, torch.int32):
        same(Boards.of(state).step(action.to(cast)), plain)
    wide = torch.stack([action, action], -1)[:, 0]
    same(Boards.of(state.to(torch.int32)).step(wide), plain)
    square = Boards.of(state.reshape(3, -1)).step(action.reshape(3, -1))
    assert square.rewards.shape == (3, len(state) // 3, 2)
    for name in FIELDS:
        assert torch.equal(getattr(square, name).flatten(0, 1), getattr(plain, name))
    assert Boards.start(()).step(torch.tensor(4)).legal.tolist() == [c != 4 for c in range(9)]
    assert Boards.start(0).step(Boards.start(0).draw(0, 0)).state.shape == (0,)


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused() -> None:
    boards = Boards.start(2)
    with pytest.raises(InvalidStrategyError, match="float32"):
        boards.step(torch.zeros(2))
    with pytest.raises(InvalidStrategyError, match=r"expected one a board, \(2,\)"):
        boards.step(torch.zeros(3, dtype=torch.int64))
    for code in (-1, 1 << 18, 1 | 1 << 9):
        with pytest.raises(InvalidStrategyError, match=f"got the code {code}"):
            Boards.of(torch.tensor([0, code]))
    with pytest.raises(InvalidSettingError, match="batch of -1"):
        Boards.start(-1)
    with pytest.raises(InvalidSettingError, match="rounds=0"):
        random_play(0)


@pytest.mark.gpu
def test_boards_on_the_gpu_play_the_same_games() -> None:
    here, there = Boards.start(500), Boards.start(500, device="cuda")
    for turn in range(40):
        action = there.draw(seed=0, turn=turn)
        assert torch.equal(action.cpu(), here.draw(seed=0, turn=turn))
        here, there = here.step(action.cpu(), restart=True), there.step(action, restart=True)
        for name in FIELDS:
            assert torch.equal(getattr(there, name).cpu(), getattr(here, name))
    assert random_play(30, lanes=64, device="cuda") == random_play(30, lanes=64)
