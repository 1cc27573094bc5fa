"""Flow networks, where the Wardrop condition is literal, and why no price of anarchy of a network follows from it.

A network of routing shares sends every source's mass to the outputs. Its training is a congestion game with a resource
for each output on each sample, so the same solver that answers road networks gives the least loss.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from strategic_envs.evaluators.wardrop import flow_wardrop
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.function_costs import FunctionCosts
from strategic_envs.scripts.reproduce._congestion_linear import network_of
from strategic_envs.scripts.reproduce._congestion_rows import PROTOTYPE, Row, at_least, at_most, judged
from strategic_envs.seeding import numpy_stream

__all__ = ["rows_of_flow_networks"]

_SAMPLES, _SOURCES, _OUTPUTS = 40, 4, 3
_STEP = 4.0


def rows_of_flow_networks(*, seed: int = 0, quick: bool = False) -> list[Row]:
    """Trained flow networks against the equilibrium of their congestion game, and prices of anarchy of shifted costs.

    Args:
        seed: The seed of data and first shares.
        quick: Fewer steps of training, and one depth.
    """
    x, y = _data(seed)
    return [*_trained(x, y, seed, quick), *_shifted(x, y), *_wrong_classes(x, y)]


def _data(seed: int) -> tuple[Tensor, Tensor]:
    """Masses `(N, 4)` and targets `(N, 3)`: of shares that route them, with noise."""
    random = numpy_stream(seed, "congestion", "flow data")
    x = random.uniform(0.0, 1.0, (_SAMPLES, _SOURCES))
    shares = random.dirichlet([0.5] * _OUTPUTS, _SOURCES).T
    y = x @ shares.T + 0.6 * random.standard_normal((_SAMPLES, _OUTPUTS))
    return torch.from_numpy(x), torch.from_numpy(y)


def _game(x: Tensor, costs: Costs, name: str) -> CongestionGame:
    """Sources of mass 1; the strategy of output j uses resource (n, j) at the rate `x_n`."""
    rates = [torch.kron(x[:, i], torch.eye(_OUTPUTS).double()).contiguous() for i in range(_SOURCES)]
    return CongestionGame([1.0] * _SOURCES, rates, costs=costs, name=name)


def _squared_costs(y: Tensor) -> FunctionCosts:
    """`(f - y) / N`: the derivative of half the mean squared error in each output."""
    target, n = y.flatten(), len(y)
    return FunctionCosts(
        lambda load: (load - target.to(load)) / n,
        lambda load: (load * load / 2 - load * target.to(load)) / n,
        lambda load: torch.full_like(load, 1 / n),
        size=target.numel(),
        allow_negative=True,
    )


def _trained(x: Tensor, y: Tensor, seed: int, quick: bool) -> list[Row]:
    flow = _game(x, _squared_costs(y), "flow network").wardrop(tol=1e-14)
    least = flow.potential + float(y.square().sum()) / (2 * len(y))
    worst_loss = worst_excess = 0.0
    depths = (2,) if quick else (1, 2, 3)
    for depth in depths:
        shares = _exponentiated(x.numpy(), y.numpy(), depth, seed, steps=6000 if quick else 60_000)
        found = flow_wardrop(network_of(tuple(torch.from_numpy(s) for s in shares)), x, y, "half_squared")
        worst_loss = max(worst_loss, abs(found.loss - least))
        worst_excess = max(worst_excess, found.excess)
    bound = 1e-6 if quick else 1e-10
    name = f"flow networks of {', '.join(map(str, depths))} layers, exponentiated gradient"
    return [
        at_most("flow network as a congestion game: excess of the solver's equilibrium", flow.excess, 1e-12, "derived"),
        at_most(f"{name}: loss above that equilibrium's", worst_loss, bound, PROTOTYPE),
        at_most(f"{name}: Wardrop excess", worst_excess, bound, PROTOTYPE),
    ]


def _exponentiated(x: np.ndarray, y: np.ndarray, depth: int, seed: int, steps: int) -> list[np.ndarray]:
    """Shares of every layer, columns summing to one, after so many exponentiated-gradient steps."""
    random = numpy_stream(seed, "congestion", "shares", depth)
    widths = [_SOURCES, *[5] * (depth - 1), _OUTPUTS]
    shares = [random.dirichlet([5.0] * b, a).T.copy() for a, b in itertools.pairwise(widths)]
    second, first, n = x.T @ x, y.T @ x, len(x)
    for _ in range(steps):
        before = [np.eye(_SOURCES)]
        for s in shares:
            before.append(s @ before[-1])
        back = (before[-1] @ second - first) / n  # the slope in the product of all layers
        for k in reversed(range(depth)):
            slope = back @ before[k].T
            back = shares[k].T @ back
            moved = shares[k] * np.exp(-_STEP * (slope - slope.min(0)))
            shares[k] = moved / moved.sum(0)
    return shares


def _shifted(x: Tensor, y: Tensor) -> list[Row]:
    """Costs made positive by a constant: the equilibrium stays, the price of anarchy is that of the constant."""
    n, smallest = len(y), float(y.max()) / len(y)
    plain = _game(x, _squared_costs(y), "flow network").wardrop(tol=1e-14)
    prices, moved, worse = [], 0.0, []
    for times in (1, 5, 50):
        constant = times * smallest - y.flatten() / n
        costs = PowerCosts.affine(torch.full_like(constant, 1 / n), constant)
        game = _game(x, costs, f"costs shifted {times} times")
        equilibrium, optimum = game.wardrop(), game.system_optimum()
        prices.append(equilibrium.total_cost / optimum.total_cost)
        moved = max(moved, float((equilibrium.loads - plain.loads).abs().max()))
        worse.append(_loss(optimum.loads, y) - _loss(plain.loads, y))
    name = "affine costs shifted by a constant, 1, 5 and 50 times the least"
    falling = float(prices[0] > prices[1] > prices[2] >= 1.0)
    return [
        judged(f"{name}: whether the price of anarchy falls towards 1", falling, 1, PROTOTYPE, 0),
        at_most(f"{name}: largest price of anarchy", prices[0], 4 / 3, "Roughgarden and Tardos (2002)"),
        at_most(f"{name}: how far the equilibrium's outputs move", moved, 1e-6, PROTOTYPE),
        at_least(f"{name}: loss of the 'social optimum' above the least loss", min(worse), 1e-9, PROTOTYPE),
    ]


def _loss(loads: Tensor, y: Tensor) -> float:
    return float((loads.view_as(y) - y).square().sum()) / (2 * len(y))


def _wrong_classes(x: Tensor, y: Tensor) -> list[Row]:
    """Costs `z^d` on wrong classes alone: equilibrium and optimum are the same."""
    wrong = torch.ones_like(y).scatter(1, y.argmax(1, keepdim=True), 0.0).flatten()
    rows = []
    for degree in (1, 2, 3):
        price = _game(x, PowerCosts.monomial(wrong, degree), f"wrong classes cost z^{degree}").price_of_anarchy()
        rows.append(judged(f"cost z^{degree} on wrong classes alone: price of anarchy", price, 1.0, PROTOTYPE, 1e-8))
    return rows
