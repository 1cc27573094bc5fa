"""What bounds what: the certificate, the layers' excess, exact best responses, and frozen gates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.evaluators.wardrop import layer_equilibrium, path_wardrop
from strategic_envs.evaluators.wardrop.chain import layered
from strategic_envs.evaluators.wardrop.enumeration import all_paths
from strategic_envs.evaluators.wardrop.losses import data_of

LOSSES = {"mse": functional.mse_loss, "cross_entropy": functional.cross_entropy}


def least_within(loss: Any, budgets: Tensor, shape: tuple[int, ...]) -> float:
    """The smallest convex loss of a tensor `(sources, ...)` whose l1 norm a source is within its budget (SLSQP)."""
    size = int(np.prod(shape))
    each = size // shape[0]

    def value(split: np.ndarray) -> tuple[float, np.ndarray]:
        flows = torch.as_tensor(split[:size] - split[size:]).view(shape).requires_grad_()
        result = loss(flows)
        slope = torch.autograd.grad(result, flows)[0].flatten().numpy()
        return float(result.detach()), np.concatenate([slope, -slope])

    rows = np.tile(np.kron(np.eye(shape[0]), np.ones(each)), 2)
    limits = [{"type": "ineq", "fun": lambda v: budgets.numpy() - rows @ v, "jac": lambda v: -rows}]
    options = {"maxiter": 500, "ftol": 1e-14}
    bounds = [(0, None)] * (2 * size)
    return float(minimize(value, np.zeros(2 * size), jac=True, bounds=bounds, constraints=limits, options=options).fun)


def test_the_certificate_is_valid_along_gradient_descent_and_closes(tools: Any) -> None:
    x, y = tools.gaussian(60, 4, 3)
    net = tools.chain([4, 5, 3], scale=0.5)
    descent, seen = torch.optim.SGD(net.parameters(), lr=0.03), []
    for step in range(501):
        if step in (0, 30, 100, 500):
            report = path_wardrop(net, x, y, "half_squared")
            budgets = (net[2].weight.abs() @ net[0].weight.abs()).sum(0).detach()
            least = least_within(lambda p: tools.half_squared(x @ p, y), budgets, (4, 3))
            assert report.cert is not None
            assert report.loss - least <= report.cert + 1e-8
            assert report.cert_informative == (report.cert < report.loss)
            assert ("says nothing" in str(report)) != report.cert_informative
            seen.append((report.loss - least, report.cert, report.cert_informative))
        descent.zero_grad()
        tools.half_squared(net(x), y).backward()
        descent.step()
    assert seen[0][0] > 1
    assert seen[-1][1] < 0.1 * seen[0][1]
    assert any(informative for *_, informative in seen)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_the_certificate_of_a_relu_network_bounds_flows_with_its_gates(tools: Any, seed: int, loss: str) -> None:
    x, y = tools.gaussian(20, 3, 2, seed)
    y = y if loss == "mse" else y.argmax(-1)
    net = tools.chain([3, 4, 2], seed, relu=True)
    report, network = path_wardrop(net, x, y, loss), layered(net)
    (group,) = all_paths(network, data_of(x, y, loss, 2, 3, x, "test"))
    gates = (x @ network.weights[0].mT > 0).double()

    def of_flows(flows: Tensor) -> Tensor:
        return LOSSES[loss](torch.einsum("ni,nk,ikj->nj", x, gates, flows), y)

    budgets = group.flows.abs().sum((1, 2))
    assert report.cert is not None
    assert 0 < report.loss - least_within(of_flows, budgets, (3, 4, 2)) <= report.cert


def frozen_optimum(net: Any, x: Tensor, y: Tensor) -> float:
    """The smallest `half_squared` loss over free path flows of one hidden layer, the gates as they are."""
    gates = (x @ net[0].weight.detach().mT > 0).double()
    features = (x[:, :, None] * gates[:, None, :]).flatten(1)
    solution = torch.linalg.lstsq(features, y, driver="gelsd").solution
    return float((features @ solution - y).square().sum() / (2 * len(y)))


def test_an_interpolating_relu_network_is_a_wardrop_equilibrium_of_its_gates(tools: Any) -> None:
    x, _ = tools.gaussian(12, 4, 2, 0)
    y = tools.chain([4, 4, 2], seed=7, relu=True)(x).detach()
    net = tools.train(tools.chain([4, 24, 2], seed=2, relu=True), x, y, newton=0)
    report = path_wardrop(net, x, y, "half_squared")
    assert not report.at_kink
    assert report.loss < 1e-12
    assert report.path_gap < 1e-6
    assert report.global_claim == "frozen gates"
    assert "with these gates, and no more" in str(report)


def test_the_gap_is_zero_exactly_at_the_frozen_optimum(tools: Any) -> None:
    for seed in range(4):
        x, y = tools.gaussian(40, 4, 2, seed)
        net = tools.chain([4, 3, 2], seed, relu=True)
        report = path_wardrop(net, x, y, "half_squared")
        assert report.path_gap > 0.01
        assert report.loss > frozen_optimum(net, x, y) + 1e-3
        reachable = x @ net[0].weight.detach().mT
        made = reachable.relu() @ torch.ones(3, 2).double()  # targets that the frozen flows reach
        with torch.no_grad():
            net[2].weight.fill_(1.0)
        assert path_wardrop(net, x, made, "half_squared").path_gap < 1e-14
        assert frozen_optimum(net, x, made) < 1e-20


def test_a_wardrop_equilibrium_of_closed_gates_is_no_minimum(tools: Any) -> None:
    x, y = torch.rand(20, 3).double() + 0.1, torch.ones(20, 2).double()
    net = tools.chain([3, 4, 2], relu=True)
    with torch.no_grad():
        net[0].weight.copy_(-net[0].weight.abs() - 0.1)  # every unit is dead
    report = path_wardrop(net, x, y, "half_squared")
    assert not report.at_kink
    assert report.path_gap == report.largest_slope == 0
    assert report.global_claim == "frozen gates"
    assert report.loss == 1
    with torch.no_grad():
        net[0].weight.neg_()
    assert frozen_optimum(net, x, y) < 0.5  # other gates do better


def within_budget(net: Any, layer: int, x: Tensor, y: Tensor, loss: str, steps: int) -> float:
    """The gain that Frank-Wolfe with shrinking steps makes of one layer, each column's l1 norm within its budget."""
    module = net[2 * layer]
    budget, first = module.weight.detach().abs().sum(0), float(LOSSES[loss](net(x), y).detach())
    start, best = module.weight.detach().clone(), first
    for k in range(steps):
        value = LOSSES[loss](net(x), y)
        (slope,) = torch.autograd.grad(value, module.weight)
        best = min(best, float(value.detach()))
        corner = torch.zeros_like(slope)
        rows = slope.abs().argmax(0)
        columns = torch.arange(slope.shape[1])
        corner[rows, columns] = -slope[rows, columns].sign() * budget
        with torch.no_grad():
            module.weight += 2 / (k + 2) * (corner - module.weight)
    with torch.no_grad():
        module.weight.copy_(start)
    return first - best


