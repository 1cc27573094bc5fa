"""EMSA: its objective by definition, that it is stationary where it should be, what it learns, and bad input."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from strategic_envs.baselines.optimizers import EMSA
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.networks import initialise, residual_conv, residual_mlp
from strategic_envs.seeding import numpy_stream, torch_stream


def data(*shape: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch_stream(0, "data")
    return torch.randn(shape, generator=generator), torch.randint(classes, shape[:1], generator=generator)


def test_a_step_minimises_the_objective_of_each_stage_by_itself() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    old = copy.deepcopy(net)
    x0, y = data(6, 4)
    x0, rho, reg = x0.double(), 0.5, 0.1
    EMSA(net, rho, reg, iterations=500).step(x0, y)
    x1 = old[:2](x0).detach().requires_grad_()  # the first stage ends where the second layer begins
    x2 = old[2](x1)
    p2 = (torch.softmax(x2, 1) - F.one_hot(y, 3)).detach() / 6
    p1 = p2 @ old[2].weight.detach()

    def first() -> Tensor:
        out = net[:2](x0)
        decay = sum(w.square().sum() for w in net[0].parameters())
        return (p1 * out).sum() + rho / 2 * (x1.detach() - out).square().sum() + reg / 2 * decay

    def second() -> Tensor:
        out = net[2](x1.detach())
        decay = sum(w.square().sum() for w in net[2].parameters())
        pulled = p1 - p2 @ net[2].weight
        moved = x2.detach() - out
        return (p2 * out).sum() + rho / 2 * (moved.square().sum() + pulled.square().sum()) + reg / 2 * decay

    for objective, layer in ((first, net[0]), (second, net[2])):
        largest = [float(g.abs().max()) for g in torch.autograd.grad(objective(), list(layer.parameters()))]
        assert max(largest) < 1e-4  # at the start it is about 0.5


def test_without_penalties_a_stage_goes_down_along_the_gradient_of_the_loss() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = data(6, 4)
    x = x.double()
    before = copy.deepcopy(net)
    F.cross_entropy(before(x), y).backward()
    EMSA(net, rho=1.0, reg=0.0, iterations=2).step(x, y)
    for one, other in zip(before.parameters(), net.parameters(), strict=True):
        assert one.grad is not None
        assert float((one.grad * (other - one).detach()).sum()) < 0


def test_norms_keep_their_statistics_and_dropout_its_mask_within_a_step() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    x, y = data(8, 4)
    twin = copy.deepcopy(net)
    twin(x)
    result = EMSA(net).step(x, y)
    assert result.outcome == "ok"
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(net[1].get_buffer(key), twin[1].get_buffer(key))


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_a_residual_convolutional_net_goes_down_and_two_runs_are_the_same(alignment: str) -> None:
    runs = []
    for _ in range(2):
        net = initialise(residual_conv(1, (3, 4), (1, 2), stem=3, classes=3), 0)
        optimizer = EMSA(net, rho=1.0, alignment=alignment, iterations=4)
        x, y = data(12, 1, 6, 6)
        runs.append([float(optimizer.step(x, y).loss) for _ in range(6)])
    assert runs[0] == runs[1] and runs[0][-1] < runs[0][0]


def test_a_step_that_is_not_finite_is_refused_and_changes_nothing() -> None:
    net = initialise(residual_mlp(4, (3,), stem=3, classes=3), 0)
    before = copy.deepcopy(net.state_dict())
    optimizer = EMSA(net)
    x, y = data(6, 4)
    result = optimizer.step(x * float("inf"), y)
    assert result.outcome == "diverged" and optimizer.steps == 0
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert optimizer.step(x, y).outcome == "ok" and optimizer.steps == 1


def test_bad_input_is_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(InvalidSettingError, match="rho is a number >= 0, got -1"):
        EMSA(net, rho=-1)
    with pytest.raises(InvalidSettingError, match="iterations is at least 1, got 0"):
        EMSA(net, iterations=0)
    with pytest.raises(UnknownNameError, match="unknown loss 'hinge'"):
        EMSA(net, loss="hinge")
    with pytest.raises(CheckpointError, match="expected the state of EMSA"):
        EMSA(net).load_state_dict({"a": 1})
    normed = EMSA(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    with pytest.raises(InvalidGameError, match="batch of one sample"):
        normed.step(*data(1, 4))


@pytest.mark.slow
def test_it_learns_digits_in_few_epochs() -> None:
    """97% in 8 epochs of the residual perceptron on 1100 digits; here 4 epochs, and a margin for 400 test images."""
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, classes = datasets.load_digits(return_X_y=True)
    order = numpy_stream(0, "split").permutation(len(pixels))
    x = torch.tensor(pixels[order] / 16 - 0.3, dtype=torch.float32)
    y = torch.tensor(classes[order])
    net = initialise(residual_mlp(), 0)
    optimizer = EMSA(net, rho=0.03, reg=1e-3)
    for epoch in range(4):
        shuffled = torch.randperm(1100, generator=torch_stream(0, "epoch", epoch))
        for batch in shuffled[:1024].split(128):
            assert optimizer.step(x[batch], y[batch]).outcome == "ok"
    accuracy = float((net(x[1397:]).argmax(1) == y[1397:]).float().mean())
    assert accuracy >= 0.94
