"""The coupled form of a batch against dense Levenberg-Marquardt: same steps from small dual systems."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.lm import AdaptiveLM
from strategic_envs.baselines.optimizers.layers import parameters_matrix
from tests.agents.dgnopt import dense, dense_networks, nets

DAMPING = 0.05


def step_of(net: nn.Module, data: tuple[Tensor, Tensor], **options: object) -> dict[str, Tensor]:
    """What one accepted step adds to each layer's parameters, flat."""
    optimizer = AdaptiveLM(net, damping=DAMPING, bounds=(1e-9, 1e9), value_hessian="full", **options)  # pyright: ignore[reportArgumentType]
    old = {unit.name: parameters_matrix(unit) for unit in optimizer.net.units}
    result = optimizer.step(data)
    assert result.ok and result.tries == 1
    return {unit.name: (parameters_matrix(unit) - old[unit.name]).flatten() for unit in optimizer.net.units}


def lm(stages: list[dense.Stage], data: tuple[Tensor, Tensor], theta: dict[str, Tensor], decay: float = 0.0):
    pieces, outputs = dense.linearise(stages, data[0], theta)
    g, G, names, _ = dense.whole(pieces, *dense.cross_entropy(outputs, data[1]))
    flat = torch.cat([theta[name] for name in names])
    eye = torch.eye(len(g), dtype=g.dtype)
    return dense.split(-torch.linalg.solve(G + (DAMPING + decay) * eye, g + decay * flat), names, theta)


@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize("alignment", ["late", "early"])
def test_a_step_with_the_linear_rollout_is_that_of_levenberg_and_marquardt(alignment: str, decay: float):
    net, data = nets.residual(), nets.batch(7, 4)
    theta = dense_networks.parameters(net)
    right = lm(nets.dense_residual(alignment), data, theta, decay)
    found = step_of(net, data, weight_decay=decay)
    assert max(float((found[name] - right[name]).abs().max()) for name in right) < 1e-9


def test_convolutions_too():
    net, data = nets.convolutional(), nets.batch(5, 1, 7, 7)
    theta = dense_networks.parameters(net)
    stages = nets.dense_convolutional()
    flat = (data[0].flatten(1), data[1])
    right = lm(stages, flat, theta)
    found = step_of(net, data)
    assert max(float((found[name] - right[name]).abs().max()) for name in right) < 1e-9


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_the_rollout_on_the_network_is_the_dense_cooperative_sweep(alignment: str):
    net, data = nets.residual(), nets.batch(7, 4)
    theta = dense_networks.parameters(net)
    stages = nets.dense_residual(alignment)
    pieces, outputs = dense.linearise(stages, data[0], theta)
    own = {name: (torch.zeros_like(m), DAMPING) for name, m in theta.items()}
    gains = dense.sweep(pieces, *dense.cross_entropy(outputs, data[1]), info="GR", own=own)
    right = dense.network_rollout(stages, data[0], theta, gains)
    found = step_of(net, data, rollout="network", alignment=alignment)
    assert max(float((found[name] - right[name]).abs().max()) for name in right) < 1e-9
    linear = dense.linear_rollout(pieces, gains)
    assert max(float((found[name] - linear[name]).abs().max()) for name in right) > 1e-4  # a different step


def test_groups_have_their_own_decay_and_rate():
    net, data = nets.residual(), nets.batch(7, 4)
    theta = dense_networks.parameters(net)
    head = list(net.get_submodule("head").parameters())
    ids = {id(p) for p in head}
    rest = [p for p in net.parameters() if id(p) not in ids]
    pieces, outputs = dense.linearise(nets.dense_residual("late"), data[0], theta)
    g, G, names, _ = dense.whole(pieces, *dense.cross_entropy(outputs, data[1]))
    decay = torch.cat([torch.full_like(theta[name], 0.2 if name == "head" else 0.0) for name in names])
    flat = torch.cat([theta[name] for name in names])
    step = -torch.linalg.solve(G + torch.diag(decay + DAMPING), g + decay * flat)
    right = dense.split(step, names, theta)
    found = step_of(net, data, params=[{"params": rest}, {"params": head, "weight_decay": 0.2, "lr": 0.5}])
    for name in names:
        assert float((found[name] - right[name] * (0.5 if name == "head" else 1.0)).abs().max()) < 1e-9


def test_frozen_layers_stay_and_the_others_take_their_own_step():
    net, data = nets.residual(), nets.batch(7, 4)
    theta = dense_networks.parameters(net)
    pieces, outputs = dense.linearise(nets.dense_residual("late"), data[0], theta)
    g, G, names, _ = dense.whole(pieces, *dense.cross_entropy(outputs, data[1]))
    size = theta["head"].numel()
    right = -torch.linalg.solve(G[-size:, -size:] + DAMPING * torch.eye(size, dtype=g.dtype), g[-size:])
    found = step_of(net, data, params=list(net.get_submodule("head").parameters()))
    assert float((found["head"] - right).abs().max()) < 1e-9
    assert all(float(found[name].abs().max()) == 0 for name in names if name != "head")
