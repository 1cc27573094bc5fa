"""Networks as congestion games of paths: saddles and minima told apart, certificates, and what weight decay prices.

The data are drawn here, so it is not single values that are expected again but what they show: which gaps vanish, and
what bounds what.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

from strategic_envs.evaluators.wardrop import layer_equilibrium, linear_critical_point, path_wardrop, spectral_gap
from strategic_envs.scripts.reproduce._congestion_linear import (
    Weights,
    drawn,
    half_squared,
    least_curvature,
    least_in_budget,
    least_squares,
    minimised,
    network_of,
    outputs,
    random_data,
    weights_of,
)
from strategic_envs.scripts.reproduce._congestion_rows import PROTOTYPE, Row, at_least, at_most, judged
from strategic_envs.seeding import torch_stream

__all__ = ["rows_of_random_networks", "rows_of_saddles"]

_DERIVED = "derived, closed form"
_LOSS = "half_squared"
_CRITICAL: dict[tuple[int, ...], tuple[float, float, float]] = {  # modes in use: loss, path gap, least curvature
    (): (2.333333, 1.0, -1.0),
    (0,): (0.833333, 0.666667, -0.666667),
    (1,): (1.666667, 1.0, -1.0),
    (2,): (2.166667, 1.0, -1.0),
    (0, 1): (0.166667, 0.333333, -0.333333),
    (0, 2): (0.666667, 0.666667, -0.666667),
    (1, 2): (1.5, 1.0, -1.0),
    (0, 1, 2): (0.0, 0.0, 0.0),
}
"""The critical points of X = I, Y = diag(3, 2, 1), widths 3-4-3, by the modes of the data that are in use."""


def rows_of_saddles() -> list[Row]:
    """Eight critical points of one linear network: only the gap over all paths tells the minimum from the saddles."""
    x, y = torch.eye(3).double(), torch.diag(torch.tensor([3.0, 2.0, 1.0])).double()
    rows: list[Row] = []
    for modes, (loss, gap, least) in _CRITICAL.items():
        net = linear_critical_point(x, y, modes, hidden=4)
        report = path_wardrop(net, x, y, _LOSS)
        name = f"3-4-3, modes in use {{{', '.join(map(str, modes))}}}"
        rows += [
            judged(f"{name}: loss", report.loss, loss, _DERIVED, 6e-7),
            judged(f"{name}: path_gap", report.path_gap, gap, _DERIVED, 6e-7),
            judged(f"{name}: used_gap", _number(report.used_gap), 0.0, _DERIVED, 1e-12),
            judged(f"{name}: cert", _number(report.cert), 0.0, _DERIVED, 1e-12),
            judged(
                f"{name}: least eigenvalue of the Hessian", _curvature(weights_of(net), x, y), least, _DERIVED, 6e-7
            ),
            at_most(f"{name}: what a layer gains alone", _gain(weights_of(net), x, y), 1e-12, _DERIVED),
        ]
    return rows


def rows_of_random_networks(*, seed: int = 0, quick: bool = False) -> list[Row]:
    """Linear networks on random data: minima, saddles, bottlenecks, certificates, weight decay.

    Args:
        seed: The seed of the data and of first weights.
        quick: Fewer networks, steps and cases.
    """
    x, y = random_data(seed)
    return [
        *_minima(x, y, seed, quick),
        *_saddles(x, y),
        *_bottlenecks(x, y, seed),
        *_cross_entropy(x, seed),
        *_certificates(x, y, seed, quick),
        *_layer_excess(x, y, seed, 20 if quick else 200),
        *_weight_decay(x, y, seed, quick),
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _curvature(weights: Weights, x: Tensor, y: Tensor) -> float:
    return least_curvature(weights, lambda w: half_squared(w, x, y))


def _gain(weights: Weights, x: Tensor, y: Tensor) -> float:
    """The most that one layer gains by its best response, the others staying."""
    return max(_number(one.best_response_gain) for one in layer_equilibrium(network_of(weights), x, y, _LOSS))


def _minima(x: Tensor, y: Tensor, seed: int, quick: bool) -> list[Row]:
    shapes = [(4, 5, 3), (4, 6, 6, 3), (4, 4, 4, 4, 3)]
    worst = [0.0] * 4
    for shape, start in itertools.product(shapes, range(1 if quick else 2)):
        weights = minimised(drawn(shape, seed, "minima", str(shape), start), lambda w: half_squared(w, x, y))
        report = path_wardrop(network_of(weights), x, y, _LOSS)
        found = (report.loss - least_squares(x, y), report.largest_slope, report.path_gap, report.identity_error)
        worst = [max(value, abs(new)) for value, new in zip(worst, found, strict=True)]
    bounds = {"loss above least squares": 1e-12, "largest slope": 1e-9, "path_gap": 1e-9, "identity_error": 1e-12}
    name = f"trained linear networks {', '.join('-'.join(map(str, s)) for s in shapes)}"
    pairs = zip(worst, bounds.items(), strict=True)
    return [at_most(f"{name}: {key}", value, bound, PROTOTYPE) for value, (key, bound) in pairs]


def _saddles(x: Tensor, y: Tensor) -> list[Row]:
    found = []
    for modes in (modes for modes in _CRITICAL if len(modes) < 3):
        net = linear_critical_point(x, y, modes, hidden=5)
        report, weights = path_wardrop(net, x, y, _LOSS), weights_of(net)
        found.append((report.largest_slope, _gain(weights, x, y), report.path_gap, _curvature(weights, x, y)))
    slopes, gains, gaps, curvatures = zip(*found, strict=True)
    name = "seven saddles of 4-5-3 on random data"
    return [
        at_most(f"{name}: largest slope", max(slopes), 1e-11, PROTOTYPE),
        at_most(f"{name}: what a layer gains alone", max(gains), 1e-11, PROTOTYPE),
        at_least(f"{name}: smallest path_gap", min(gaps), 0.01, PROTOTYPE),
        at_most(f"{name}: least eigenvalue of the Hessian", max(curvatures), -0.01, PROTOTYPE),
    ]


def _bottlenecks(x: Tensor, y: Tensor, seed: int) -> list[Row]:
    rows = []
    for rank in (1, 2):
        weights = minimised(drawn((4, rank, 3), seed, "bottleneck", rank), lambda w: half_squared(w, x, y))
        report, name = path_wardrop(network_of(weights), x, y, _LOSS), f"4-{rank}-3 at its optimum"
        claims = float(report.global_claim is not None)
        rows += [
            judged(
                f"{name}: loss, of the best map of rank {rank}",
                report.loss,
                least_squares(x, y, rank),
                PROTOTYPE,
                1e-10,
            ),
            at_least(
                f"{name}: path_gap, although no network of these widths is better", report.path_gap, 0.01, PROTOTYPE
            ),
            judged(f"{name}: whether a zero gap is claimed to be the same as its minimum", claims, 0, PROTOTYPE, 0),
        ]
    return rows


def _cross_entropy(x: Tensor, seed: int) -> list[Row]:
    draw = torch_stream(seed, "congestion", "classes")
    scores = x @ torch.randn(4, 3, generator=draw, dtype=torch.float64)
    noise = torch.rand(60, 3, generator=draw, dtype=torch.float64)
    classes = (scores - (-noise.log()).log()).argmax(-1)
    first = drawn((4, 5, 3), seed, "cross-entropy")
    weights = minimised(first, lambda w: functional.cross_entropy(outputs(w, x), classes))
    report = path_wardrop(network_of(weights), x, classes, "cross_entropy")
    name = "cross-entropy, 4-5-3, resources with vector loads"
    return [
        at_most(f"{name}: largest slope", report.largest_slope, 1e-9, PROTOTYPE),
        at_most(f"{name}: path_gap", report.path_gap, 1e-9, PROTOTYPE),
    ]


def _certificates(x: Tensor, y: Tensor, seed: int, quick: bool) -> list[Row]:
    """Along gradient descent: how far the loss is above the least with the same mass a source, and the certificate."""
    weights = drawn((4, 5, 3), seed, "descent")
    marks = (0, 10, 30, 100, 300, 1000, 2000)[: 5 if quick else 7]
    slope = torch.func.grad(lambda w: half_squared(w, x, y))
    valid, told, last = 0, [], 0.0
    for step in range(marks[-1] + 1):
        if step in marks:
            report = path_wardrop(network_of(weights), x, y, _LOSS)
            first, second = weights
            masses = second.abs() @ first.abs()  # of every source: the path norm, at every output
            last = report.loss - least_in_budget(torch.eye(3).double(), x, y, masses, 2000)
            valid += last <= _number(report.cert) + 1e-9
            told.append(report.cert_informative)
        weights = tuple(w - 0.02 * g for w, g in zip(weights, slope(weights), strict=True))
    name = f"certificate along descent on 4-5-3, {len(marks)} points"
    return [
        judged(f"{name}: where it bounds the loss above the least in budget", valid, len(marks), PROTOTYPE, 0),
        at_least(f"{name}: where it is below the loss", sum(told), 1, PROTOTYPE),
    ]


def _layer_excess(x: Tensor, y: Tensor, seed: int, cases: int) -> list[Row]:
    """Random networks: how much a layer gains within its budgets, and the bound on it."""
    held = 0
    for case in range(cases):
        weights, layer = drawn((4, 5, 3), seed, "excess", case), case % 2
        after, reads = (weights[1], x) if layer == 0 else (torch.eye(3).double(), x @ weights[0].mT)
        gain = float(half_squared(weights, x, y)) - least_in_budget(after, reads, y, weights[layer], 200)
        found = layer_equilibrium(network_of(weights), x, y, _LOSS, best_response=False)[layer]
        held += gain <= _number(found.excess) + 1e-9
    quantity = f"layer_excess bounds what a layer gains in its budgets, of {cases} random cases"
    return [judged(quantity, held, cases, PROTOTYPE, 0)]


def _weight_decay(x: Tensor, y: Tensor, seed: int, quick: bool) -> list[Row]:
    rows = []
    for decay in (0.3, 2.0) if quick else (0.05, 0.3, 1.0, 2.0, 4.0, 8.0):

        def loss(w: Weights, decay: float = decay) -> Tensor:
            return half_squared(w, x, y) + decay / 2 * (w[0].square().sum() + w[1].square().sum())

        weights = minimised(drawn((4, 5, 3), seed, "decay", str(decay)), loss)
        found = spectral_gap(network_of(weights), x, y, _LOSS, weight_decay=decay)
        name = f"4-5-3, weight decay {decay:g}, {len(found.modes)} modes in use"
        error = f"{name}: difference of a used mode's benefit from the decay"
        rows.append(at_most(error, found.used_error, 1e-6, PROTOTYPE))
        if found.unused is not None:
            rows.append(at_most(f"{name}: benefit of a mode not in use", found.unused, decay, PROTOTYPE))
    return rows
