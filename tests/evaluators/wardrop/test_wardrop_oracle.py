"""The all-paths gap of linear networks tells minima from saddles: closed forms, and the facts behind them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from strategic_envs.evaluators.wardrop import layer_equilibrium, linear_critical_point, path_wardrop

UNIT, DIAGONAL = torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
# the modes in use, the loss, the gap over all paths, and the smallest eigenvalue of the Hessian
ORACLE = [
    ((), 7 / 3, 1, -1),
    ((0,), 5 / 6, 2 / 3, -2 / 3),
    ((1,), 5 / 3, 1, -1),
    ((2,), 13 / 6, 1, -1),
    ((0, 1), 1 / 6, 1 / 3, -1 / 3),
    ((0, 2), 2 / 3, 2 / 3, -2 / 3),
    ((1, 2), 3 / 2, 1, -1),
    ((0, 1, 2), 0, 0, 0),
]


def curvatures(tools: Any, net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    value = tools.objective(net, x, y, tools.half_squared, 0.0)
    return torch.linalg.eigvalsh(torch.func.jacrev(torch.func.grad(value))(tools.flat_weights(net)))


def selector(tools: Any, modes: tuple[int, ...]) -> Any:
    """Written out: hidden unit r reads and gives the r-th mode in use."""
    net = tools.chain([3, 4, 3], scale=0.0)
    with torch.no_grad():
        for r, k in enumerate(modes):
            net[0].weight[r, k], net[2].weight[k, r] = DIAGONAL[k, k], 1
    return net


@pytest.mark.parametrize(("modes", "loss", "gap", "curvature"), ORACLE, ids=lambda v: str(v))
def test_the_eight_critical_points(tools: Any, modes: Any, loss: float, gap: float, curvature: float) -> None:
    net = selector(tools, modes)
    report = path_wardrop(net, UNIT, DIAGONAL, "half_squared")
    assert (report.loss, report.path_gap) == pytest.approx((loss, gap), abs=1e-15)
    assert (report.used_gap, report.cert) == (0, 0)  # blind to what is not used: only path_gap sees the saddles
    assert report.largest_slope == 0
    assert report.global_claim == "linear, full width"
    assert float(curvatures(tools, net, UNIT, DIAGONAL)[0]) == pytest.approx(curvature, abs=1e-12)
    for layer in layer_equilibrium(net, UNIT, DIAGONAL, "half_squared"):  # each is an equilibrium of the layers
        assert layer.gap == layer.excess == 0
        assert layer.exact
        assert layer.best_response_gain == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("modes", "loss", "gap", "curvature"), ORACLE, ids=lambda v: str(v))
def test_the_general_recipe_gives_the_same_points(
    tools: Any, modes: Any, loss: float, gap: float, curvature: float
) -> None:
    mixing = torch.randn(len(modes), len(modes), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for m in (None, mixing):
        report = path_wardrop(linear_critical_point(UNIT, DIAGONAL, modes, 4, m), UNIT, DIAGONAL, "half_squared")
        assert (report.loss, report.path_gap) == pytest.approx((loss, gap), abs=1e-12)
        assert report.largest_slope == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("modes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_saddles_are_critical_equilibria_of_the_layers_with_a_gap_and_a_way_down(tools: Any, modes: Any) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = linear_critical_point(x, y, modes, hidden=5)
    report = path_wardrop(net, x, y, "half_squared")
    assert report.largest_slope < 1e-11
    gains = [layer.best_response_gain for layer in layer_equilibrium(net, x, y, "half_squared")]
    assert gains == pytest.approx([0, 0], abs=1e-12)
    assert report.path_gap > 0.1
    assert float(curvatures(tools, net, x, y)[0]) < -0.1


@pytest.mark.parametrize(("sizes", "seed"), [([4, 5, 3], 0), ([4, 6, 6, 3], 0), ([4, 4, 4, 4, 3], 1)])
def test_a_trained_wide_network_is_a_wardrop_equilibrium_and_least_squares(tools: Any, sizes: Any, seed: int) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain(sizes, seed), x, y)
    report = path_wardrop(net, x, y, "half_squared")
    best = tools.half_squared(x @ torch.linalg.lstsq(x, y).solution, y)
    assert report.loss == pytest.approx(float(best), abs=1e-11)
    assert report.path_gap < 1e-8
    assert report.norm_gap is not None
    assert report.norm_gap < 1e-8
    assert report.identity_error < 1e-12
    assert report.cert is not None
    assert report.cert < 1e-6


def test_cross_entropy_has_vector_resources(tools: Any) -> None:
    x, noise = tools.gaussian(60, 4, 3)
    y = (x @ torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double() + noise / 4).argmax(-1)
    net = tools.train(tools.chain([4, 5, 3]), x, y, functional.cross_entropy)
    direct = tools.train(tools.chain([4, 3]), x, y, functional.cross_entropy)
    report = path_wardrop(net, x, y, "cross_entropy")
    assert report.loss == pytest.approx(float(functional.cross_entropy(direct(x), y).detach()), abs=1e-10)
    assert report.path_gap < 1e-8
    assert path_wardrop(tools.chain([4, 5, 3]), x, y, "cross_entropy").path_gap > 0.01


@pytest.mark.parametrize("rank", [1, 2])
def test_the_best_narrow_network_has_a_gap_and_no_global_reading_is_given(tools: Any, rank: int) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain([4, rank, 3]), x, y)
    report = path_wardrop(net, x, y, "half_squared")
    best = linear_critical_point(x, y, range(rank), hidden=rank)
    assert report.loss == pytest.approx(float(tools.half_squared(best(x), y).detach()), abs=1e-9)
    assert report.largest_slope < 1e-8
    assert report.path_gap > 0.1
    assert report.global_claim is None
    assert "narrower" in report.note
    assert "nothing global is claimed" in str(report)


def test_which_widths_represent_every_map(tools: Any) -> None:
    def claims(sizes: list[int], biases: list[bool]) -> bool:
        net = tools.chain(sizes, bias=True)
        for layer, bias in zip([m for m in net if hasattr(m, "bias")], biases, strict=True):
            if not bias:
                layer.bias = None
        x, y = tools.gaussian(5, sizes[0], sizes[-1])
        return path_wardrop(net, x, y).global_claim == "linear, full width"

    assert claims([2, 2, 5], [False, False])
    assert claims([2, 2, 5], [True, True])  # the last bias is free
    assert not claims([2, 2, 5], [True, False])  # rank 3 is needed for the map with its constant
    assert claims([2, 3, 5], [True, False])
    assert claims([5, 2, 2], [True, False])
    assert not claims([3, 2, 3], [True, True])
    assert claims([3, 2], [True])


def test_the_gap_is_zero_at_an_interpolating_network_whatever_its_residual_before(tools: Any) -> None:
    x, y = tools.gaussian(4, 6, 2)  # fewer samples than inputs
    net = tools.train(tools.chain([6, 6, 2]), x, y)
    report = path_wardrop(net, x, y, "half_squared")
    assert report.path_gap < 1e-10
    assert 0 <= report.norm_gap <= 1  # type: ignore[operator]
