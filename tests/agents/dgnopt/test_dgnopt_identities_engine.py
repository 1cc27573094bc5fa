"""The optimizer against the dense reference, which shares no code with it, on its real code path."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.games.networks import initialise, residual_conv, residual_mlp
from tests.agents.dgnopt import dense, dense_networks, nets
from tests.agents.dgnopt.exact import apart, exact, moved_by

DECAY = 0.05
FULL = {"value_hessian": "full", "cap": float("inf"), "curvature": "identity"}


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("alignment", ["late", "early"])
def test_without_feedback_and_curvature_it_is_sgd(kind: str, alignment: str):
    made = []
    for _ in range(2):
        net = residual_mlp(4, (4, 3), 5, 3) if kind == "mlp" else residual_conv(1, (3, 4), (1, 2), 3, 3)
        initialise(net.double(), 1, gain=1.0)
        made.append(net)
    ours = DGNOpt(made[0], info="OLNE", curvature="identity", lr=0.3, weight_decay=0.01, alignment=alignment)
    sgd = torch.optim.SGD(made[1].parameters(), lr=0.3, weight_decay=0.01)
    data = nets.batch(9, 4) if kind == "mlp" else nets.batch(9, 1, 6, 6)
    for _ in range(5):
        assert ours.step(data).ok
        sgd.zero_grad()
        nn.functional.cross_entropy(made[1](data[0]), data[1]).backward()
        sgd.step()
    for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert float((a - b).detach().abs().max()) < 1e-9


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_a_step_of_one_is_minus_the_gradient_of_every_player(alignment: str):
    """Proposition 2: the co-states give the gradient of the Hamiltonian, which is the gradient of the loss."""
    net, data = nets.residual(), nets.batch(7, 4)
    loss = nn.functional.cross_entropy(net(data[0]), data[1])
    names = [name for name, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    parts = [p for name in names for p in net.get_submodule(name).parameters()]
    found = torch.autograd.grad(loss, parts)
    right = {
        name: -torch.cat([w, b[:, None]], 1).flatten()
        for name, w, b in zip(names, found[::2], found[1::2], strict=True)
    }
    step = moved_by(DGNOpt(net, info="OLNE", curvature="identity", lr=1.0, alignment=alignment), data)
    assert apart(step, right) < 1e-9
    theta = dense_networks.parameters(net)  # the dense reference has the same gradient
    theta = {name: theta[name] - step[name] for name in theta}
    pieces, outputs = dense.linearise(nets.dense_residual(alignment), data[0], theta)
    g, _, order, _ = dense.whole(pieces, *dense.cross_entropy(outputs, data[1]))
    assert apart(step, dense.split(-g, order, theta)) < 1e-9


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_feedback_of_a_batch_is_the_dense_sweep_without_value_recursion(alignment: str):
    net, data, rate = nets.residual(), nets.batch(7, 4), 0.3
    theta, stages = dense_networks.parameters(net), nets.dense_residual(alignment)
    pieces, outputs = dense.linearise(stages, data[0], theta)
    terminal = dense.cross_entropy(outputs, data[1])
    gains = dense.sweep(pieces, *terminal, value="none", inverse=lambda _, Q: rate * torch.eye(len(Q), dtype=Q.dtype))
    right = dense.network_rollout(stages, data[0], theta, gains)
    found = moved_by(DGNOpt(net, lr=rate, alignment=alignment, **FULL), data)
    assert apart(found, right) < 1e-9
    g, _, names, _ = dense.whole(pieces, *terminal)
    assert apart(found, dense.split(-rate * g, names, theta)) > 1e-4


def test_feedback_of_convolutions_is_the_dense_sweep():
    net, data, rate = nets.convolutional(), nets.batch(5, 1, 7, 7), 0.3
    theta, stages = dense_networks.parameters(net), nets.dense_convolutional()
    flat = data[0].flatten(1)
    pieces, outputs = dense.linearise(stages, flat, theta)
    terminal = dense.cross_entropy(outputs, data[1])
    gains = dense.sweep(pieces, *terminal, value="none", inverse=lambda _, Q: rate * torch.eye(len(Q), dtype=Q.dtype))
    found = moved_by(DGNOpt(net, lr=rate, **FULL), data)
    assert apart(found, dense.network_rollout(stages, flat, theta, gains)) < 1e-9


@pytest.mark.parametrize("info", ["FNE", "GR"])
@pytest.mark.parametrize("alignment", ["late", "early"])
@pytest.mark.parametrize("samples", [1, 7])
def test_exact_curvature_is_the_dense_sweep(info: str, alignment: str, samples: int):
    """Formulas (9) and (11), for a whole batch where nothing couples the samples of the value function."""
    net, data = nets.residual(), nets.batch(samples, 4)
    theta, stages = dense_networks.parameters(net), nets.dense_residual(alignment)
    pieces, outputs = dense.linearise(stages, data[0], theta)
    own = {name: (DECAY * m, DECAY) for name, m in theta.items()}
    gains = dense.sweep(pieces, *dense.cross_entropy(outputs, data[1]), info=info, value="none", own=own)
    right = dense.network_rollout(stages, data[0], theta, gains)
    assert apart(moved_by(exact(net, info=info, decay=DECAY, alignment=alignment), data), right) < 1e-9


@pytest.mark.parametrize(("info", "value"), [("FNE", "sum"), ("FNE", "own"), ("GR", "sum")])
@pytest.mark.parametrize("alignment", ["late", "early"])
def test_the_value_recursion_of_one_sample_is_the_dense_one(info: str, value: str, alignment: str):
    """(10) and (25) for arbitrary gains: exact for a batch of one. GR is then one Levenberg-Marquardt model."""
    net, data = nets.residual(), nets.batch(1, 4)
    theta, stages = dense_networks.parameters(net), nets.dense_residual(alignment)
    pieces, outputs = dense.linearise(stages, data[0], theta)
    own = {name: (DECAY * m, DECAY) for name, m in theta.items()}
    dense_value = {"sum": "long", "own": "own"}[value]
    gains = dense.sweep(pieces, *dense.cross_entropy(outputs, data[1]), info=info, value=dense_value, own=own)
    right = dense.network_rollout(stages, data[0], theta, gains)
    found = moved_by(exact(net, info=info, decay=DECAY, value=value, alignment=alignment), data)
    assert apart(found, right) < 1e-9


def test_a_chain_with_feedback_only_is_the_step_of_levenberg_and_marquardt_to_second_order():
    """One player a stage: the sweep is the damped Newton step, up to the curvature of the network in the rollout."""
    net, data = nets.perceptron(), nets.batch(1, 4)
    theta, stages = dense_networks.parameters(net), nets.dense_perceptron(net)
    pieces, outputs = dense.linearise(stages, data[0], theta)
    g, G, names, _ = dense.whole(pieces, *dense.cross_entropy(outputs, data[1]))
    gaps = []
    for decay in (30.0, 300.0):  # steps of size 1 / decay
        start = {name: torch.zeros_like(m) for name, m in theta.items()}
        step = -torch.linalg.solve(G + decay * torch.eye(len(g), dtype=g.dtype), g)
        own = {name: (start[name], decay) for name in theta}
        gains = dense.sweep(pieces, *dense.cross_entropy(outputs, data[1]), own=own)
        found = dense.stack(dense.network_rollout(stages, data[0], theta, gains), names)
        assert float((dense.stack(dense.linear_rollout(pieces, gains), names) - step).abs().max()) < 1e-9
        gaps.append(float((found - step).norm() / step.norm()))
    assert gaps[1] < gaps[0] / 50  # second order: a hundredth


def test_the_same_seed_gives_the_same_parameters():
    made = []
    for _ in range(2):
        net = nets.residual()
        optimizer = DGNOpt(net, info="GR", lr=0.1, value="sum", seed=4)
        for _ in range(3):
            optimizer.step(nets.batch(7, 4))
        made.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert made[0].equal(made[1])


class Block(nn.Module):
    """A residual block whose shortcut runs first or last, and whose state so has another order of slots."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 4), nn.Linear(4, 4)
        self.side, self.head, self.first = nn.Linear(5, 4), nn.Linear(4, 3), first

    def forward(self, x):
        z = torch.tanh(self.stem(x))
        if self.first:
            side, a = self.side(z), torch.tanh(self.one(z))
            return self.head(torch.tanh(side + self.two(a)))
        a = torch.tanh(self.one(z))
        return self.head(torch.tanh(self.two(a) + self.side(z)))


@pytest.mark.parametrize("info", ["FNE", "GR"])
@pytest.mark.parametrize("alignment", ["late", "early"])
@pytest.mark.parametrize("value", ["none", "sum"])
def test_the_update_does_not_depend_on_the_order_of_slots_and_players(info: str, alignment: str, value: str):
    made = []
    for first in (True, False):
        net = Block(first).double()
        initialise(net, 2, gain=1.0)
        optimizer = DGNOpt(net, info=info, lr=0.1, value=value, alignment=alignment, seed=4)
        for _ in range(2):
            assert optimizer.step(nets.batch(7, 4)).ok
        made.append((net, [stage.slots for stage in optimizer.net.stages], [p.name for p in optimizer.net.players]))
    assert made[0][1:] != made[1][1:]
    a, b = dict(made[0][0].named_parameters()), dict(made[1][0].named_parameters())
    assert max(float((a[name] - b[name]).detach().abs().max()) for name in a) < 1e-9