@pytest.mark.parametrize("loss", LOSSES)
def test_the_excess_bounds_what_a_layer_gains_within_its_budget(tools: Any, loss: str) -> None:
    gains = []
    for seed, relu in itertools.product(range(12), (False, True)):
        x, y = tools.gaussian(20, 3, 2, seed)
        y = y if loss == "mse" else y.argmax(-1)
        net = tools.chain([3, 4, 3, 2], seed, relu=relu)
        for i, layer in enumerate(layer_equilibrium(net, x, y, loss, best_response=False)):
            assert layer.convex == (not relu or i == 2)
            assert layer.best_response_gain is None
            assert layer.excess is not None
            if layer.convex:
                gains.append(within_budget(net, i, x, y, loss, steps=60))
                assert gains[-1] <= layer.excess + 1e-12
    assert len(gains) == 48
    assert max(gains) > 0.01


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [[4, 3], [4, 2, 3], [3, 4, 2, 3]])
def test_best_responses_of_linear_layers_are_optima(tools: Any, sizes: Any, bias: bool, loss: str) -> None:
    x, y = tools.gaussian(25, sizes[0], sizes[-1])
    y = y if loss == "mse" else (y + 6 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))).argmax(-1)
    net = tools.chain(sizes, bias=bias)
    found = layer_equilibrium(net, x, y, loss)
    before = float(LOSSES[loss](net(x), y).detach())
    for i, layer in enumerate(found):
        alone = tools.chain(sizes, bias=bias)
        for j, module in enumerate(m for m in alone if isinstance(m, nn.Linear)):
            module.requires_grad_(j == i)
        moving = [p for p in alone.parameters() if p.requires_grad]
        search = torch.optim.LBFGS(moving, max_iter=500, tolerance_grad=1e-12, tolerance_change=0, history_size=30,
                                   line_search_fn="strong_wolfe")  # fmt: skip

        def closure(alone: Any = alone, search: Any = search) -> Tensor:
            search.zero_grad()
            value = LOSSES[loss](alone(x), y)
            value.backward()
            return value

        search.step(closure)
        after = float(LOSSES[loss](alone(x), y).detach())
        assert layer.exact
        assert layer.best_response_gain == pytest.approx(before - after, abs=1e-7)
        assert layer.gap > 1e-3  # not critical: no best response
        assert layer.best_response_gain is not None
        assert layer.best_response_gain > 1e-5
        slopes = [p.grad for p in closure_gradients(net, x, y, loss)[i]]
        assert layer.gap == pytest.approx(max(float(g.abs().max()) for g in slopes), rel=1e-12)  # type: ignore[union-attr]


