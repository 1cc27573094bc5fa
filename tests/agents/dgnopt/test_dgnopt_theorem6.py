"""Theorem 6: the optimizers that are usual are special cases of the game, and the cases are nested.

(a) cooperation without correlation between players is FNE; (b) FNE without feedback is the baseline of its curvature;
(c) both together. And the cases differ where they should.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.agents.dgnopt.cooperation.statistics import Moments
from strategic_envs.baselines.optimizers.ekfac import EKFAC
from strategic_envs.baselines.optimizers.kfac import KFAC
from strategic_envs.games.networks import from_module, initialise, residual_conv, residual_mlp

STEPS = 5
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: residual_mlp(inputs=12, widths=(8, 6), stem=8, classes=4), (12,)),
    "conv": (lambda: residual_conv(1, widths=(4, 6), strides=(1, 2), stem=4, classes=4), (1, 6, 6)),
}
BASELINES: dict[str, tuple[str, dict[str, Any], Callable[[nn.Module], torch.optim.Optimizer]]] = {
    "sgd": ("identity", {"lr": 0.1}, lambda m: torch.optim.SGD(m.parameters(), lr=0.1, weight_decay=0.01)),
    "momentum": (
        "identity",
        {"lr": 0.05, "momentum": 0.9},
        lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01),
    ),
    "rmsprop": ("rms", {"lr": 1e-3}, lambda m: torch.optim.RMSprop(m.parameters(), lr=1e-3, weight_decay=0.01)),
    "adam": ("adam", {"lr": 1e-3}, lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=0.01)),
    "kfac": (
        "kfac",
        {"lr": 0.05, "damping": 0.1, "every": 4, "first": 2},
        lambda m: KFAC(m, lr=0.05, damping=0.1, every=4, first=2, weight_decay=0.01),
    ),
    "ekfac": (
        "ekfac",
        {"lr": 0.05, "damping": 0.1, "every": 4, "first": 2},
        lambda m: EKFAC(m, lr=0.05, damping=0.1, every=4, first=2, weight_decay=0.01),
    ),
}


def made(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    return initialise(NETS[name][0](), 0).to(dtype)


def batches(name: str, dtype: torch.dtype = torch.float64, count: int = STEPS) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(1)
    shape = NETS[name][1]
    return [
        (torch.randn(16, *shape, generator=g, dtype=dtype), torch.randint(4, (16,), generator=g)) for _ in range(count)
    ]


def flat(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def played(module: nn.Module, data: list[tuple[Tensor, Tensor]], alignment: str = "late", **settings: Any) -> Tensor:
    """The parameters after a run of the game."""
    module = copy.deepcopy(module)
    optimizer = DGNOpt(from_module(module, alignment), kl_clip=None, **settings)
    assert all(optimizer.step(batch).ok for batch in data)
    return flat(module)


def trained(
    module: nn.Module, data: list[tuple[Tensor, Tensor]], make: Callable[[nn.Module], torch.optim.Optimizer]
) -> Tensor:
    """The parameters after a run of an ordinary optimizer."""
    module = copy.deepcopy(module)
    optimizer = make(module)
    for inputs, targets in data:
        optimizer.zero_grad()
        functional.cross_entropy(module(inputs), targets).backward()
        optimizer.step()
    return flat(module)


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("info", [{"info": "OLNE"}, {"info": "FNE", "cap": 0.0}])
def test_6b_without_feedback_it_is_the_baseline(net: str, baseline: str, info: dict[str, Any]) -> None:
    curvature, settings, make = BASELINES[baseline]
    module, data = made(net), batches(net)
    ours = played(module, data, curvature=curvature, weight_decay=0.01, **settings, **info)
    assert gap(ours, trained(module, data, make)) < 1e-11


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("baseline", ["sgd", "adam"])
def test_6b_in_single_precision(net: str, baseline: str) -> None:
    curvature, settings, make = BASELINES[baseline]
    module, data = made(net, torch.float32), batches(net, torch.float32)
    ours = played(module, data, info="OLNE", curvature=curvature, weight_decay=0.01, **settings)
    assert gap(ours, trained(module, data, make)) < (2e-7 if baseline == "sgd" else 5e-7)


@pytest.mark.parametrize("alignment", ["late", "early"])
@pytest.mark.parametrize("mode", ["exact", "prop5"])
@pytest.mark.parametrize("net", NETS)
def test_6a_cooperation_of_uncorrelated_players_is_fne(
    net: str, mode: str, alignment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"curvature": "kfac", "lr": 0.05, "damping": 0.1}
    module, data = made(net), batches(net)
    fne = played(module, data, alignment, info="FNE", **settings)
    real = played(module, data, alignment, info="GR", cooperation=mode, **settings)
    fold = Moments.fold

    def uncorrelated(self: Moments, step: int) -> bool:
        found = fold(self, step)
        self.means = {pair: (0 * a, 0 * b) for pair, (a, b) in self.means.items()}
        return found

    monkeypatch.setattr(Moments, "fold", uncorrelated)
    group = played(module, data, alignment, info="GR", cooperation=mode, **settings)
    assert gap(group, fne) == 0.0  # the same draws of the factor, the same solves
    assert gap(real, fne) > 1e-5  # and cooperation does something


@pytest.mark.parametrize("net", NETS)
def test_6c_neither_feedback_nor_correlation_is_the_baseline(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, data = made(net), batches(net)
    monkeypatch.setattr(Moments, "fold", lambda self, step: self.discard() is not None)
    curvature, settings, make = BASELINES["kfac"]
    ours = played(module, data, info="O-CG", curvature=curvature, weight_decay=0.01, **settings)
    assert gap(ours, trained(module, data, make)) < 1e-12


def test_the_four_information_structures_differ() -> None:
    module, data = made("mlp"), batches("mlp")
    ends = {
        info: played(module, data, info=info, curvature="kfac", lr=0.05, damping=0.1)
        for info in ("OLNE", "FNE", "O-CG", "GR")
    }
    names = list(ends)
    assert all(gap(ends[a], ends[b]) > 1e-5 for i, a in enumerate(names) for b in names[i + 1 :])


def test_the_baseline_knows_no_alignment_and_feedback_does() -> None:
    module, data = made("mlp"), batches("mlp")
    for info, same in (("OLNE", True), ("FNE", False), ("GR", False)):
        ends = [played(module, data, a, info=info, curvature="kfac", lr=0.05, damping=0.1) for a in ("late", "early")]
        assert (gap(*ends) == 0.0) is same, info


def test_two_runs_with_one_seed_are_the_same_and_seeds_matter() -> None:
    module, data = made("conv"), batches("conv")
    ends = [played(module, data, info="GR", lr=0.05, damping=0.1, seed=seed) for seed in (0, 0, 1)]
    assert gap(ends[0], ends[1]) == 0.0
    assert gap(ends[0], ends[2]) > 0.0
