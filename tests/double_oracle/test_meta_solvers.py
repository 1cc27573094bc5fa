"""Meta-solvers: what they agree on, what each one is by its slow definition, and what they refuse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.agents.double_oracle.policy_space.meta import MetaSolution, meta_solver, meta_solvers
from strategic_envs.agents.double_oracle.policy_space.meta.alpha_rank import fixation
from strategic_envs.agents.double_oracle.policy_space.meta.projected_replicator import _project
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.sets import Simplex

RPS = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64)
ZERO_SUM = torch.stack([RPS, -RPS])
NAMES = ("alpha_rank", "cce", "ce", "nash", "projected_replicator", "uniform")
LARGE = dict(deadline=None, max_examples=15)


def random_game(seed: int, *sizes: int) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(len(sizes), *sizes, generator=stream, dtype=torch.float64) - 1


def test_all_six_are_discovered() -> None:
    assert set(NAMES) <= set(meta_solvers())
    assert all(solver.summary for solver in meta_solvers().values())


@pytest.mark.parametrize("name", sorted(set(meta_solvers())))
def test_rock_paper_scissors_is_played_uniformly_by_every_meta_solver(name: str) -> None:
    found = meta_solver(name)(ZERO_SUM)
    assert found.solved and found.name == name
    for weights in found.marginals:
        torch.testing.assert_close(weights, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(meta_solvers())))
def test_one_policy_each_is_played_for_certain(name: str) -> None:
    found = meta_solver(name)(torch.tensor([[[0.3]], [[-0.3]]], dtype=torch.float64))
    assert found.solved and [w.tolist() for w in found.marginals] == [[1.0], [1.0]]


@pytest.mark.parametrize("name", sorted(set(meta_solvers()) - {"nash"}))
def test_marginals_are_distributions_and_agree_with_the_joint_one_for_three_players(name: str) -> None:
    found = meta_solver(name)(random_game(1, 3, 2, 4))
    joint = found.distribution()
    assert joint.shape == (3, 2, 4) and abs(float(joint.sum()) - 1) < 1e-12 and bool((joint >= 0).all())
    for i, weights in enumerate(found.marginals):
        torch.testing.assert_close(joint.movedim(i, 0).flatten(1).sum(-1), weights, rtol=0, atol=1e-12)
        others = found.others(i)
        torch.testing.assert_close(others, joint.sum(i), rtol=0, atol=1e-12)


@settings(**LARGE)
@given(st.integers(0, 10**6))
def test_nash_leaves_nobody_a_gain_in_constant_sum_games(seed: int) -> None:
    a = random_game(seed, 5, 7)[0]
    found = meta_solver("nash")(torch.stack([a + 3, 2 - a]))
    row, column = found.marginals
    assert found.solved and float((a @ column).max() - (row @ a).min()) <= 1e-9


# Projected replicator dynamics


def slow_replicator(payoffs: np.ndarray, dt: float, gamma: float, iterations: int) -> list[np.ndarray]:
    n, letters = len(payoffs), "abc"[: len(payoffs)]
    x = [np.full(k, 1 / k) for k in payoffs.shape[1:]]
    path = [x]
    for _ in range(iterations):
        paid = [
            np.einsum(f"{letters},{','.join(letters[:i] + letters[i + 1 :])}->{letters[i]}", u, *x[:i], *x[i + 1 :])
            for i, u in enumerate(payoffs)
        ]
        x = [y + dt * y * (v - y @ v) for y, v in zip(x, paid, strict=True)]
        for y in x:
            _project(y, gamma)
        path.append(x)
    return [np.mean([point[i] for point in path], axis=0) for i in range(n)]


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
def test_projected_replicator_is_the_mean_path_of_its_definition(sizes: tuple[int, ...]) -> None:
    game = random_game(2, *sizes)
    found = meta_solver("projected_replicator", dt=0.02, gamma=0.03, iterations=500)(game)
    for got, expected in zip(found.marginals, slow_replicator(game.numpy(), 0.02, 0.03, 500), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-12)
        assert float(got.min()) >= 0.03 - 1e-12


def test_projected_replicator_agrees_with_openspiel() -> None:
    # projected_replicator_dynamics([A, -A], prd_iterations=1000, prd_dt=1e-2, prd_gamma=1e-3) of OpenSpiel 2.0.2
    a = torch.tensor([[0.0, 2.0, -1.0], [-1.0, 0.5, 1.0]], dtype=torch.float64)
    found = meta_solver("projected_replicator", dt=1e-2, gamma=1e-3, iterations=1000)(torch.stack([a, -a]))
    expected = (
        [0.6586258560925342, 0.3413741439074652],
        [0.644191425053741, 0.02661610078272593, 0.32919247416353387],
    )
    for got, known in zip(found.marginals, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), known, rtol=0, atol=1e-9)


@settings(**LARGE)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8))
def test_the_projection_without_a_floor_is_the_simplexs_own(values: list[float]) -> None:
    x = np.array(values)
    expected = Simplex(len(values)).project(torch.tensor(values, dtype=torch.float64))
    _project(x, 0.0)
    np.testing.assert_allclose(x, expected.numpy(), rtol=0, atol=1e-12)


def test_the_mean_path_comes_near_to_an_equilibrium_of_a_zero_sum_game() -> None:
    a = random_game(3, 4, 4)[0]
    row, column = meta_solver("projected_replicator", dt=0.01)(torch.stack([a, -a])).marginals
    assert float((a @ column).max() - (row @ a).min()) < 0.05


# Alpha-rank


def slow_chain(payoffs: torch.Tensor, alpha: float, m: int) -> np.ndarray:
    """The transition matrix by its definition, one joint choice after the other."""
    sizes = payoffs.shape[1:]
    cells = list(itertools.product(*map(range, sizes)))
    eta = 1 / sum(k - 1 for k in sizes)
    chain = np.zeros((len(cells), len(cells)))
    for row, cell in enumerate(cells):
        for i, k in enumerate(sizes):
            for b in range(k):
                if b == cell[i]:
                    continue
                other = (*cell[:i], b, *cell[i + 1 :])
                gain = float(payoffs[i][other] - payoffs[i][cell])
                rho = 1 / m if gain == 0 else (1 - math.exp(-alpha * gain)) / (1 - math.exp(-m * alpha * gain))
                chain[row, cells.index(other)] = eta * rho
        chain[row, row] = 1 - chain[row].sum()
    return chain


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
def test_alpha_rank_is_the_stationary_distribution_of_its_chain(sizes: tuple[int, ...]) -> None:
    game = random_game(4, *sizes)
    pi = meta_solver("alpha_rank", alpha=0.2, m=10)(game).distribution().flatten().numpy()
    np.testing.assert_allclose(pi @ slow_chain(game, 0.2, 10), pi, rtol=0, atol=1e-14)
    assert abs(pi.sum() - 1) < 1e-12


def test_alpha_rank_of_one_population_agrees_with_openspiel() -> None:
    # alpharank.compute([S], m=20, alpha=0.5) of OpenSpiel 2.0.2
    s = torch.tensor([[0.0, 0.5, -0.2], [0.1, 0.3, 0.4], [-0.3, 0.2, 0.1]], dtype=torch.float64)
    found = meta_solver("alpha_rank", alpha=0.5, m=20, single=True)(torch.stack([s, s.T]))
    expected = [0.7796978561300695, 0.08826893919672067, 0.13203320467320975]
    np.testing.assert_allclose(found.marginals[0].numpy(), expected, rtol=0, atol=1e-9)
    assert torch.equal(found.marginals[0], found.marginals[1])


@settings(**LARGE)
@given(st.floats(1e-3, 3.0), st.floats(0.01, 2.0), st.integers(2, 60))
def test_fixation_of_a_loss_and_of_a_gain_differ_by_the_known_factor(gain: float, alpha: float, m: int) -> None:
    up, down = fixation(np.array([gain, -gain]), alpha, m)
    assert down == pytest.approx(up * math.exp(-(m - 1) * alpha * gain), rel=1e-9, abs=1e-300)
    assert up == pytest.approx((1 - math.exp(-alpha * gain)) / (1 - math.exp(-m * alpha * gain)), rel=1e-9)


def test_no_exponential_of_alpha_rank_overflows_and_strict_dominance_decides() -> None:
    dilemma = torch.tensor([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]], dtype=torch.float64)
    for scale, alpha in ((1.0, 1e6), (1e8, 100.0), (1.0, 5.0)):
        found = meta_solver("alpha_rank", alpha=alpha)(scale * dilemma)
        assert found.solved
        torch.testing.assert_close(
            found.distribution(), torch.tensor([[0.0, 0.0], [0.0, 1.0]]).double(), rtol=0, atol=1e-9
        )


def test_renaming_policies_renames_the_answer_of_alpha_rank() -> None:
    game, order = random_game(5, 3, 4), [2, 0, 1]
    plain, renamed = meta_solver("alpha_rank")(game), meta_solver("alpha_rank")(game[:, order])
    torch.testing.assert_close(renamed.distribution(), plain.distribution()[order], rtol=0, atol=1e-9)


def test_alpha_rank_says_for_how_many_joint_choices_it_is_too_slow_and_what_is_not_symmetric() -> None:
    with pytest.raises(InvalidGameError, match="got 6400 joint choices.*at most 4096.*use nash"):
        meta_solver("alpha_rank")(torch.zeros(2, 80, 80, dtype=torch.float64))
    with pytest.raises(InvalidGameError, match="single=True.*transposed"):
        meta_solver("alpha_rank", single=True)(random_game(6, 3, 3))


# Correlated equilibria


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
@pytest.mark.parametrize("select", ["entropy", "welfare", "gini"])
@pytest.mark.parametrize("name", ["cce", "ce"])
def test_nobody_gains_by_a_deviation_from_a_correlated_equilibrium(
    name: str, select: str, sizes: tuple[int, ...]
) -> None:
    game = random_game(7, *sizes)
    found = meta_solver(name, select=select)(game)
    joint = found.distribution()
    assert found.solved and found.joint is not None
    for i, k in enumerate(sizes):
        paid, drawn = game[i].movedim(i, 0).reshape(k, -1), joint.movedim(i, 0).reshape(k, -1)
        table = drawn @ paid.T  # drawn a, played b
        best = table.max(1).values.sum() if name == "ce" else table.sum(0).max()
        assert float(best - table.trace()) <= 1e-7


# Bad input


@pytest.mark.parametrize("name", sorted(set(meta_solvers())))
def test_an_empty_population_a_missing_cell_and_a_wrong_shape_are_refused(name: str) -> None:
    solver = meta_solver(name)
    with pytest.raises(InvalidGameError, match="player_1: got an empty population"):
        solver(torch.zeros(2, 3, 0, dtype=torch.float64))
    holed = ZERO_SUM.clone()
    holed[1, 0, 2] = math.nan
    with pytest.raises(InvalidGameError, match=r"player_1: got the payoff nan for the policies \[0, 2\]"):
        solver(holed)
    with pytest.raises(InvalidGameError, match="one axis a population"):
        solver(torch.zeros(2, 3, dtype=torch.float64))


def test_nash_refuses_other_games_by_name_and_says_what_would_do() -> None:
    with pytest.raises(InvalidGameError, match="got 3 players.*use uniform, projected_replicator, alpha_rank or cce"):
        meta_solver("nash")(random_game(8, 2, 2, 2))
    general = random_game(9, 2, 2)
    with pytest.raises(InvalidGameError, match="sum varies by.*use cce"):
        meta_solver("nash")(general)
    assert isinstance(meta_solver("nash", slack=10.0)(general), MetaSolution)


def test_settings_that_make_no_sense_are_refused() -> None:
    for name, bad in (
        ("projected_replicator", {"dt": 0.0}),
        ("projected_replicator", {"gamma": -1.0}),
        ("alpha_rank", {"alpha": math.inf}),
        ("alpha_rank", {"m": 1}),
        ("uniform", {"alpha": 1.0}),
    ):
        with pytest.raises(InvalidSettingError, match=name):
            meta_solver(name, **bad)
    with pytest.raises(UnknownNameError, match="did you mean 'alpha_rank'"):
        meta_solver("alpharank")
    with pytest.raises(InvalidGameError, match="gamma=0.4 for a population of 3"):
        meta_solver("projected_replicator", gamma=0.4)(ZERO_SUM)
