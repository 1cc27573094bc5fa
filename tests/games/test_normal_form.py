from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.profile import Profile

actions = st.lists(st.integers(1, 4), min_size=1, max_size=4)
seeds = st.integers(0, 2**31)


def random_game(actions: list[int], seed: int) -> NormalFormGame:
    generator = torch.Generator().manual_seed(seed)
    return NormalFormGame(torch.randn((len(actions), *actions), generator=generator, dtype=torch.float64))


def by_enumeration(game: NormalFormGame, x: Profile, player: int, fixed: dict[int, int]) -> torch.Tensor:
    """Player's expected payoff, summed over joint actions; players in `fixed` play the given action."""
    total = torch.zeros((), dtype=torch.float64)
    for joint in itertools.product(*(range(a) for a in game.n_actions)):
        if any(joint[j] != a for j, a in fixed.items()):
            continue
        weight = torch.ones((), dtype=torch.float64)
        for j, a in enumerate(joint):
            weight = weight * (1 if j in fixed else x[j][a])
        total = total + weight * game.payoffs[(player, *joint)]
    return total


@given(actions, seeds)
@settings(max_examples=30)
def test_utilities_and_deviation_payoffs_are_sums_over_joint_actions(actions: list[int], seed: int) -> None:
    game = random_game(actions, seed)
    x = game.sample(generator=torch.Generator().manual_seed(seed))
    for i, count in enumerate(actions):
        torch.testing.assert_close(game.utilities(x)[i], by_enumeration(game, x, i, {}))
        expected = torch.stack([by_enumeration(game, x, i, {i: a}) for a in range(count)])
        torch.testing.assert_close(game.deviation_payoffs(x, i), expected)


@given(actions, seeds)
@settings(max_examples=30)
def test_the_field_is_the_gradient_and_the_best_reply_its_largest_entry(actions: list[int], seed: int) -> None:
    game = random_game(actions, seed)
    x = game.sample((3,), generator=torch.Generator().manual_seed(seed))
    slow = game._functional_field(tuple(x))
    for i in range(game.n_players):
        torch.testing.assert_close(game.field(x)[i], slow[i])
        torch.testing.assert_close(game.field(x, i)[0], slow[i])
        reply, value = game.best_reply(x, i)
        torch.testing.assert_close(value, slow[i].amax(-1))
        torch.testing.assert_close(game.utilities(x.replace(i, reply))[:, i], value)


@given(st.permutations(range(3)), seeds)
@settings(max_examples=20)
def test_permuting_the_players_permutes_the_results(order: list[int], seed: int) -> None:
    game = random_game([2, 3, 4], seed)
    permuted = NormalFormGame(game.payoffs[order].permute(0, *(1 + j for j in order)))
    x = game.sample(generator=torch.Generator().manual_seed(seed))
    y = [x[j] for j in order]
    torch.testing.assert_close(permuted.utilities(y), game.utilities(x)[order])
    for i, j in enumerate(order):
        torch.testing.assert_close(permuted.field(y)[i], game.field(x)[j])


@pytest.mark.parametrize(
    "batches", [((5, 3), (3,), ()), ((3,), (5, 3), (1, 3)), ((), (), (5, 3)), ((5, 1), (1, 3), (3,))]
)
def test_players_of_unlike_batches_are_broadcast(batches: tuple[tuple[int, ...], ...]) -> None:
    game = random_game([2, 3, 4], 0)
    x = [s.sample(b, generator=torch.Generator().manual_seed(0)) for s, b in zip(game.sets, batches, strict=True)]
    full = [t.expand(5, 3, t.shape[-1]) for t in x]
    torch.testing.assert_close(game.utilities(x), game.utilities(full))
    for i in range(3):
        torch.testing.assert_close(game.deviation_payoffs(x, i), game.deviation_payoffs(full, i))


def test_zero_sum_negates_and_ties_go_to_the_lowest_action() -> None:
    game = NormalFormGame.zero_sum([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    assert game.n_actions == (3, 2) and bool((game.payoffs[0] == -game.payoffs[1]).all())
    x = game.profile([0.0, 0.0, 1.0], [1.0, 0.0])
    assert game.best_reply(x, 0)[0].tolist() == [1.0, 0.0, 0.0]
    assert game.best_reply(x, 0)[0].dtype == torch.float64


def test_second_derivatives_in_ones_own_strategy_vanish() -> None:
    game = random_game([2, 3], 1)
    x = game.sample((4,), generator=torch.Generator().manual_seed(1))
    assert game.hessian(x, 0).abs().max() == 0 and game.hessian(x, 1).abs().max() == 0
    torch.testing.assert_close(game.hessian(x, 0, 1), game.payoffs[0].expand(4, 2, 3))


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (torch.zeros(2, 3), r"got payoffs of shape \(2, 3\), expected \(n, A_0"),
        (torch.zeros(2, 3, 0), "expected"),
        (torch.zeros(3), "expected"),
        (torch.tensor([[[float("nan")]], [[0.0]]]), "NaN or infinite"),
        ([[[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, 4.0]]], "one rectangular array"),
    ],
)
def test_payoffs_that_are_none_are_refused(payoffs: Any, message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        NormalFormGame(payoffs, name="mine")


def test_a_matrix_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidGameError, match=r"got a matrix of shape \(2,\), expected \(rows, columns\)"):
        NormalFormGame.zero_sum(torch.zeros(2))
    with pytest.raises(InvalidGameError, match="rectangular matrix"):
        NormalFormGame.zero_sum([[1.0, 2.0], [3.0]])


@given(actions, seeds)
@settings(max_examples=20)
def test_payoffs_of_joint_actions_are_entries_of_the_table(actions: list[int], seed: int) -> None:
    game = random_game(actions, seed)
    stream = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(0, a, (4, 3), generator=stream) for a in actions]
    paid = game.payoffs_of(drawn)
    assert paid.shape == (4, 3, len(actions)) and game.tabulated and game.n_actions == tuple(actions)
    for row in itertools.product(range(4), range(3)):
        assert paid[row].tolist() == [float(u[tuple(a[row] for a in drawn)]) for u in game.payoffs]
    assert game.payoffs_of([a[0, 0] for a in drawn]).tolist() == paid[0, 0].tolist()


def test_actions_that_are_none_are_refused() -> None:
    game = random_game([2, 3], 0)
    with pytest.raises(InvalidStrategyError, match="expected 2 tensors of whole numbers, one a player"):
        game.payoffs_of([torch.tensor(0)])
    with pytest.raises(InvalidStrategyError, match=r"got actions of dtypes \['torch.float32'"):
        game.payoffs_of([torch.tensor(0.0), torch.tensor(1)])
