"""Regret matching+ as a dynamic: its definition, its regret bound, and what its average reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.agents.dynamics import RegretMatchingPlus, run
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators import cce_gap, nash_conv
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Simplex
from strategic_envs.testing import check_dynamic


def uniform(game: Game) -> Profile:
    return Profile(torch.full((d,), 1 / d, dtype=torch.float64) for d in game.dims)


@pytest.mark.parametrize("alternating", [True, False])
@pytest.mark.parametrize("averaging", ["linear", "uniform", "none"])
def test_every_form_keeps_the_contract(alternating: bool, averaging: str) -> None:
    check_dynamic(RegretMatchingPlus(alternating, averaging))


@given(st.integers(0, 2**31), st.booleans(), st.sampled_from(["linear", "uniform", "none"]))
@settings(max_examples=20)
def test_the_update_equals_its_definition_in_numpy(seed: int, alternating: bool, averaging: str) -> None:
    draw = np.random.default_rng(seed)
    a, steps = draw.standard_normal((2, 3, 4)), 7
    game = NormalFormGame(torch.from_numpy(a))
    start = [draw.dirichlet(np.ones(k)) for k in (3, 4)]
    path = run(game, RegretMatchingPlus(alternating, averaging), game.profile(*(p.tolist() for p in start)), steps)
    x, regrets, sums, total = list(start), list(start), [np.zeros(3), np.zeros(4)], 0.0
    for t in range(1, steps + 1):
        before = list(x)
        for i in range(2):
            other = (x if alternating else before)[1 - i]
            v = a[0] @ other if i == 0 else other @ a[1]
            regrets[i] = np.maximum(regrets[i] + v - x[i] @ v, 0)
            x[i] = regrets[i] / regrets[i].sum() if regrets[i].sum() > 0 else np.full(len(x[i]), 1 / len(x[i]))
        weight = {"linear": t, "uniform": 1, "none": 0}[averaging]
        sums, total = [s + weight * y for s, y in zip(sums, x, strict=True)], total + weight
        expected = x if averaging == "none" else [s / total for s in sums]
        for tensor, array in zip(path.points, expected, strict=True):
            np.testing.assert_allclose(tensor[t].numpy(), array, atol=1e-12)


@given(st.integers(0, 2**31), st.lists(st.integers(2, 5), min_size=2, max_size=3), st.integers(5, 60))
@settings(max_examples=15)
def test_nobodys_mean_regret_exceeds_r_sqrt_n_over_t(seed: int, actions: list[int], horizon: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    payoffs = 3 * torch.rand((len(actions), *actions), generator=stream, dtype=torch.float64)  # of range r = 3
    game = NormalFormGame(payoffs)
    end = run(game, RegretMatchingPlus(False, "none"), uniform(game), horizon, accumulate=True)
    start = 1.0  # what the start counts for
    bound = np.sqrt(start**2 + 9 * max(actions) * horizon) / horizon
    assert max(end.local_cce_gap().per_player) <= bound + 1e-12


def test_on_random_matrices_the_linear_average_is_far_nearer_than_the_plain_one_and_the_last_iterate() -> None:
    matrix = np.random.default_rng(0).uniform(-1, 1, (20, 20))
    game = NormalFormGame.zero_sum(matrix.tolist())
    gap = {
        averaging: nash_conv(
            game, run(game, RegretMatchingPlus(True, averaging), uniform(game), 500, record=None).final
        )
        for averaging in ("linear", "uniform", "none")
    }
    assert 4 * gap["linear"].value < gap["uniform"].value < gap["none"].value / 4


def test_in_the_prisoners_dilemma_defection_is_played_after_one_step_and_chicken_gets_a_cce() -> None:
    dilemma, chicken = catalogue_game("prisoners_dilemma"), catalogue_game("chicken")
    end = run(dilemma, RegretMatchingPlus(averaging="none"), uniform(dilemma), 3)
    assert float(end.final[0][1]) == 1.0 == float(end.final[1][1])
    play = run(chicken, RegretMatchingPlus(averaging="none"), chicken.profile([0.9, 0.1], [0.6, 0.4]), 400).empirical()
    assert cce_gap(chicken, play).value < 0.02


def test_batches_and_the_compiled_step_give_the_same() -> None:
    game = catalogue_game("rock_paper_scissors")
    starts = game.sample((5,), generator=torch.Generator().manual_seed(0))
    plain = run(game, RegretMatchingPlus(), starts, 60, record=None).final.flat()
    compiled = run(game, RegretMatchingPlus(), starts, 60, record=None, compile=True).final.flat()
    torch.testing.assert_close(plain, compiled, rtol=0, atol=1e-12)


def test_what_it_refuses() -> None:
    with pytest.raises(InvalidSettingError, match="got averaging='cubic', expected one of 'linear', 'uniform', 'none'"):
        RegretMatchingPlus(averaging="cubic")
    game = Game(lambda x: torch.stack([x[0].sum(-1), x[1].sum(-1)], -1), [Simplex(2), Box(0, 1)], name="mixed")
    with pytest.raises(InvalidSettingError, match=r"on mixed: got Box\(0.0, 1.0\) for player_1, expected a Simplex"):
        run(game, RegretMatchingPlus(), game.profile([0.5, 0.5], [0.5]), 1)
