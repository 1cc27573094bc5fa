"""Sioux Falls and Anaheim, from a user's folder: the published equilibria."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import torch

from strategic_envs.data.tntp import TntpNetwork, tntp
from strategic_envs.games.catalogue import game, list_games
from strategic_envs.games.road_networks import network_of
from strategic_envs.games.routing import RoutingGame


@functools.cache
def published(name: str) -> tuple[RoutingGame, TntpNetwork]:
    """The game with the paths of its equilibrium, and its files; skips where there are none."""
    folder = os.environ.get("STRATEGIC_ENVS_DATA")
    if not folder or not any((Path(folder) / sub / f"{name}_net.tntp").is_file() for sub in ("", "tntp")):
        pytest.skip(f"needs STRATEGIC_ENVS_DATA, a folder with {name}_net.tntp in it or in its folder tntp")
    table = tntp(name)
    return RoutingGame(network_of(table), table.trips, paths="generate", name=name, known=None), table


@pytest.mark.parametrize(
    ("name", "objective", "rounds", "pairs"),
    [("SiouxFalls", 42.31335287107440e5, 30, 528), ("Anaheim", 1286032.171096, 30, 1406)],
)
def test_the_published_user_equilibrium(name: str, objective: float, rounds: int, pairs: int) -> None:
    found, table = published(name)
    flow = found.wardrop(1e-13)
    assert found.n_players == pairs
    assert flow.converged and flow.relative_gap is not None and flow.relative_gap <= 1e-13
    assert flow.iterations <= rounds
    assert flow.potential == pytest.approx(objective, rel=1e-9)
    assert table.volumes is not None and table.times is not None
    assert float((flow.loads - table.volumes).abs().max()) <= 1e-4
    torch.testing.assert_close(flow.costs, table.times, rtol=1e-6, atol=1e-6)
    assert float(found.costs.integral(table.volumes).sum()) - flow.potential + flow.excess >= 0


def test_the_system_optimum_of_sioux_falls() -> None:
    found, _ = published("SiouxFalls")
    wardrop, optimum = found.wardrop(), found.system_optimum()
    assert wardrop.total_cost == pytest.approx(7480225.345, abs=1e-3)
    assert optimum.total_cost == pytest.approx(7194256.053, abs=1e-3)
    assert found.price_of_anarchy() == pytest.approx(1.039750, abs=1e-6)
    assert optimum.total_cost == pytest.approx(optimum.potential)
    assert wardrop.loads[[0, 1, 2, 9]].tolist() == pytest.approx([4494.657646, 8119.079948, 4519.079948, 5200])


def test_frank_wolfe_on_sioux_falls_as_in_its_literature() -> None:
    found, _ = published("SiouxFalls")
    flow = found.wardrop(1e-3, "fw")
    assert flow.converged and 80 <= flow.iterations <= 200
    assert 0 <= flow.potential - 42.31335287107440e5 <= flow.excess


@pytest.mark.slow
def test_the_catalogue_has_both_networks() -> None:
    _, table = published("SiouxFalls")
    few = game("sioux_falls", paths=2)
    assert max(few.dims) == 2 and few.known().values["potential"] == pytest.approx(42.31335287107440e5, rel=1e-12)
    assert game("road_network", name="SiouxFalls", paths=1).demands == table.trips
    published("Anaheim")
    assert game("anaheim").network.closed(0)


def test_networks_of_files_are_listed_apart() -> None:
    assert {"anaheim", "road_network", "sioux_falls"} <= set(list_games())
    assert not {"anaheim", "road_network", "sioux_falls"} & set(list_games(files=False))
