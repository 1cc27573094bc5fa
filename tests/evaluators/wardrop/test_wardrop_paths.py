"""Fast ways over the paths of a network equal a slow list of them; the identities that tie paths to slopes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.evaluators.wardrop import path_wardrop
from strategic_envs.evaluators.wardrop.chain import layered
from strategic_envs.evaluators.wardrop.enumeration import all_paths
from strategic_envs.evaluators.wardrop.losses import data_of
from strategic_envs.evaluators.wardrop.sampling import draw_paths, largest_flow, path_costs

CASES = [
    pytest.param(sizes, relu, bias, id=f"{'-'.join(map(str, sizes))}{' relu' * relu}{' bias' * bias}")
    for sizes in ([3, 2], [4, 3, 2], [3, 4, 2, 3], [2, 3, 2, 3, 2])
    for relu in (False, True)
    for bias in (False, True)
]
LOSSES = {"mse": functional.mse_loss, "cross_entropy": functional.cross_entropy}


def problem(tools: Any, sizes: list[int], relu: bool, bias: bool, loss: str = "mse") -> tuple[Any, Tensor, Tensor]:
    x, y = tools.gaussian(12, sizes[0], sizes[-1])
    return tools.chain(sizes, relu=relu, bias=bias), x, y if loss == "mse" else y.argmax(-1)


def slow_paths(net: nn.Sequential, x: Tensor, y: Tensor, loss: str) -> list[dict[str, Any]]:
    """The definition: every path, sample by sample, from the network's own forward pass."""
    linear = [m for m in net if isinstance(m, nn.Linear)]
    bent = any(isinstance(m, nn.ReLU) for m in net)
    states, before = [x], []
    for m in net:
        if isinstance(m, nn.Linear):
            before.append(m(states[-1]))
        states.append(m(states[-1]))
    outputs = states[-1].detach().requires_grad_()
    (delta,) = torch.autograd.grad(LOSSES[loss](outputs, y), outputs)
    found = []
    for start in range(len(linear)):
        sources: list[Any] = [("input", i) for i in range(x.shape[1])] if start == 0 else []
        if linear[start].bias is not None:
            sources.append((f"bias {start}", None))
        source: Any
        units: list[Any]
        for source, *units in itertools.product(sources, *(range(m.out_features) for m in linear[start:])):
            _, i = source
            first = linear[start].bias[units[0]] if i is None else linear[start].weight[units[0], i]
            flow = float(first.detach())
            for m, (a, b) in zip(linear[start + 1 :], itertools.pairwise(units), strict=True):
                flow *= float(m.weight[b, a].detach())
            eats = []
            for n in range(len(x)):
                gate = 1.0
                for layer, unit in zip(range(start, len(linear) - 1), units[:-1], strict=True):
                    gate *= float(before[layer][n, unit] > 0) if bent else 1.0
                eats.append(gate * (1.0 if i is None else float(x[n, i])))
            cost = sum(e * float(d) for e, d in zip(eats, delta[:, units[-1]], strict=True))
            edges = [(start, units[0], i)] + [
                (start + 1 + k, b, a) for k, (a, b) in enumerate(itertools.pairwise(units))
            ]
            length = math.hypot(*eats) * float(delta[:, units[-1]].norm())
            found.append({"source": source, "flow": flow, "cost": cost, "edges": edges, "length": length})
    return found


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("sizes", "relu", "bias"), CASES)
def test_the_report_is_what_the_list_of_paths_says(tools: Any, sizes: Any, relu: bool, bias: bool, loss: str) -> None:
    net, x, y = problem(tools, sizes, relu, bias, loss)
    paths = slow_paths(net, x, y, loss)
    largest = max(abs(p["flow"]) for p in paths)
    used = [abs(p["cost"]) for p in paths if abs(p["flow"]) > 0.05 * largest]
    masses, dearest = {}, {}
    for p in paths:
        masses[p["source"]] = masses.get(p["source"], 0.0) + abs(p["flow"])
        dearest[p["source"]] = max(dearest.get(p["source"], 0.0), abs(p["cost"]))
    paid = sum(p["flow"] * p["cost"] for p in paths)
    expected = {
        "path_gap": max(abs(p["cost"]) for p in paths),
        "used_gap": max(used),
        "norm_gap": max(abs(p["cost"]) / p["length"] if p["length"] else 0.0 for p in paths),
        "cert": sum(masses[s] * dearest[s] for s in masses) + paid,
        "second_moment": sum(abs(p["flow"]) * p["cost"] ** 2 for p in paths),
        "loss": float(LOSSES[loss](net(x), y).detach()),
        "paths": len(paths),
    }
    for method in ("auto", "enumerate"):
        report = path_wardrop(net, x, y, loss, paths=method, tau=0.05)
        assert {k: getattr(report, k) for k in expected} == pytest.approx(expected, abs=1e-13, rel=1e-11)
        assert report.layer_sums == pytest.approx([paid] * (len(sizes) - 1), abs=1e-13)
        assert report.exact
        assert report.experimental == (relu and len(sizes) > 2)
    moment = path_wardrop(net, x, y, loss, paths="kernel")
    assert moment.second_moment == pytest.approx(expected["second_moment"], rel=1e-12)
    assert moment.path_gap <= expected["path_gap"] + 1e-12
    assert not moment.exact


