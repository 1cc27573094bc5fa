"""KFAC and EKFAC as ordinary optimizers: the update by definition, groups, schedules, resume, and bad input."""

from __future__ import annotations

import copy
import gc
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from strategic_envs.baselines.optimizers import EKFAC, KFAC
from strategic_envs.baselines.optimizers.layers import parameters_matrix
from strategic_envs.baselines.optimizers.preconditioned import Preconditioned
from strategic_envs.baselines.optimizers.recording import units_of
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError

MAKERS: dict[str, Callable[..., Preconditioned]] = {
    "kfac": KFAC,
    "ekfac": EKFAC,
    "ekfac running": lambda module, **options: EKFAC(module, scale="running", **options),
}
every = pytest.mark.parametrize("name", MAKERS)


class Residual(nn.Module):
    """Convolutions with a norm, a projection shortcut and a linear layer."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.short, self.fc, self.act = nn.Conv2d(1, 4, 1), nn.Linear(4, 3), nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.conv(x)) + self.short(x))
        return self.fc(y.mean((2, 3)))


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def data(samples: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 1, 4, 4, generator=generator), torch.randint(3, (samples,), generator=generator)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 6) -> list[float]:
    x, y = data()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_a_step_of_kfac_is_its_definition() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))
    x, y = data()
    a = [torch.cat([v, torch.ones(12, 1)], 1) for v in (x.flatten(1), net[:3](x))]
    before = [parameters_matrix(unit) for unit in units_of(net)]
    optimizer = KFAC(net, lr=0.5, damping=0.2, weight_decay=0.1)
    out = [net[:2](x), net(x)]
    hidden = out[0].detach().requires_grad_()
    F.cross_entropy(net[2:](hidden), y, reduction="sum").backward()
    h = [hidden.grad, torch.softmax(out[1], 1).detach() - F.one_hot(y, 3)]
    optimizer.zero_grad()
    F.cross_entropy(net(x), y).backward()
    optimizer.step()
    for unit, theta, read, wrote in zip(units_of(net), before, a, h, strict=True):
        assert wrote is not None
        A, B, G = read.mT @ read / 12, wrote.mT @ wrote / 12, wrote.mT @ read / 12 + 0.1 * theta
        pi = (A.diagonal().mean() / B.diagonal().mean()).sqrt()
        A, B = A + pi * 0.2**0.5 * torch.eye(len(A)), B + 0.2**0.5 / pi * torch.eye(len(B))
        expected = theta - 0.5 * torch.linalg.solve(B, G) @ torch.linalg.inv(A)
        assert torch.allclose(parameters_matrix(unit), expected, atol=1e-12)


@every
def test_training_goes_down_and_two_runs_are_the_same(name: str) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        net = Residual()
        runs.append((train(net, MAKERS[name](net, lr=0.03, damping=0.03), 25), weights(net)))
    assert runs[0][0] == runs[1][0] and torch.equal(runs[0][1], runs[1][1])
    assert runs[0][0][-1] < 0.9 * runs[0][0][0]


@every
def test_an_activation_in_place_after_a_layer_changes_nothing(name: str) -> None:
    ends = []
    for inplace in (False, True):
        torch.manual_seed(3)
        net = Residual(inplace)
        train(net, MAKERS[name](net))
        ends.append(weights(net))
    assert torch.equal(*ends)


@every
def test_a_batch_in_two_parts_takes_the_same_step(name: str) -> None:
    x, y = data()
    ends = []
    for parts in (1, 2):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
        optimizer = MAKERS[name](net)
        for _ in range(3):
            optimizer.zero_grad()
            for some, classes in zip(x.chunk(parts), y.chunk(parts), strict=True):
                (F.cross_entropy(net(some), classes) / parts).backward()
            optimizer.step()
        ends.append(weights(net))
    assert torch.allclose(*ends, atol=1e-12)


@every
def test_the_sum_of_losses_has_the_same_curvature_as_their_mean(name: str) -> None:
    x, y = data()
    ends = []
    for reduction, lr in (("mean", 0.12), ("sum", 0.01)):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        optimizer = MAKERS[name](net, lr=lr, loss_reduction=reduction)
        F.cross_entropy(net(x), y, reduction=reduction).backward()
        optimizer.step()
        ends.append(weights(net))
    assert torch.allclose(*ends, atol=1e-12) == (name != "ekfac running")  # that one squares the gradient itself


@every
def test_a_run_resumes_exactly_from_its_state(name: str) -> None:
    net = Residual()
    optimizer = MAKERS[name](net, lr=0.02)
    train(net, optimizer, 4)
    twin = Residual()
    twin.load_state_dict(net.state_dict())
    other = MAKERS[name](twin, lr=0.5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert train(net, optimizer, 9) == train(twin, other, 9)
    assert torch.equal(weights(net), weights(twin)) and other.steps == 13


def test_groups_have_their_own_settings_and_schedulers_work() -> None:
    net = Residual()
    groups = [{"params": net.fc.parameters(), "lr": 0.0}, {"params": [*net.conv.parameters(), *net.short.parameters()]}]
    optimizer = KFAC(net, lr=0.1, params=groups)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.0)
    before, norm = net.fc.weight.clone(), net.norm.weight.clone()
    train(net, optimizer, 2)
    moved = net.conv.weight.clone()
    assert torch.equal(net.fc.weight, before) and torch.equal(net.norm.weight, norm)  # no step, and in no group
    schedule.step()
    schedule.step()
    assert optimizer.param_groups[1]["lr"] == 0.0
    train(net, optimizer, 2)
    assert torch.equal(net.conv.weight, moved)


def test_a_damping_of_its_own_group_shortens_a_layers_step() -> None:
    steps = []
    for damping in (0.03, 3.0):
        torch.manual_seed(3)
        net = Residual()
        before = net.fc.weight.clone()
        rest = [p for n, p in net.named_parameters() if not n.startswith("fc")]
        optimizer = KFAC(net, params=[{"params": net.fc.parameters(), "damping": damping}, {"params": rest}])
        train(net, optimizer, 1)
        steps.append((net.fc.weight - before).norm())
    assert steps[1] < 0.2 * steps[0]


def test_a_limit_of_the_steps_length_shortens_all_of_them() -> None:
    steps = []
    for limit in (None, 1e9, 1e-4):
        torch.manual_seed(3)
        net = Residual()
        before = weights(net)
        train(net, KFAC(net, kl_clip=limit), 1)
        steps.append(weights(net) - before)
    assert torch.allclose(steps[0], steps[1])
    factor = steps[2].norm() / steps[0].norm()
    assert factor < 1 and torch.allclose(steps[2], factor * steps[0])


def test_other_layers_take_plain_gradient_steps_and_are_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift, self.act, self.fc = nn.Parameter(torch.zeros(16)), nn.PReLU(), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.act(x.flatten(1) + self.shift))

    net = Odd()
    optimizer = KFAC(net, lr=0.5)
    with pytest.warns(UserWarning, match=r"of act \(PReLU\), the module \(Odd\): plain gradient steps"):
        train(net, optimizer, 1)
    assert net.shift.grad is not None
    assert torch.equal(net.shift.detach(), -0.5 * net.shift.grad)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, optimizer, 1)  # said once


def test_a_layer_that_is_used_without_being_called_is_named() -> None:
    net = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
    optimizer = KFAC(net, lr=0.01)
    net(torch.randn(3, 5, 4)).square().mean().backward()
    with pytest.warns(UserWarning, match=r"self_attn") as said:
        optimizer.step()
    assert "out_proj" in " ".join(str(w.message) for w in said) and optimizer.last_outcome == "ok"


@every
@pytest.mark.parametrize("where", ["inputs", "gradient", "loss"])
def test_a_step_that_is_not_finite_is_refused_and_changes_nothing(name: str, where: str) -> None:
    net = Residual()
    optimizer = MAKERS[name](net)
    train(net, optimizer, 2)
    before, state = weights(net), copy.deepcopy(optimizer.state_dict())
    x, y = data()
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x * float("inf") if where == "inputs" else x), y)
    loss.backward()
    if where == "gradient":
        assert net.fc.weight.grad is not None
        net.fc.weight.grad[0, 0] = float("nan")
    if where == "loss":
        optimizer.step(lambda: loss * float("inf"))
    else:
        optimizer.step()
    assert optimizer.last_outcome == "diverged" and optimizer.steps == 2
    assert torch.equal(weights(net), before)
    assert str(optimizer.state_dict()) == str(state)
    if where != "inputs":  # BatchNorm has seen those
        train(net, optimizer, 1)
        assert optimizer.last_outcome == "ok"


def test_an_update_that_overflows_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).float()
    optimizer = KFAC(net, damping=1e-40, first=1)
    x, y = data()
    F.cross_entropy(net(x.float() * 1e-18), y).backward()
    optimizer.step()
    assert optimizer.last_outcome == "diverged" or torch.isfinite(weights(net)).all()


def test_an_input_overwritten_before_the_backward_pass_is_refused() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1) + 0
            y = self.fc(x.requires_grad_(False))
            x += 1
            return y

    net = Overwrites()
    for p in net.fc.parameters():
        p.requires_grad_(p is net.fc.bias)  # autograd itself keeps no input then, and would not notice
    optimizer = KFAC(net, params=net.fc.parameters())
    x, y = data()
    with pytest.raises(InvalidGameError, match=r"layer 'fc' \(Linear\) read was overwritten .* out of place"):
        F.cross_entropy(net(x), y).backward()
    del optimizer


def test_shared_parameters_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    with pytest.raises(InvalidGameError, match=r"the parameter 1.weight is also 0.weight"):
        KFAC(net)


def test_a_layer_that_runs_twice_is_refused_by_name() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(x.flatten(1)))

    net = Twice()
    optimizer = KFAC(net)
    with pytest.raises(InvalidGameError, match=r"layer 'fc' \(Linear\) runs twice in one pass"):
        net(data()[0])
    del optimizer


def test_a_batch_of_one_is_refused_where_batch_norm_would_subtract_it() -> None:
    net = Residual()
    optimizer = KFAC(net)
    with pytest.raises(InvalidGameError, match=r"layer 'norm' \(BatchNorm2d\) got a batch of one sample"):
        net(data(1)[0])
    net.eval()(data(1)[0])
    del optimizer


def test_an_evaluation_between_records_nothing_and_a_dropped_optimizer_leaves_no_hooks() -> None:
    net = Residual()
    optimizer = KFAC(net)
    with torch.no_grad():
        net(data()[0])
    copied = copy.deepcopy(net)
    F.cross_entropy(copied(data()[0]), data()[1]).backward()
    assert optimizer._recorder._records == {}
    del optimizer
    gc.collect()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_groups_that_do_not_fit_the_module_are_refused() -> None:
    net, other = Residual(), nn.Linear(2, 2)
    with pytest.raises(InvalidSettingError, match=r"shapes \[\(2, 2\), \(2,\)\] that are not the module's"):
        KFAC(net, params=other.parameters())
    optimizer = KFAC(net, params=[{"params": [net.fc.weight]}, {"params": [net.fc.bias]}])
    with pytest.raises(InvalidSettingError, match=r"the layer 'fc' are in several groups"):
        train(net, optimizer, 1)
    half = KFAC(net, params=[net.fc.weight])
    with pytest.raises(InvalidSettingError, match=r"partly in none"):
        train(net, half, 1)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"damping": float("nan")}, {"weight_decay": -0.1}, {"kl_clip": 0.0}])
def test_settings_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidSettingError, match=next(iter(options))):
        KFAC(Residual(), **options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidSettingError, match="loss_reduction is 'mean' or 'sum', got 'none'"):
        KFAC(Residual(), loss_reduction="none")


def test_a_state_of_another_optimizer_is_refused() -> None:
    net = Residual()
    with pytest.raises(CheckpointError, match="of another optimizer"):
        KFAC(net).load_state_dict(torch.optim.SGD(net.parameters(), lr=0.1).state_dict())
    with pytest.raises(CheckpointError, match="the curvature 'EKFAC', expected 'KFAC'"):
        KFAC(net).load_state_dict(EKFAC(net).state_dict())
