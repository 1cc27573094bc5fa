"""Equilibria over all paths are those that listing every path gives; the gaps are over every path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.kinds.congestion import CongestionGame, Costs, PowerCosts
from strategic_envs.games.kinds.congestion.function_costs import FunctionCosts
from strategic_envs.games.routing import Network, RoutingGame

BRAESS = ([1, 1, 3, 3, 4], [3, 4, 2, 4, 2], PowerCosts.affine([10, 1, 1, 1, 10], [0, 50, 50, 10, 0]))


def every_path(game: RoutingGame) -> list[list[list[int]]]:
    """All simple paths of each pair, by search in depth: the slow definition."""
    network = game.network
    tails, heads = network.tails.tolist(), network.heads.tolist()
    found = []
    for pair in game.pairs:
        start, end = (network.index(node) for node in pair)
        mine: list[list[int]] = []
        open_paths: list[tuple[int, list[int], set[int]]] = [(start, [], {start})]
        while open_paths:
            node, path, seen = open_paths.pop()
            if node == end:
                mine.append(path)
            elif node == start or not network.closed(node):
                for link, tail in enumerate(tails):
                    if tail == node and heads[link] not in seen:
                        open_paths.append((heads[link], [*path, link], seen | {heads[link]}))
        found.append(mine)
    return found


def random_game(seed: int, costs: str = "affine", first_thru: int | None = None) -> RoutingGame:
    """A small random network with parallel links, and some connected pairs on it."""
    rng = np.random.default_rng(seed)
    n, e = int(rng.integers(3, 7)), int(rng.integers(6, 13))
    tails = rng.integers(1, n + 1, e)
    heads = (tails + rng.integers(0, n - 1, e)) % n + 1
    a, b = rng.random(e), rng.random(e)
    functions: dict[str, Costs] = {
        "affine": PowerCosts.affine(a + 0.1, b),
        "bpr": PowerCosts.bpr(a, 0.5 + b),
        "steep": PowerCosts.monomial(a + 0.1, rng.integers(1, 5, e).astype(float)),
        "root": PowerCosts.monomial(a + 0.1, 0.5),
        "function": FunctionCosts(lambda x: x.exp() - 1, lambda x: x.exp() - 1 - x, size=e),
    }
    network = Network(tails.tolist(), heads.tolist(), functions[costs], nodes=range(1, n + 1), first_thru=first_thru)
    reach, _ = network.shortest(torch.ones(e, dtype=torch.float64))
    pairs = [(o + 1, d + 1) for o in range(n) for d in range(n) if o != d and bool(reach[o, d].isfinite())]
    chosen = rng.permutation(len(pairs))[: int(rng.integers(1, 5))]
    return RoutingGame(network, {pairs[i]: float(rng.random() + 0.1) for i in chosen}, paths=2)


@pytest.mark.parametrize("costs", ["affine", "bpr", "steep", "root", "function"])
@pytest.mark.parametrize("seed", range(6))
def test_columns_find_what_all_paths_listed_give(seed: int, costs: str) -> None:
    game = random_game(seed, costs, first_thru=2 if seed % 2 else None)
    listed = CongestionGame(game.masses, every_path(game), costs=game.network.costs)
    for ours, theirs in (
        (game.wardrop(), listed.wardrop(1e-10)),
        (game.system_optimum(), listed.system_optimum(1e-10)),
    ):
        assert ours.converged and ours.relative_gap is not None and ours.relative_gap <= 1e-12
        assert ours.potential == pytest.approx(theirs.potential, rel=1e-9, abs=1e-12)
        assert ours.total_cost == pytest.approx(theirs.total_cost, rel=1e-4, abs=1e-12)
        assert all(float(f.min()) >= 0 for f in ours.flows)
        torch.testing.assert_close(torch.stack([f.sum() for f in ours.flows]), game.masses, rtol=1e-14, atol=0)
        assert (ours.history[1:, 0] <= ours.history[:-1, 0] * (1 + 1e-12) + 1e-15).all()  # the potential never rises


@pytest.mark.parametrize("seed", range(4))
def test_the_excess_is_over_all_paths_and_bounds_the_potential(seed: int) -> None:
    game = random_game(seed, "bpr")
    listed = CongestionGame(game.masses, every_path(game), costs=game.network.costs)
    least = game.wardrop().potential
    x = game.sample((7,), generator=torch.Generator().manual_seed(seed))
    above = game.potential(x) - least
    assert (above >= -1e-12).all() and (above <= game.excess(x) + 1e-12).all()
    cost = game.network.costs.value(game.loads(x))
    torch.testing.assert_close(game.least_costs(cost), listed.least_costs(cost))


def test_frank_wolfe_goes_to_the_same_equilibrium() -> None:
    game = random_game(3, "bpr")
    exact, rough = game.wardrop(), game.wardrop(1e-4, "fw")
    assert rough.converged and rough.potential == pytest.approx(exact.potential, rel=1e-3)
    assert rough.potential - exact.potential <= rough.excess
    assert game.wardrop(1e-14, "fw", max_steps=2).outcome in ("max_steps", "converged")


def test_braess_in_the_published_version() -> None:
    game = RoutingGame(Network(*BRAESS), {(1, 2): 6.0})
    wardrop, optimum = game.wardrop(), game.system_optimum()
    torch.testing.assert_close(wardrop.loads, torch.tensor([4.0, 2, 2, 2, 4]).double())
    torch.testing.assert_close(optimum.loads, torch.tensor([3.0, 3, 3, 0, 3]).double())
    assert (wardrop.total_cost, optimum.total_cost) == (pytest.approx(552), pytest.approx(498))
    assert game.price_of_anarchy() == pytest.approx(92 / 83)
    assert wardrop.used_gap < 1e-9 and wardrop.average_excess == pytest.approx(0, abs=1e-9)
    assert all(float(c) == pytest.approx(92) for c in wardrop.path_costs[0])


def test_a_game_of_generated_paths_has_the_equilibrium_as_a_profile() -> None:
    game = random_game(5, "bpr")
    flow = game.wardrop()
    narrow = RoutingGame(game.network, game.demands, paths=1)
    if any(len(mine) > 1 for mine in flow.paths):
        with pytest.raises(InvalidStrategyError, match="with_paths"):
            narrow.profile_of(flow)
    for wide in (narrow.with_paths(flow), RoutingGame(game.network, game.demands, paths="generate")):
        x = wide.profile_of(wide.wardrop(start=flow))
        torch.testing.assert_close(wide.loads(x), flow.loads)
        assert float(wide.excess(x)) <= 1e-9
    marginal = game.marginal()
    assert isinstance(marginal, RoutingGame)
    assert marginal.wardrop().potential == pytest.approx(game.system_optimum().total_cost)


def test_a_start_saves_the_search() -> None:
    game = random_game(4, "bpr")
    flow = game.wardrop()
    assert game.wardrop(1e-10, start=flow).iterations == 0
    assert game.wardrop(start=game.profile_of(game.wardrop()) if game.dims else None).converged
    with pytest.raises(InvalidStrategyError):
        game.wardrop(start=[torch.ones(3, dtype=torch.float64)] * game.n_players)


def test_what_was_not_reached_is_an_outcome() -> None:
    game = random_game(2, "bpr")
    assert game.wardrop(0.0, max_steps=1).outcome in ("max_steps", "converged")
    assert game.wardrop(0.0).outcome in ("stalled", "converged")


def test_flows_to_the_same_bytes_every_time() -> None:
    first, second = (random_game(1, "bpr").wardrop() for _ in range(2))
    assert first.loads.numpy().tobytes() == second.loads.numpy().tobytes()


def test_costs_of_zero_everywhere_have_no_gap() -> None:
    free = Network([1, 2], [2, 3], PowerCosts.affine([0.0, 0.0], [0.0, 0.0]))
    flow = RoutingGame(free, {(1, 3): 1.0}).wardrop()
    assert flow.converged and flow.relative_gap == 0 and flow.loads.tolist() == [1.0, 1.0]


def test_settings_that_make_no_sense_are_refused() -> None:
    game = RoutingGame(Network(*BRAESS), {(1, 2): 6.0})
    with pytest.raises(UnknownNameError, match="method 'newton'"):
        game.wardrop(method="newton")
    with pytest.raises(InvalidSettingError, match="tol=-1"):
        game.wardrop(-1.0)
    with pytest.raises(InvalidSettingError, match="max_steps=-1"):
        game.wardrop(max_steps=-1)
