"""The layers of a perceptron on the digits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from strategic_envs.data import digits
from strategic_envs.errors import DataError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.catalogue import game
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.layers import layers
from strategic_envs.games.networks import residual_conv
from strategic_envs.profile import Profile


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


NETWORKS: dict[str, tuple[dict[str, Any], tuple[tuple[int, int], ...]]] = {
    "residual": ({}, ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))),
    "residual_conv": ({"activation": "tanh"}, ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))),
    "inception": ({}, ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3), (3, 0))),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_by_name_are_played_stage_by_stage(network: str) -> None:
    options, players = NETWORKS[network]
    late = layers(hidden=(4,), samples=12, network=network, **options)
    early = layers(hidden=(4,), samples=12, network=network, alignment="early", **options)
    assert late.players == players
    assert early.players != players
    x = late.initial(0)
    by_name = {
        name: w
        for stage, own in zip(late.stages, split(late, x), strict=True)
        for name, w in zip(stage.names, own, strict=True)
    }
    y = Profile(by_name[name] for stage in early.stages for name in stage.names)
    torch.testing.assert_close(early.loss(y), late.loss(x))
    assert late.outputs(x).shape == (12, 10)
    torch.testing.assert_close(late.module(x)(late.inputs).detach(), late.outputs(x))


def split(game: DynamicGame, x: Profile) -> list[list[torch.Tensor]]:
    parts = iter(x)
    return [[next(parts) for _ in stage.players] for stage in game.stages]


def test_an_alignment_by_name_is_checked_against_the_data_flow() -> None:
    stages = {"stem": 0, "blocks.0.first": 1, "blocks.0.second": 2, "blocks.0.shortcut": 1, "head": 3}
    assert layers(hidden=(4,), samples=12, network="residual", alignment=stages).players[1:3] == ((1, 0), (1, 1))
    with pytest.raises(InvalidGameError, match=r"blocks\.0\.second"):
        layers(hidden=(4,), samples=12, network="residual", alignment={**stages, "blocks.0.second": 1})
    for network in ("mlp", "residual"):
        with pytest.raises((InvalidGameError, UnknownNameError, InvalidSettingError), match="sooner"):
            layers(hidden=(4,), samples=12, network=network, alignment="sooner")


def test_resnet18_plays_its_batch_norms_by_the_samples_of_the_game() -> None:
    game = layers(hidden=(2,), samples=8, network="resnet18")
    assert game.n_players == 21 and float(game.loss(game.initial(0))) == pytest.approx(math.log(10), rel=0.5)
    x = game.initial(0)
    before = float(game.loss(x))
    for _ in range(3):
        x = x + 0.01 * game.field(x)
    assert float(game.loss(x)) < before


def test_any_torch_module_is_played_on_vectors_or_images() -> None:
    module = residual_conv(1, (3,), (2,), 3)
    game = layers(network=module, images=True, samples=9)
    assert game.inputs.shape == (9, 1, 8, 8)
    torch.testing.assert_close(game.outputs(game.load(module)), module(game.inputs).detach())
    normed = nn.Sequential(nn.Linear(64, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 10))  # no plain chain
    game = layers(network=normed, samples=9)
    torch.testing.assert_close(game.outputs(game.load(normed)), normed(game.inputs).detach())
    with pytest.raises(InvalidGameError, match="inplace|in place"):
        layers(network=nn.Sequential(nn.Linear(64, 10), nn.ReLU(inplace=True)), samples=9)


def test_making_a_game_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for network in ("mlp", "residual", "inception"):
        layers(hidden=(2,), samples=9, network=network).initial(0)
    assert torch.get_rng_state().equal(before)


def test_bad_options_are_refused() -> None:
    for network in ("residual", "inception"):
        with pytest.raises(InvalidGameError, match="one width a block"):
            layers(hidden=(), network=network)
    with pytest.raises(UnknownNameError, match="did you mean 'residual'"):
        layers(network="residul")
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
