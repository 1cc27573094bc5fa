"""Cost functions: their integrals, slopes and marginal costs belong together, and what is no cost is refused."""

from __future__ import annotations

import itertools
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion import CongestionGame, Costs, FunctionCosts, LogCosts, PowerCosts
from strategic_envs.games.kinds.congestion.function_costs import MarginalCosts

WEIGHTS = torch.tensor([1.0, 2.0], dtype=torch.float64)


def growing(x: torch.Tensor) -> torch.Tensor:
    return WEIGHTS.to(x) * x.exp()


def grown(x: torch.Tensor) -> torch.Tensor:
    return WEIGHTS.to(x) * (x.exp() - 1)


COSTS: dict[str, Costs] = {
    "affine": PowerCosts.affine([1.0, 2.0], [0.5, 0.0]),
    "polynomial": PowerCosts.polynomial([[1.0, 0.0, 3.0, 0.5], [0.0, 1.0, 0.0, 2.0]]),
    "monomial": PowerCosts.monomial([1.0, 3.0], [0.5, 2.5]),
    "bpr": PowerCosts.bpr([2.0, 3.0], [1.0, 2.0], fixed=[0.0, 0.25]),
    "log": LogCosts([0.0, -2.0]),
    "log, weighted": LogCosts([0.0, -2.0], weight=0.5),
    "function": FunctionCosts(growing, grown, size=2),
    "function, slopes given": FunctionCosts(growing, grown, growing, second=growing, size=2),
    "marginal of functions": FunctionCosts(growing, grown, size=2).marginal(),
}


@pytest.mark.parametrize("costs", COSTS.values(), ids=COSTS)
def test_each_function_is_the_slope_of_the_one_before_it(costs: Costs) -> None:
    x = torch.rand(7, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    step = 1e-6
    chain = [costs.integral, costs.value, costs.derivative, costs.second]
    for function, slope in itertools.pairwise(chain):
        central = (function(x + step) - function(x - step)) / (2 * step)
        torch.testing.assert_close(slope(x), central, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("costs", COSTS.values(), ids=COSTS)
def test_marginal_costs_are_the_slope_of_load_times_cost(costs: Costs) -> None:
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    marginal = costs.marginal()
    torch.testing.assert_close(marginal.integral(x), x * costs.value(x))
    torch.testing.assert_close(marginal.value(x), costs.value(x) + x * costs.derivative(x))
    torch.testing.assert_close(marginal.derivative(x), 2 * costs.derivative(x) + x * costs.second(x))
    assert (marginal.nonnegative, marginal.finite) == (costs.nonnegative, costs.finite)


@pytest.mark.parametrize("costs", [c for c in COSTS.values() if c.terms() is not None], ids=str)
def test_the_compiled_solvers_costs_are_the_same(costs: Costs) -> None:
    from strategic_envs.games.kinds.congestion import kernel

    a, p, log = costs.terms() or ()
    for load in (0.3, 1.0, 2.5):
        x = torch.full((2,), load, dtype=torch.float64)
        for e in range(2):
            assert kernel.cost(a, p, log, e, load) == pytest.approx(float(costs.value(x)[e]), rel=1e-14)
            assert kernel.slope(a, p, log, e, load) == pytest.approx(float(costs.derivative(x)[e]), rel=1e-14)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=4), st.floats(0, 100))
def test_polynomials_are_what_horner_says(coefficients: list[float], x: float) -> None:
    value = 0.0
    for a in reversed(coefficients):
        value = value * x + a
    found = PowerCosts.polynomial([coefficients]).value(torch.tensor([x], dtype=torch.float64))
    assert float(found) == pytest.approx(value, rel=1e-12)


def test_powers_have_their_limits_at_no_load() -> None:
    costs = PowerCosts([[1.0, 1.0], [0.0, 1.0], [2.0, 0.0]], [[0.0, 0.5], [0.5, 1.0], [0.0, 0.5]])
    nothing = torch.zeros(3, dtype=torch.float64)
    assert costs.value(nothing).tolist() == [1.0, 0.0, 2.0]
    assert costs.derivative(nothing).tolist() == [torch.inf, 1.0, 0.0]  # a coefficient of 0 adds nothing
    assert costs.integral(nothing).tolist() == [0.0, 0.0, 0.0]
    assert MarginalCosts(costs).value(nothing).tolist() == [1.0, 0.0, 2.0]
    rounding = torch.full((3,), -1e-18, dtype=torch.float64)
    assert costs.value(rounding).tolist() == costs.value(nothing).tolist()


