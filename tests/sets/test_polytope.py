from __future__ import annotations

import copy
import itertools
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.envs.spaces import set_space
from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.numeric import maximise
from strategic_envs.sets import Box, Polytope

CORNER = Polytope.simplex_corner(2)


def normal(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_polytope(dim: int, extra: int, seed: int) -> Polytope:
    """A cube of half side 2 cut by random planes at distance 0.3 to 1.3 of the origin."""
    eye = torch.eye(dim, dtype=torch.float64)
    cuts = normal((extra, dim), seed)
    levels = 0.3 + torch.rand(extra, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Polytope(torch.cat([eye, -eye, cuts]), torch.cat([torch.full((2 * dim,), 2.0), levels * cuts.norm(dim=-1)]))


def kkt_error(polytope: Polytope, x: torch.Tensor, y: torch.Tensor) -> float:
    """How far y is from the nearest point of x: infeasibility, and how far x - y leaves the cone of active normals."""
    a = polytope.normals / polytope.normals.norm(dim=-1, keepdim=True)
    b = polytope.offsets / polytope.normals.norm(dim=-1)
    worst = float((y @ a.T - b).max())
    gap = polytope.support(x - y).value - ((x - y) * y).sum(-1)  # 0 exactly when x - y is in the normal cone at y
    return max(worst, float(gap.abs().max()))


@given(st.integers(1, 4), st.integers(0, 5), st.integers(0, 2**31))
@settings(max_examples=25)
def test_projections_meet_the_optimality_conditions(dim: int, extra: int, seed: int) -> None:
    polytope = random_polytope(dim, extra, seed)
    x = 3 * normal((64, dim), seed + 1)
    y = polytope.project(x)
    assert kkt_error(polytope, x, y) < 1e-10
    torch.testing.assert_close(polytope.project(y), y, atol=1e-12, rtol=0)
    inside = polytope.sample((32,), generator=torch.Generator().manual_seed(seed))
    assert bool(polytope.contains(inside, 1e-12).all())
    torch.testing.assert_close(polytope.project(inside), inside, atol=1e-12, rtol=0)
    # the projection contracts, and is nearer than every vertex and every sample
    near = (x - y).norm(dim=-1, keepdim=True)
    assert (torch.cdist(x, torch.cat([polytope.vertices, inside])) - near).min() >= -1e-12


@pytest.mark.parametrize(("dim", "extra"), [(5, 20), (3, 60), (12, 12)])
def test_with_many_inequalities_projections_are_as_exact(dim: int, extra: int) -> None:
    polytope = random_polytope(dim, extra, 3)
    x = 3 * normal((40, dim), 4)
    y = polytope.project(x)
    a = polytope.normals / polytope.normals.norm(dim=-1, keepdim=True)
    b = polytope.offsets / polytope.normals.norm(dim=-1)
    assert (y @ a.T - b).max() < 1e-10
    best = polytope.support(x - y)
    assert (best.value - ((x - y) * y).sum(-1)).abs().max() < 1e-10
    assert bool(polytope.contains(polytope.sample((20,), generator=torch.Generator().manual_seed(0)), 1e-9).all())


def test_a_cube_and_a_rotated_cube_are_what_a_box_is() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    x = 2 * normal((200, 3), 0)
    cube, box = Polytope(torch.cat([eye, -eye]), [1.0] * 6), Box(-1, 1, dim=3)
    torch.testing.assert_close(cube.project(x), box.project(x), atol=1e-12, rtol=0)
    torch.testing.assert_close(cube.support(x).value, box.support(x).value)
    assert sorted(cube.vertices.tolist()) == sorted(map(list, itertools.product([-1.0, 1.0], repeat=3)))
    assert cube.diameter == pytest.approx(box.diameter) and cube.centre().abs().max() < 1e-12
    turn = torch.linalg.qr(normal((3, 3), 1)).Q
    turned = Polytope(torch.cat([turn.T, -turn.T]), [1.0] * 6)
    torch.testing.assert_close(turned.project(x), box.project(x @ turn) @ turn.T, atol=1e-12, rtol=0)


def test_an_interval_and_scaled_or_repeated_inequalities() -> None:
    interval = Polytope([[2.0], [-1.0], [4.0]], [2.0, 3.0, 4.0])
    assert interval.vertices.tolist() == [[-3.0], [1.0]] and interval.diameter == 4.0
    assert [b.item() for b in interval.bounds()] == [-3.0, 1.0]
    assert interval.project(torch.tensor([[5.0], [-9.0], [0.5]])).flatten().tolist() == [1.0, -3.0, 0.5]
    assert interval.sample((1000,), generator=torch.Generator().manual_seed(0)).mean().item() == pytest.approx(
        -1, abs=0.1
    )


def test_batches_dtypes_and_copies() -> None:
    x = 2 * normal((4, 5, 2), 0)
    y = CORNER.project(x)
    assert y.shape == x.shape
    torch.testing.assert_close(CORNER.project(x[2, 3]), y[2, 3])
    single = CORNER.project(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), y, atol=1e-6, rtol=0)
    for other in (pickle.loads(pickle.dumps(CORNER)), copy.deepcopy(CORNER)):
        torch.testing.assert_close(other.project(x), y, atol=0, rtol=0)
    assert "[[-1.0, -0.0]" in repr(CORNER) and "24 inequalities in 12" in repr(random_polytope(12, 0, 0))


def test_interior_points_are_not_touched() -> None:
    x = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert torch.equal(CORNER.project(x), x) and torch.equal(CORNER.project(x.expand(7, 2)), x.expand(7, 2))


def test_samples_of_a_triangle_are_uniform() -> None:
    x = CORNER.sample((20_000,), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.mean(0), torch.tensor([1 / 3, 1 / 3]).double(), atol=0.01, rtol=0)
    below = (x.sum(-1) <= 0.5).double().mean().item()
    assert below == pytest.approx(0.25, abs=0.015)


def test_gaps_and_searches_work_on_a_polytope() -> None:
    x, g = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 2.0]).double()
    assert CORNER.frank_wolfe_gap(x, g).item() == pytest.approx(0.5)
    assert CORNER.projected_gap(x, g).item() == pytest.approx(2**-0.5)
    point, value = maximise(lambda y: -((y - 1) ** 2).sum(-1), CORNER, torch.zeros(1, 2, dtype=torch.float64))
    assert value == pytest.approx(-0.5, abs=1e-9) and point.tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    space = set_space(CORNER, seed=0)
    assert space.contains(space.sample()) and space.high.tolist() == [1.0, 1.0]
    with pytest.raises(InvalidStrategyError, match=r"\[1.0, 1.0\], which lies outside Polytope"):
        CORNER.validate(torch.ones(2))


