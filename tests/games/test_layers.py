"""The layers of a perceptron on the digits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from strategic_envs.data import digits
from strategic_envs.errors import DataError, InvalidGameError, UnknownNameError
from strategic_envs.games.catalogue import game
from strategic_envs.games.layers import layers


def test_layers_are_those_of_the_torch_perceptron() -> None:
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    perceptron, data = layers(), digits().flatten()
    x = perceptron.load(net)
    torch.testing.assert_close(perceptron.loss(x), nn.functional.cross_entropy(net(data.inputs), data.targets).detach())
    assert perceptron.players == ((0, 0), (1, 0))


def test_loss_at_zero_weights_is_log_10() -> None:
    perceptron = layers()
    zero = perceptron.initial(0, dtype=torch.float64) * 0
    assert float(perceptron.loss(zero)) == pytest.approx(math.log(10), abs=1e-12)
    assert perceptron.known().constants["loss_at_zero"] == math.log(10)


def test_gradient_play_learns_the_digits() -> None:
    perceptron, held_out = layers(), layers(split="test")
    x = perceptron.initial(0)
    for step in range(300):
        x = x + 0.5 * perceptron.minibatch(step, 64).field(x)
    assert float(perceptron.accuracy(x)) > 0.97 and float(held_out.accuracy(x)) > 0.93


def test_softmax_regression_is_convex() -> None:
    regression = layers(hidden=(), samples=50)
    assert regression.n_players == 1
    jacobian = regression.jacobian(regression.initial(0, dtype=torch.float64))
    assert float(torch.linalg.eigvalsh(jacobian).max()) < 1e-12


def test_options_shape_the_game() -> None:
    assert layers(hidden=(8, 4)).dims == (64 * 8 + 8, 8 * 4 + 4, 4 * 10 + 10)
    some, again, other = layers(samples=20), layers(samples=20), layers(samples=20, seed=1)
    assert (
        len(some.inputs) == 20 and torch.equal(some.inputs, again.inputs) and not torch.equal(some.inputs, other.inputs)
    )
    assert layers(loss="mse").objective.loss == "mse"
    assert game("layers", hidden=(8,)).dims == (520, 90)


def test_a_users_own_network_is_played_on_the_digits() -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    own = layers(network=network, samples=30)
    torch.testing.assert_close(own.outputs(own.load(network)), network(own.inputs).detach())


def test_bad_options_are_refused() -> None:
    for hidden in ((0,), (16, -1), (True,)):
        with pytest.raises(InvalidGameError, match="whole numbers >= 1"):
            layers(hidden=hidden)
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        layers(activation="rellu")
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        layers(data="mnits")
    with pytest.raises(DataError, match="minibatch size of 2000"):
        layers(samples=2000)


@pytest.mark.data
def test_mnist_layers_have_784_inputs() -> None:
    perceptron = layers(data="mnist", samples=100)
    assert perceptron.dims == (785 * 16, 170) and float(perceptron.accuracy(perceptron.initial(0))) < 0.5


@pytest.mark.usefixtures("unchecked")
def test_a_width_that_is_no_sequence_is_refused() -> None:
    with pytest.raises(InvalidGameError, match="got hidden=-3"):
        layers(hidden=-3)  # pyright: ignore[reportArgumentType]
