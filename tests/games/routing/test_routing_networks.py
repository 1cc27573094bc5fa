"""Networks keep parallel links, free links and closed nodes, and refuse what is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.congestion import LogCosts, PowerCosts
from strategic_envs.games.routing import Network, RoutingGame


def flat(*constants: float) -> PowerCosts:
    return PowerCosts.affine([0.0] * len(constants), list(constants))


def test_parallel_links_are_not_added_up() -> None:
    network = Network([1, 1, 1, 2], [2, 2, 2, 3], flat(3, 2, 5, 1))
    distances, last = network.shortest(torch.tensor([3.0, 2, 5, 1], dtype=torch.float64), [1])
    assert distances.tolist() == [[0, 2, 3]] and last.tolist() == [[-1, 1, 3]]
    assert network.k_shortest(1, 3, 5) == [(1, 3), (0, 3), (2, 3)]
    flow = RoutingGame(Network([1, 1], [2, 2], PowerCosts.affine([1, 1], [0, 0])), {(1, 2): 2.0}).wardrop()
    assert flow.loads.tolist() == pytest.approx([1, 1])


def test_links_that_cost_nothing_are_links() -> None:
    network = Network([1, 2, 1], [2, 3, 3], flat(0, 0, 1))
    assert network.k_shortest(1, 3, 3) == [(0, 1), (2,)]
    assert network.shortest(torch.tensor([0.0, 0, 1]).double(), [1])[0].tolist() == [[0, 0, 0]]


def test_zones_are_not_passed_through() -> None:
    roads = ([1, 2, 1, 4], [2, 3, 4, 3])  # through zone 2, or through the junction 4
    costs = flat(1, 1, 5, 5)
    assert Network(*roads, costs, first_thru=4).k_shortest(1, 3, 3) == [(2, 3)]
    assert Network(*roads, costs).k_shortest(1, 3, 3) == [(0, 1), (2, 3)]
    closed = Network(*roads, costs, first_thru=4)
    assert closed.shortest(torch.ones(4).double(), [1, 2])[0].tolist()[1][2] == 1  # trips may begin in a zone
    assert RoutingGame(closed, {(1, 3): 1.0, (1, 2): 1.0}).wardrop().loads.tolist() == [1, 0, 1, 1]
    with pytest.raises(InvalidGameError, match="through a node below first_thru"):
        RoutingGame(closed, {(1, 3): 1.0}, paths=[[[0, 1]]])


def test_nodes_have_names_and_positions() -> None:
    network = Network(["a", "b"], ["b", "c"], flat(1, 1), positions={"a": (0, 0), "b": (1, 0), "c": (2, 0)})
    assert network.nodes == ("a", "b", "c") and network.names == ("a->b", "b->c") and network.index("c") == 2
    assert network.positions is not None and network.positions[2].tolist() == [2, 0]
    assert network.tails.tolist() == [0, 1] and network.heads.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"tails": [1], "heads": [2, 3]}, "1 tails, 2 heads"),
        ({"tails": [], "heads": []}, "0 tails, 0 heads"),
        ({"costs": flat(1)}, "costs of 1 links"),
        ({"costs": LogCosts([0.0, 0.0])}, "may be negative or infinite"),
        ({"costs": "bpr"}, "type str"),
        ({"nodes": [1, 2]}, "link 1: got the node 3"),
        ({"nodes": [1, 2, 3, 3]}, "a node twice"),
        ({"tails": ["a", "b"], "heads": ["b", "c"], "first_thru": 2}, "nodes that are no numbers"),
        ({"positions": [[0.0, 0.0]]}, r"positions of shape \(1, 2\)"),
        ({"positions": {1: (0, 0)}}, "without that of 2, 3"),
        ({"names": ["one"]}, "1 names of links"),
    ],
)
def test_what_is_no_network_is_refused(arguments: dict[str, Any], says: str, unchecked: None) -> None:
    with pytest.raises(InvalidGameError, match=says):
        Network(**({"tails": [1, 2], "heads": [2, 3], "costs": flat(1, 1)} | arguments))


@pytest.mark.parametrize(
    ("demands", "says"),
    [
        ({(3, 1): 1.0}, "trips from 3 to 1, between which there is no path"),
        ({(1, 3): -2.0}, "-2 trips from 1 to 3, expected above 0"),
        ({(1, 3): 0.0}, "0 trips from 1 to 3"),
        ({(1, 3): float("nan")}, "nan trips"),
        ({(1, 3): float("inf")}, "inf trips"),
        ({(1, 1): 1.0}, "to itself"),
        ({(1, 9): 1.0}, "got the node 9, expected one of 1, 2, 3"),
        ({1: 1.0}, "expected a pair"),
        ({}, "no demand"),
        (torch.zeros(3, 3), "no demand"),
        (torch.ones(2, 3), r"shape \(2, 3\)"),
        (torch.ones(4, 4), r"shape \(4, 4\)"),
        (torch.tensor([[0.0, -1.0], [0.0, 0.0]]), "-1 trips from 1 to 2"),
    ],
)
def test_what_is_no_demand_is_refused(demands: Any, says: str, unchecked: None) -> None:
    with pytest.raises(InvalidGameError, match=says):
        RoutingGame(Network([1, 2], [2, 3], flat(1, 1)), demands)


def test_a_matrix_of_demands_is_over_the_first_nodes() -> None:
    game = RoutingGame(Network([1, 2], [2, 3], flat(1, 1)), torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    assert game.demands == {(1, 2): 2.0} and game.pairs == ((1, 2),)


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ([[[0]]], "ends elsewhere"),
        ([[[1]]], "follow each other"),
        ([[[0, 5]]], "follow each other"),
        ([], "paths of 0 pairs"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(paths: Any, says: str) -> None:
    with pytest.raises(InvalidGameError, match=says):
        RoutingGame(Network([1, 2], [2, 3], flat(1, 1)), {(1, 3): 1.0}, paths=paths)


@pytest.mark.parametrize("paths", [0, -1, "all"])
def test_a_number_of_paths_that_is_none_is_refused(paths: Any) -> None:
    with pytest.raises(InvalidSettingError, match="paths="):
        RoutingGame(Network([1, 2], [2, 3], flat(1, 1)), {(1, 3): 1.0}, paths=paths)


def test_what_is_no_network_makes_no_game(unchecked: None) -> None:
    with pytest.raises(InvalidGameError, match="network of type str"):
        RoutingGame("SiouxFalls", {(1, 3): 1.0})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidGameError, match="costs of 2 links"):
        Network([1, 2], [2, 3], flat(1, 1)).with_costs(flat(1))