@pytest.mark.parametrize(
    ("normals", "offsets", "message"),
    [
        ([[1.0], [-1.0]], [0.0, -1.0], "is empty: no point meets all inequalities"),
        ([[1.0], [-1.0]], [1.0, -1.0], "has no interior point: the largest ball inside has radius 0"),
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [1.0, 1.0, 1.0], "is unbounded: coordinate 1 goes down for ever"),
        ([[1.0, 0.0], [0.0, 0.0]], [1.0, 1.0], r"zero in the rows \[1\]"),
        ([[1.0, 0.0]], [1.0, 2.0], r"got shapes \(1, 2\) and \(2,\)"),
        ([[float("nan")]], [1.0], "finite normals and offsets"),
        ([[1.0], [1.0, 2.0]], [1.0], "rectangular"),
    ],
)
def test_what_is_no_polytope_is_refused(normals: list[list[float]], offsets: list[float], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        Polytope(normals, offsets)


def test_a_flat_set_is_allowed_on_request() -> None:
    segment = Polytope([[1.0, 1.0], [-1.0, -1.0], [-1.0, 0.0], [0.0, -1.0]], [1.0, -1.0, 0.0, 0.0], flat=True)
    torch.testing.assert_close(segment.project(torch.tensor([2.0, 0.0]).double()), torch.tensor([1.0, 0.0]).double())
    assert segment.vertices.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert bool(segment.contains(segment.sample((9,)), 1e-9).all())
