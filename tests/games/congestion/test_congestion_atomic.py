"""Atomic congestion games beside a slow definition: every joint action, every player, every resource in turn."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.congestion import AtomicCongestionGame, LogCosts, PowerCosts
from strategic_envs.games.kinds.congestion.atomic_input import usage
from strategic_envs.games.kinds.normal_form import NormalFormGame

seeds = st.integers(0, 2**31)
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def random_game(counts: list[int], seed: int, resources: int = 4) -> AtomicCongestionGame:
    """Random strategies (an empty one now and then) and random costs that do not decrease."""
    stream = torch.Generator().manual_seed(seed)
    strategies = [
        [(torch.rand(resources, generator=stream) < 0.5).nonzero().flatten().tolist() for _ in range(k)] for k in counts
    ]
    table = torch.rand(resources, len(counts), generator=stream, dtype=torch.float64).cumsum(-1)
    return AtomicCongestionGame(strategies, table, name="random")


def slow_costs(game: AtomicCongestionGame, actions: tuple[int, ...]) -> list[float]:
    chosen = [own[a] for own, a in zip(game.strategies, actions, strict=True)]
    users = [sum(e in s for s in chosen) for e in range(game.n_resources)]
    return [sum(float(game.costs[e, users[e] - 1]) for e in s) for s in chosen]


def slow_potential(game: AtomicCongestionGame, actions: tuple[int, ...]) -> float:
    chosen = [own[a] for own, a in zip(game.strategies, actions, strict=True)]
    return sum(float(game.costs[e, : sum(e in s for s in chosen)].sum()) for e in range(game.n_resources))


def joint_actions(game: AtomicCongestionGame) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(k) for k in game.n_actions)))


@given(sizes, seeds)
@settings(max_examples=25, deadline=None)
def test_payoffs_loads_and_potential_are_those_of_the_definition(counts: list[int], seed: int) -> None:
    game = random_game(counts, seed)
    joint = joint_actions(game)
    actions = torch.tensor(joint).unbind(-1)
    slow = torch.tensor([slow_costs(game, a) for a in joint], dtype=torch.float64)
    torch.testing.assert_close(game.payoffs_of(actions), -slow)
    torch.testing.assert_close(game.total_cost(actions), slow.sum(-1))
    torch.testing.assert_close(game.payoffs.reshape(len(counts), -1), -slow.T)
    potential = torch.tensor([slow_potential(game, a) for a in joint], dtype=torch.float64)
    torch.testing.assert_close(game.rosenthal_potential(actions), potential)
    assert game.loads(joint[0]).sum() == sum(len(own[0]) for own in game.strategies)


@given(sizes, seeds)
@settings(max_examples=25, deadline=None)
def test_every_unilateral_move_changes_the_potential_by_the_movers_cost(counts: list[int], seed: int) -> None:
    game = random_game(counts, seed)
    potential = game.rosenthal_potential(torch.meshgrid(*map(torch.arange, counts), indexing="ij"))
    for i, paid in enumerate(game.payoffs):  # so along player i's axis the sum of both stays
        kept = potential + paid
        torch.testing.assert_close(kept, kept.narrow(i, 0, 1).expand(kept.shape), rtol=0, atol=1e-12)


@given(sizes, seeds)
@settings(max_examples=10, deadline=None)
def test_without_a_table_mixed_payoffs_and_their_derivatives_are_those_of_the_table(
    counts: list[int], seed: int
) -> None:
    game = random_game(counts, seed)
    table = NormalFormGame(game.payoffs)
    stream = torch.Generator().manual_seed(seed)
    x = game.sample((3,), generator=stream)
    y = x.map(lambda t: t + 0.3 * torch.randn(t.shape, generator=stream, dtype=t.dtype))  # off the simplex as well
    for point in (x, y):
        torch.testing.assert_close(game.utilities(point), table.utilities(point))
        torch.testing.assert_close(game.field(point).flat(), table.field(point).flat())
        for i in range(len(counts)):
            torch.testing.assert_close(game.deviation_payoffs(point, i), table.deviation_payoffs(point, i))
            torch.testing.assert_close(game.best_reply(point, i)[1], table.best_reply(point, i)[1])
    last = y.map(lambda t: t[0])
    torch.testing.assert_close(game.jacobian(last), table.jacobian(last))
    torch.testing.assert_close(game.hessian(last, 0, len(counts) - 1), table.hessian(last, 0, len(counts) - 1))
    torch.testing.assert_close(game.welfare_gradient(y).flat(), table.welfare_gradient(y).flat())
    torch.testing.assert_close(
        game.expected_loads(x), sum(t @ u for t, u in zip(x, game.uses, strict=True)), rtol=0, atol=1e-12
    )


@given(sizes, seeds)
@settings(max_examples=25, deadline=None)
def test_pure_equilibria_are_the_joint_actions_that_nobody_leaves(counts: list[int], seed: int) -> None:
    game = random_game(counts, seed)
    found = []
    for actions in joint_actions(game):
        own = slow_costs(game, actions)
        others = [
            slow_costs(game, (*actions[:i], a, *actions[i + 1 :]))[i] for i, k in enumerate(counts) for a in range(k)
        ]
        least = [min(others[sum(counts[:i]) : sum(counts[: i + 1])]) for i in range(len(counts))]
        if all(c <= m + 1e-12 * c for c, m in zip(own, least, strict=True)):
            found.append(list(actions))
    assert game.pure_equilibria().tolist() == found != []
    best, cost = game.optimum()
    assert cost == pytest.approx(min(sum(slow_costs(game, a)) for a in joint_actions(game)))
    assert float(game.total_cost(best.tolist())) == pytest.approx(cost)
    if cost > 0:
        assert 1 - 1e-12 <= game.price_of_stability() <= game.price_of_anarchy()


def test_actions_of_unlike_shapes_are_broadcast_and_many_rows_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    game = random_game([2, 3], 0)
    paid = game.payoffs_of([torch.tensor([[0], [1]]), torch.tensor([0, 1, 2])])
    torch.testing.assert_close(paid, game.payoffs.movedim(0, -1))
    x = game.sample((7, 2), generator=torch.Generator().manual_seed(0))
    whole = game.utilities(x), game.payoffs_of([torch.zeros(9, dtype=torch.int64)] * 2)
    monkeypatch.setattr("strategic_envs.games.kinds.congestion.poisson_binomial._LARGEST", 50)
    monkeypatch.setattr("strategic_envs.games.kinds.congestion.atomic._LARGEST_STEP", 20)
    torch.testing.assert_close(game.utilities(x), whole[0], rtol=0, atol=0)
    torch.testing.assert_close(game.payoffs_of([torch.zeros(9, dtype=torch.int64)] * 2), whole[1], rtol=0, atol=0)


def test_costs_may_be_functions_or_a_table_and_negative_where_they_say_so() -> None:
    strategies = [[[0], [1]], [[0], [0, 1]], [[1], []]]
    costs = PowerCosts.affine([2.0, 0.0], [1.0, 4.0])
    game = AtomicCongestionGame(strategies, costs)
    table = AtomicCongestionGame(strategies, [[3.0, 5.0, 7.0], [4.0, 4.0, 4.0]])
    assert torch.equal(game.payoffs, table.payoffs) and game.payoffs[2, 0, 0, 1] == 0
    logs = AtomicCongestionGame(strategies, LogCosts([-3.0, 0.0]))
    assert bool((logs.costs < 0).any())
    with pytest.raises(InvalidGameError, match="negative costs"):
        logs.price_of_anarchy()


def test_a_hundred_players_have_exact_payoffs_and_no_table() -> None:
    n, m = 100, 20
    stream = torch.Generator().manual_seed(0)
    table = torch.rand(m, n, generator=stream, dtype=torch.float64).cumsum(-1)
    game = AtomicCongestionGame([[[e] for e in range(m)]] * n, table, name="crowd")
    assert not game.tabulated
    x = game.sample(generator=stream)
    field = game.field(x)
    drawn = torch.stack([torch.multinomial(t, 4000, replacement=True, generator=stream) for t in x])
    drawn[0] = 7
    paid = game.payoffs_of(drawn.unbind(0))[:, 0]
    assert abs(float(paid.mean() - field[0][7])) <= 5 * float(paid.std()) / 4000**0.5
    torch.testing.assert_close(game.deviation_payoffs(x, 0), field[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(game.utilities(x)[0], (x[0] * field[0]).sum(), rtol=1e-12, atol=0)
    pure = [torch.nn.functional.one_hot(d[0], m).double() for d in drawn]
    torch.testing.assert_close(game.utilities(pure), game.payoffs_of(drawn[:, 0].unbind(0)), rtol=1e-12, atol=0)
    for ask in (lambda: game.payoffs, game.pure_equilibria, game.optimum, game.price_of_anarchy):
        with pytest.raises(InvalidGameError, match=r"crowd: 100 players .* 10\^132.1 payoffs, more than"):
            ask()


def test_equal_machines_under_even_draws_cost_a_binomial_mean() -> None:
    """With n - 1 others that draw one of m machines evenly, 1 + (n - 1) / m of them are met on average."""
    n, m = 60, 3
    game = AtomicCongestionGame([[[e] for e in range(m)]] * n, torch.arange(1.0, n + 1).expand(m, n))
    even = game.profile(*[[1 / m] * m] * n)
    torch.testing.assert_close(
        game.field(even).flat(), torch.full((n * m,), -(1 + (n - 1) / m), dtype=torch.float64), rtol=1e-13, atol=0
    )


def test_steep_costs_keep_all_digits() -> None:
    """Rare crowds that decide the mean are not lost: costs of k^12 beside probabilities of 1e-3."""
    n, p = 30, 1e-3
    users = torch.arange(1, n + 1, dtype=torch.float64)
    game = AtomicCongestionGame([[[0], [1]]] * n, torch.stack([users**12, users]))
    found = -game.deviation_payoffs(game.profile(*[[p, 1 - p]] * n), 0)[0]
    exact = sum(
        torch.distributions.Binomial(n - 1, torch.tensor(p, dtype=torch.float64)).log_prob(k - 1).exp() * k**12
        for k in users
    )
    assert float(found) == pytest.approx(float(exact), rel=1e-12)


def test_games_pickle_and_keep_to_float32() -> None:
    game = random_game([2, 3, 2], 5)
    other = pickle.loads(pickle.dumps(game))
    x = game.sample((2,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(other.utilities(x), game.utilities(x))
    half = game.sample((2,), generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    assert game.utilities(half).dtype == game.field(half)[0].dtype == torch.float32


STRATEGIES = [[[0], [1]]] * 2
BAD: list[tuple[Any, Any, dict[str, Any], str]] = [
    ([], [[1.0]], {}, "got no players"),
    ([[[0]], []], [[1.0, 2.0]], {}, "player_1: got no strategies"),
    ([[[0]], [[1]]], [[1.0, 2.0]], {}, r"player_1, strategy 0: got \[1\], expected a list of different resources"),
    ([[[0, 0]]], [[1.0]], {}, "player_0, strategy 0: got .* different resources, numbers 0..0"),
    (STRATEGIES, [[1.0, 2.0], [2.0, 1.0]], {}, "resource 1: the cost falls from 2 to 1 with 2 users"),
    (STRATEGIES, [[1.0, 2.0], [-1.0, 1.0]], {}, "resource 1: 1 users pay -1 each, expected costs of at least 0"),
    (STRATEGIES, [[1.0], [2.0]], {}, r"table of costs of shape \(2, 1\) for 2 players, expected \(resources, 2\)"),
    (STRATEGIES, [[1.0, float("nan")], [0.0, 0.0]], {}, "NaN or infinite"),
    (STRATEGIES, [[1.0, 2.0], [0.0]], {}, "rectangular array"),
    (STRATEGIES, [[1.0, 2.0]] * 2, {"weights": [1.0, 2.0]}, r"got players of weights \[1.0, 2.0\], expected none"),
]


@pytest.mark.parametrize(("strategies", "costs", "options", "message"), BAD)
def test_descriptions_that_are_none_are_refused(strategies: Any, costs: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        AtomicCongestionGame(strategies, costs, name="mine", **options)


def test_a_number_in_place_of_a_list_of_resources_is_refused() -> None:
    with pytest.raises(InvalidGameError, match="mine, player_0, strategy 1: got 0, expected a list"):
        usage([[[0], 0]], 1, "mine")


def test_actions_that_are_none_are_refused() -> None:
    game = random_game([2, 3], 0)
    with pytest.raises(InvalidStrategyError, match=r"player_1: got the strategies \[0, 3\], expected numbers 0..2"):
        game.loads([torch.tensor([0, 1]), torch.tensor([0, 3])])
    with pytest.raises(InvalidStrategyError, match="one a player"):
        game.rosenthal_potential([0])
    with pytest.raises(InvalidStrategyError, match="whole numbers"):
        game.payoffs_of([torch.tensor(0.5), torch.tensor(1)])
