"""Wardrop equilibria and system optima: published values, bounds, and three ways to the same answer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.games import congestion as catalogue
from strategic_envs.games.kinds.congestion import CongestionGame, FunctionCosts, LogCosts, PowerCosts
from strategic_envs.games.kinds.congestion.gradient_projection import gradient_projection
from strategic_envs.games.kinds.congestion.line_search import step_length
from strategic_envs.games.routing import RoutingGame


def explicit(game: RoutingGame) -> CongestionGame:
    """The same game by its listed paths alone."""
    return CongestionGame(game.masses, [list(paths) for paths in game.paths], costs=game.costs, name=game.name)


def random_game(seed: int, costs: PowerCosts | None = None) -> CongestionGame:
    """Three populations with four strategies each, over eight resources, at general rates."""
    rng = np.random.default_rng(seed)
    rates = [torch.from_numpy((rng.random((4, 8)) < 0.4) * rng.uniform(0.3, 2.0, (4, 8))) for _ in range(3)]
    for r in rates:
        r[:, 0] += 0.1  # nobody's strategy costs nothing
    some = PowerCosts(rng.uniform(0, 2, (8, 3)), [0.0, 1.0, float(rng.integers(2, 6))])
    return CongestionGame(rng.uniform(0.5, 3.0, 3), rates, costs=costs or some, name=f"random {seed}")


@pytest.mark.parametrize(
    ("degree", "anarchy", "optimum"),
    [
        (1, 1.333333, 0.750000),
        (2, 1.625752, 0.615100),
        (3, 1.895628, 0.527530),
        (4, 2.150502, 0.465008),
        (8, 3.080805, 0.324591),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_pigou_reaches_the_largest_price_of_anarchy_of_its_degree(
    degree: int, anarchy: float, optimum: float, listed: bool
) -> None:
    game = explicit(catalogue.pigou(degree)) if listed else catalogue.pigou(degree)
    equilibrium, best = game.wardrop(), game.system_optimum()
    assert equilibrium.loads.tolist() == pytest.approx([0.0, 1.0], abs=1e-12)
    assert equilibrium.total_cost == pytest.approx(1.0, abs=1e-12)
    assert float(best.loads[1]) == pytest.approx((degree + 1) ** (-1 / degree), rel=1e-6)
    assert best.total_cost == pytest.approx(optimum, abs=5e-7)
    bound = 1 / (1 - degree * (degree + 1) ** (-(degree + 1) / degree))
    assert game.price_of_anarchy() == pytest.approx(bound, rel=1e-12)
    assert bound == pytest.approx(anarchy, abs=5e-7)


@pytest.mark.parametrize("listed", [True, False])
def test_braess_pays_more_with_a_road_that_costs_nothing(listed: bool) -> None:
    without, with_road = catalogue.braess(shortcut=False), catalogue.braess()
    if listed:
        without, with_road = explicit(without), explicit(with_road)
    assert without.wardrop().total_cost == pytest.approx(1.5, abs=1e-12)
    assert without.price_of_anarchy() == pytest.approx(1.0, abs=1e-12)
    assert with_road.wardrop().total_cost == pytest.approx(2.0, abs=1e-12)
    assert with_road.system_optimum().total_cost == pytest.approx(1.5, abs=1e-12)
    assert with_road.price_of_anarchy() == pytest.approx(4 / 3, abs=1e-12)


@pytest.mark.parametrize("listed", [True, False])
def test_braess_with_six_trips(listed: bool) -> None:
    game = explicit(catalogue.braess_six()) if listed else catalogue.braess_six()
    start = game.profile([1.0, 0.0, 0.0])  # even shares happen to be the equilibrium
    equilibrium, best = game.wardrop(start=start), game.system_optimum()
    assert equilibrium.loads.tolist() == pytest.approx([4.0, 2.0, 2.0, 2.0, 4.0], abs=1e-10)
    assert [c for c in equilibrium.path_costs[0].tolist()] == pytest.approx([92.0] * 3, abs=1e-10)
    assert equilibrium.total_cost == pytest.approx(552.0, abs=1e-9)
    assert best.loads.tolist() == pytest.approx([3.0, 3.0, 3.0, 0.0, 3.0], abs=1e-10)
    assert best.total_cost == pytest.approx(498.0, abs=1e-9)
    assert game.price_of_anarchy() == pytest.approx(1.108434, abs=5e-7)


@pytest.mark.parametrize("seed", range(20))
def test_affine_costs_have_a_price_of_anarchy_of_four_thirds_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    game = random_game(seed, PowerCosts.affine(rng.exponential(1.0, 8), rng.exponential(1.0, 8)))
    assert 1 - 1e-12 <= game.price_of_anarchy() <= 4 / 3 + 1e-12


@pytest.mark.parametrize("degree", [1, 2, 3.5, 6])
def test_costs_of_one_degree_without_constants_have_a_price_of_anarchy_of_one(degree: float) -> None:
    rng = np.random.default_rng(int(degree))
    for seed in range(4):
        game = random_game(seed, PowerCosts.monomial(rng.exponential(1.0, 8), degree))
        assert game.price_of_anarchy() == pytest.approx(1.0, abs=1e-9)


def least_potential(game: CongestionGame) -> tuple[float, np.ndarray]:
    """The least Beckmann potential and its loads by a dense method for smooth functions on the product of simplices."""

    def potential(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat.clip(0)).split(list(game.dims))
        slope = torch.cat([m * c for m, c in zip(game.masses, game.path_costs(x), strict=True)])
        return float(game.potential(x)), slope.numpy()

    ends = np.cumsum([0, *game.dims])
    sums = [{"type": "eq", "fun": lambda v, a=a, b=b: v[a:b].sum() - 1} for a, b in itertools.pairwise(ends)]
    start = torch.cat([s.centre() for s in game.sets]).numpy()
    options = {"maxiter": 500, "ftol": 1e-13}
    found = minimize(
        potential, start, jac=True, method="SLSQP", bounds=[(0, 1)] * len(start), constraints=sums, options=options
    )
    return found.fun, game.loads(torch.from_numpy(found.x).split(list(game.dims))).numpy()


@pytest.mark.parametrize("seed", range(8))
def test_projection_frank_wolfe_and_a_dense_program_find_one_equilibrium(seed: int) -> None:
    game = random_game(seed)
    exact, rough = game.wardrop(), game.wardrop(tol=1e-3, method="fw")
    slow, loads = least_potential(game)
    assert exact.converged and exact.relative_gap is not None and exact.relative_gap <= 1e-12
    assert exact.potential == pytest.approx(slow, rel=1e-6)
    np.testing.assert_allclose(exact.loads.numpy(), loads, atol=1e-2)
    assert exact.potential <= slow + 1e-12 * abs(slow)
    assert rough.converged
    assert 0 <= rough.potential - exact.potential <= rough.excess
    best, slow = game.system_optimum(), least_potential(game.marginal())[0]
    assert best.total_cost == pytest.approx(slow, rel=1e-6) and best.converged
    assert best.total_cost == pytest.approx(float(game.total_cost(game.profile_of(best))), rel=1e-12)
    assert best.total_cost <= exact.total_cost + 1e-12


@pytest.mark.parametrize("method", ["gp", "fw"])
@pytest.mark.parametrize("seed", range(4))
def test_the_excess_certifies_every_step_and_the_potential_never_grows(method: str, seed: int) -> None:
    game = random_game(seed)
    least = game.wardrop(tol=1e-14).potential
    start = game.sample(generator=torch.Generator().manual_seed(seed))
    potential, excess = game.wardrop(tol=1e-9, method=method, max_steps=300, start=start).history.T
    slack = 1e-12 * abs(least)
    assert len(potential) > 3
    assert bool((potential - least >= -slack).all())
    assert bool((potential - least <= excess + slack).all())
    assert bool((potential.diff() <= slack).all())


@pytest.mark.parametrize("seed", [1])
def test_costs_that_are_asked_for_give_the_compiled_answer(seed: int) -> None:
    game = random_game(seed)
    same = FunctionCosts(game.costs.value, game.costs.integral, game.costs.derivative, size=8)
    asked = CongestionGame(game.masses, [game.incidence.matrix[4 * k : 4 * k + 4] for k in range(3)], costs=same)
    found, compiled = asked.wardrop(tol=1e-6), game.wardrop()
    torch.testing.assert_close(found.loads, compiled.loads, atol=1e-2, rtol=1e-2)
    assert 0 <= found.potential - compiled.potential + 1e-12 <= found.excess + 2e-12
    assert found.converged and asked.wardrop(0.1, "fw").converged
    assert asked.system_optimum(1e-3).total_cost == pytest.approx(game.system_optimum().total_cost, rel=1e-3)


@pytest.mark.parametrize("bins", [2, 5, 61, 300])
def test_one_resource_each_at_logarithmic_costs_is_shared_by_the_logit_rule(bins: int) -> None:
    offset = torch.randn(bins, dtype=torch.float64, generator=torch.Generator().manual_seed(bins)) * 4
    game = CongestionGame([2.0], [[[e] for e in range(bins)]], costs=LogCosts(offset))
    flow = game.wardrop()
    expected = 2 * torch.softmax(-offset, 0)
    torch.testing.assert_close(flow.loads, expected, rtol=1e-10, atol=0)
    assert flow.converged and flow.relative_gap is None and flow.iterations <= 30
    assert flow.potential == pytest.approx(float(game.costs.integral(expected).sum()), rel=1e-12)
    torch.testing.assert_close(game.system_optimum().loads, expected)  # marginal costs are 1 more everywhere


def test_one_level_of_cost_answers_at_once_what_pairs_need_thousands_of_rounds_for() -> None:
    rng = np.random.default_rng(0)
    costs = PowerCosts(rng.uniform(0, 1, (80, 3)), [0.0, 1.0, 3.0])
    game = CongestionGame([5.0], [[[e] for e in range(80)]], costs=costs)
    flow = game.wardrop()
    assert flow.converged and flow.iterations <= 3
    start = np.full(80, 5.0 / 80)
    _, outcome, history = gradient_projection(
        game.incidence, game.dims, costs, start, tol=1e-12, max_steps=4, compiled=False
    )
    assert outcome == "max_steps" and history[-1, 0] > flow.potential


def test_flat_costs_are_filled_by_what_is_left() -> None:
    costs = PowerCosts.affine([1.0, 0.0, 1.0], [0.0, 0.5, 2.0])
    flow = CongestionGame([3.0], [[[0], [1], [2]]], costs=costs).wardrop()
    assert flow.loads.tolist() == pytest.approx([0.5, 2.5, 0.0])


def test_singleton_populations_share_their_resources() -> None:
    costs = PowerCosts.affine([1.0, 2.0, 1.0, 3.0], [0.0, 0.5, 0.25, 0.0])
    game = CongestionGame([1.0, 2.0], [[[0], [1], [2]], [[1], [2], [3]]], costs=costs)
    flow = game.wardrop()
    slow, loads = least_potential(game)
    assert flow.converged and flow.potential == pytest.approx(slow, rel=1e-9)
    np.testing.assert_allclose(flow.loads.numpy(), loads, atol=1e-5)


def test_slopes_that_are_infinite_or_zero_when_empty_are_no_obstacle() -> None:
    root = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.monomial([2.0, 1.0], [0.5, 0.5]))
    start = root.profile([1.0, 0.0])
    assert root.wardrop(start=start).loads.tolist() == pytest.approx([0.2, 0.8], rel=1e-9)
    steep = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.monomial([1.0, 1.0], [12.0, 12.0]))
    assert steep.wardrop(start=start).loads.tolist() == pytest.approx([0.5, 0.5], rel=1e-9)


def test_strategies_that_use_nothing_take_everybody() -> None:
    rates = torch.tensor([[1.0], [0.0]])
    game = CongestionGame([2.0], [rates], costs=PowerCosts.monomial([1.0], 2.0))
    flow = game.wardrop()
    assert flow.flows[0].tolist() == [0.0, 2.0]
    assert (flow.total_cost, flow.excess, flow.relative_gap, game.price_of_anarchy()) == (0.0, 0.0, 0.0, 1.0)


def test_prices_of_anarchy_of_costs_that_are_zero_or_negative() -> None:
    costs = FunctionCosts(lambda x: (x - 0.5).clamp(min=0), lambda x: (x - 0.5).clamp(min=0) ** 2 / 2, size=2)
    game = CongestionGame([1.0], [[[0], [1]]], costs=costs)
    assert game.price_of_anarchy() == 1.0
    with pytest.raises(InvalidGameError, match="a ratio of such costs says nothing"):
        CongestionGame([1.0], [[[0], [1]]], costs=LogCosts([0.0, 0.0])).price_of_anarchy()


def test_solvers_say_how_they_ended() -> None:
    game = random_game(0)
    stopped = game.wardrop(max_steps=2)
    assert (stopped.outcome, stopped.iterations, stopped.converged) == ("max_steps", 2, False)
    assert stopped.history.shape == (3, 2) and stopped.history[-1].tolist() == pytest.approx(
        [stopped.potential, stopped.excess]
    )
    assert game.wardrop(max_steps=0).iterations == 0
    assert game.wardrop(tol=0.0, max_steps=200).outcome in ("converged", "stalled", "max_steps")
    assert game.wardrop(1e-6, "fw", 3).outcome == "max_steps"
    assert "outcome='max_steps'" in repr(stopped)


def test_the_same_start_gives_the_same_bytes_and_a_solution_stays() -> None:
    game = random_game(1)
    one, other = game.wardrop(), game.wardrop()
    assert torch.equal(one.loads, other.loads) and torch.equal(one.history, other.history)
    again = game.wardrop(start=game.profile_of(one))
    assert again.iterations <= 1
    torch.testing.assert_close(again.loads, one.loads)
    torch.testing.assert_close(sum(f.sum() for f in one.flows), game.masses.sum())


def test_costs_that_overflow_on_possible_loads_are_refused() -> None:
    with pytest.raises(InvalidGameError, match="resource 0: got inf at a load of .*, expected finite costs"):
        CongestionGame([1e10], [[[0], [1]]], costs=PowerCosts.monomial([1e300, 1e300], 8.0))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"tol": -1.0}, InvalidSettingError, r"got tol=-1\.0, expected a finite number >= 0"),
        ({"tol": math.nan}, InvalidSettingError, "got tol=nan"),
        ({"max_steps": -1}, InvalidSettingError, "got max_steps=-1"),
        ({"max_steps": 1.5}, InvalidSettingError, r"got max_steps=1\.5"),
        ({"method": "msa"}, UnknownNameError, "unknown method 'msa'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: dict[str, object], error: type[Exception], message: str, unchecked: None
) -> None:
    game = random_game(0)
    for solve in (game.wardrop, game.system_optimum):
        with pytest.raises(error, match=message):
            solve(**settings)  # pyright: ignore[reportArgumentType]


def test_a_start_must_be_a_profile_and_leave_nothing_of_infinite_worth_empty() -> None:
    game = CongestionGame([1.0], [[[0], [1]]], costs=LogCosts([0.0, 0.0]), name="log")
    with pytest.raises(InvalidStrategyError, match="log, player_0"):
        game.wardrop(start=[torch.tensor([0.5, 0.6]).double()])
    with pytest.raises(InvalidStrategyError, match="leaves a resource empty which costs minus infinity"):
        game.wardrop(start=game.profile([1.0, 0.0]))


def test_a_step_reaches_the_end_of_a_line_only_while_the_potential_falls() -> None:
    costs = PowerCosts.monomial([1.0, 1.0], 4.0)
    loads, way = torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 1.0]).double()
    assert step_length(costs, loads, way, 0.25) == 0.25
    assert step_length(costs, loads, way, 1.0, accuracy=1e-9) == pytest.approx(0.5, abs=1e-9)
    assert step_length(costs, loads, -way, 1.0) == 0.0
