"""What a mixture of policies and its behaviour policy have in common: everything on a tree, visits on a graph."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.behaviour import has_transpositions, mixture_policy, mixture_reach, own_reach
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.tic_tac_toe import TicTacToe


class Tree(TurnBasedGame):
    """Two players in turn take one of three actions, five moves in all; a state is the history. Payoffs are random."""

    name = "tree"
    n_players = 2
    n_actions = 3
    max_moves = 5

    def initial(self) -> int:
        return 1

    def _moves(self, state):
        return (state.unsqueeze(-1) >= 4 ** torch.arange(1, 7)).sum(-1)

    def mover(self, state):
        return self._moves(state) % 2

    def terminal(self, state):
        return self._moves(state) == 5

    def legal(self, state):
        few = (torch.arange(3) < 3 - state.unsqueeze(-1) % 2) | (state.unsqueeze(-1) == 1)  # not always three
        return few & ~self.terminal(state).unsqueeze(-1)

    def step(self, state, action):
        return 4 * state + action + 1

    def returns(self, state):
        paid = torch.stack([(state * 2654435761 % 1009).double(), (state * 40503 % 997).double()], -1) / 1000
        return paid * self.terminal(state).unsqueeze(-1)

    def observe(self, state, player):
        return state.unsqueeze(-1).float()


TREE, BOARD = Tree(), TicTacToe()


def random_policies(game: TurnBasedGame, count: int, seed: int) -> torch.Tensor:
    """Random tables, about half of whose rows are pure."""
    legal = game.state_graph().legal
    stream = torch.Generator().manual_seed(seed)
    weight = torch.rand(count, *legal.shape, generator=stream, dtype=torch.float64) * legal
    weight = torch.where(torch.rand(count, len(legal), 1, generator=stream) < 0.5, weight, weight**40)
    return weight / weight.sum(-1, keepdim=True).clamp(min=1e-300)


def payoffs(game: TurnBasedGame, mine: torch.Tensor, other: torch.Tensor, player: int) -> torch.Tensor:
    return game.values(game.merge((mine, other) if player == 0 else (other, mine)))[0]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 1))
def test_on_a_tree_a_mixture_and_its_behaviour_policy_pay_the_same_against_everybody(seed, count, player) -> None:
    policies, other = random_policies(TREE, count, seed), random_policies(TREE, 1, seed + 1)[0]
    weights = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    weights = weights / weights.sum()
    apart = torch.stack([payoffs(TREE, p, other, player) for p in policies])
    together = payoffs(TREE, mixture_policy(TREE, policies, weights, player), other, player)
    torch.testing.assert_close(together, weights @ apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("player", [0, 1])
def test_on_boards_they_visit_every_board_equally_often_against_uniform_play(player: int) -> None:
    policies = random_policies(BOARD, 5, 3)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0], dtype=torch.float64)
    mixed, reached = mixture_reach(BOARD, policies, weights, player)
    visits = own_reach(BOARD, mixed.unsqueeze(0), player)[0]
    expected = weights @ own_reach(BOARD, policies, player)
    torch.testing.assert_close(visits, expected, rtol=0, atol=1e-13)
    assert torch.equal(reached, expected > 1e-300)
    uniform = BOARD.uniform_policy()
    apart = torch.stack([payoffs(BOARD, p, uniform, player) for p in policies])
    torch.testing.assert_close(payoffs(BOARD, mixed, uniform, player), weights @ apart, rtol=0, atol=1e-13)


def test_on_boards_a_drawn_policy_remembers_the_order_of_moves_and_a_table_cannot() -> None:
    policies, other = random_policies(BOARD, 2, 5), random_policies(BOARD, 1, 6)[0]
    half = torch.full((2,), 0.5, dtype=torch.float64)
    apart = half @ torch.stack([payoffs(BOARD, p, other, 0) for p in policies])
    together = payoffs(BOARD, mixture_policy(BOARD, policies, half, 0), other, 0)
    assert has_transpositions(BOARD) and not has_transpositions(TREE)
    assert float((apart - together).abs().max()) > 1e-4


def test_one_policy_is_its_own_mixture_where_it_goes_and_uniform_elsewhere() -> None:
    policy = random_policies(BOARD, 1, 7)
    mixed, reached = mixture_reach(BOARD, policy, torch.ones(1, dtype=torch.float64), 1)
    graph = BOARD.state_graph()
    goes = reached & (graph.mover == 1) & ~graph.terminal
    torch.testing.assert_close(mixed[goes], policy[0, goes], rtol=0, atol=1e-14)
    assert torch.equal(mixed[~goes], BOARD.uniform_policy()[~goes])
    BOARD.validate_policy(mixed)


def test_weights_that_are_no_distribution_and_players_that_do_not_exist_are_refused() -> None:
    policies = random_policies(BOARD, 2, 8)
    for bad in ([0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0], [1.0]):
        with pytest.raises(InvalidStrategyError, match="player_0.*expected one number >= 0 each"):
            mixture_reach.__wrapped__(BOARD, policies, torch.tensor(bad, dtype=torch.float64), 0)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    with pytest.raises(InvalidStrategyError, match="player 2"):
        mixture_policy(BOARD, policies, half, 2)
    with pytest.raises(InvalidStrategyError, match=r"expected \(k, 5478, 9\)"):
        mixture_policy(BOARD, policies[:, :5], half, 0)
