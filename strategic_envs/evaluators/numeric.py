"""Numeric maximisation over a strategy set: many starts, projected gradient ascent, then a compass search.

Heuristic by nature: what it returns is a value that is reached, and no bound on the best one. The starts are a grid (in
one and two dimensions), extreme points of the set, seeded random points and whatever the caller knows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from strategic_envs.seeding import torch_stream
from strategic_envs.sets import StrategySet

__all__ = ["improve", "maximise", "refine"]

Objective = Callable[[Tensor], Tensor]  # (C, d) -> (C,), differentiable where the utility is

_ASCENT_STEPS = 150
_PATIENCE = 10  # steps without a gain
_COMPASS_STEPS = 60


def maximise(
    objective: Objective, strategies: StrategySet, known: Tensor, *, budget: int = 4096, seed: int = 0
) -> tuple[Tensor, float]:
    """The best point found from many starts.

    Args:
        objective: What to maximise, `(C, d) -> (C,)`.
        strategies: The set.
        known: Points `(k, d)` that are tried as well; the result is never worse than the best of them.
        budget: How many starts to evaluate at most, besides the known ones.
        seed: The seed of the random starts.

    Returns:
        The point `(d,)` and its value; the value is NaN or -inf only if every start's is.

    Example:
        >>> from strategic_envs.sets import Box
        >>> point, value = maximise(lambda y: -(y[:, 0] - 0.3) ** 2, Box(-1, 1), torch.zeros(1, 1, dtype=torch.float64))
        >>> round(point.item(), 6), abs(round(value, 12))
        (0.3, 0.0)
    """
    starts = torch.cat([known, _starts(strategies, budget, seed).to(known)])
    with torch.no_grad():
        value = _finite(objective(starts))
    chosen = _apart(starts, value, count=12, radius=_radius(strategies, len(starts)))
    points, value = _ascend(objective, strategies, starts[chosen], value[chosen])
    if strategies.dim <= 4:
        best = value.topk(min(2, len(value))).indices
        points, value = _compass(objective, strategies, points[best], value[best])
    best = int(value.argmax())
    return points[best], float(value[best])


def refine(objective: Objective, strategies: StrategySet, point: Tensor) -> Tensor:
    """The local maximum that projected gradient ascent reaches from `point` `(d,)`."""
    value, _ = _value_and_gradient(objective, point.unsqueeze(0))
    return _ascend(objective, strategies, point.unsqueeze(0), value)[0][0]


def improve(objective: Objective, start: Tensor, steps: int = 50) -> tuple[Tensor, float]:
    """A point at least as good as `start` `(d,)`, by L-BFGS without constraints: for network weights.

    Example:
        >>> point, value = improve(lambda y: -((y - 2.0) ** 2).sum(-1), torch.zeros(3, dtype=torch.float64))
        >>> round(value, 9) == 0.0
        True
    """
    with torch.no_grad():
        first = float(objective(start.unsqueeze(0))[0])
    y = start.detach().clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([y], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -objective(y.unsqueeze(0))[0]
        if value.requires_grad:
            value.backward()
        return value

    optimiser.step(loss)
    with torch.no_grad():
        value = float(objective(y.unsqueeze(0))[0])
    better = math.isfinite(value) and value > first
    return (y.detach(), value) if better else (start, first)


def _finite(value: Tensor) -> Tensor:
    return torch.where(value.isfinite(), value, -torch.inf)


def _radius(strategies: StrategySet, count: int) -> float:
    return (
        2 * strategies.diameter / count ** (1 / strategies.dim) if strategies.bounded and strategies.dim <= 2 else 0.0
    )


def _starts(strategies: StrategySet, budget: int, seed: int) -> Tensor:
    """Starts `(k, d)` inside the set."""
    d = strategies.dim
    stream = torch_stream(seed, "starts")
    random = strategies.sample((min(64 * d, budget, 512),), generator=stream)
    parts = [strategies.centre().unsqueeze(0), random]
    if not strategies.bounded:
        return torch.cat([*parts, strategies.project(10 * random)])
    if d <= 6 and not strategies.periodic:
        signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=d)), dtype=torch.float64)
        parts.append(strategies.support(signs).argmax)
    if d <= 32 and not strategies.periodic:
        axes = torch.eye(d, dtype=torch.float64)
        parts.append(strategies.support(torch.cat([axes, -axes])).argmax)
    if d <= 2:
        low, high = strategies.bounds()
        side = torch.linspace(0, 1, max(int(budget ** (1 / d)), 9), dtype=torch.float64)
        grid = torch.cartesian_prod(*[side] * d).reshape(-1, d)
        parts.append(strategies.project(low + grid * (high - low)))
    return torch.cat(parts)


def _apart(points: Tensor, value: Tensor, *, count: int, radius: float) -> Tensor:
    """Indices of the best points that are at least `radius` apart."""
    chosen: list[int] = []
    for index in value.argsort(descending=True, stable=True)[:1024].tolist():
        if not chosen or bool(((points[chosen] - points[index]).norm(dim=-1) > radius).all()):
            chosen.append(index)
        if len(chosen) == count:
            break
    return torch.tensor(chosen)


def _value_and_gradient(objective: Objective, points: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        y = points.detach().clone().requires_grad_(True)
        value = objective(y)
        if not value.requires_grad:  # locally constant
            return _finite(value.detach()), torch.zeros_like(points)
        (gradient,) = torch.autograd.grad(value.sum(), y)
    return _finite(value.detach()), torch.nan_to_num(gradient, posinf=0.0, neginf=0.0)


def _ascend(objective: Objective, strategies: StrategySet, points: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Projected gradient ascent; each point's step doubles after a success and is quartered after a failure."""
    reach = strategies.diameter if strategies.bounded else 10.0
    value, gradient = _value_and_gradient(objective, points)
    step = 0.1 * reach / gradient.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    idle = 0
    for _ in range(_ASCENT_STEPS):
        trial = strategies.project(points + step * gradient)
        moved = strategies.difference(points, trial).norm(dim=-1) > 1e-13 * max(reach, 1.0)
        if not bool(moved.any()):
            break
        new_value, new_gradient = _value_and_gradient(objective, trial)
        better = ((new_value > value) & moved).unsqueeze(-1)
        points, gradient = torch.where(better, trial, points), torch.where(better, new_gradient, gradient)
        gained = torch.where(better.squeeze(-1), new_value - value, 0.0)
        value = torch.where(better.squeeze(-1), new_value, value)
        idle = idle + 1 if bool((gained <= 1e-15 * (1 + value.abs())).all()) else 0
        if idle == _PATIENCE:
            break
        step = torch.where(better, 2 * step, step / 4)
    return points, value


def _compass(objective: Objective, strategies: StrategySet, points: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Tries a step along every axis and halves it when none helps: needs no derivative, so kinks and jumps are fine."""
    d = strategies.dim
    axes = torch.eye(d, dtype=points.dtype, device=points.device)
    directions = torch.cat([axes, -axes])  # (2d, d)
    step = torch.full((len(points), 1, 1), 1e-2 * (strategies.diameter if strategies.bounded else 1.0)).to(points)
    for _ in range(_COMPASS_STEPS):
        trial = strategies.project(points.unsqueeze(1) + step * directions)
        with torch.no_grad():
            new = _finite(objective(trial.reshape(-1, d))).reshape(len(points), 2 * d)
        best, index = new.max(dim=1)
        better = best > value
        points = torch.where(better.unsqueeze(-1), trial[torch.arange(len(points)), index], points)
        value = torch.where(better, best, value)
        step = torch.where(better.reshape(-1, 1, 1), step, step / 2)
    return points, value
