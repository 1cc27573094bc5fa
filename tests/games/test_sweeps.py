"""Sweeps over state graphs agree with plain recursion, on tic-tac-toe and on ragged games of three players."""

from __future__ import annotations

import functools
from fractions import Fraction

import pytest
import torch

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.expectation import initial_utilities, merged_policy, tabulate
from strategic_envs.evaluators.gaps import exploitability, gains, nash_conv
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.seeding import torch_stream


class Heap(TurnBasedGame):
    """Three players in turn take one to four sticks; the number taken so far decides what each is paid at the end.

    A state is `taken * 64 + moves`; whoever moves depends on the moves and on the sticks, so that movers are mixed
    within a level, and so are the numbers of legal actions.
    """

    name, n_players, n_actions, max_moves, sticks = "heap", 3, 4, 9, 9

    def initial(self) -> int:
        return 0

    def mover(self, state):
        return (state % 64 + state // 64 // 2) % 3

    def legal(self, state):
        return torch.arange(1, 5) <= (self.sticks - state // 64).unsqueeze(-1)

    def step(self, state, action):
        return state + 64 * (action + 1) + 1

    def terminal(self, state):
        return state // 64 == self.sticks

    def returns(self, state):
        pay = torch.stack([torch.sin(1.0 + state.double() * k) for k in (1, 2, 3)], -1)
        return pay * self.terminal(state).unsqueeze(-1)

    def observe(self, state, player):
        return torch.stack([state // 64, state % 64], -1).float()


GAMES = {"heap": Heap(), "tic_tac_toe": TicTacToe()}


def random_policy(game: TurnBasedGame, seed: int) -> torch.Tensor:
    graph = game.state_graph()
    weight = torch.rand(graph.legal.shape, dtype=torch.float64, generator=torch_stream(seed)) ** 3 * graph.legal
    return weight / weight.sum(-1, keepdim=True).clamp(min=1e-300)


def slow(game: TurnBasedGame, policy: torch.Tensor, player: int | None = None) -> list[list[float]]:
    """Values of every state and player by recursion; `player` takes its best action, first of equals."""
    graph = game.state_graph()
    child, legal, mover = graph.child.tolist(), graph.legal.tolist(), graph.mover.tolist()
    table, returns = policy.tolist(), graph.returns.tolist()

    @functools.cache
    def value(row: int) -> list[float]:
        actions = [a for a, ok in enumerate(legal[row]) if ok]
        if not actions:
            return returns[row]
        ahead = [value(child[row][a]) for a in actions]
        if mover[row] == player:
            return max(ahead, key=lambda v: v[mover[row]])
        return [sum(table[row][a] * v[i] for a, v in zip(actions, ahead, strict=True)) for i in range(game.n_players)]

    return [value(row) for row in range(len(child))]


@pytest.mark.parametrize("name", GAMES)
def test_values_and_best_responses_agree_with_recursion(name: str) -> None:
    game = GAMES[name]
    graph = game.state_graph()
    for seed in range(3 if name == "heap" else 1):
        policy = random_policy(game, seed)
        values = torch.tensor(slow(game, policy), dtype=torch.float64)
        torch.testing.assert_close(game.values(policy), values, rtol=0, atol=1e-14)
        torch.testing.assert_close(game.values(policy.clone().requires_grad_()).detach(), values, rtol=0, atol=1e-14)
        found = game.responses(policy)
        torch.testing.assert_close(found.values, values, rtol=0, atol=1e-14)
        for i in range(game.n_players):
            best = torch.tensor(slow(game, policy, i), dtype=torch.float64)[:, i]
            table, value = game.best_response(policy, i)
            torch.testing.assert_close(value, best, rtol=0, atol=1e-14)
            assert torch.equal(found.best[:, i], value) and torch.equal(found.tables[i], table)
            torch.testing.assert_close(game.values(table)[:, i], best, rtol=0, atol=1e-14)
            mine = (graph.mover == i) & ~graph.terminal
            assert torch.equal(table[~mine & ~graph.terminal], policy[~mine & ~graph.terminal])
            ahead = value[graph.child[mine]].masked_fill(~graph.legal[mine], -torch.inf)
            assert torch.equal(table[mine].argmax(-1), ahead.argmax(-1)) and bool((table[mine].sum(-1) == 1).all())
        gain = [float(found.best[0, i] - found.values[0, i]) for i in range(game.n_players)]
        assert game.gains(policy) == tuple(gain) and min(gain) >= -1e-15


@pytest.mark.parametrize("name", GAMES)
def test_reach_sums_to_one_at_the_ends_and_weighs_the_values(name: str) -> None:
    game = GAMES[name]
    graph, policy = game.state_graph(), random_policy(game, 5)
    reach = game.reach(policy)
    assert float(reach[graph.terminal].sum()) == pytest.approx(1, abs=1e-13) and reach[0] == 1
    torch.testing.assert_close(reach @ graph.returns, game.values(policy)[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", GAMES)
def test_fields_in_two_sweeps_equal_differentiating_the_values(name: str) -> None:
    game = GAMES[name]
    graph = game.state_graph()
    policies = tuple(random_policy(game, i) for i in range(game.n_players))
    for i, field in enumerate(tabular_fields(game, TabularPlay(policies))):
        leaf = policies[i].clone().requires_grad_()
        tables = tuple(leaf if j == i else p for j, p in enumerate(policies))
        (expected,) = torch.autograd.grad(initial_utilities(game, tables)[i], leaf)
        torch.testing.assert_close(field, expected, rtol=0, atol=1e-15)
        assert not field[~graph.legal].any() and not field[graph.mover != i].any()


def test_values_can_be_differentiated_twice() -> None:
    game = GAMES["heap"]
    policy = random_policy(game, 0).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda p: game.values(p)[0], policy)


def test_perfect_play_of_three_players_is_what_recursion_finds() -> None:
    game = GAMES["heap"]
    graph = game.state_graph()
    child, legal, mover = graph.child.tolist(), graph.legal.tolist(), graph.mover.tolist()

    def value(row: int) -> list[float]:
        ahead = [value(child[row][a]) for a, ok in enumerate(legal[row]) if ok]
        return max(ahead, key=lambda v: v[mover[row]]) if ahead else graph.returns[row].tolist()

    assert game.optimal_values().tolist() == [value(row) for row in range(len(child))]


def test_nash_conv_of_uniform_tic_tac_toe_in_exact_fractions() -> None:
    game = GAMES["tic_tac_toe"]
    graph = game.state_graph()
    child, legal, mover = graph.child.tolist(), graph.legal.tolist(), graph.mover.tolist()
    pay = [int(u) for u in graph.returns[:, 0].tolist()]

    @functools.cache
    def value(row: int, player: int) -> Fraction:
        """What X gets when `player` responds (2: nobody)."""
        ahead = [value(child[row][a], player) for a, ok in enumerate(legal[row]) if ok]
        if not ahead:
            return Fraction(pay[row])
        if mover[row] == player:
            return max(ahead) if player == 0 else min(ahead)
        return sum(ahead, Fraction(0)) / len(ahead)

    assert (value(0, 2), value(0, 0), value(0, 1)) == (Fraction(187, 630), Fraction(191, 192), Fraction(-874, 945))
    assert value(0, 0) - value(0, 1) == Fraction(116101, 60480)
    uniform = TabularPlay((game.uniform_policy(),) * 2)
    assert nash_conv(game, uniform).value == pytest.approx(116101 / 60480, abs=1e-15)
    assert exploitability(game, uniform).value == pytest.approx(116101 / 120960, abs=1e-15)


def test_nash_conv_without_tables_is_the_total_of_the_gains() -> None:
    game = GAMES["heap"]
    play = TabularPlay(tuple(random_policy(game, i) for i in range(3)))
    full = gains(game, play)
    assert nash_conv(game, play) == full.total()
    assert full.utilities == pytest.approx(initial_utilities(game, play.policies).tolist(), abs=1e-15)


def test_merged_play_takes_each_movers_row_and_ignores_the_others() -> None:
    game = GAMES["heap"]
    graph, valid = game.state_graph(), tuple(random_policy(game, i) for i in range(3))
    junk = tuple(
        torch.where(((graph.mover == i) & ~graph.terminal).unsqueeze(-1), p, torch.nan) for i, p in enumerate(valid)
    )
    merged = merged_policy(game, TabularPlay(junk))
    assert torch.equal(merged, merged_policy(game, TabularPlay(valid))) and not merged[graph.terminal].any()
    for i, table in enumerate(tabulate(game, TabularPlay(junk)).policies):
        assert torch.equal(table, torch.where((graph.mover == i).unsqueeze(-1), merged, game.uniform_policy()))


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        ((1, 0), float("nan"), "player_1: got a probability that is negative, NaN or infinite"),
        ((1, 0), -0.5, "player_1: got a probability that is negative"),
        ((1, 0), float("inf"), "player_1: got a probability that is negative, NaN or infinite"),
        ((1, 0), 0.25, "player_1: got probabilities that sum to"),
        ((1, 4), 0.25, "player_1: got probability on an illegal action"),
        ((0, 8), float("nan"), "player_0: got a probability that is negative, NaN"),
    ],
)
def test_a_faulty_table_is_refused_with_the_player_and_the_state(entry, change: float, message: str) -> None:
    game = GAMES["tic_tac_toe"]
    graph, table = game.state_graph(), game.uniform_policy()
    row = int(graph.child[0, 4]) if entry[0] else 0  # X has the centre
    table[row, entry[1]] = change
    with pytest.raises(InvalidStrategyError, match=rf"{message}.*state {int(graph.states[row])}, row {row}"):
        exploitability(game, TabularPlay((table, table)))


def test_a_table_may_miss_one_by_rounding_and_is_normalised() -> None:
    game = GAMES["tic_tac_toe"]
    single = game.uniform_policy().float()
    checked = game.validate_policy(single)
    assert checked.dtype == torch.float64
    assert float((checked.sum(-1)[~game.state_graph().terminal] - 1).abs().max()) < 1e-15
