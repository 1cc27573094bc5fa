"""Kinks: where a gate is ambiguous, slopes of one side are not called critical or not, and the mixture is solved."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from strategic_envs.evaluators.wardrop import path_wardrop
from strategic_envs.evaluators.wardrop.chain import layered
from strategic_envs.evaluators.wardrop.kinks import clarke_norm
from strategic_envs.evaluators.wardrop.losses import data_of


def half_open(tools: Any, sign: float = 1.0) -> tuple[Any, Tensor, Tensor]:
    """One unit that is at its kink on sample 0; the slopes cancel with that gate half open. Sign -1 bends upwards."""
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([[sign * 4.0], [1 - sign], [1 + sign]], dtype=torch.float64)
    net = tools.chain([2, 1, 1], relu=True)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[0.0, 1.0]]))
        net[2].weight.fill_(1.0)
    return net, x, y


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_stationary_point_at_a_kink_shows_a_slope_and_is_not_called_critical(tools: Any, sign: float) -> None:
    net, x, y = half_open(tools, sign)
    report = path_wardrop(net, x, y, "half_squared")
    assert report.largest_slope == pytest.approx(2 / 3)
    assert (report.at_kink, report.ambiguous_gates, report.kink_distance) == (True, 1, 0.0)
    assert report.clarke_norm == pytest.approx(0, abs=1e-12)
    assert report.global_claim is None
    assert "1 gates are at their kink" in report.note
    assert report.row()["at_kink"] == 1.0
    for move in (-1e-4, 1e-4):  # stationary, and yet all ways lead down where the kink is concave
        with torch.no_grad():
            net[0].weight[0, 0] = move
        change = path_wardrop(net, x, y, "half_squared").loss - report.loss
        assert change == pytest.approx(-sign * 2 / 3 * 1e-4, rel=1e-3)


def test_away_from_kinks_the_report_says_so(tools: Any) -> None:
    net, x, y = half_open(tools)
    with torch.no_grad():
        net[0].weight[0, 0] = 0.5
    report = path_wardrop(net, x, y, "half_squared")
    assert (report.at_kink, report.ambiguous_gates, report.clarke_norm) == (False, 0, None)
    assert report.kink_distance == 0.5
    assert report.global_claim == "frozen gates"
    smooth = path_wardrop(tools.chain([2, 1, 1]), x, y)
    assert smooth.kink_distance is smooth.clarke_norm is None


def test_two_hidden_layers_at_a_kink_are_not_smooth_and_nothing_more_is_said(tools: Any) -> None:
    x, y = tools.gaussian(5, 2, 1)
    net = tools.chain([2, 3, 2, 1], relu=True)
    with torch.no_grad():
        net[2].weight[0] = 0.0
    report = path_wardrop(net, x, y)
    assert report.at_kink
    assert report.clarke_norm is None
    assert report.global_claim is None
    assert "not smooth here: 5 gates" in report.note


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_shortest_gradient_is_that_of_a_grid_of_gates(tools: Any, seed: int, bias: bool) -> None:
    x, y = tools.gaussian(6, 3, 2, seed)
    net = tools.chain([3, 2, 2], seed, relu=True, bias=bias)
    with torch.no_grad():  # unit 0 is at its kink on samples 0 and 1
        rows = torch.cat([x, torch.ones(6, 1)], 1)[:, : 3 + bias].double()
        kernel = torch.linalg.svd(rows[:2])[2][2:]
        inside = kernel.mT @ (kernel @ torch.cat([net[0].weight[0], net[0].bias[:1]] if bias else [net[0].weight[0]]))
        net[0].weight[0] = inside[:3]
        if bias:
            net[0].bias[0] = inside[3]
    network, data = layered(net), data_of(x, y, "half_squared", 2, 3, x, "test")
    found = clarke_norm(network, data)
    before = net[0](x).detach()[:, :1]
    assert float(before[:2].abs().max()) < 1e-12
    outputs = net(x).detach()
    back = ((outputs - y) / 6) @ net[2].weight.detach()
    hidden = net[0](x).detach().relu()
    last = [((outputs - y) / 6).mT @ hidden, *([((outputs - y) / 6).sum(0)] if bias else [])]
    lengths = []
    for gates in itertools.product(torch.linspace(0, 1, 41).tolist(), repeat=2):
        g = (net[0](x).detach() > 1e-9).double()
        g[:2, 0] = torch.tensor(gates)
        first = (back * g).mT @ rows
        lengths.append(sum(float(t.square().sum()) for t in [first, *last]) ** 0.5)
    assert found is not None
    assert found <= min(lengths) + 1e-12
    assert found == pytest.approx(min(lengths), abs=4e-2 * max(lengths))


def test_a_dead_start_is_a_kink_on_every_sample(tools: Any) -> None:
    x, y = tools.gaussian(100, 3, 2)
    net = tools.chain([3, 4, 2], relu=True)
    with torch.no_grad():
        net[0].weight.zero_()
    report = path_wardrop(net, x, y)
    assert report.ambiguous_gates == 400
    assert report.clarke_norm == pytest.approx(0, abs=1e-9)  # all gates closed is among the mixtures


@pytest.mark.slow
def test_small_relu_networks_often_stop_at_kinks_where_the_mixture_is_nearly_stationary(tools: Any) -> None:
    kinks, shorter = 0, 0
    for seed in range(8):
        x, _ = tools.gaussian(40, 4, 2, seed)
        noise = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        y = tools.chain([4, 4, 2], 50 + seed, relu=True)(x).detach() + 0.1 * noise
        report = path_wardrop(tools.train(tools.chain([4, 3, 2], seed, relu=True), x, y, newton=0), x, y)
        if report.at_kink:
            kinks += 1
            assert report.clarke_norm is not None
            shorter += report.clarke_norm < report.largest_slope / 10
    assert kinks >= 2
    assert shorter >= 1
