"""Tic-tac-toe beside OpenSpiel's: the same games step by step, and the same NashConv of any policy."""

from __future__ import annotations

from collections.abc import Iterator

import pyspiel
import pytest
import torch
from torch import Tensor

from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board
from strategic_envs.play import TabularPlay
from strategic_envs.seeding import numpy_stream, torch_stream

THEIRS = pyspiel.load_game("tic_tac_toe")


def code(state: pyspiel.State) -> int:
    """The code of our state from their picture of the board."""
    return parse_board(str(state))


def test_a_thousand_random_games_are_the_same_step_by_step() -> None:
    ours, stream = TicTacToe(), numpy_stream(0, "outside")
    for _ in range(1000):
        theirs, state = THEIRS.new_initial_state(), torch.tensor(ours.initial())
        while not theirs.is_terminal():
            assert int(state) == code(theirs)
            assert int(ours.mover(state)) == theirs.current_player()
            assert ours.legal(state).nonzero().flatten().tolist() == theirs.legal_actions()
            assert not bool(ours.terminal(state))
            assert ours.returns(state).tolist() == theirs.returns() == [0.0, 0.0]
            action = int(stream.choice(theirs.legal_actions()))
            theirs.apply_action(action)
            state = ours.step(state, torch.tensor(action))
        assert bool(ours.terminal(state))
        assert not bool(ours.legal(state).any())
        assert ours.returns(state).tolist() == theirs.returns()


def histories(state: pyspiel.State) -> Iterator[pyspiel.State]:
    """All histories that are not at an end, as OpenSpiel has them: it tells apart the orders of moves."""
    if not state.is_terminal():
        yield state
        for action in state.legal_actions():
            yield from histories(state.child(action))


def as_theirs(game: TicTacToe, table: Tensor) -> pyspiel.TabularPolicy:
    """Our table, one row a board, as their table, one row a history."""
    row = {s: i for i, s in enumerate(game.state_graph().states.tolist())}
    rows = table.tolist()
    return pyspiel.TabularPolicy(
        {
            state.information_state_string(): [(a, rows[row[code(state)]][a]) for a in state.legal_actions()]
            for state in histories(THEIRS.new_initial_state())
        }
    )


def policy(game: TicTacToe, kind: str) -> Tensor:
    uniform = game.uniform_policy()
    if kind == "uniform":
        return uniform
    noise = torch.rand(uniform.shape, generator=torch_stream(0, "outside"), dtype=torch.float64)
    weights = noise**3 * game.state_graph().legal
    if kind == "random":
        return weights / weights.sum(-1, keepdim=True).clamp(min=1e-300)
    graph, value = game.state_graph(), game.optimal_values()
    ahead = value[graph.child].gather(-1, graph.mover.view(-1, 1, 1).expand(-1, 9, 1)).squeeze(-1)
    own = value.gather(-1, graph.mover.unsqueeze(-1))
    best = (graph.legal & (ahead == own)).double()
    return best / best.sum(-1, keepdim=True).clamp(min=1)


@pytest.mark.parametrize("kind", ["uniform", "random", "optimal"])
def test_nash_conv_is_openspiels(kind: str) -> None:
    game = TicTacToe()
    table = policy(game, kind)
    ours = nash_conv(game, TabularPlay((table, table)))
    assert ours.exact
    assert ours.value == pytest.approx(pyspiel.nash_conv(THEIRS, as_theirs(game, table), False), abs=1e-9)
