"""Where nodes stand when nobody says."""

from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.games.routing.layout import layout

BRAESS = ([0, 0, 2, 2, 3], [2, 3, 1, 3, 1])


def test_braess_is_a_diamond_from_left_to_right() -> None:
    place = layout(*BRAESS, 4, ends=[(0, 1)])
    assert place[0, 0] < place[2, 0] < place[1, 0] and place[2, 0] == pytest.approx(place[3, 0], abs=1e-6)
    assert place[0, 1] == pytest.approx(place[1, 1], abs=1e-6)
    assert place[2, 1] > 0 > place[3, 1] and place[2, 1] == pytest.approx(-place[3, 1], abs=1e-6)


def test_parallel_links_join_two_points_one_unit_apart() -> None:
    assert layout([0, 0, 0], [1, 1, 1], 2, ends=[(0, 1)]).tolist() == [[-0.5, 0.0], [0.5, 0.0]]


def test_trips_go_from_left_to_right_whatever_the_numbers_of_their_nodes() -> None:
    place = layout([2, 1], [1, 0], 3, ends=[(2, 0)])
    assert place[2, 0] < place[1, 0] < place[0, 0]


def test_a_grid_comes_out_as_a_grid() -> None:
    """Stress finds positions whose distances are those along the links as nearly as a plane allows."""
    grid = [(i, j) for i in range(4) for j in range(4)]
    links = [(4 * i + j, 4 * a + b) for i, j in grid for a, b in ((i + 1, j), (i, j + 1)) if a < 4 and b < 4]
    tails, heads = map(list, zip(*links, strict=True))
    place = layout(tails, heads, 16)
    lengths = np.linalg.norm(place[heads] - place[tails], axis=1)
    assert lengths.min() > 0.6 and lengths.max() < 1.4
    apart = np.linalg.norm(place[:, None] - place[None], axis=-1) + 9 * np.eye(16)
    assert apart.min() > 0.6  # nothing lies on anything


def test_the_same_network_looks_the_same() -> None:
    rng = np.random.default_rng(0)
    tails, heads = rng.integers(0, 30, 80), rng.integers(0, 30, 80)
    assert layout(tails, heads, 30).tobytes() == layout(tails, heads, 30).tobytes()


def test_long_links_look_long() -> None:
    place = layout([0, 1], [1, 2], 3, lengths=[1.0, 3.0], ends=[(0, 2)])
    assert (place[2, 0] - place[1, 0]) / (place[1, 0] - place[0, 0]) == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(("tails", "heads", "nodes"), [([], [], 3), ([0], [0], 1), ([0, 2], [1, 3], 4)])
def test_odd_networks_have_finite_positions(tails: list[int], heads: list[int], nodes: int) -> None:
    place = layout(tails, heads, nodes)
    assert place.shape == (nodes, 2) and np.isfinite(place).all()
    assert len({tuple(p) for p in place.round(6).tolist()}) == nodes
