"""The engine as an optimizer: batches in pieces, exact resume, refused steps, groups, schedules, low precision."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt import CrossEntropy, DGNOpt, TerminalFactors
from strategic_envs.errors import (
    CheckpointError,
    InvalidGameError,
    InvalidSettingError,
    InvalidStrategyError,
    UnknownNameError,
)
from strategic_envs.games.networks import initialise, residual_conv, residual_mlp

Batch = tuple[Tensor, Tensor]


class Images(nn.Module):
    """A small network with all that treats two passes differently: BatchNorm and dropout."""

    def __init__(self, norm: bool = True, drop: float = 0.3) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4) if norm else nn.Identity()
        self.second, self.drop, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(drop), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = self.drop(torch.tanh(self.second(x)) + x)
        return self.head(x.mean((2, 3)))


def data(count: int = 4, samples: int = 12, seed: int = 0) -> list[Batch]:
    g = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(samples, 1, 5, 5, generator=g, dtype=torch.float64), torch.randint(3, (samples,), generator=g))
        for _ in range(count)
    ]


def images(**settings: Any) -> nn.Module:
    return initialise(Images(**settings), 0).double()


def state(module: nn.Module, optimizer: DGNOpt) -> list[Any]:
    """Everything that a step may change, as plain copies."""
    return copy.deepcopy([list(module.state_dict().values()), list(leaves(optimizer.state_dict()))])


def leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree


def same(a: Any, b: Any) -> bool:
    pairs = list(zip(leaves(a), leaves(b), strict=True))
    return all(torch.equal(x, y) if isinstance(x, Tensor) else bool((x == y) is True or x is y) for x, y in pairs)


@pytest.mark.parametrize("info", ["FNE", "GR"])
@pytest.mark.parametrize("curvature", ["identity", "adam", "kfac"])
def test_a_batch_in_pieces_is_one_batch(info: str, curvature: str) -> None:
    ends = []
    for sizes in ([12], [4, 8]):
        module = images(norm=False)
        optimizer = DGNOpt(module, info=info, curvature=curvature, lr=0.01, weight_decay=0.01, kl_clip=0.1)
        for x, y in data(3):
            pieces = list(zip(x.split(sizes), y.split(sizes), strict=True))
            result = optimizer.step(pieces)
        ends.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
        loss = result.loss
    assert float((ends[0] - ends[1]).abs().max()) < 1e-9
    assert float(loss) > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"info": "GR"},
        {"info": "OLNE", "curvature": "adam"},
        {"info": "FNE", "curvature": "ekfac", "statistic": "gn"},
        {"info": "FNE", "fictitious": 3, "momentum": 0.5},
        {"info": "FNE", "alignment": "random", "curvature": "identity"},
    ],
)
def test_a_run_goes_on_exactly_from_a_saved_state(settings: dict[str, Any]) -> None:
    module = residual_conv(1, widths=(4, 4), strides=(1, 1), stem=4, classes=3)
    module = initialise(module, 0).double()
    optimizer, batches = DGNOpt(module, lr=0.01, seed=5, **settings), data(8)
    for batch in batches[:4]:
        optimizer.step(batch)
    file = io.BytesIO()
    torch.save({"module": module.state_dict(), "optimizer": optimizer.state_dict()}, file)
    for batch in batches[4:]:
        optimizer.step(batch)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    other = residual_conv(1, widths=(4, 4), strides=(1, 1), stem=4, classes=3).double()
    other.load_state_dict(saved["module"])
    again = DGNOpt(other, lr=0.5, seed=9, **settings)
    again.load_state_dict(saved["optimizer"])
    for batch in batches[4:]:
        again.step(batch)
    assert same(state(module, optimizer), state(other, again))


def test_a_state_of_another_optimizer_is_refused() -> None:
    module = images()
    for other in (
        torch.optim.SGD(module.parameters(), lr=0.1),
        DGNOpt(module, info="GR"),
        DGNOpt(module, curvature="rms"),
    ):
        with pytest.raises(CheckpointError, match="expected"):
            DGNOpt(module, info="FNE").load_state_dict(other.state_dict())


class Breaking(CrossEntropy):
    """A loss that spoils one of its quantities."""

    spoil = ""

    def __call__(self, outputs: Tensor, targets: object, generator: torch.Generator | None) -> TerminalFactors:
        end = super().__call__(outputs, targets, generator)
        inf = torch.full_like(end.gradient, float("inf"))
        return TerminalFactors(
            end.loss * float("nan") if self.spoil == "loss" else end.loss,
            inf if self.spoil == "gradient" else end.gradient,
            [inf] if self.spoil == "factor" else end.factors,
        )


@pytest.mark.parametrize(
    ("spoil", "reason"), [("loss", "the loss"), ("gradient", "a gradient"), ("factor", "a player's feedback")]
)
@pytest.mark.parametrize("curvature", ["identity", "adam", "kfac", "ekfac"])
def test_a_step_with_a_number_that_is_not_finite_leaves_no_trace(spoil: str, reason: str, curvature: str) -> None:
    module, loss = images(), Breaking()
    optimizer = DGNOpt(module, info="GR", curvature=curvature, loss=loss, lr=0.01, momentum=0.5)
    batches = data(4)
    for batch in batches[:3]:
        assert optimizer.step(batch).outcome == "ok"
    before = state(module, optimizer)
    loss.spoil = spoil
    result = optimizer.step(batches[3])
    assert (result.outcome, result.reason, result.ok) == ("diverged", reason, False)
    assert same(before, state(module, optimizer))
    loss.spoil = ""
    assert optimizer.step(batches[3]).ok


def test_an_update_that_is_not_finite_is_refused() -> None:
    module = images()
    optimizer = DGNOpt(module, curvature="identity", lr=0.01)
    optimizer.step(data(1)[0])
    before = state(module, optimizer)
    optimizer.param_groups[0]["lr"] = float("inf")
    result = optimizer.step(data(1)[0])
    assert result.outcome == "diverged" and same(before[0], state(module, optimizer)[0])


def test_running_statistics_move_once_and_masks_are_the_same_in_both_passes() -> None:
    module, reference = images(), images()
    x, y = data(1)[0]
    DGNOpt(module, lr=0.01).step((x, y))
    reference.norm(reference.first(x))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.allclose(getattr(module.norm, name), getattr(reference.norm, name), rtol=1e-12, atol=0)
    # with a tiny step the second pass is the first: any new mask would show as a large feedback
    module = images(norm=False, drop=0.5)
    assert float(DGNOpt(module, lr=1e-9, curvature="identity", cap=float("inf")).step((x, y)).feedback) < 1e-6


def test_in_eval_mode_nothing_is_dropped_and_running_statistics_stay() -> None:
    module = images().eval()
    before = module.norm.running_mean.clone()
    first = DGNOpt(copy.deepcopy(module), lr=0.01, seed=0).step(data(1)[0])
    second = DGNOpt(module, lr=0.01, seed=1).step(data(1)[0])
    assert float(first.loss) == float(second.loss) and torch.equal(module.norm.running_mean, before)
    assert DGNOpt(module, lr=0.01).step(data(1, samples=1)[0]).ok  # a batch of one is no problem then


def test_the_gradient_sees_batch_norm_in_full_and_the_columns_see_constants() -> None:
    from strategic_envs.agents.dgnopt.norm import Switch, batch_norm

    norm = nn.BatchNorm1d(3).double()
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    h = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    switch = Switch()
    out = batch_norm(norm, x, switch, update=False)
    full = torch.autograd.grad(out, x, h, retain_graph=True)[0]
    switch.constant = True
    constant = torch.autograd.grad(out, x, h)[0]
    variance = x.detach().var(0, unbiased=False)
    assert torch.allclose(full, torch.autograd.grad(nn.BatchNorm1d(3).double()(x), x, h)[0], atol=1e-12)
    assert torch.allclose(constant, h / (variance + norm.eps).sqrt(), atol=1e-12)


def test_groups_schedules_and_layers_that_stay() -> None:
    module = images()
    start = copy.deepcopy(module.state_dict())
    groups = [
        {"params": [*module.first.parameters(), *module.norm.parameters()], "lr": 0.05, "cap": 0.0},
        {"params": module.head.parameters(), "weight_decay": 0.1},
    ]
    optimizer = DGNOpt(module, lr=0.01, curvature="identity", params=groups)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1)
    for batch in data(4):
        optimizer.zero_grad()
        assert optimizer.step(batch).ok
        schedule.step()
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.05e-2, 0.01e-2])
    moved = {name: not torch.equal(value, start[name]) for name, value in module.state_dict().items()}
    assert moved["first.weight"] and moved["norm.weight"] and moved["head.bias"] and not moved["second.weight"]


def test_low_precision_trains_and_keeps_full_parameters() -> None:
    module = initialise(residual_mlp(inputs=8, widths=(16, 16), stem=16, classes=2), 0)
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    optimizer, losses = DGNOpt(module, info="GR", lr=0.1), []
    for _ in range(15):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses.append(float(optimizer.step((x, (x[:, 0] > 0).long())).loss))
    assert losses[-1] < 0.3 * losses[0] and all(p.dtype == torch.float32 for p in module.parameters())


def test_many_columns_at_once_are_the_columns_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for most in (100, 1):
        monkeypatch.setattr("strategic_envs.agents.dgnopt.sweep._BATCHED", most)
        module = images()
        DGNOpt(module, value_hessian="full", lr=0.1, kl_clip=None).step(data(1)[0])
        ends.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert float((ends[0] - ends[1]).abs().max()) < 1e-12


def test_the_trust_region_bounds_the_step() -> None:
    results = {clip: DGNOpt(images(), lr=1.0, kl_clip=clip).step(data(1)[0]) for clip in (None, 1e-4, 1e9)}
    assert float(results[None].scale) == 1.0 == float(results[1e9].scale) and float(results[1e-4].scale) < 0.1


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"info": "NASH"}, UnknownNameError, "information structure 'NASH'"),
        ({"curvature": "kfca"}, UnknownNameError, "did you mean 'kfac'"),
        ({"value_hessian": "mx"}, UnknownNameError, "value Hessian"),
        ({"value": "all"}, UnknownNameError, "value recursion"),
        ({"statistic": "x"}, UnknownNameError, "statistic"),
        ({"cooperation": "none", "info": "GR"}, UnknownNameError, "cooperation"),
        ({"loss": "hinge"}, UnknownNameError, "loss"),
        ({"lr": 0.0}, InvalidSettingError, "lr=0.0"),
        ({"lr": float("nan")}, InvalidSettingError, "lr=nan"),
        ({"cap": -1.0}, InvalidSettingError, "cap"),
        ({"rank": 0}, InvalidSettingError, "rank=0"),
        ({"weight_decay": -1.0}, InvalidSettingError, "weight_decay"),
        ({"damping": -1.0}, InvalidSettingError, "damping"),
        ({"momentum": 1.0}, InvalidSettingError, "momentum"),
        ({"kl_clip": 0.0}, InvalidSettingError, "kl_clip"),
        ({"kl_clip": "on"}, InvalidSettingError, "kl_clip"),
        ({"fictitious": 0}, InvalidSettingError, "fictitious"),
        ({"fictitious": 2, "info": "GR"}, InvalidSettingError, "fictitious"),
        ({"value": "own", "info": "GR"}, InvalidSettingError, "value='own' with cooperation"),
        ({"evry": 3}, InvalidSettingError, "evry"),
        ({"alignment": "middle"}, InvalidGameError, "middle"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        DGNOpt(images(), **settings)


def test_a_value_recursion_accumulates_nothing() -> None:
    net = nn.Linear(2, 2)
    batch = (torch.eye(2), torch.arange(2))
    with pytest.raises(InvalidStrategyError, match=r"got 2 batches to accumulate with a value recursion"):
        DGNOpt(net, value="sum").step([batch, batch])


def test_a_layer_belongs_to_one_group() -> None:
    module = images()
    with pytest.raises(InvalidSettingError, match=r"the layer head are in 2 groups"):
        DGNOpt(module, params=[module.head.weight])
    optimizer = DGNOpt(module, params=list(module.head.parameters()))
    with pytest.raises(InvalidSettingError, match="belong to no layer"):
        optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)]})
    optimizer.add_param_group({"params": list(module.first.parameters()), "lr": 0.5})
    assert len(optimizer.param_groups) == 2


@pytest.mark.parametrize(
    ("batch", "error", "match"),
    [
        (3, InvalidStrategyError, "expected .inputs, targets."),
        ([], InvalidStrategyError, "expected .inputs, targets."),
        ([torch.zeros(2, 1, 5, 5)], InvalidStrategyError, "expected .inputs, targets."),
        (data(1, samples=1)[0], InvalidGameError, "norm"),
        ((torch.zeros(0, 1, 5, 5), torch.zeros(0).long()), InvalidGameError, "no samples"),
        ((torch.zeros(4, 2, 5, 5).double(), torch.zeros(4).long()), InvalidStrategyError, "cannot read inputs"),
        ((torch.zeros(4, 1, 5, 5).double(), torch.zeros(3).long()), InvalidStrategyError, r"targets \(3,\)"),
        ((torch.zeros(4, 1, 5, 5).double(), torch.full((4,), 3)), InvalidStrategyError, "expected 0 to 2"),
        ((torch.zeros(4, 1, 5, 5).double(), torch.zeros(4)), InvalidStrategyError, "classes"),
    ],
)
def test_batches_that_do_not_fit(batch: Any, error: type[Exception], match: str) -> None:
    module = images()
    optimizer = DGNOpt(module)
    before = state(module, optimizer)
    with pytest.raises(error, match=match):
        optimizer.step(batch)
    assert same(before, state(module, optimizer))


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    module = initialise(residual_mlp(inputs=8, widths=(16, 16), stem=16, classes=2), 0).cuda()
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)).cuda()
    optimizer, losses = DGNOpt(module, info="GR", lr=0.1), []
    for _ in range(15):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            losses.append(float(optimizer.step((x, (x[:, 0] > 0).long())).loss))
    assert losses[-1] < 0.3 * losses[0]
