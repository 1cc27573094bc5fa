"""Every operation of the table: its enclosures hold values, slopes and curvature, kinks and jumps included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everybody writes it

from strategic_envs.evaluators.certified.graph import Program, trace
from strategic_envs.evaluators.certified.intervals import point
from strategic_envs.evaluators.certified.objective import Objective
from strategic_envs.evaluators.certified.operations import OPERATIONS, UnsupportedOperation
from strategic_envs.games.kinds.game import Game
from strategic_envs.seeding import numpy_stream, torch_stream
from strategic_envs.sets import Box

MATRIX = torch.tensor([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]], dtype=torch.float64)
SCALE = torch.tensor([0.5, -1.5], dtype=torch.float64)


def last(x: Tensor) -> Tensor:
    return x.unsqueeze(-1)


def table(y: Tensor) -> Tensor:
    """(..., 2) to (..., 2, 3)."""
    return y.unsqueeze(-1) * MATRIX + 0.1


def written(y: Tensor) -> Tensor:
    out = torch.zeros(*y.shape[:-1], 3, dtype=torch.float64)
    out[..., 0] = y[..., 1] ** 2
    out[..., 1:] = y
    return out.sum(-1) * y[..., 0]


# Each: a function of two numbers from [-1.5, 1.5], batched.
CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda y: torch.add(y[..., 0], y[..., 1], alpha=2) + 1,
    "sub": lambda y: torch.sub(y[..., 0], y[..., 1], alpha=3) - 0.1,
    "rsub": lambda y: 1 - y[..., 0] * y[..., 1],
    "neg": lambda y: -(y[..., 0] * y[..., 1]),
    "mul": lambda y: 3 * y[..., 0] * y[..., 1] * (y[..., 1] + 0.3),
    "div": lambda y: y[..., 0] / (2 + y[..., 1] ** 2) + y[..., 1] / 7 + 1 / (3 + y[..., 0]),
    "reciprocal": lambda y: (2 + y[..., 0] * y[..., 1] / 2).reciprocal(),
    "square": lambda y: (y[..., 0] - y[..., 1]).square(),
    "pow": lambda y: y[..., 0] ** 3 + (y[..., 1] + 2) ** 2.5 + 1.5 ** y[..., 1] + (2 + y[..., 0]) ** y[..., 1],
    "addcmul": lambda y: torch.addcmul(y[..., 0], y[..., 1], y[..., 0], value=0.7),
    "addcdiv": lambda y: torch.addcdiv(y[..., 0], y[..., 1], y[..., 0] + 2, value=0.7),
    "lerp": lambda y: torch.lerp(y[..., 0] ** 2, y[..., 1] ** 2, 0.3),
    "mm": lambda y: ((last(y) @ y.unsqueeze(-2)) @ MATRIX).sum((-1, -2)),
    "bmm": lambda y: torch.einsum("...i,...j,ij->...", y, y, SCALE.unsqueeze(0).T @ SCALE.unsqueeze(0)),
    "mv": lambda y: (MATRIX.T @ y if y.ndim == 1 else y @ MATRIX).sin().sum(-1),
    "dot": lambda y: (y * SCALE).sum(-1) * (y @ SCALE),
    "addmm": lambda y: F.linear(y, MATRIX.T, MATRIX[0]).sin().sum(-1),
    "baddbmm": lambda y: (
        torch.baddbmm(MATRIX[None], last(y).reshape(-1, 2, 1), y.reshape(-1, 1, 2) @ MATRIX, beta=0.5, alpha=2)
        .sum((-1, -2))
        .reshape(y.shape[:-1])
    ),
    "addmv": lambda y: (
        (torch.addmv(SCALE, MATRIX[:, :2], y) if y.ndim == 1 else y @ MATRIX[:, :2].T + SCALE).sin().sum(-1)
    ),
    "log": lambda y: (y[..., 0] + 2).log() + (y[..., 1] + 2).log2() + (y[..., 1] + 3).log10(),
    "sqrt": lambda y: (y[..., 0] * y[..., 1] + 3).sqrt(),
    "rsqrt": lambda y: (y[..., 0] * y[..., 1] + 3).rsqrt(),
    "exp2": lambda y: (y[..., 0] * y[..., 1]).exp2(),
    "tan": lambda y: (y[..., 0] * y[..., 1] / 2).tan(),
    "asin": lambda y: (y[..., 0] * y[..., 1] / 3).asin(),
    "acos": lambda y: (y[..., 0] * y[..., 1] / 3).acos(),
    "log1p": lambda y: (y[..., 0] * y[..., 1] / 3).log1p(),
    **{
        name: (lambda y, name=name: getattr(torch, name)(2 * y[..., 0] * y[..., 1] + y[..., 0]))
        for name in ("exp", "sin", "cos", "tanh", "sinh", "cosh", "sigmoid", "atan", "asinh", "erf", "erfc", "expm1")
    },
    "hypot": lambda y: torch.hypot(y[..., 0] + 2, y[..., 1]),
    "logaddexp": lambda y: torch.logaddexp(3 * y[..., 0], y[..., 1] ** 2),
    "softplus": lambda y: F.softplus(y[..., 0] * y[..., 1], beta=2) + F.softplus(20 * y[..., 0]),
    "log_sigmoid_forward": lambda y: F.logsigmoid(y[..., 0] * y[..., 1]),
    "silu": lambda y: F.silu(2 * y[..., 0] * y[..., 1]),
    "gelu": lambda y: F.gelu(y[..., 0] * y[..., 1]) + F.gelu(y[..., 1], approximate="tanh"),
    "maximum": lambda y: torch.maximum(y[..., 0] ** 2, y[..., 1]) + torch.fmax(y[..., 0], -y[..., 1]),
    "minimum": lambda y: torch.minimum(y[..., 0] ** 2, y[..., 1]) + torch.fmin(y[..., 0], -y[..., 1]),
    "relu": lambda y: F.relu(y[..., 0] + y[..., 1]) ** 2,
    "clamp": lambda y: (
        (y[..., 0] * y[..., 1]).clamp(-0.5, 0.7) + y[..., 0].clamp(min=0) + y[..., 1].clamp(max=y[..., 0])
    ),
    "hardtanh": lambda y: F.hardtanh(y[..., 0] * 2 - y[..., 1]),
    "abs": lambda y: (y[..., 0] - y[..., 1] ** 2).abs(),
    "leaky_relu": lambda y: F.leaky_relu(y[..., 0] - y[..., 1], 0.2),
    "elu": lambda y: F.elu(y[..., 0] - y[..., 1], alpha=1.3) + F.selu(y[..., 0]) + F.celu(y[..., 1], 0.5),
    "sign": lambda y: (y[..., 0] - y[..., 1]).sign() + y[..., 0] * torch.sgn(y[..., 1]),
    "floor": lambda y: (3 * y[..., 0]).floor() + y[..., 1] * (2 * y[..., 0]).ceil(),
    "round": lambda y: (3 * y[..., 0]).round() * y[..., 1] + (y[..., 1] * 2).trunc(),
    "gt": lambda y: torch.where(y[..., 0] > y[..., 1], y[..., 0] ** 2, 3 * y[..., 1]),
    "ge": lambda y: (y[..., 0] >= 0.25).double() * y[..., 1] + torch.where(y[..., 1] == 0, 1.0, y[..., 0]),
    "lt": lambda y: torch.where((y[..., 0] < 0) & (y[..., 1] <= 0.5), y[..., 0], 2.0),
    "ne": lambda y: torch.where((y[..., 0] != 0) | ~(y[..., 1] < 0.5), y[..., 0], 2.0),
    "logical": lambda y: torch.where(
        torch.logical_or(torch.logical_not(y[..., 0] < 0), torch.logical_and(y[..., 1] > 0, y[..., 0] > -1)), 1.0, 0.0
    ).mul(y[..., 0]),
    "sum": lambda y: table(y).sin().sum((-1, -2)) + y.sum(-1) ** 2,
    "mean": lambda y: table(y).sin().mean((-1, -2)) + (y**2).mean(-1),
    "prod": lambda y: table(y).prod(-1).sum(-1),
    "amax": lambda y: table(y).amax((-1, -2)) + table(y).amin(-1).sum(-1),
    "max": lambda y: table(y).max(-1).values.sum(-1) + table(y).min(-2, keepdim=True).values.sum((-1, -2)),
    "max_of_two": lambda y: torch.max(y[..., 0], y[..., 1]) - torch.min(y[..., 0] ** 2, y[..., 1]),
    "cumsum": lambda y: (y.cumsum(-1) ** 2).sum(-1),
    "linalg_vector_norm": lambda y: (
        (y + 3).norm(dim=-1) + y.norm(p=1, dim=-1) + torch.linalg.vector_norm(y - 4, dim=-1)
    ),
    "logsumexp": lambda y: table(y).logsumexp(-1).sum(-1),
    "_softmax": lambda y: (table(y).softmax(-1) * MATRIX).sum((-1, -2)),
    "_log_softmax": lambda y: (table(y).log_softmax(-2) * MATRIX).sum((-1, -2)),
    "var": lambda y: table(y).var(-1).sum(-1) + (table(y) + MATRIX).std(-1, correction=0).sum(-1),
    "copied": written,
    "moved": lambda y: torch.cat([y.flip(-1), y.roll(1, -1), y[..., [1, 0]]], -1).mul(torch.arange(6)).sum(-1) ** 2,
    "shaped": lambda y: (
        torch.stack([y, y.detach().clone()], -2)
        .transpose(-1, -2)
        .flatten(-2)
        .unflatten(-1, (2, 2))
        .diagonal(dim1=-2, dim2=-1)
    ).prod(-1),
    "cut": lambda y: (
        y.narrow(-1, 1, 1).squeeze(-1) * y.unbind(-1)[0]
        + y.split(1, -1)[1].squeeze(-1) ** 2
        + y.chunk(2, -1)[0].squeeze(-1)
    ),
    "spread": lambda y: (
        (y.unsqueeze(-1).expand(*y.shape, 3) * torch.eye(3, dtype=torch.float64)[:2]).sum((-1, -2))
        + y.repeat(*[1] * (y.ndim - 1), 2).prod(-1)
    ),
    "made": lambda y: (
        torch.ones_like(y) * y + y.new_full(y.shape, 0.3) + torch.full((2,), 0.1, dtype=torch.float64) + y.new_zeros(2)
    ).prod(-1),
    "selected": lambda y: torch.index_select(table(y), -1, torch.tensor([2, 0])).sin().sum((-1, -2)),
}


def record(f: Callable[[Tensor], Tensor]) -> tuple[Program, Objective]:
    program = trace(Game(lambda x: f(x[0]).unsqueeze(-1), [Box(-1.5, 1.5, dim=2)], name="case"), 0)
    return program, Objective(program, [np.zeros((1, 2))], point(np.ones(1)))


@pytest.mark.parametrize("name", CASES)
def test_enclosures_hold_values_slopes_and_curvature(name: str) -> None:
    f = CASES[name]
    _, objective = record(f)
    stream = numpy_stream(0, "cells", name)
    centre = stream.uniform(-1.4, 1.4, (60, 2))
    centre[:10] = np.round(centre[:10])  # kinks and jumps like whole numbers
    width = stream.uniform(0, 1, (60, 2)) ** 3
    low, high = np.clip(centre - width, -1.5, 1.5), np.clip(centre + width, -1.5, 1.5)
    low[::7, 0] = high[::7, 0] = centre[::7, 0]
    found = objective.enclose(low, high, 2)
    at = low[:, None] + stream.uniform(0, 1, (60, 40, 2)) * (high - low)[:, None]
    at[:, 0], at[:, 1] = low, high
    value = f(torch.as_tensor(at)).numpy()
    slack = 1e-12 * (1 + np.abs(value))
    assert (found.value.lo[:, None] - slack <= value).all() and (value <= found.value.hi[:, None] + slack).all()
    # The mean-value theorem, between any two members of a cell: it must survive kinks, and be empty at jumps.
    with np.errstate(all="ignore"):
        step = at[:, :-1] - at[:, 1:]
        lo, hi = found.slopes.lo[:, None], found.slopes.hi[:, None]
        ends = np.stack([lo * step, hi * step])
        ends = np.where(step == 0, 0.0, ends)
        change = value[:, :-1] - value[:, 1:]
        assert (ends.min(0).sum(-1) - 1e-11 <= change).all() and (change <= ends.max(0).sum(-1) + 1e-11).all()
    # Taylor's theorem about the middle.
    middle = (low + high) / 2
    here = objective.enclose(middle, middle, 1)
    s = at - middle[:, None]
    outer = s[..., :, None] * s[..., None, :]
    with np.errstate(all="ignore"):
        bends = np.stack([found.bends.lo[:, None] * outer, found.bends.hi[:, None] * outer])
        bends = np.where(outer == 0, 0.0, bends)
        first = np.stack([here.slopes.lo[:, None] * s, here.slopes.hi[:, None] * s])
        first = np.where(s == 0, 0.0, first)
        rise = first.max(0).sum(-1) + bends.max(0).sum((-1, -2)) / 2
        fall = first.min(0).sum(-1) + bends.min(0).sum((-1, -2)) / 2
        assert (value <= here.value.hi[:, None] + rise + 1e-11).all()
        assert (here.value.lo[:, None] + fall - 1e-11 <= value).all()


SMOOTH = [
    "mul", "div", "pow", "mm", "bmm", "addmm", "log", "sqrt", "tanh", "sigmoid", "atan", "asin", "acos", "erf", "gelu",
    "silu", "logsumexp", "_softmax", "_log_softmax", "prod", "var", "tan", "asinh", "log1p", "expm1", "hypot", "cosh",
]  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_at_points_enclosures_are_narrow_and_hold_autograds_derivatives(name: str) -> None:
    f = CASES[name]
    _, objective = record(f)
    y = torch.rand(30, 2, generator=torch_stream(0, "points", name), dtype=torch.float64) * 2.8 - 1.4
    found = objective.enclose(y.numpy(), y.numpy(), 2)
    gradient = torch.func.vmap(torch.func.grad(f))(y).numpy()
    hessian = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(f)))(y).numpy()
    for part, true in ((found.value, f(y).numpy()), (found.slopes, gradient), (found.bends, hessian)):
        assert (part.hi - part.lo).max() < 1e-10 * (1 + np.abs(true).max())
        slack = 1e-10 * (1 + np.abs(true))
        assert (part.lo - slack <= true).all() and (true <= part.hi + slack).all()


def test_every_function_of_the_table_has_a_case() -> None:
    covered = {OPERATIONS[name] for f in CASES.values() for name in record(f)[0].operations}
    assert {name for name, function in OPERATIONS.items() if function not in covered} == set()


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "unknown": lambda y: torch.special.bessel_j0(y[..., 0]),
    "random": lambda y: y[..., 0] + torch.rand(()).double(),
    "single precision": lambda y: y[..., 0].float().sin().double(),
    "half precision constants": lambda y: y[..., 0] * (torch.tensor(0.1) * 3),
    "numbers": lambda y: y[..., 0] * y.sum().item(),
    "branch": lambda y: y[..., 0] if bool(y.sum() > 0) else y[..., 1],
    "place of the maximum": lambda y: table(y).max(-1).indices.double().sum(-1),
    "whole division": lambda y: y[..., 0] // 2,
    "complex": lambda y: torch.fft.fft(y).abs().sum(-1),
    "error": lambda y: y[..., 7],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_enclosed_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedOperation):
        _, objective = record(REFUSED[name])
        objective.enclose(-np.ones((1, 2)), np.ones((1, 2)), 1)