@pytest.mark.parametrize(("sizes", "relu", "bias"), CASES)
def test_what_passes_an_edge_is_its_weight_times_its_slope(tools: Any, sizes: Any, relu: bool, bias: bool) -> None:
    net, x, y = problem(tools, sizes, relu, bias)
    functional.mse_loss(net(x), y).backward()
    linear = [m for m in net if isinstance(m, nn.Linear)]
    through: dict[Any, float] = {}
    for p in slow_paths(net, x, y, "mse"):
        for edge in p["edges"]:
            through[edge] = through.get(edge, 0.0) + p["flow"] * p["cost"]
    for (layer, unit, before), passing in through.items():
        w = linear[layer].bias if before is None else linear[layer].weight[:, before]
        g = linear[layer].bias.grad if before is None else linear[layer].weight.grad[:, before]
        assert float((w[unit] * g[unit]).detach()) == pytest.approx(passing, abs=1e-13)
    for method in ("auto", "enumerate"):
        assert path_wardrop(net, x, y, paths=method).identity_error < 1e-12


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("relu", [False, True])
def test_the_identity_holds_on_random_networks_of_any_depth(tools: Any, seed: int, relu: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 9, (3 + seed % 4,), generator=generator).tolist()
    x, y = tools.gaussian(30, sizes[0], sizes[-1], seed)
    report = path_wardrop(tools.chain(sizes, seed, relu=relu, bias=seed % 2 == 1, scale=1.5), x, y)
    assert report.identity_error <= 1e-12 * max(1.0, report.loss)
    assert max(report.layer_sums) - min(report.layer_sums) <= 1e-12 * max(1.0, report.loss)


def test_a_path_costs_the_derivative_of_the_loss_in_its_flow(tools: Any) -> None:
    net, x, y = problem(tools, [4, 3, 2], relu=True, bias=False)
    network = layered(net)
    data = data_of(x, y, "mse", 2, 4, x, "test")
    (group,) = all_paths(network, data)
    gates = (x @ network.weights[0].mT > 0).double()

    def loss(flows: Tensor) -> Tensor:
        return functional.mse_loss(torch.einsum("ni,nk,ikj->nj", x, gates, flows), y)

    assert float(loss(group.flows)) == pytest.approx(path_wardrop(net, x, y).loss, rel=1e-13)
    step = 1e-5
    for place in itertools.product(*map(range, group.flows.shape)):
        moved = torch.zeros_like(group.flows)
        moved[place] = step
        slope = float(loss(group.flows + moved) - loss(group.flows - moved)) / (2 * step)
        assert float(group.costs[place]) == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_rescaling_units_moves_no_flow(tools: Any, relu: bool, bias: bool) -> None:
    net, x, y = problem(tools, [4, 3, 3, 2], relu, bias)
    report = path_wardrop(net, x, y)
    with torch.no_grad():
        factor = torch.tensor([0.1, 2.0, 30.0])
        net[0].weight *= factor[:, None]
        if bias:
            net[0].bias *= factor
        net[2].weight /= factor
    again = path_wardrop(net, x, y)
    for name in ("path_gap", "used_gap", "norm_gap", "cert", "second_moment", "loss"):
        assert getattr(again, name) == pytest.approx(getattr(report, name), rel=1e-10), name
    assert again.layer_sums == pytest.approx(report.layer_sums)


