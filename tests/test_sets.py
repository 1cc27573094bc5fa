from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

finite = st.floats(-5, 5, allow_nan=False, width=32)
seeds = st.integers(0, 2**31)


# Strategies draw plain descriptions; the tests build the sets, whose shape checks may use random numbers of their own.
boxes = st.lists(st.tuples(finite, st.floats(0, 5, width=32)), min_size=1, max_size=4).map(lambda p: ("box", p))
balls = st.tuples(st.just("ball"), st.lists(finite, min_size=1, max_size=4), st.floats(0.125, 5, width=32))
simplices = st.tuples(st.just("simplex"), st.integers(1, 6))
atoms = st.one_of(boxes, balls, simplices)
products = st.lists(atoms, min_size=1, max_size=3).map(lambda parts: ("product", parts))
nested = products.map(lambda product: ("product", [product, ("simplex", 2)]))
sets = st.one_of(atoms, products, nested)


def build(description: tuple[Any, ...]) -> StrategySet:
    match description:
        case ("box", pairs):
            return Box([low for low, _ in pairs], [low + width for low, width in pairs])
        case ("ball", centre, radius):
            return Ball(centre, radius=radius)
        case ("simplex", n):
            return Simplex(n)
        case ("product", parts):
            return Product([build(part) for part in parts])
    raise AssertionError(description)


