"""Levenberg-Marquardt as an optimizer: its damping, refusals, resumption, bad input, and that it is stable."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.damping import Damping
from strategic_envs.agents.dgnopt.experiments.problems import problem
from strategic_envs.agents.dgnopt.lm import AdaptiveLM
from strategic_envs.errors import (
    CheckpointError,
    InvalidGameError,
    InvalidSettingError,
    InvalidStrategyError,
    UnknownNameError,
)
from strategic_envs.games.networks import from_module, initialise, residual_conv, residual_mlp
from strategic_envs.seeding import torch_stream
from tests.agents.dgnopt import nets


def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_the_gain_ratio_is_one_where_the_model_is_the_loss():
    """A linear network with squared error: Gauss-Newton is Newton, and what is predicted is what happens."""
    net = nn.Linear(4, 2).double()
    inputs, targets = torch.randn(9, 4, dtype=torch.float64, generator=torch_stream(0, "x")), torch.ones(9, 2).double()
    optimizer = AdaptiveLM(net, loss="mse", value_hessian="full", weight_decay=0.01, damping=0.5)
    for _ in range(5):
        result = optimizer.step((inputs, targets))
        assert result.ok and abs(result.ratio - 1) < 1e-9
    assert optimizer.damping.value == 0.1  # trusted more and more, down to the floor


def test_the_damping_follows_the_ratio():
    damping = Damping(1.0, factor=2.0)
    damping.accepted(0.1)
    assert damping.value == 2.0
    damping.accepted(0.5)
    assert damping.value == 2.0
    damping.accepted(0.9)
    assert damping.value == 1.0
    damping.rejected()
    damping.rejected()
    assert damping.value == 8.0


def test_a_step_that_raises_the_loss_is_taken_back_and_tried_with_more_damping():
    net, data = nets.residual(), nets.batch(7, 4)
    initialise(net, 0, gain=3.0)
    optimizer = AdaptiveLM(net, damping=1e-6, bounds=(1e-9, 1e6), lr=30.0)
    result = optimizer.step(data)
    assert result.tries > 1
    if result.ok:
        assert float(nn.functional.cross_entropy(net(data[0]), data[1])) < float(result.loss)
    before = flat(net)
    once = AdaptiveLM(net, damping=1e-6, bounds=(1e-9, 1e6), lr=1e5, retries=0)
    result = once.step(data)
    assert result.outcome == "rejected" and not result.ok and once.steps == 0
    assert flat(net).equal(before) and once.damping.value == 2e-6


@pytest.mark.parametrize("rollout", ["linear", "network"])
def test_every_accepted_step_lowers_the_loss_of_its_batch(rollout: str):
    net, data = nets.residual(), nets.batch(7, 4)
    optimizer = AdaptiveLM(net, rollout=rollout, bounds=(1e-3, 1e6))
    losses = [float(optimizer.step(data).loss) for _ in range(10)]
    assert all(b <= a for a, b in itertools.pairwise(losses)) and losses[-1] < 0.3 * losses[0]


def test_another_batch_can_veto_a_step():
    net, data = nets.residual(), nets.batch(6, 4)
    optimizer = AdaptiveLM(net, retries=0)
    check = (data[0], (data[1] + 1) % 3)  # wants the opposite
    for _ in range(8):
        optimizer.step(data)
    before = flat(net)
    assert optimizer.step(data, check=check).outcome == "rejected" and flat(net).equal(before)
    free = AdaptiveLM(nets.residual())
    assert free.step(data, check=data).ok and free.damping.value < 0.3


def test_shortened_steps_keep_the_predictions_close():
    moved = []
    for clip in (None, 1e-4):
        net, data = nets.residual(), nets.batch(20, 4)
        old = net(data[0]).detach().log_softmax(1)
        assert AdaptiveLM(net, damping=0.1, value_hessian="full", kl_clip=clip).step(data).ok
        new = net(data[0]).detach().log_softmax(1)
        moved.append(float((old.exp() * (old - new)).sum(1).mean()))
    assert moved[0] > 0.01 and abs(moved[1] - 1e-4) < 2e-5


@pytest.mark.parametrize("where", ["inputs", "weights"])
def test_a_loss_that_is_not_finite_is_refused_and_leaves_no_trace(where: str):
    net, data = nets.residual(), nets.batch(7, 4)
    optimizer = AdaptiveLM(net, seed=3)
    optimizer.step(data)
    if where == "inputs":
        data = (data[0] * float("inf"), data[1])
    else:
        with torch.no_grad():
            next(net.parameters())[0, 0] = float("nan")
    before, state = flat(net), copy.deepcopy(optimizer.state_dict())
    result = optimizer.step(data)
    assert result.outcome == "diverged" and result.reason == "the loss"
    assert torch.equal(flat(net).nan_to_num(), before.nan_to_num())
    after = optimizer.state_dict()
    assert after["lm"]["damping"] == state["lm"]["damping"] and after["lm"]["steps"] == 1
    assert after["lm"]["random"]["terminal"].equal(state["lm"]["random"]["terminal"])


def test_an_overflow_of_the_step_is_rejected_not_taken():
    net, data = nets.residual(), nets.batch(7, 4)
    before = flat(net)
    result = AdaptiveLM(net, lr=1e308, damping=1e-6, bounds=(1e-9, 1e6), retries=1).step(data)
    assert result.outcome == "rejected" and flat(net).equal(before)


def test_a_resumed_run_is_the_same_run():
    def train(net: nn.Module, optimizer: AdaptiveLM, steps: range) -> None:
        for k in steps:
            x, y = nets.batch(12, 4)
            optimizer.step((x + 0.1 * k, y))

    def fresh() -> tuple[nn.Module, AdaptiveLM]:
        net = nets.residual()
        return net, AdaptiveLM(net, value_hessian="mc", rank=2, seed=5)

    whole, optimizer = fresh()
    train(whole, optimizer, range(6))
    half, first = fresh()
    train(half, first, range(3))
    other, second = fresh()
    other.load_state_dict(half.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(other, second, range(3, 6))
    assert flat(other).equal(flat(whole)) and second.steps == 6


def test_a_list_of_batches_counts_as_one():
    data, made = nets.batch(8, 4), []
    for batch in (data, [(data[0][:3], data[1][:3]), (data[0][3:], data[1][3:])]):
        net = nets.residual()
        AdaptiveLM(net).step(batch)
        made.append(flat(net))
    assert made[0].equal(made[1])


def test_schedulers_and_batch_norm_work():
    net = residual_conv(1, (3, 4), (1, 2), 3, 3, norm="batch").double()
    initialise(net, 0)
    optimizer = AdaptiveLM(net, value_hessian="mc", rank=1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    data = nets.batch(8, 1, 6, 6)
    seen = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for _ in range(6):
        result = optimizer.step(data)
        assert result.outcome != "diverged"
        schedule.step()
    counts = {int(m.num_batches_tracked) for m in seen if m.num_batches_tracked is not None}
    assert counts <= {0, 6}  # the running statistics moved once a step, whatever was tried
    assert optimizer.param_groups[0]["lr"] == 2**-6


def fails(error: type[Exception], match: str, do: Callable[[], object]) -> None:
    with pytest.raises(error, match=match):
        do()


def test_bad_input_says_what_was_got(unchecked: None):
    net, data = nets.residual(), nets.batch(4, 4)
    fails(InvalidSettingError, "rollout='curved'", lambda: AdaptiveLM(net, rollout="curved"))
    fails(InvalidSettingError, "retries=-1", lambda: AdaptiveLM(net, retries=-1))
    fails(InvalidSettingError, "lr=0", lambda: AdaptiveLM(net, lr=0))
    fails(InvalidSettingError, "kl_clip=-1", lambda: AdaptiveLM(net, kl_clip=-1))
    fails(InvalidSettingError, "weight_decay", lambda: AdaptiveLM(net, weight_decay=-0.1))
    fails(InvalidSettingError, "least <= damping", lambda: AdaptiveLM(net, damping=0.01))
    fails(InvalidSettingError, "factor=1.0", lambda: AdaptiveLM(net, factor=1.0))
    fails(UnknownNameError, "value Hessian", lambda: AdaptiveLM(net, value_hessian="half"))
    fails(InvalidGameError, "place", lambda: AdaptiveLM(nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))))
    fails(InvalidStrategyError, "batch", lambda: AdaptiveLM(net).step(3))
    fails(CheckpointError, "AdaptiveLM", lambda: AdaptiveLM(net).load_state_dict({}))
    stem = net.get_submodule("stem")
    assert isinstance(stem, nn.Linear)
    fails(InvalidSettingError, "stem", lambda: AdaptiveLM(net, params=[stem.weight]).step(data))


def test_a_staged_network_can_be_given():
    staged = from_module(nets.residual(), "early")
    assert AdaptiveLM(staged).net is staged and AdaptiveLM(staged, alignment="late").net is not staged


@pytest.mark.slow
def test_it_is_stable_on_digits_and_faster_than_gradient_steps():
    """Two of the ten seeds that were run: at least 95% of the test digits within six epochs, nothing diverges."""
    digits = problem("residual")
    for seed in range(2):
        net = residual_mlp()
        initialise(net, seed, gain=0.8)
        optimizer, order = AdaptiveLM(net, seed=seed), torch_stream(seed, "batches")
        best, marks = 0.0, []
        for _ in range(6):
            for rows in torch.randperm(len(digits.train), generator=order)[:1024].split(128):
                result = optimizer.step((digits.train.inputs[rows], digits.train.targets[rows]))
                assert result.outcome != "diverged"
                marks.append(float(result.loss))
            with torch.no_grad():
                right = net(digits.test.inputs).argmax(1) == digits.test.targets
            best = max(best, float(right.float().mean()))
        assert best >= 0.95
        assert min(marks[:20]) < 0.3
