"""Without feedback and cooperation the game's optimizer is the baseline, which is made of hooks and shares no sweep."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.baselines.optimizers import EKFAC, KFAC
from strategic_envs.games.networks import initialise, residual_conv, residual_mlp
from strategic_envs.seeding import torch_stream

SMALL = {"lr": 0.03, "damping": 0.03, "weight_decay": 0.01}
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (lambda: residual_mlp(8, (6, 5), stem=7, activation="tanh"), (60, 8)),
    "convolutions": (lambda: residual_conv(1, (3, 4), (1, 2), stem=3, norm="batch"), (60, 1, 6, 6)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    ("baseline", "options"),
    [(KFAC, {}), (EKFAC, {"scale": "intra"}), (EKFAC, {"scale": "running"})],
    ids=["kfac", "ekfac", "ekfac running"],
)
def test_open_loop_is_the_optimizer_of_the_same_curvature(
    baseline: Callable[..., Any], options: dict[str, Any], net: str
) -> None:
    make, shape = NETS[net]
    one = initialise(make().double(), 0)
    two = copy.deepcopy(one)
    name = baseline.__name__.lower()
    ours = DGNOpt(two, info="OLNE", curvature=name, kl_clip=None, **SMALL, **options)
    theirs = baseline(one, **SMALL, **options)
    for step in range(12):
        generator = torch_stream(0, "batch", step)
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        y = torch.randint(10, (len(x),), generator=generator)
        theirs.zero_grad()
        F.cross_entropy(one(x), y).backward()
        theirs.step()
        assert ours.step((x, y)).outcome == theirs.last_outcome == "ok"
    for key, value in one.state_dict().items():
        assert torch.allclose(value, two.state_dict()[key], rtol=1e-8, atol=1e-10), key