def test_the_time_on_a_road_at_capacity_is_longer_by_b() -> None:
    costs = PowerCosts.bpr([6.0, 4.0], [25900.2, 23403.5])
    assert costs.value(torch.tensor([25900.2, 23403.5]).double()).tolist() == pytest.approx([6.9, 4.6])


def test_costs_pickle() -> None:
    for costs in COSTS.values():
        x = torch.tensor([0.5, 0.5], dtype=torch.float64)
        assert torch.equal(pickle.loads(pickle.dumps(costs)).value(x), costs.value(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PowerCosts([[-1.0]], [[1.0]]), r"the coefficient -1.0 \(resource 0, term 0\).*must not decrease"),
        (lambda: PowerCosts([[1.0]], [[-1.0]]), "the power -1.0"),
        (lambda: PowerCosts([[1.0]], [-2.0]), "the power -2.0"),
        (lambda: PowerCosts([[1.0, 2.0]], [[1.0]]), r"coefficients of shape \(1, 2\) and powers of shape \(1, 1\)"),
        (lambda: PowerCosts([1.0], [1.0]), r"expected \(resources, terms\)"),
        (lambda: PowerCosts([[float("nan")]], [[1.0]]), r"NaN or infinite at \[0, 0\]"),
        (lambda: PowerCosts([[1.0], [1.0, 2.0]], [[1.0]]), "rectangular array"),
        (lambda: PowerCosts.affine([1.0, 2.0], [1.0, 2.0, 3.0]), "one number a resource"),
        (lambda: PowerCosts.affine([-1.0], [1.0]), "must not decrease"),
        (lambda: PowerCosts.polynomial([1.0]), r"expected \(resources, degree \+ 1\)"),
        (lambda: PowerCosts.bpr([1.0], [0.0]), "capacity 0.0, expected each above 0"),
        (lambda: PowerCosts.bpr([1.0], [float("inf")]), "NaN or infinite"),
        (lambda: LogCosts([[0.0]]), r"expected \(resources,\)"),
        (lambda: LogCosts([0.0], weight=0.0), "weight=0.0, expected a finite number above 0"),
        (lambda: FunctionCosts(growing, grown), "size=0, expected the number of resources"),
        (lambda: FunctionCosts(growing, 3.0, size=2), "integral=3.0, expected a function"),  # pyright: ignore
    ],
)
def test_what_is_no_cost_is_refused(make: object, message: str, unchecked: None) -> None:
    with pytest.raises(InvalidGameError, match=message):
        make()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("value", "integral", "message"),
    [
        (lambda x: 2 - x, lambda x: 2 * x - x**2 / 2, "resource 0: got .* expected costs that do not decrease"),
        (lambda x: x - 1, lambda x: x**2 / 2 - x, "resource 0: got -1 at a load of 0, expected non-negative costs"),
        (lambda x: x * float("nan"), lambda x: x, "expected finite costs"),
        (lambda x: x.log() + 3, lambda x: x * x.log() + 2 * x, "got -inf at a load of 0, expected finite costs"),
        (lambda x: x, lambda x: x**2, "an integral whose slope is the cost"),
        (lambda x: x.sum(-1), lambda x: x**2 / 2, "expected the same shape"),
        (lambda x: 3.0, lambda x: x**2 / 2, "costs returned float"),
    ],
)
def test_a_game_refuses_functions_that_are_no_costs(
    value: object, integral: object, message: str, unchecked: None
) -> None:
    costs = FunctionCosts(value, integral, size=2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidGameError, match=message):
        CongestionGame([2.0], [[[0], [1]]], costs=costs, name="wrong")


def test_negative_costs_are_taken_where_they_are_allowed() -> None:
    costs = FunctionCosts(lambda x: x - 1, lambda x: x**2 / 2 - x, size=2, allow_negative=True)
    flow = CongestionGame([1.0], [[[0], [1]]], costs=costs).wardrop()
    assert flow.loads.tolist() == pytest.approx([0.5, 0.5])
    assert (flow.total_cost, flow.relative_gap) == (-0.5, None)


def test_a_system_optimum_is_refused_where_the_total_cost_is_not_convex() -> None:
    def bent(x: torch.Tensor) -> torch.Tensor:  # rises quickly from 0 to 1 around a load of 1
        return torch.sigmoid(20 * (x - 1))

    def area(x: torch.Tensor) -> torch.Tensor:
        return (torch.nn.functional.softplus(20 * (x - 1)) - torch.nn.functional.softplus(x.new_tensor(-20.0))) / 20

    game = CongestionGame([3.0], [[[0], [1]]], costs=FunctionCosts(bent, area, size=2), name="bent")
    assert game.wardrop().converged
    with pytest.raises(InvalidGameError, match="bent, marginal costs, resource 0: .* costs that do not decrease"):
        game.system_optimum()