def test_a_gap_of_zero_is_a_slope_of_zero(tools: Any) -> None:  # T1, with its constant
    for seed, relu in itertools.product(range(5), (False, True)):
        x, y = tools.gaussian(20, 4, 2, seed)
        net = tools.chain([4, 5, 3, 2], seed, relu=relu)
        report, matrices = path_wardrop(net, x, y), [m.weight.detach().abs() for m in net if isinstance(m, nn.Linear)]
        ones_in, ones_out = torch.ones(4).double(), torch.ones(2).double()
        into = [ones_in, matrices[0] @ ones_in, matrices[1] @ matrices[0] @ ones_in]
        out = [matrices[1].mT @ matrices[2].mT @ ones_out, matrices[2].mT @ ones_out, ones_out]
        most = max(float(a.max() * b.max()) for a, b in zip(into, out, strict=True))
        assert report.largest_slope <= most * report.path_gap * (1 + 1e-12)


@pytest.mark.parametrize(("sizes", "relu", "bias"), CASES)
def test_drawn_paths_are_lower_bounds_and_reach_them(tools: Any, sizes: Any, relu: bool, bias: bool) -> None:
    net, x, y = problem(tools, sizes, relu, bias)
    exact = path_wardrop(net, x, y, tau=1e-3)
    few, many = (path_wardrop(net, x, y, paths="sample", tau=1e-3, draws=n) for n in (3, 3000))
    for name in ("path_gap", "used_gap", "norm_gap"):
        assert getattr(few, name) <= getattr(exact, name) + 1e-12
        assert getattr(many, name) == pytest.approx(getattr(exact, name), abs=1e-12)
    assert (few.exact, few.cert, few.global_claim) == (False, None, None)
    assert "lower bounds" in few.note
    assert "at least" in str(few)
    assert few == path_wardrop(net, x, y, paths="sample", tau=1e-3, draws=3, seed=0)


def test_paths_are_drawn_by_their_flow(tools: Any) -> None:
    net, x, y = problem(tools, [3, 4, 2, 3], relu=True, bias=True)
    listed = {}
    for p in slow_paths(net, x, y, "mse"):
        units = [-1] * p["edges"][0][0] + [-1 if p["source"][1] is None else p["source"][1]]
        listed[tuple(units + [b for _, b, _ in p["edges"]])] = p
    total = sum(abs(p["flow"]) for p in listed.values())
    network = layered(net)
    drawn = draw_paths(network, 20_000, torch.Generator().manual_seed(0))
    costs, _ = path_costs(network, data_of(x, y, "mse", 3, 3, x, "test"), drawn)
    counts: dict[Any, int] = {}
    for units, flow, cost in zip(drawn.units.tolist(), drawn.flows.tolist(), costs.tolist(), strict=True):
        own = listed[tuple(units)]
        assert (flow, cost) == pytest.approx((abs(own["flow"]), own["cost"]), abs=1e-12)
        counts[tuple(units)] = counts.get(tuple(units), 0) + 1
    spread = [
        (counts.get(units, 0) - 20_000 * abs(p["flow"]) / total) / math.sqrt(20_000 * abs(p["flow"]) / total + 1)
        for units, p in listed.items()
    ]
    assert max(map(abs, spread)) < 4.5
    assert largest_flow(network) == pytest.approx(max(abs(p["flow"]) for p in listed.values()), rel=1e-13)


def test_the_sampled_report_of_zero_weights_still_sees_empty_paths(tools: Any) -> None:
    x, y = tools.gaussian(10, 4, 2)
    report = path_wardrop(tools.chain([4, 3, 2], scale=0.0), x, y, paths="sample")
    assert report.used_gap == 0
    assert report.path_gap == pytest.approx(path_wardrop(tools.chain([4, 3, 2], scale=0.0), x, y).path_gap)


def test_many_samples_are_taken_in_blocks(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategic_envs.evaluators.wardrop import enumeration, kernel, sampling

    net, x, y = problem(tools, [4, 3, 2], relu=True, bias=True)
    before = [path_wardrop(net, x, y, paths=p) for p in ("enumerate", "kernel", "sample")]
    for module in (enumeration, kernel, sampling):
        monkeypatch.setattr(module, "_MOST_NUMBERS", 50)
    for report, method in zip(before, ("enumerate", "kernel", "sample"), strict=True):
        assert path_wardrop(net, x, y, paths=method).row() == pytest.approx(report.row(), abs=1e-14)
