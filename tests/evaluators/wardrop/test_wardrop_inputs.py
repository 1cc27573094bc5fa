"""What the Wardrop evaluators read, and what they refuse: by name, and with what would mend it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.wardrop import layer_equilibrium, linear_critical_point, path_wardrop
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.layers import layers
from strategic_envs.games.networks import mlp, network_game
from strategic_envs.play import Empirical

X, Y = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 3


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Tanh(), r"layer 1 \(Tanh\) .* not positively homogeneous"),
        (nn.LayerNorm(5), r"layer 1 \(LayerNorm\) .* a norm divides"),
        (nn.BatchNorm1d(5), r"layer 1 \(BatchNorm1d\) .* a norm divides"),
        (nn.Dropout(), r"layer 1 \(Dropout\) .* random"),
        (nn.Conv1d(5, 5, 1), r"layer 1 \(Conv1d\) .* a convolution uses each weight at many places"),
        (nn.MaxPool1d(2), r"layer 1 \(MaxPool1d\) .* pooling"),
        (nn.ModuleList([nn.Linear(5, 5)]), r"layer 1 \(ModuleList\) .* cannot be seen"),
    ],
)
def test_layers_that_are_not_covered_are_named(layer: nn.Module, reason: str) -> None:
    net = nn.Sequential(nn.Linear(4, 5), layer, nn.Linear(5, 3))
    with pytest.raises(InvalidGameError, match=reason):
        path_wardrop(net, X, Y)
    with pytest.raises(InvalidGameError, match="expected nn.Linear, with nn.ReLU or nothing between"):
        layer_equilibrium(net, X, Y)


def test_a_relu_at_an_end_is_refused() -> None:
    net = mlp((4, 5, 3))
    net.add_module("end", nn.ReLU())
    with pytest.raises(InvalidGameError, match=r"layer after layer_1 \(ReLU\): it bends the outputs"):
        path_wardrop(net, X, Y)
    with pytest.raises(InvalidGameError, match=r"layer 0 \(ReLU\): it stands before the first linear layer"):
        path_wardrop(nn.Sequential(nn.ReLU(), nn.Linear(4, 3)), X, Y)
    with pytest.raises(InvalidGameError, match="without a linear layer"):
        path_wardrop(nn.Sequential(nn.Flatten()), X, Y)


def test_weights_that_are_no_numbers_are_named() -> None:
    net = mlp((4, 5, 3))
    net[2].bias.data[1] = math.nan  # type: ignore[union-attr, operator]
    with pytest.raises(InvalidStrategyError, match=r"layer layer_1 \(Linear\): its bias has 1 entries that are NaN"):
        path_wardrop(net, X, Y)
    game = DynamicGame.from_sequential(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)), X, Y)
    x = game.initial(0)
    x[1][0] = math.inf
    with pytest.raises(InvalidStrategyError, match="NaN or infinite"):
        layer_equilibrium(game, x)


@pytest.mark.parametrize(
    ("inputs", "targets", "loss", "reason"),
    [
        (X[:0], Y[:0], "mse", "at least one"),
        (X, Y[:5], "mse", "9 inputs and 5 targets"),
        (X[:, :3], Y, "mse", r"got inputs of shape \(9, 3\), expected \(N, 4\)"),
        (X[:, 0], Y, "mse", r"got inputs of shape \(9,\)"),
        (X, Y + 1, "cross_entropy", "from 1 to 3"),
        (X, torch.zeros(9, 2), "mse", r"shape \(9, 2\) for outputs of shape \(3,\)"),
        (X, torch.zeros(9, 3), "cross_entropy", "expected integer classes"),
        (X * math.nan, Y, "mse", "expected finite"),
        (X, Y, "hinge", "expected one of mse, cross_entropy, half_squared"),
        ([1.0], Y, "mse", "type list and Tensor"),
        (X, None, "mse", "type Tensor and NoneType"),
    ],
)
def test_data_that_does_not_fit_is_refused(unchecked: None, inputs: Any, targets: Any, loss: str, reason: str) -> None:
    for evaluate in (path_wardrop, layer_equilibrium):
        with pytest.raises(InvalidGameError, match=reason):
            evaluate(mlp((4, 5, 3)), inputs, targets, loss)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"paths": "all"}, "paths='all'"), ({"tau": 1.5}, "tau=1.5"), ({"draws": 0}, "draws=0")],
)
def test_settings_that_make_no_sense_are_refused(options: Any, reason: str) -> None:
    with pytest.raises(InvalidSettingError, match=reason):
        path_wardrop(mlp((4, 5, 3)), X, Y, **options)


def test_too_many_paths_are_not_listed_but_drawn() -> None:
    net = mlp((4, 100, 100, 50, 3))
    with pytest.raises(InvalidSettingError, match="network of 7515153 paths, expected at most 2000000"):
        path_wardrop(net, X, Y, paths="enumerate")
    report = path_wardrop(net, X, Y)
    assert (report.method, report.exact, report.paths) == ("sample", False, 7_515_153)
    assert report.second_moment is not None
    assert report.identity_error < 1e-12
    assert math.isfinite(replace(report, paths=10**400).row()["paths"])  # more than a float holds


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_game_of_layers_is_its_module(activation: str, loss: str) -> None:
    game = layers(hidden=(6,), samples=30, activation=activation, loss=loss)
    x = game.initial(0)
    report = path_wardrop(game, x)
    assert report == path_wardrop(game.module(x), game.inputs, game.targets, loss)
    plain = mlp((64, 6, 10), activation)
    plain.load_state_dict(dict(zip(plain.state_dict(), game.module(x).state_dict().values(), strict=True)))
    assert report == path_wardrop(plain, game.inputs, game.targets, loss)
    assert report.loss == pytest.approx(float(game.loss([w.double() for w in x])), rel=1e-12)
    assert report.identity_error < 1e-12
    own, same = layer_equilibrium(game, x), layer_equilibrium(plain, game.inputs, game.targets, loss)
    for a, b in zip(own, same, strict=True):
        row = b.row()
        assert a.row() == pytest.approx(row, abs=1e-9)
        assert a.best_response_gain is None or a.best_response_gain >= 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"network": "residual"}, "layer blocks.0.first is not covered: with its output 1 more tensors are carried on"),
        ({"network": "residual_conv"}, r"layer stem \(Conv2d\) is not covered: a convolution"),
        ({"network": "inception"}, r"layer stem \(Conv2d\) is not covered: a convolution"),
        ({"activation": "tanh"}, r"\(Tanh\) is not covered"),
        ({"fictitious": 2}, "got 2 players in a stage"),
    ],
)
def test_games_that_are_not_covered_are_refused_and_their_layers_are_still_judged(options: Any, reason: str) -> None:
    game = layers(hidden=(4,), samples=12, loss="mse", weight_decay=0.01, **options)
    x = game.initial(0, dtype=torch.float64)
    with pytest.raises(InvalidGameError, match=reason):
        path_wardrop(game, x)
    found = layer_equilibrium(game, x)
    assert [layer.gap for layer in found] == pytest.approx([float(g.abs().max()) for g in game.field(x)])
    if "fictitious" in options:
        assert found[-1].best_response_gain is None
        return
    reply = best_response(game, game.n_players - 1, Empirical.uniform([w[None] for w in x]))
    assert found[-1].exact
    gain = reply.value - float(game.utilities(x)[-1])
    assert found[-1].best_response_gain == pytest.approx(gain, rel=1e-6)
    assert all(layer.best_response_gain is None for layer in found[:-1])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_best_responses_of_a_linear_game_count_the_decay(decay: float) -> None:
    game = layers(hidden=(5, 6), samples=20, loss="mse", activation="identity", weight_decay=decay)
    x = game.initial(0, dtype=torch.float64)
    found = layer_equilibrium(game, x)
    for i, layer in enumerate(found):
        assert layer.exact
        moved = [w.clone().requires_grad_(i == j) for j, w in enumerate(x)]
        search = torch.optim.LBFGS([moved[i]], max_iter=80, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

        def closure(i: int = i, moved: Any = moved, search: Any = search) -> torch.Tensor:
            search.zero_grad()
            value = -game.utilities(moved)[i]
            value.backward()
            return value

        search.step(closure)
        reached = float(game.utilities([w.detach() for w in moved])[i] - game.utilities(x)[i])
        assert layer.best_response_gain is not None
        assert layer.best_response_gain >= reached - 1e-9
        assert layer.best_response_gain == pytest.approx(reached, rel=2e-2 if decay == 0 else 1e-6)
    report = path_wardrop(game, x)
    assert ("weight decay is left out" in report.note) == (decay > 0)


def test_batches_of_profiles_and_second_data_are_refused(unchecked: None) -> None:
    game = layers(hidden=(4,), samples=12)
    x = game.initial(0)
    for evaluate in (path_wardrop, layer_equilibrium):
        with pytest.raises(InvalidStrategyError, match="expected one: index the tensors first"):
            evaluate(game, [w.expand(3, -1) for w in x])
        with pytest.raises(InvalidGameError, match="got targets or a loss beside a game"):
            evaluate(game, x, game.targets)
        with pytest.raises((InvalidStrategyError, InvalidGameError)):
            evaluate(game, None)


def test_a_chain_as_torch_fx_sees_it_is_pointed_to_the_plain_way() -> None:
    game = network_game(mlp((4, 5, 3)), X, Y)
    with pytest.raises(InvalidGameError, match="its forward pass|whose forward pass was traced"):
        path_wardrop(game, game.initial(0))
    assert layer_equilibrium(game, game.initial(0))[-1].convex


def test_images_are_flattened_and_half_precision_is_judged_in_double() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    images = torch.randn(7, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    report = path_wardrop(net, images, torch.arange(7) % 2, "cross_entropy")
    same = path_wardrop(net.double(), images.double(), torch.arange(7) % 2, "cross_entropy")
    assert report == same
    assert not any(p.grad is not None for p in net.parameters())


def test_the_recipe_of_critical_points_refuses_what_does_not_fit(unchecked: None) -> None:
    x = torch.eye(3)
    with pytest.raises(InvalidSettingError, match=r"got modes=\[0, 0\]"):
        linear_critical_point(x, x, [0, 0], hidden=4)
    with pytest.raises(InvalidSettingError, match="no more than 1"):
        linear_critical_point(x, x, [0, 1], hidden=1)
    with pytest.raises(InvalidSettingError, match="inputs of rank 1, expected full column rank 3"):
        linear_critical_point(torch.ones(5, 3), torch.ones(5, 2), [0], hidden=1)


@pytest.mark.gpu
def test_networks_on_a_device_are_judged_there() -> None:
    for activation in ("relu", "identity"):
        net = mlp((4, 5, 3), activation)
        here = path_wardrop(net, X, Y).row(), [layer.row() for layer in layer_equilibrium(net, X, Y)]
        net = net.cuda()
        there = path_wardrop(net, X, Y).row(), [layer.row() for layer in layer_equilibrium(net, X, Y)]
        assert there[0] == pytest.approx(here[0], abs=1e-9)
        for a, b in zip(here[1], there[1], strict=True):
            assert a == pytest.approx(b, abs=1e-9)
