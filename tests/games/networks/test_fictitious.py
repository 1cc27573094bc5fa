"""Fictitious players: the same network, N players a layer, all with one field; their sum moves N times as far."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.report import evaluate
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.layers import layers
from strategic_envs.games.networks import network_game, residual_conv, residual_mlp
from strategic_envs.games.networks.fictitious import FictitiousGame, fictitious_game
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream


def base(kind: str = "residual") -> DynamicGame:
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if kind == "norms":
        module = residual_conv(1, (4,), (1,), 4, 3, norm="batch")
        return network_game(module, inputs.reshape(12, 1, 2, 3), torch.arange(12) % 3)
    return network_game(residual_mlp(6, (5, 4), 5, 3), inputs, torch.arange(12) % 3, weight_decay=0.1)


def spread(game: DynamicGame) -> Profile:
    """Copies with different weights."""
    drawn = [torch.randn(d, generator=torch_stream(0, i), dtype=torch.float64) for i, d in enumerate(game.dims)]
    return Profile(0.3 * w for w in drawn)


@pytest.mark.parametrize("kind", ["residual", "norms"])
@pytest.mark.parametrize("copies", [2, 3])
def test_the_network_is_that_of_the_sums(kind: str, copies: int) -> None:
    one = base(kind)
    game = fictitious_game(one, copies)
    assert isinstance(game, FictitiousGame)
    x = spread(game)
    total = game.layers(x)
    expected = [sum(x[i * copies + k] for k in range(copies)) for i in range(one.n_players)]
    torch.testing.assert_close(total.flat(), torch.cat(expected))  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(game.outputs(x), one.outputs(total))
    torch.testing.assert_close(game.module(x)(game.inputs), one.module(total)(one.inputs))
    torch.testing.assert_close(game.costates(x), one.costates(total))


def test_every_copy_has_the_field_of_its_layer() -> None:
    one = base()
    game = fictitious_game(one, 3)
    x = spread(game)
    assert isinstance(game, FictitiousGame)
    layer = one.field(game.layers(x))
    for i, part in enumerate(game.field(x)):
        loss_part = part + 0.1 * x[i]  # without weight decay, which everybody has for its own weights
        torch.testing.assert_close(loss_part, layer[i // 3] + 0.1 * game.layers(x)[i // 3])


def test_gradient_play_of_n_copies_is_that_of_one_with_n_times_the_rate() -> None:
    one, two, eta = layers(hidden=(8,), samples=50), layers(hidden=(8,), samples=50, fictitious=4), 0.05
    assert isinstance(two, FictitiousGame)
    x, y = one.initial(3, dtype=torch.float64), two.initial(3, dtype=torch.float64)
    for _ in range(5):
        x, y = x + 4 * eta * one.field(x), y + eta * two.field(y)
    torch.testing.assert_close(two.layers(y).flat(), x.flat(), rtol=0, atol=1e-12)


def test_weights_begin_and_are_loaded_in_equal_shares() -> None:
    one = base()
    game = fictitious_game(one, 2)
    assert isinstance(game, FictitiousGame)
    x = game.initial(5)
    torch.testing.assert_close(game.layers(x).flat(), one.initial(5).flat())
    assert all(x[2 * i].equal(x[2 * i + 1]) for i in range(one.n_players))
    module = residual_mlp(6, (5, 4), 5, 3).double()
    torch.testing.assert_close(game.outputs(game.load(module)), module(game.inputs).detach())
    with pytest.raises(InvalidStrategyError, match="expected"):
        game.load(nn.Linear(2, 2))


def test_players_dims_minibatches_and_copies() -> None:
    one = base()
    game = fictitious_game(one, 2)
    assert game.dims == tuple(d for d in one.dims for _ in range(2))
    assert game.players == tuple((t, 2 * n + k) for t, n in one.players for k in range(2))
    assert game.stages[0].names == ("stem (1 of 2)", "stem (2 of 2)")
    x = spread(game)
    some = game.minibatch(0, 4)
    assert len(some.inputs) == 4
    assert isinstance(some, FictitiousGame)
    torch.testing.assert_close(some.loss(x), one.minibatch(0, 4).loss(some.layers(x)))
    for other in (copy.deepcopy(game), pickle.loads(pickle.dumps(game))):
        torch.testing.assert_close(other.loss(x), game.loss(x))
    assert fictitious_game(one, 1) is one


def test_gaps_are_those_of_the_layers() -> None:
    one = layers(hidden=(), samples=20, loss="mse")
    game = fictitious_game(one, 2)
    x = game.initial(0, dtype=torch.float64)
    assert isinstance(game, FictitiousGame)
    report, alone = evaluate(game, x), evaluate(one, game.layers(x))
    assert report["local_nash_gap"].value == pytest.approx(alone["local_nash_gap"].value)
    assert report["nash_conv"].value == pytest.approx(2 * alone["nash_conv"].value, rel=1e-3)


@pytest.mark.parametrize("copies", [0, -1, 1.5, True])
def test_a_wrong_number_of_players_is_refused(unchecked: None, copies: object) -> None:
    with pytest.raises(InvalidGameError, match=f"fictitious={copies!r}, expected a whole number"):
        layers(samples=20, fictitious=copies)  # pyright: ignore[reportArgumentType]
