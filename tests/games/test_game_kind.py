from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Ball, Box, Simplex

dims = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 2**31)


def random_utilities(dims: list[int], seed: int, zero_sum: bool = False) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Random smooth utilities: one hidden layer of sines over all coordinates."""
    generator, n, total = torch.Generator().manual_seed(seed), len(dims), sum(dims)
    inner = torch.randn((total, 6), generator=generator, dtype=torch.float64)
    outer = torch.randn((6, n), generator=generator, dtype=torch.float64)
    if zero_sum:
        outer = outer - outer.mean(-1, keepdim=True)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        parts = [t @ w for t, w in zip(x, inner.to(x[0]).split(dims), strict=True)]
        return torch.stack(torch.broadcast_tensors(*parts)).sum(0).sin() @ outer.to(x[0])

    return utilities


def random_game(dims: list[int], seed: int, zero_sum: bool = False) -> Game:
    kinds = [lambda d: Box(-1, 1, d), lambda d: Ball([0.0] * d, 1.0), Simplex]
    return Game(random_utilities(dims, seed, zero_sum), [kinds[(seed + i) % 3](d) for i, d in enumerate(dims)])


def start(game: Game, seed: int, *batch: int) -> Profile:
    return game.sample(batch, generator=torch.Generator().manual_seed(seed))


@given(dims, seeds)
@settings(max_examples=20)
def test_zero_sum_utilities_sum_to_zero(dims: list[int], seed: int) -> None:
    game = random_game(dims, seed, zero_sum=True)
    assert game.utilities(start(game, seed, 50)).sum(-1).abs().max() < 1e-12


@given(dims, seeds)
@settings(max_examples=20)
def test_the_field_equals_finite_differences(dims: list[int], seed: int) -> None:
    game = random_game(dims, seed)
    x, h = start(game, seed, 5), 1e-6
    v = game.field(x)
    for i, own in enumerate(x):
        for k in range(own.shape[-1]):
            e = torch.zeros_like(own)
            e[:, k] = h
            up, down = (game.utilities(x.replace(i, own + s * e))[:, i] for s in (1, -1))
            torch.testing.assert_close((up - down) / (2 * h), v[i][:, k], atol=1e-7, rtol=1e-7)


@given(dims, seeds)
@settings(max_examples=15)
def test_jvp_and_vjp_are_products_with_the_jacobian_and_hessians_its_blocks(dims: list[int], seed: int) -> None:
    game = random_game(dims, seed)
    x = start(game, seed, 4)
    v = Profile(torch.randn(t.shape, generator=torch.Generator().manual_seed(seed), dtype=t.dtype) for t in x)
    j = game.jacobian(x)
    torch.testing.assert_close(game.jvp(x, v).flat(), (j @ v.flat().unsqueeze(-1)).squeeze(-1))
    torch.testing.assert_close(game.vjp(x, v).flat(), (j.mT @ v.flat().unsqueeze(-1)).squeeze(-1))
    ends = torch.tensor([0, *dims]).cumsum(0).tolist()
    for i in range(len(dims)):
        for k in range(len(dims)):
            block = j[:, ends[i] : ends[i + 1], ends[k] : ends[k + 1]]
            torch.testing.assert_close(game.hessian(x, i, k), block)
        torch.testing.assert_close(game.hessian(x, i), game.hessian(x, i, i))


@given(st.permutations(range(3)), seeds)
@settings(max_examples=15)
def test_permuting_the_players_permutes_the_field(order: list[int], seed: int) -> None:
    game = random_game([1, 2, 3], seed)
    back = [order.index(i) for i in range(3)]

    def utilities(y: tuple[Tensor, ...]) -> Tensor:
        return game.utilities([y[back[i]] for i in range(3)])[..., order]

    permuted = Game(utilities, [game.sets[i] for i in order])
    x = start(game, seed, 3)
    y = [x[i] for i in order]
    for i, original in enumerate(order):
        torch.testing.assert_close(permuted.field(y)[i], game.field(x)[original])


@given(dims, seeds)
@settings(max_examples=15)
def test_rows_of_a_batch_do_not_meet_and_one_player_is_one_part(dims: list[int], seed: int) -> None:
    game = random_game(dims, seed)
    x = start(game, seed, 2, 3)
    full = game.field(x)
    for i in range(len(dims)):
        (part,) = game.field(x, i)
        torch.testing.assert_close(part, full[i], rtol=0, atol=0)
        torch.testing.assert_close(game.field([t[1, 2] for t in x])[i], full[i][1, 2])
    torch.testing.assert_close(game.jacobian(x)[1, 2], game.jacobian([t[1, 2] for t in x]))


def test_minmax_descends_for_player_0_and_ascends_for_player_1() -> None:
    game = Game.minmax(lambda x, y: (x * x * y).sum(-1), [Box(-5, 5), Box(-5, 5)])
    v = game.field(game.profile([2.0], [3.0]))
    assert v.flat().tolist() == [-12.0, 4.0]
    assert game.utilities(game.profile([2.0], [3.0])).tolist() == [-12.0, 12.0]
    with pytest.raises(InvalidGameError, match="a min-max game has two players, got 3 sets"):
        Game.minmax(lambda x, y: x, [Box(-1, 1)] * 3)


def test_a_player_that_does_not_matter_has_a_zero_field() -> None:
    constant = Game(lambda x: torch.stack([x[0].squeeze(-1), x[0].squeeze(-1) * 0 + 1], -1), [Box(-1, 1)] * 2)
    assert constant.field(constant.profile([0.5], [0.5])).flat().tolist() == [1.0, 0.0]
    numbers = Game(lambda x: torch.ones(*x[0].shape[:-1], 2), [Box(-1, 1)] * 2)
    assert numbers.field(numbers.profile([0.5], [0.5])).flat().tolist() == [0.0, 0.0]


def test_the_field_works_without_gradients_and_leaves_no_history() -> None:
    game = random_game([2, 2], 0)
    x = start(game, 0)
    with torch.no_grad():
        quiet = game.field(x)
    assert not any(t.requires_grad for t in quiet)
    assert torch.equal(quiet.flat(), game.field(x.map(lambda t: t.clone().requires_grad_())).flat())


@pytest.mark.parametrize(
    ("utilities", "got"),
    [
        (lambda x: torch.cat([x[0], x[1]], -1).sum(-1), r"utilities returned shape \(4,\)"),
        (
            lambda x: torch.cat([x[0], x[1], x[1]], -1),
            r"returned shape \(4, 3\).*expected \(4, 2\): one number a player",
        ),
        (lambda x: torch.stack([x[0], x[1]], -1), r"returned shape \(4, 1, 2\)"),
        (lambda x: torch.zeros(2), r"returned shape \(2,\)"),
        (lambda x: [x[0].sum(-1), x[1].sum(-1)], "utilities returned a list, expected a tensor"),
        (lambda x: None, "utilities returned a NoneType, expected a tensor"),
    ],
)
def test_utilities_of_the_wrong_shape_are_named(utilities, got: str) -> None:
    game = Game(utilities, [Box(-1, 1), Box(-1, 1)], name="mine")
    for call in (game.utilities, game.field):
        with pytest.raises(InvalidGameError, match=f"mine: .*{got.removeprefix('utilities ')}"):
            call([torch.zeros(4, 1), torch.zeros(4, 1)])


def test_profiles_that_are_none_are_refused_by_game_and_player() -> None:
    game = Game(lambda x: torch.cat(list(x), -1), [Box(-1, 1), Box(-1, 1)], name="mine")
    with pytest.raises(InvalidStrategyError, match=r"mine, player_1: got \[2\.0\], which lies outside Box"):
        game.profile([0.0], [2.0])
    with pytest.raises(InvalidStrategyError, match=r"mine: got 1 strategies, expected 2, one a player"):
        game.validate([torch.zeros(1)])
    with pytest.raises(InvalidGameError, match="mine: a game needs one strategy set a player"):
        Game(lambda x: x[0], [], name="mine")


# Operators


def rotation(x: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    return x[1], -x[0]


def test_an_operator_game_ascends_along_minus_f() -> None:
    game = VIGame(rotation, [Box(-1, 1), Box(-1, 1)], name="rotation", known=Known(note="a note"))
    x = game.profile([0.25], [0.5])
    assert game.field(x).flat().tolist() == [-0.5, 0.25] and game.field(x, 1)[0].tolist() == [0.25]
    assert game.jacobian(x).tolist() == [[0.0, -1.0], [1.0, 0.0]]
    assert game.jvp(x, x).flat().tolist() == [-0.5, 0.25] and game.vjp(x, x).flat().tolist() == [0.5, -0.25]
    assert game.known().note == "a note" and VIGame(rotation, game.sets).known().equilibria == ()
    assert game.joint_set.dim == 2 and game.dims == (1, 1) and "rotation" in repr(game)
    assert pickle.loads(pickle.dumps(game)).field(x).flat().tolist() == [-0.5, 0.25]
    assert game.project([torch.tensor([3.0]), torch.tensor([0.0])]).flat().tolist() == [1.0, 0.0]


def test_an_operator_of_the_wrong_shape_is_named() -> None:
    x = [torch.zeros(1), torch.zeros(1)]
    for operator in (lambda x: (x[0],), lambda x: (torch.zeros(2), torch.zeros(1))):
        with pytest.raises(InvalidGameError, match=r"mine: the operator returned shapes .* expected \(\*batch, d\)"):
            VIGame(operator, [Box(-1, 1), Box(-1, 1)], name="mine").field(x)
    with pytest.raises(InvalidGameError, match="mine: no operator was given"):
        VIGame(None, [Box(-1, 1), Box(-1, 1)], name="mine").field(x)
