"""Certificates are true: on random games, on every set, at kinks and jumps, and absent where nothing can be proved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators import best_response, cce_gap, evaluate, exploitability, nash_conv
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import BestResponse, Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

Function = Callable[[Tensor], Tensor]


def alone(f: Function, strategies: StrategySet) -> Game:
    """A game in which player 0 gets f of its strategy and nobody else does anything."""
    return Game(lambda x: torch.stack([f(x[0]), 0 * x[1].sum(-1)], -1), [strategies, Box(0, 1)], name="alone")


def certified(f: Function, strategies: StrategySet, tolerance: float = 1e-6) -> BestResponse:
    game = alone(f, strategies)
    start = strategies.sample(generator=torch_stream(0, "start"))
    return best_response(game, 0, Profile([start, torch.zeros(1, dtype=torch.float64)]), certify=tolerance)


def dense(f: Function, strategies: StrategySet, count: int = 4000) -> float:
    """The largest value on many points, the corners among them."""
    points = [strategies.sample((count,), generator=torch_stream(1, "dense"))]
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=strategies.dim)), dtype=torch.float64)
    points.append(strategies.support(signs).argmax)
    return float(f(torch.cat(points)).max())


# Random games: a tree of operations over the own coordinates and the other's number.
UNARY: list[Callable[[Tensor], Tensor]] = [
    torch.sin,
    torch.cos,
    torch.tanh,
    torch.sigmoid,
    torch.abs,
    torch.relu,
    torch.atan,
    torch.neg,
    lambda a: a**2,
    lambda a: a**3 / 3,
    lambda a: (a / 3).exp(),
    lambda a: (a**2 + 1).log(),
    lambda a: (a**2 + 0.1).sqrt(),
    lambda a: 1 / (1 + a**2),
    lambda a: a.clamp(-0.5, 1.0),
    lambda a: torch.nn.functional.softplus(a),
    lambda a: 0.7 * a - 0.3,
]
BINARY: list[Callable[[Tensor, Tensor], Tensor]] = [
    torch.add,
    torch.sub,
    torch.mul,
    torch.maximum,
    torch.minimum,
    lambda a, b: a / (1 + b**2),
    lambda a, b: torch.stack([a, b], -1).logsumexp(-1),
    lambda a, b: torch.where(a > b, a, 0.5 * b),
    lambda a, b: a + 0.3 * (2 * b).sign(),
]


@st.composite
def functions(draw: st.DrawFn, d: int, depth: int = 4) -> Callable[[Tensor, Tensor], Tensor]:
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        k = draw(st.integers(0, d))
        return lambda y, z: y[..., k] + 0 * z if k < d else z + 0 * y[..., 0]
    if draw(st.booleans()):
        f, inner = draw(st.sampled_from(UNARY)), draw(functions(d, depth - 1))
        return lambda y, z: f(inner(y, z))
    g, left, right = draw(st.sampled_from(BINARY)), draw(functions(d, depth - 1)), draw(functions(d, depth - 1))
    return lambda y, z: g(left(y, z), right(y, z))


@pytest.mark.slow
@given(data=st.data(), d=st.integers(1, 4), points=st.integers(1, 3))
@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking would take minutes
def test_the_certified_interval_holds_what_a_dense_search_finds(data: st.DataObject, d: int, points: int) -> None:
    f = data.draw(functions(d))
    centre = data.draw(st.sampled_from([0.0, 0.3, -1.0]))
    game = Game(
        lambda x: torch.stack([f(x[0], x[1][..., 0]), f(x[0], x[1][..., 0]) * 0], -1),
        [Box(centre - 1, centre + 1.5, dim=d), Box(-1, 1)],
        name="random",
    )
    stream = torch_stream(data.draw(st.integers(0, 1000)), "play")
    others = game.sets[1].sample((points,), generator=stream)
    play = Empirical.uniform([game.sets[0].sample((points,), generator=stream), others])
    reply = best_response(game, 0, play, certify=1e-2)
    assert reply.certified and math.isfinite(reply.lower) and math.isfinite(reply.upper), reply.note
    assert reply.exact == (reply.upper - reply.lower <= 1e-2)

    def mean(y: Tensor) -> Tensor:
        return torch.stack([f(y, z.expand(len(y))) for z in others[:, 0]]).mean(0)

    slack = 1e-9 * (1 + abs(reply.upper))
    assert dense(mean, game.sets[0], 2000) <= reply.upper + slack
    assert float(mean(reply.strategy.unsqueeze(0))) >= reply.lower - slack
    assert reply.lower <= reply.value <= reply.upper


LAYER = torch.linspace(-2, 2, 24, dtype=torch.float64).reshape(4, 6)
WAVES: dict[str, Function] = {
    "network": lambda y: torch.tanh(y @ LAYER[: y.shape[-1]]).sum(-1) - 0.2 * (y**2).sum(-1),
    "rosenbrock": lambda y: -(100 * (y[..., 1:] - y[..., :-1] ** 2) ** 2).sum(-1) - ((1 - y[..., :-1]) ** 2).sum(-1),
    "correlated": lambda y: -3 * (y.sum(-1) - 0.5) ** 2 - 0.1 * (y**2).sum(-1) + 0.01 * y.sin().sum(-1),
    "kinks": lambda y: -(y - 0.3).abs().sum(-1) + 0.1 * y.prod(-1),
    "products": lambda y: y.sin().sum(-1) + y.prod(-1),
}


SHAPES: dict[str, Callable[[int], StrategySet]] = {
    "box": lambda d: Box(-2.0, 2.1, dim=d),
    "ball": lambda d: Ball([0.25] * d, 1.5),
    "simplex": Simplex,
    "product": lambda d: Product([Simplex(2), Box(-1, 2, dim=d - 2)]),
}
SEARCHES = [
    *((name, "box", 2) for name in WAVES),
    *((name, shape, 3) for name in ("network", "rosenbrock", "products") for shape in SHAPES),
    ("correlated", "ball", 3),
    ("products", "ball", 4),
    *((name, "box", 4) for name in ("network", "rosenbrock", "kinks", "products")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "d"), SEARCHES)
def test_branch_and_bound_reaches_a_millionth_on_every_set(name: str, shape: str, d: int) -> None:
    f, strategies = WAVES[name], SHAPES[shape](d)
    reply = certified(f, strategies)
    assert reply.exact and reply.upper - reply.lower <= 1e-6, (reply.note, reply.evaluations)
    assert dense(f, strategies) <= reply.upper
    assert bool(strategies.contains(reply.strategy, 1e-12))
    assert float(f(reply.strategy)) == pytest.approx(reply.value, abs=1e-9)


def test_a_jump_is_met_by_values_and_not_by_derivatives() -> None:
    """Autograd sees slope 0 on both sides; the value 1 on (0.3, 0.301) would be missed between two points."""

    def f(y: Tensor) -> Tensor:
        inside = (y[..., 0] > 0.3) & (y[..., 0] < 0.301)
        return torch.where(inside, 1.0, 0.0) + 0 * y[..., 0]

    reply = certified(f, Box(-1, 1))
    assert reply.upper == pytest.approx(1.0) and (reply.value == 1.0 or not reply.exact)
    signs = certified(lambda y: y[..., 0].sign() * (1 - y[..., 0]), Box(-1, 1), 1e-3)  # the supremum 1 is not reached
    assert signs.upper >= 1.0 and signs.lower < 1.0 and signs.certified


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (lambda y: torch.special.bessel_j0(y[..., 0]), "not supported"),
        (lambda y: y[..., 0] + 1e-30 * torch.rand(()).double(), "not supported"),
        (lambda y: y[..., 0].float().sin().double(), "float32"),
        (lambda y: y[..., 0] * torch.from_numpy(y.detach().numpy().copy())[..., 0], "disagrees"),
    ],
)
def test_what_cannot_be_enclosed_is_never_certified(f: Function, why: str) -> None:
    reply = certified(f, Box(-1, 1))
    assert not reply.exact and not reply.certified and reply.upper == math.inf and why in reply.note


@pytest.mark.parametrize("f", [lambda y: (y[..., 0] - 0.5).log(), lambda y: 1 / y[..., 0] * 1e-30])
def test_a_utility_that_is_undefined_somewhere_is_never_certified(f: Function) -> None:
    reply = certified(f, Box(-1, 1))
    assert not reply.exact and reply.upper == math.inf


def test_more_than_four_dimensions_are_left_to_the_numeric_search() -> None:
    reply = certified(lambda y: -(y**2).sum(-1), Box(-1, 1, dim=5))
    assert not reply.exact and not reply.certified and "4" in reply.note


def test_a_short_budget_leaves_a_wider_but_true_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategic_envs.evaluators.certified.response._EVALUATIONS", {3: 100})
    monkeypatch.setattr("strategic_envs.evaluators.certified.response._LEAST", 1)
    f = WAVES["rosenbrock"]
    reply = certified(f, Box(-2.0, 2.1, dim=3))
    assert reply.certified and not reply.exact and "apart" in reply.note
    assert dense(f, Box(-2.0, 2.1, dim=3)) <= reply.upper < math.inf


def test_on_an_unbounded_set_the_tail_is_excluded_or_the_upper_bound_is_infinite() -> None:
    line = Box(-math.inf, math.inf, dim=2)
    reply = certified(lambda y: y.sin().sum(-1) - 0.1 * (y**2).sum(-1), line)
    assert reply.exact and reply.upper - reply.lower <= 1e-6
    ray = certified(lambda y: y.sum(-1), line)
    assert ray.upper == math.inf and not ray.exact and not ray.attained and "unbounded" in ray.note
    bounded = certified(lambda y: y.tanh().sum(-1), line)  # a supremum that is nearly reached
    assert bounded.upper == pytest.approx(2.0) and not bounded.attained


def test_gaps_are_intervals_that_hold_the_true_gap() -> None:
    """Against the mean m of the other's points, (x - m)^2 is best at an end: everything is known."""
    game = Game(
        lambda x: torch.stack([(x[0] - x[1])[..., 0] ** 2, -((x[0] - x[1])[..., 0] ** 2)], -1),
        [Box(-1, 1), Box(-1, 1)],
        name="difference",
    )
    play = Empirical.uniform([torch.tensor([[0.5], [-0.25]]).double(), torch.tensor([[0.25], [0.75]]).double()])
    for gap in (nash_conv(game, play, certify=1e-8), exploitability(game, play, certify=1e-8)):
        assert gap.exact and gap.lower <= gap.value <= gap.upper and gap.upper - gap.lower <= 2e-8
    numeric = nash_conv(game, play)
    gap = nash_conv(game, play, certify=1e-8)
    assert numeric.upper == math.inf and gap.value == pytest.approx(numeric.value, abs=1e-8)
    together = cce_gap(game, play, certify=1e-8)
    assert together.lower <= cce_gap(game, play).value <= together.upper + 1e-12
    report = evaluate(game, play, certify=1e-8)
    assert report["nash_conv"].exact and report["nash_conv"].upper == gap.upper
    assert report["cce_gap"].exact and report["exploitability"].upper == gap.upper / 2