def closure_gradients(net: Any, x: Tensor, y: Tensor, loss: str) -> list[list[Any]]:
    net.zero_grad()
    LOSSES[loss](net(x), y).backward()
    return [list(m.parameters()) for m in net if isinstance(m, nn.Linear)]


def test_separable_classes_have_no_best_response_and_the_gain_is_nearly_the_loss(tools: Any) -> None:
    x = torch.tensor([[1.0], [2.0], [-1.0], [-2.0]], dtype=torch.float64)
    net = tools.chain([1, 2])
    (layer,) = layer_equilibrium(net, x, torch.tensor([0, 0, 1, 1]), "cross_entropy")
    loss = path_wardrop(net, x, torch.tensor([0, 0, 1, 1]), "cross_entropy").loss
    assert layer.best_response_gain is not None
    assert loss - 1e-4 < layer.best_response_gain <= loss


def test_only_the_last_layer_of_a_relu_network_has_an_exact_best_response(tools: Any) -> None:
    x, y = tools.gaussian(30, 4, 2)
    net = tools.chain([4, 5, 3, 2], relu=True)
    first, second, last = layer_equilibrium(net, x, y)
    assert first.best_response_gain is second.best_response_gain is None
    assert (first.convex, last.convex, last.exact) == (False, True, True)
    features = net[:4](x).detach()
    solution = torch.linalg.lstsq(features, y).solution
    gain = functional.mse_loss(net(x), y).detach() - functional.mse_loss(features @ solution, y)
    assert last.best_response_gain == pytest.approx(float(gain), abs=1e-12)
    assert set(first.row()) == {"layer_gap", "layer_excess", "convex", "exact"}
    assert set(last.row()) == {"layer_gap", "layer_excess", "best_response_gain", "convex", "exact"}
    assert "first order" in str(first)
    assert "best response unknown" in str(first)


def test_a_hidden_layer_of_a_critical_relu_network_may_still_gain(tools: Any) -> None:
    """The gap is first order: dead units have no slope, and gain by a jump to other gates."""
    x, y = torch.tensor([[1.0], [2.0]], dtype=torch.float64), torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    net = tools.chain([1, 1, 1], relu=True)
    with torch.no_grad():
        net[0].weight.fill_(-1.0)
        net[2].weight.fill_(1.0)
    hidden, last = layer_equilibrium(net, x, y)
    assert hidden.gap == last.gap == 0
    assert last.best_response_gain == 0
    assert hidden.best_response_gain is None  # and not 0
    with torch.no_grad():
        net[0].weight.fill_(1.0)
    assert path_wardrop(net, x, y).loss == 0
