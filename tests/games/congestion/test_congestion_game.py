"""Nonatomic congestion games as games: potential, field and gaps over random games with general rates."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.congestion import CongestionGame, Incidence, LogCosts, PowerCosts
from strategic_envs.testing import check_evaluator, check_game


def random_game(seed: int, *, general: bool = True) -> CongestionGame:
    """Up to four populations over seven resources, with rates that are general or all one."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, rng.integers(1, 5))
    rates = [rng.random((n, 7)) < 0.5 for n in sizes]
    if general:
        rates = [r * rng.uniform(0.2, 3.0, r.shape) for r in rates]
    costs = PowerCosts(rng.uniform(0, 2, (7, 3)), [0.0, 1.0, rng.uniform(1.5, 5.0)])
    matrices = [torch.from_numpy(np.asarray(r, dtype=np.float64)) for r in rates]
    return CongestionGame(rng.uniform(0.2, 3.0, len(sizes)), matrices, costs=costs, name=f"random {seed}")


@pytest.mark.parametrize("seed", range(12))
def test_random_games_keep_the_contract(seed: int) -> None:
    game = random_game(seed, general=seed % 2 == 0)
    check_game(game, seed=seed)
    check_evaluator(game, seed=seed)


@pytest.mark.parametrize("seed", range(6))
def test_potential_costs_and_excess_are_their_definitions(seed: int) -> None:
    game = random_game(seed)
    x = game.sample(generator=torch.Generator().manual_seed(seed))
    flows = [m * t for m, t in zip(game.masses, x, strict=True)]
    a = game.incidence.matrix
    load = sum(f @ part for f, part in zip(flows, a.split(list(game.dims)), strict=True))
    cost = game.costs.value(load)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(game.loads(x), load)
    excess = 0.0
    for k, (f, part) in enumerate(zip(flows, a.split(list(game.dims)), strict=True)):
        paths = torch.stack([(row * cost).sum() for row in part])
        torch.testing.assert_close(game.path_costs(x)[k], paths)
        torch.testing.assert_close(game.field(x, k)[0], -paths)
        excess += float((f * (paths - paths.min())).sum())
    assert float(game.excess(x)) == pytest.approx(excess, rel=1e-12)
    ends = [torch.linspace(0, float(v), 4001, dtype=torch.float64) for v in load]  # pyright: ignore[reportGeneralTypeIssues]
    area = torch.trapezoid(game.costs.value(torch.stack(ends, -1)), torch.stack(ends, -1), dim=0).sum()
    assert float(game.potential(x)) == pytest.approx(float(area), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_field_is_the_potentials_gradient_by_mass_and_the_jacobian_its_hessian(seed: int) -> None:
    game = random_game(seed)
    x = game.sample(generator=torch.Generator().manual_seed(seed))
    mass = torch.repeat_interleave(game.masses, torch.tensor(game.dims))
    flat = x.flat().requires_grad_()
    (slope,) = torch.autograd.grad(game.potential(flat.split(list(game.dims))), flat)
    torch.testing.assert_close(slope, -mass * game.field(x).flat())

    def potential(v: torch.Tensor) -> torch.Tensor:
        return game.potential(v.split(list(game.dims)))

    hessian = torch.autograd.functional.hessian(potential, flat.detach())
    torch.testing.assert_close(-mass.unsqueeze(-1) * game.jacobian(x), hessian)
    ends = np.cumsum([0, *game.dims])
    for i in range(game.n_players):
        for j in range(game.n_players):
            block = game.jacobian(x)[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
            torch.testing.assert_close(game.hessian(x, i, j), block)


def test_batches_of_any_shape_are_rows_alone() -> None:
    game = random_game(3)
    x = game.sample((4, 5), generator=torch.Generator().manual_seed(0))
    row = x.map(lambda t: t[2, 3])
    for batched, one in [
        (game.utilities(x), game.utilities(row)),
        (game.loads(x), game.loads(row)),
        (game.potential(x), game.potential(row)),
        (game.total_cost(x), game.total_cost(row)),
        (game.excess(x), game.excess(row)),
        (game.field(x).flat(), game.field(row).flat()),
        (game.jacobian(x), game.jacobian(row)),
        (game.jvp(x, x).flat(), game.jvp(row, row).flat()),
    ]:
        assert batched.shape[:2] == (4, 5)
        torch.testing.assert_close(batched[2, 3], one)
    mixed = x.replace(0, row[0])  # one population's shares without batch dimensions
    torch.testing.assert_close(game.loads(mixed)[2, 3], game.loads(row))


def test_sparse_and_dense_incidence_say_the_same() -> None:
    game = random_game(5)
    a = game.incidence
    sparse = Incidence(a.starts, a.resources, a.rates, a.size, dense=False)
    f = torch.rand(3, a.count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    c = torch.rand(3, a.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sparse.loads(f), a.loads(f))
    torch.testing.assert_close(sparse.path_costs(c), a.path_costs(c))
    torch.testing.assert_close((sparse.path_costs(c) * f).sum(-1), (c * a.loads(f)).sum(-1))  # transposes of each other


def test_lists_with_rates_and_a_matrix_are_the_same_game() -> None:
    costs = PowerCosts.affine([1.0, 2.0, 3.0], [0.0, 1.0, 0.0])
    lists = CongestionGame([2.0], [[[0, 2], [1]]], [[[1.0, 0.5], [2.0]]], costs)
    matrix = CongestionGame([2.0], [torch.tensor([[1.0, 0.0, 0.5], [0.0, 2.0, 0.0]])], costs=costs)
    x = lists.profile([0.25, 0.75])
    assert torch.equal(lists.field(x)[0], matrix.field(x)[0])
    assert lists.loads(x).tolist() == [0.5, 3.0, 0.25]


def test_shifting_every_path_of_a_population_by_a_constant_changes_no_gap() -> None:
    costs = PowerCosts.affine([1.0, 2.0, 3.0], [0.0, 1.0, 0.0])
    shifted = PowerCosts.affine([1.0, 2.0, 3.0], [5.0, 6.0, 5.0])  # each path uses one resource
    paths = [[[0], [1], [2]], [[0], [2]]]
    one, other = CongestionGame([1.0, 2.0], paths, costs=costs), CongestionGame([1.0, 2.0], paths, costs=shifted)
    x = one.sample((6,), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(one.excess(x), other.excess(x))
    torch.testing.assert_close(one.total_cost(x) + 15, other.total_cost(x))
    torch.testing.assert_close(one.wardrop().loads, other.wardrop().loads)


def test_an_empty_resource_of_infinite_worth_counts_nothing() -> None:
    game = CongestionGame([1.0], [[[0], [1]]], costs=LogCosts([0.0, 0.0]))
    x = game.profile([1.0, 0.0])
    assert game.field(x)[0].tolist() == [0.0, torch.inf]
    assert float(game.utilities(x)) == float(game.total_cost(x)) == 0.0
    assert float(game.excess(x)) == torch.inf


def test_games_pickle_and_copy() -> None:
    game = random_game(1)
    x = game.sample(generator=torch.Generator().manual_seed(0))
    for other in (pickle.loads(pickle.dumps(game)), copy.deepcopy(game), pickle.loads(pickle.dumps(game.marginal()))):
        assert other.field(x).flat().shape == game.field(x).flat().shape
    assert torch.equal(pickle.loads(pickle.dumps(game)).field(x).flat(), game.field(x).flat())


ONE = PowerCosts.affine([1.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masses": [-1.0]}, "population 0: got the mass -1.0, expected above 0"),
        ({"masses": [0.0]}, "population 0: got the mass 0.0"),
        ({"masses": [float("nan")]}, "NaN or infinite"),
        ({"masses": [1.0, 2.0]}, r"masses of shape \(2,\) and strategies of 1 populations"),
        ({"masses": [], "strategies": []}, "at least one"),
        ({"strategies": [[]]}, "population 0: got 0 strategies"),
        ({"strategies": [[[0], []]]}, r"population 0, strategy 1: got \[\], expected a list of at least one resource"),
        ({"strategies": [[[0], [2]]]}, r"strategy 1: got the resource 2, expected whole numbers 0\.\.1"),
        ({"strategies": [[[0], [-1]]]}, "got the resource -1"),
        ({"strategies": [[[0.5]]]}, "got the resource 0.5"),
        ({"strategies": [[[0, 0]]]}, "names a resource twice: give it the rate 2"),
        ({"strategies": ["ab"]}, "got strategies of type str"),
        ({"strategies": [[0, 1]]}, "strategy 0: got 0, expected a list"),
        ({"rates": [[[1.0]]]}, "expected one rate a resource"),
        ({"rates": [[[1.0], [-1.0]]]}, "got the rate -1.0, expected finite rates > 0"),
        ({"rates": [[[1.0], [float("nan")]]]}, "expected finite rates > 0"),
        ({"rates": []}, "got rates of 0 populations"),
        ({"strategies": [torch.ones(2, 3)]}, r"rates of shape \(2, 3\).* expected \(strategies, 2\)"),
        ({"strategies": [-torch.ones(2, 2)]}, "the smallest -1.0"),
        ({"strategies": [torch.full((1, 2), torch.nan)]}, "NaN or infinite"),
        ({"strategies": [torch.ones(1, 2)], "rates": [[[1.0]]]}, "a matrix of rates and rates beside it"),
        ({"costs": None}, "got costs of type NoneType, expected a Costs object"),
    ],
)
def test_what_is_no_congestion_game_is_refused(arguments: dict[str, object], message: str, unchecked: None) -> None:
    good = {"masses": [1.0], "strategies": [[[0], [1]]], "costs": ONE, "name": "wrong"}
    with pytest.raises(InvalidGameError, match=message):
        CongestionGame(**{**good, **arguments})  # pyright: ignore[reportArgumentType]


def test_shares_that_are_none_and_flows_of_other_games_are_refused() -> None:
    game = CongestionGame([2.0], [[[0], [1]]], costs=ONE, name="two roads")
    with pytest.raises(InvalidStrategyError, match="two roads, player_0"):
        game.profile([0.5, 0.6])
    other = CongestionGame([1.0], [[[0], [1], [0, 1]]], costs=ONE).wardrop()
    with pytest.raises(InvalidStrategyError, match=r"got flows of \[3\] strategies, expected \(2,\)"):
        game.profile_of(other)