def test_kinds_that_are_exact_anyway_ignore_the_tolerance() -> None:
    pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    play = pennies.profile([0.5, 0.5], [0.75, 0.25])
    assert best_response(pennies, 0, play, certify=1e-3).value == best_response(pennies, 0, play).value == 0.5
    assert nash_conv(pennies, play, certify=1e-3).exact


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(InvalidSettingError, match="expected a tolerance > 0"):
        certified(lambda y: y.sum(-1), Box(-1, 1), tolerance)


def test_the_same_question_has_the_same_answer() -> None:
    f = WAVES["network"]
    first, second = certified(f, Box(-2, 2, dim=2)), certified(f, Box(-2, 2, dim=2))
    assert (first.lower, first.upper, first.evaluations) == (second.lower, second.upper, second.evaluations)
    assert np.array_equal(first.strategy.numpy(), second.strategy.numpy())


def test_weights_are_taken_as_probabilities() -> None:
    """Weights that sum to one up to 1e-7 are divided by their sum, here as elsewhere."""
    game = Game(
        lambda x: torch.stack([(x[0] * x[1])[..., 0], 0 * x[0][..., 0]], -1), [Box(-1, 1), Box(-1, 1)], name="product"
    )
    points = (torch.zeros(1, 1).double(), torch.tensor([[0.5], [-1.0]]).double())
    weights = (torch.ones(1).double(), torch.tensor([0.7, 0.3 + 1e-7], dtype=torch.float64))
    reply = best_response(game, 0, Independent(points, weights), certify=1e-9)
    assert reply.value == pytest.approx((0.35 - 0.3 - 1e-7) / (1 + 1e-7), abs=1e-12)
