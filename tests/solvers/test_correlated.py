"""Correlated equilibria: known polytopes, certificates of what was selected, and the gaps of the evaluators."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators import cce_gap, ce_gap
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Empirical
from strategic_envs.seeding import numpy_stream
from strategic_envs.solvers.central_path import central_path
from strategic_envs.solvers.correlated import CorrelatedSolution, deviation_gains, solve_cce, solve_ce
from strategic_envs.solvers.zero_sum import solve_zero_sum

PENNIES = np.array([[[1.0, -1.0], [-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]])
CHICKEN = np.array([[[0.0, 7.0], [2.0, 6.0]], [[0.0, 2.0], [7.0, 6.0]]])
DILEMMA = np.array([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]])
ROCK = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
SHAPLEY = np.array([np.eye(3)[[2, 0, 1]], np.eye(3)[[1, 2, 0]]])
SELECTIONS = ("entropy", "welfare", "gini")
SHAPES = st.sampled_from([(2, 2), (3, 3), (2, 4), (2, 2, 2), (3, 2, 3), (4,), (1, 3)])


def random_game(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(shape), *shape))


def entropy(x: np.ndarray) -> float:
    x = x[x > 0]
    return -float((x * np.log(x)).sum())


def array(found: CorrelatedSolution) -> np.ndarray:
    return found.probability.numpy()


@pytest.mark.parametrize("select", SELECTIONS)
@pytest.mark.parametrize("solve", [solve_ce, solve_cce])
def test_games_with_one_equilibrium(solve: object, select: str) -> None:
    assert callable(solve)
    np.testing.assert_allclose(array(solve(PENNIES, select=select)), 0.25, atol=1e-9)
    np.testing.assert_allclose(array(solve(DILEMMA, select=select)), [[0, 0], [0, 1]], atol=1e-9)


@pytest.mark.parametrize("select", SELECTIONS)
def test_rock_paper_scissors_has_one_correlated_equilibrium_and_many_coarse_ones(select: str) -> None:
    game = np.stack([ROCK, -ROCK])
    np.testing.assert_allclose(array(solve_ce(game, select=select)), 1 / 9, atol=1e-9)
    if select != "welfare":
        np.testing.assert_allclose(array(solve_cce(game, select=select)), 1 / 9, atol=1e-8)


def test_chicken_has_the_welfare_and_the_entropy_of_its_polytope() -> None:
    best = solve_ce(CHICKEN, select="welfare")
    np.testing.assert_allclose(array(best), [[0, 0.25], [0.25, 0.5]], atol=1e-9)
    assert sum(best.utilities) == pytest.approx(10.5) and best.utilities[0] == pytest.approx(5.25)
    # Symmetric by convexity: (a, b, b, c) with 2a <= b and c <= 2b... the binding one decides the entropy.
    grid = np.linspace(0, 1, 2001)
    a, b = np.meshgrid(grid, grid / 2)
    c = 1 - a - 2 * b
    # daring when told to swerve gains c - 2b, swerving when told to dare 2a - b
    inside = (c > 0) & (a > 0) & (b > 0) & (c - 2 * b <= 1e-12) & (2 * a - b <= 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.where(inside, -(a * np.log(a) + 2 * b * np.log(b) + c * np.log(c)), -np.inf)
    found = solve_ce(CHICKEN)
    assert h.max() <= entropy(array(found)) + 1e-9 <= h.max() + 1e-4


def test_coordination_and_shapleys_game_are_uniform_where_entropy_or_gini_is_greatest() -> None:
    for game in (np.stack([np.eye(2)] * 2), np.stack([np.eye(3)] * 2), SHAPLEY):
        for solve in (solve_ce, solve_cce):
            for select in ("entropy", "gini"):
                found = solve(game, select=select)
                np.testing.assert_allclose(array(found), 1 / found.probability.numel(), atol=1e-6)
    best = solve_ce(SHAPLEY, select="welfare")
    assert sum(best.utilities) == pytest.approx(1.0)
    np.testing.assert_allclose(np.diag(array(best)), 0, atol=1e-9)


@given(st.integers(0, 2**31), SHAPES, st.booleans(), st.sampled_from(SELECTIONS))
@settings(max_examples=60)
def test_random_games_are_solved_and_the_gaps_are_those_of_the_evaluators(
    seed: int, shape: tuple[int, ...], correlated: bool, select: str
) -> None:
    u = random_game(seed, shape)
    found = (solve_ce if correlated else solve_cce)(u, select=select)
    game, play = NormalFormGame(torch.from_numpy(u)), Empirical.of_joint_actions(found.probability)
    gap = (ce_gap if correlated else cce_gap)(game, play).value
    assert found.solved and found.gap == pytest.approx(gap, abs=1e-12) and gap <= 1e-6
    np.testing.assert_allclose((u * array(found)).sum(tuple(range(1, u.ndim))), found.utilities, atol=1e-12)


@given(st.integers(0, 2**31), SHAPES, st.booleans())
@settings(max_examples=40)
def test_each_selection_is_the_greatest_of_its_kind_and_the_polytopes_are_nested(
    seed: int, shape: tuple[int, ...], correlated: bool
) -> None:
    u = random_game(seed, shape)
    solve = solve_ce if correlated else solve_cce
    found = {select: array(solve(u, select=select)) for select in SELECTIONS}
    g = deviation_gains(u, correlated)
    mixed = np.random.default_rng(seed).dirichlet(np.ones(3)) @ [x.ravel() for x in found.values()]
    assert (g @ mixed).max(initial=0.0) <= 1e-6, "a mixture of equilibria is one"
    for x in [*found.values(), mixed]:
        assert entropy(np.ravel(x)) <= entropy(found["entropy"].ravel()) + 1e-6
        assert (found["gini"] ** 2).sum() <= (np.ravel(x) ** 2).sum() + 1e-6
        assert (u.sum(0).ravel() @ np.ravel(x)) <= u.sum(0).ravel() @ found["welfare"].ravel() + 1e-6
    coarse = solve_cce(u, select="welfare").utilities
    assert sum(coarse) >= sum(solve_ce(u, select="welfare").utilities) - 1e-6, "every CE is a CCE"


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=20)
def test_in_zero_sum_games_coarse_correlated_marginals_are_optimal_and_nash_products_are_equilibria(
    seed: int, m: int, n: int
) -> None:
    a = np.random.default_rng(seed).standard_normal((m, n))
    game, nash = np.stack([a, -a]), solve_zero_sum(a)
    product = np.outer(nash.row.numpy(), nash.column.numpy())
    for correlated in (True, False):
        assert (deviation_gains(game, correlated) @ product.ravel()).max(initial=0.0) <= 1e-9
        found = (solve_ce if correlated else solve_cce)(game)
        x = array(found)
        assert found.utilities[0] == pytest.approx(nash.value, abs=1e-6)
        assert (x.sum(1) @ a).min() >= nash.value - 1e-5 and (a @ x.sum(0)).max() <= nash.value + 1e-5


@given(st.integers(0, 2**31), st.floats(1e-3, 1e6), st.floats(-1e3, 1e3))
@settings(max_examples=15)
def test_a_players_units_do_not_change_what_is_an_equilibrium(seed: int, scale: float, shift: float) -> None:
    u = random_game(seed, (3, 3))
    other = np.stack([scale * u[0] + shift, u[1]])
    for solve in (solve_ce, solve_cce):
        np.testing.assert_allclose(array(solve(other)), array(solve(u)), atol=1e-5)


def test_the_central_path_meets_the_conditions_of_karush_kuhn_and_tucker() -> None:
    draw = np.random.default_rng(0)
    inside = draw.dirichlet(np.ones(12))
    g = draw.standard_normal((4, 12))
    g -= (g @ inside + 0.01)[:, None]  # strictly feasible at `inside`
    for entropic in (True, False):
        x, optimal = central_path(g, np.zeros((0, 12)), entropy=entropic, tolerance=1e-9)
        slope = -np.log(x) - 1 if entropic else -x
        tight, kept = g @ x > -1e-7, x > 1e-7
        columns = np.vstack([g[tight], np.ones(12)]).T[kept]
        prices, *_ = np.linalg.lstsq(columns, slope[kept], rcond=None)
        assert optimal and (g @ x).max() <= 1e-9
        np.testing.assert_allclose(columns @ prices, slope[kept], atol=1e-5)
        assert (prices[:-1] >= -1e-6).all()


def test_what_cannot_be_solved_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategic_envs.solvers import correlated

    monkeypatch.setattr(correlated, "central_path", lambda g, e, **_: (np.full(g.shape[1], 1 / g.shape[1]), False))
    found = solve_ce(CHICKEN)  # an equilibrium, and not the one that was asked for
    assert not found.solved and not found.optimal and found.gap <= 1e-9
    monkeypatch.setattr(correlated, "linprog", lambda *_, **__: types.SimpleNamespace(x=None))
    found = solve_ce(CHICKEN)
    assert not found.solved and not found.optimal and found.gap == pytest.approx(0.25)


def test_actions_that_are_nearly_alike_leave_an_equilibrium() -> None:
    # A random game in which player 0 has copies of its actions that differ by 1e-3 to 1e-12: the polytope is very thin.
    stream = numpy_stream(0, "alike")
    base = stream.uniform(-1, 1, (3, 2, 2, 2))
    payoffs = np.concatenate([base + 10.0 ** (-3 * k) * stream.uniform(-1, 1, base.shape) for k in range(1, 5)], 1)
    for select in ("entropy", "gini"):
        found = solve_cce(payoffs, select=select)
        assert found.gap <= 1e-6, select
        assert (
            cce_gap(NormalFormGame(torch.tensor(payoffs)), Empirical.of_joint_actions(found.probability)).value <= 1e-6
        )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([[[1.0, 2.0], [3.0]]], "rectangular"),
        (np.zeros((2, 2)), r"shape \(2, 2\), expected \(n, A_0"),
        (np.zeros((2, 0, 2)), r"shape \(2, 0, 2\)"),
        (np.full((1, 3), math.nan), r"the payoff at \(0, 0\) is nan"),
        (np.zeros((2, 200, 200)), "too many for a dense program"),
    ],
)
def test_payoffs_that_are_none_are_refused(payoffs: object, message: str) -> None:
    with pytest.raises(InvalidGameError, match="correlated equilibrium: .*" + message):
        solve_ce(payoffs)  # pyright: ignore[reportArgumentType]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'entropy'"):
        solve_cce(PENNIES, select="entropie")
    with pytest.raises(InvalidSettingError, match="got tolerance=-1"):
        solve_ce(PENNIES, tolerance=-1.0)