def gaussian(strategy_set: StrategySet, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn((count, strategy_set.dim), generator=generator, dtype=torch.float64)


def inside(strategy_set: StrategySet, count: int, seed: int) -> torch.Tensor:
    return strategy_set.sample((count,), generator=torch.Generator().manual_seed(seed))


@given(sets, seeds)
@settings(max_examples=60)
def test_projection_lands_inside_once_and_for_all(description: tuple[Any, ...], seed: int) -> None:
    strategy_set = build(description)
    p = strategy_set.project(gaussian(strategy_set, 20, seed))
    assert bool(strategy_set.contains(p, 1e-9).all())
    torch.testing.assert_close(strategy_set.project(p), p, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(
        strategy_set.project(inside(strategy_set, 20, seed)), inside(strategy_set, 20, seed), atol=1e-12, rtol=0
    )


@given(sets, seeds)
@settings(max_examples=60)
def test_projection_satisfies_the_variational_inequality(description: tuple[Any, ...], seed: int) -> None:
    strategy_set = build(description)
    x, y = gaussian(strategy_set, 10, seed), inside(strategy_set, 50, seed)
    p = strategy_set.project(x)
    # p is the nearest point of a convex set exactly when <x - p, y - p> <= 0 for all y in it
    products = torch.einsum("id,ijd->ij", x - p, y - p.unsqueeze(1))
    assert products.max() <= 1e-9


@given(sets, seeds)
@settings(max_examples=60)
def test_support_is_attained_and_never_exceeded(description: tuple[Any, ...], seed: int) -> None:
    strategy_set = build(description)
    g, y = gaussian(strategy_set, 10, seed), inside(strategy_set, 200, seed)
    value, argmax = strategy_set.support(g)
    assert bool(strategy_set.contains(argmax, 1e-9).all())
    torch.testing.assert_close((g * argmax).sum(-1), value)
    assert ((g @ y.T).amax(-1) - value).max() <= 1e-9


@given(sets, seeds)
@settings(max_examples=40)
def test_samples_and_centre_lie_inside_and_the_diameter_bounds_distances(
    description: tuple[Any, ...], seed: int
) -> None:
    strategy_set = build(description)
    y = inside(strategy_set, 100, seed)
    assert y.shape == (100, strategy_set.dim) and y.dtype == torch.float64
    assert bool(strategy_set.contains(y, 1e-9).all()) and bool(strategy_set.contains(strategy_set.centre(), 1e-9))
    assert torch.cdist(y, y).max() <= strategy_set.diameter * (1 + 1e-9) + 1e-7
    assert torch.equal(y, inside(strategy_set, 100, seed))
    assert strategy_set.bounded


@given(boxes, simplices, seeds)
@settings(max_examples=15)
def test_support_equals_a_linear_program(box: Any, simplex: Any, seed: int) -> None:
    product = build(("product", [box, simplex]))
    (g,) = gaussian(product, 1, seed)
    limits = [(low, low + width) for low, width in box[1]] + [(0, 1)] * simplex[1]
    row = np.array([[0.0] * len(box[1]) + [1.0] * simplex[1]])
    solved = linprog(-g.numpy(), A_eq=row, b_eq=[1.0], bounds=limits)
    assert float(product.support(g).value) == pytest.approx(-solved.fun, abs=1e-7)


@pytest.mark.parametrize(
    ("strategy_set", "diameter"),
    [
        (Box(-1, 1), 2.0),
        (Box(-1, 1, dim=4), 4.0),
        (Box([0, 0], [3, 4]), 5.0),
        (Simplex(1), 0.0),
        (Simplex(5), math.sqrt(2)),
        (Ball([1.0, 2.0, 3.0], 1.5), 3.0),
        (Product([Box(0, 3), Ball([0.0], 2.0)]), 5.0),
        (Box(-math.inf, math.inf, dim=2), math.inf),
        (Product([Simplex(2), Box(0, math.inf)]), math.inf),
    ],
    ids=repr,
)
def test_diameters(strategy_set: StrategySet, diameter: float) -> None:
    assert strategy_set.diameter == pytest.approx(diameter)
    assert strategy_set.bounded == math.isfinite(diameter)


def test_the_largest_distance_of_extreme_points_is_the_diameter() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    assert torch.cdist(eye, eye).max().item() == pytest.approx(Simplex(4).diameter)


def test_simplex_projection_matches_bisection_on_the_threshold() -> None:
    x = gaussian(Simplex(7), 50, 3)
    low, high = x.amin(-1, keepdim=True) - 1, x.amax(-1, keepdim=True)
    for _ in range(200):
        middle = (low + high) / 2
        above = (x - middle).clamp(min=0).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    torch.testing.assert_close(Simplex(7).project(x), (x - high).clamp(min=0), atol=1e-12, rtol=0)


def test_unbounded_boxes_project_sample_and_support() -> None:
    half = Box([0.0, -math.inf, -1.0], [math.inf, 2.0, 1.0])
    assert half.project(torch.tensor([-3.0, 5.0, 0.5])).tolist() == [0.0, 2.0, 0.5]
    y = half.sample((1000,), generator=torch.Generator().manual_seed(0))
    assert bool(half.contains(y).all()) and int((y == half.low).sum() + (y == half.high).sum()) == 0
    value, argmax = half.support(torch.tensor([-1.0, 1.0, 0.0]))
    assert value.item() == 2.0 and argmax.tolist() == [0.0, 2.0, 0.0]
    value, argmax = half.support(torch.tensor([1.0, 0.0, 0.0]))
    assert value.item() == math.inf and bool(argmax[0].isnan())
    assert half.centre().tolist() == [0.0, 0.0, 0.0]


def test_support_ties_have_a_maximiser_in_the_set() -> None:
    for strategy_set in (Box(-1, 3, dim=2), Simplex(3), Ball([1.0, 1.0], 2.0)):
        value, argmax = strategy_set.support(torch.zeros(strategy_set.dim))
        assert value.item() == 0.0 and bool(strategy_set.contains(argmax))


@pytest.mark.parametrize("strategy_set", [Box(-1, 1, dim=2), Simplex(2), Ball([0.0, 0.0], 1.0)], ids=repr)
def test_float32_and_batches(strategy_set: StrategySet) -> None:
    x = torch.randn((3, 1, 4, 2), generator=torch.Generator().manual_seed(0))
    p = strategy_set.project(x)
    assert p.shape == x.shape and p.dtype == torch.float32
    assert bool(strategy_set.contains(p).all())
    torch.testing.assert_close(p[2, 0, 1], strategy_set.project(x[2, 0, 1]))
    assert strategy_set.support(x).value.shape == (3, 1, 4)
    assert strategy_set.sample((0,)).shape == (0, 2)


@given(sets)
@settings(max_examples=20)
def test_sets_pickle_and_copy(description: tuple[Any, ...]) -> None:
    strategy_set = build(description)
    for clone in (pickle.loads(pickle.dumps(strategy_set)), copy.deepcopy(strategy_set)):
        assert repr(clone) == repr(strategy_set)
        assert torch.equal(inside(clone, 5, 0), inside(strategy_set, 5, 0))


def test_product_splits_and_slices() -> None:
    product = Product([Box(0, 1), Simplex(2)])
    assert [t.tolist() for t in product.split(torch.tensor([0.5, 0.25, 0.75]))] == [[0.5], [0.25, 0.75]]
    assert product.slice(1) is product.parts[1] and product.dims == (1, 2)
    assert repr(product) == "Product([Box(0.0, 1.0), Simplex(2)])"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Box(1, -1), "low <= high"),
        (lambda: Box(math.nan, 1), "low <= high"),
        (lambda: Box(math.inf, math.inf), "low <= high"),
        (lambda: Box([0, 0], [1, 1, 1]), "bounds of one length"),
        (lambda: Box(0, 1, dim=0), "dim >= 1"),
        (lambda: Box(torch.zeros(1, 1), 1), "number or a vector"),
        (lambda: Simplex(0), "at least one action"),
        (lambda: Ball([0.0], -1.0), "radius > 0"),
        (lambda: Ball([math.inf], 1.0), "finite centre"),
        (lambda: Product([]), "at least one strategy set"),
    ],
)
def test_sets_that_are_none_are_refused(build, message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        build()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.5], "me: got a list, expected a floating-point tensor of shape"),
        (torch.tensor([1]), "me: got dtype torch.int64, expected a floating-point tensor"),
        (torch.tensor(0.5), r"me: got shape \(\), expected \(\*batch, 2\)"),
        (torch.zeros(3), r"me: got shape \(3,\), expected \(\*batch, 2\) for Simplex\(2\)"),
        (torch.tensor([math.nan, 1.0]), "me: got a value that is NaN or infinite"),
        (
            torch.tensor([[0.5, 0.5], [2.0, 0.0]]),
            r"me: got \[2\.0, 0\.0\], which lies outside Simplex\(2\): project it",
        ),
    ],
)
def test_strategies_that_are_none_are_refused_with_what_was_got_and_expected(value: object, message: str) -> None:
    with pytest.raises(InvalidStrategyError, match=message):
        Simplex(2).validate(value, "me")
    good = torch.tensor([0.25, 0.75])
    assert Simplex(2).validate(good) is good


def test_points_that_are_not_finite_are_in_no_set() -> None:
    points = torch.tensor([[math.nan], [math.inf], [-math.inf], [0.0]])
    assert Box(-math.inf, math.inf).contains(points).tolist() == [False, False, False, True]
