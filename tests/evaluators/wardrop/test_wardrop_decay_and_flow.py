"""Weight decay prices singular modes; routing shares make the classical Wardrop condition literal."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.wardrop import flow_wardrop, path_wardrop, spectral_gap
from strategic_envs.games.kinds.congestion.costs import PowerCosts
from strategic_envs.games.kinds.congestion.nonatomic import CongestionGame
from strategic_envs.games.kinds.dynamic import DynamicGame


def least_with_nuclear_norm(x: Tensor, y: Tensor, price: float) -> float:
    """The smallest `half_squared` loss plus the price times the nuclear norm, by proximal gradient with momentum."""
    step = len(x) / float(torch.linalg.matrix_norm(x, 2)) ** 2
    p = q = torch.zeros(y.shape[1], x.shape[1]).double()
    t = 1.0
    for _ in range(1000):
        slope = (x @ q.mT - y).mT @ x / len(x)
        u, s, v = torch.linalg.svd(q - step * slope, full_matrices=False)
        new = u @ torch.diag((s - step * price).clamp(min=0)) @ v
        later = (1 + (1 + 4 * t * t) ** 0.5) / 2
        p, q, t = new, new + (t - 1) / later * (new - p), later
    loss = (x @ p.mT - y).square().sum() / (2 * len(x)) + price * torch.linalg.matrix_norm(p, "nuc")
    return float(loss)


@pytest.mark.parametrize("decay", [0.05, 1.0, 4.0, 200.0])
def test_at_the_minimum_used_modes_earn_the_decay_and_no_direction_more(tools: Any, decay: float) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain([4, 5, 3]), x, y, decay=decay)
    found = spectral_gap(net, x, y, "half_squared", weight_decay=decay)
    assert found.largest_slope < 1e-8
    assert found.benefits == pytest.approx([decay] * len(found.benefits), abs=1e-6)
    assert found.unused is None or found.unused <= decay + 1e-6
    assert found.spectral_gap <= 1e-6
    if found.modes:
        assert found.spectral_gap == pytest.approx(0, abs=1e-6)
    assert found.used_error < 1e-6
    assert found.full_width
    squares = sum(float(p.detach().square().sum()) for p in net.parameters())
    total = path_wardrop(net, x, y, "half_squared").loss + decay / 2 * squares
    assert total == pytest.approx(least_with_nuclear_norm(x, y, decay), abs=1e-8)
    assert (len(found.modes) == 0) == (decay == 200.0)


def test_every_edge_of_a_decayed_critical_point_costs_its_decay(tools: Any) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain([4, 5, 3]), x, y, decay=0.3)
    report = path_wardrop(net, x, y, "half_squared")  # of the loss alone: sum w_p C_p through e is -decay W_e^2
    for total, layer in zip(report.layer_sums, (net[0], net[2]), strict=True):
        assert total == pytest.approx(-0.3 * float(layer.weight.detach().square().sum()), rel=1e-8)
    assert report.identity_error < 1e-12


def test_a_critical_point_without_a_good_mode_has_a_spectral_gap(tools: Any) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain([4, 1, 3]), x, y, decay=0.3)
    wide = tools.chain([4, 5, 3], scale=0.0)
    with torch.no_grad():
        wide[0].weight[0], wide[2].weight[:, 0] = net[0].weight[0], net[2].weight[:, 0]
    found = spectral_gap(wide, x, y, "half_squared", weight_decay=0.3)
    assert found.largest_slope < 1e-8
    assert found.used_error < 1e-6
    assert found.spectral_gap > 0.1
    assert found.row()["used_modes"] == 1
    assert "experimental" in str(found)


def test_unequal_decays_of_a_game_price_a_mode_by_their_geometric_mean(tools: Any) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.train(tools.chain([4, 5, 3]), x, y, decay=1.0)
    with torch.no_grad():  # what is optimal for (1, 1) is optimal for (4, 1/4) after this change
        net[0].weight /= 2
        net[2].weight *= 2
    game = DynamicGame.from_sequential(net, x, y, "mse", weight_decay=[8 / 3, 1 / 6])  # mse is 2/3 of half_squared
    found = spectral_gap(game, game.load(net))
    assert found.decay == pytest.approx(2 / 3)
    assert found.used_error < 1e-6
    assert found.largest_slope < 1e-8
    assert abs(found.spectral_gap) < 1e-6


def test_used_paths_of_a_diagonal_network_earn_the_decay(tools: Any) -> None:
    """f = sum u_i v_i x_i with decay is the lasso: its modes are its paths."""
    x, _ = tools.gaussian(50, 6, 1)
    y = x @ torch.tensor([[3.0], [-2.0], [1.0], [0.0], [0.0], [0.1]]).double()

    class Diagonal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.u = nn.Parameter(torch.randn(6, generator=generator).double())
            self.v = nn.Parameter(torch.randn(6, generator=generator).double())

        def forward(self, x: Tensor) -> Tensor:
            return (x * (self.u * self.v)).sum(-1, keepdim=True)

    net = tools.train(Diagonal(), x, y, decay=0.3)
    full = tools.chain([6, 6, 1], scale=0.0)
    with torch.no_grad():
        full[0].weight.copy_(torch.diag(net.v))
        full[2].weight.copy_(net.u[None])
    flows = (net.u * net.v).detach()
    benefit = -(x.mT @ ((x @ flows)[:, None] - y))[:, 0] / len(x)
    used = flows.abs() > 1e-6
    assert 0 < int(used.sum()) < 6
    assert (flows.sign() * benefit)[used].tolist() == pytest.approx([0.3] * int(used.sum()), abs=1e-6)
    assert float(benefit[~used].abs().max()) <= 0.3 + 1e-6
    report = path_wardrop(full, x, y, "half_squared", tau=1e-5)
    assert (report.used_gap, report.path_gap) == pytest.approx((0.3, 0.3), abs=1e-6)


def shares(sizes: list[int], seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for before, after in itertools.pairwise(sizes):
        layer = nn.Linear(before, after, bias=False).double()
        layer.weight.data = torch.rand(after, before, generator=generator, dtype=torch.float64).softmax(0)
        parts.append(layer)
    return nn.Sequential(*parts)


def routing_data(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(30, 4, generator=generator).double(), torch.rand(30, 3, generator=generator).double() * 2


def descend(net: Any, x: Tensor, y: Tensor, loss: Any, steps: int, rate: float) -> None:
    """Exponentiated gradient: every column stays a share."""
    for _ in range(steps):
        slopes = torch.autograd.grad(loss(net(x), y), list(net.parameters()))
        with torch.no_grad():
            for w, g in zip(net.parameters(), slopes, strict=True):
                w.copy_((w.log() - rate * g).softmax(0))


@pytest.mark.parametrize("sizes", [[4, 3], [4, 4, 3]])
def test_exponentiated_gradient_finds_the_wardrop_equilibrium_of_the_congestion_game(tools: Any, sizes: Any) -> None:
    x, y = routing_data()
    net = shares(sizes)
    start = flow_wardrop(net, x, y, "half_squared")
    descend(net, x, y, tools.half_squared, steps=1000, rate=3.0)
    found = flow_wardrop(net, x, y, "half_squared")
    # the resources are the outputs on the samples; a constant makes their costs positive and moves no equilibrium
    rates = torch.zeros(4, 3, 30, 3).double()
    for j in range(3):
        rates[:, j, :, j] = x.mT
    costs = PowerCosts.affine(torch.full((90,), 1 / 30, dtype=torch.float64), ((2.5 - y) / 30).flatten())
    game = CongestionGame([1.0] * 4, list(rates.flatten(2)), costs=costs)
    flow = game.wardrop()
    shift = float(2.5 / 30 * x.sum()) - float(y.square().sum()) / 60
    assert start.excess > 1e-3
    assert found.loss - (flow.potential - shift) <= found.excess + 1e-12
    assert found.loss == pytest.approx(flow.potential - shift, abs=1e-5)
    assert found.excess < 5e-4
    p = torch.eye(4).double()
    for layer in net:
        p = layer.weight.detach() @ p
    assert found.excess == pytest.approx(float(game.excess([*p.mT])), abs=1e-12)
    assert sum(found.per_source) == pytest.approx(found.excess)
    assert found.row()["flow_excess"] == found.excess


def test_the_equilibrium_of_shifted_costs_is_no_social_optimum_and_the_price_is_the_shifts() -> None:
    x, y = routing_data()
    rates = torch.zeros(4, 3, 30, 3).double()
    for j in range(3):
        rates[:, j, :, j] = x.mT
    prices, losses = [], []
    for kappa in (2.5, 12.5, 125.0):
        costs = PowerCosts.affine(torch.full((90,), 1 / 30, dtype=torch.float64), ((kappa - y) / 30).flatten())
        game = CongestionGame([1.0] * 4, list(rates.flatten(2)), costs=costs)
        best = game.system_optimum()
        prices.append(game.wardrop().total_cost / best.total_cost)
        losses.append(float((best.loads.view(30, 3) - y).square().sum()) / 60)
    equilibrium = float((game.wardrop().loads.view(30, 3) - y).square().sum()) / 60
    assert 4 / 3 >= prices[0] > prices[1] > prices[2] >= 1  # a property of the constant, not of the network
    assert min(losses) > equilibrium + 1e-4  # the social optimum has a larger loss


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_where_wrong_classes_cost_a_monomial_equilibrium_and_optimum_are_one(power: float) -> None:
    x, _ = routing_data()
    right = torch.arange(30) % 3
    rates = torch.zeros(4, 3, 30, 3).double()
    for j in range(3):
        rates[:, j, :, j] = x.mT
    factor = torch.ones(30, 3).double()
    factor[torch.arange(30), right] = 0
    costs = PowerCosts.monomial(factor.flatten(), torch.full((90,), power).double())
    game = CongestionGame([1.0] * 4, list(rates.flatten(2)), costs=costs)
    assert game.price_of_anarchy() == pytest.approx(1, abs=1e-8)


def test_what_is_no_flow_network_is_refused_by_name(tools: Any) -> None:
    x, y = routing_data()
    net = shares([4, 4, 3])
    with pytest.raises(InvalidGameError, match="inputs down to -1"):
        flow_wardrop(net, x - x.amin() - 1, y)
    net[1].weight.data *= 2
    with pytest.raises(InvalidGameError, match="layer 1: got weights .* expected shares"):
        flow_wardrop(net, x, y)
    with pytest.raises(InvalidGameError, match="got ReLU or biases"):
        flow_wardrop(tools.chain([4, 3], bias=True), x, y)
    with pytest.raises(InvalidSettingError, match="expected a share"):
        flow_wardrop(shares([4, 3]), x, y, tau=2.0)


def test_what_has_no_spectral_gap_is_refused(tools: Any) -> None:
    x, y = tools.gaussian(10, 4, 3)
    with pytest.raises(InvalidGameError, match="expected two linear layers without bias"):
        spectral_gap(tools.chain([4, 5, 3], relu=True), x, y, weight_decay=1.0)
    with pytest.raises(InvalidGameError, match="expected two linear layers"):
        spectral_gap(tools.chain([4, 5, 5, 3]), x, y, weight_decay=1.0)
    with pytest.raises(InvalidSettingError, match="without decay no mode has a price"):
        spectral_gap(tools.chain([4, 5, 3]), x, y)
    game = DynamicGame.from_sequential(tools.chain([4, 5, 3]), x, y, "mse", weight_decay=1.0)
    with pytest.raises(InvalidSettingError, match="leave it out"):
        spectral_gap(game, game.initial(0), weight_decay=1.0)
