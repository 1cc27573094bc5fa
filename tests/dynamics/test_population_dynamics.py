"""Replicator and Smith's dynamic on congestion games: the potential falls, and equilibria are found to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.dynamics import GameOracle, Hedge, Replicator, Smith, run
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.arbitrage import Arbitrage
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box, Simplex
from strategic_envs.testing import check_dynamic

PIGOU = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]), name="pigou")
BRAESS = CongestionGame(
    [1.0],
    [[[0, 1], [2, 3], [0, 4, 3]]],
    costs=PowerCosts.affine([1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0]),
    name="braess",
)
STEEP = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([100.0, 100.0], [0.0, 99.0]), name="steep")
BINS = Arbitrage()


def shares(*values: float) -> list[Tensor]:
    return [torch.tensor(values, dtype=torch.float64)]


def every_other_bin() -> list[Tensor]:
    """Half of the bins are nearly empty."""
    return [(20.0 * (torch.arange(61, dtype=torch.float64) % 2)).softmax(-1)]


def several_populations(seed: int) -> CongestionGame:
    """Six populations with masses from .01 to 100, whose strategies share ten resources of random affine costs."""
    random = torch_stream(seed, "populations")
    use = [torch.rand(4, 10, generator=random, dtype=torch.float64) < 0.4 for _ in range(6)]
    slope, constant = torch.rand(2, 10, generator=random, dtype=torch.float64)
    masses = 10 ** (4 * torch.rand(6, generator=random, dtype=torch.float64) - 2)
    return CongestionGame(masses, [u.double() for u in use], costs=PowerCosts.affine(slope, constant))


def test_with_a_fixed_step_it_keeps_the_contract_too() -> None:
    check_dynamic(Smith(0.05, adaptive=False))


@pytest.mark.parametrize("dynamic", [Smith(), Replicator()], ids=lambda d: d.name)
@pytest.mark.parametrize(
    ("game", "start"),
    [(PIGOU, shares(0.5, 0.5)), (BRAESS, shares(0.4, 0.3, 0.3)), (STEEP, shares(0.9, 0.1)), (BINS, every_other_bin())],
    ids=lambda v: getattr(v, "name", ""),
)
def test_the_potential_falls_to_an_equilibrium_that_is_exact_to_rounding(
    game: CongestionGame, start: list[Tensor], dynamic: Smith | Replicator
) -> None:
    path = run(game, dynamic, start, 150 if game is BINS else 40)
    potential = game.potential(path.points)
    assert float(potential.diff().max()) <= 1e-15 * (1 + float(potential.abs().max()))
    assert float(game.excess(path.final)) <= (1e-6 if dynamic.name == "smith" else 1e-12)


@pytest.mark.parametrize(("game", "start"), [(PIGOU, shares(0.5, 0.5)), (BRAESS, shares(0.4, 0.3, 0.3))])
def test_a_fixed_step_is_left_behind_where_the_last_members_gain_nothing(
    game: CongestionGame, start: list[Tensor]
) -> None:
    """On Pigou `dx/dt = -x^2`: the excess falls like 1 / t^2, and an adaptive step grows as x shrinks."""
    fixed, adaptive = (run(game, Smith(1.0, adaptive=a), start, 60, record=None) for a in (False, True))
    assert float(game.excess(fixed.final)) > 1e-5
    assert float(game.excess(adaptive.final)) < 1e-12


def test_a_fixed_step_ends_in_a_cycle_of_two_points_near_empty_strategies_and_an_adaptive_one_does_not() -> None:
    fixed = run(BINS, Smith(0.02, adaptive=False), every_other_bin(), 200)
    before, here, after = (fixed.points[0][k] for k in (-3, -2, -1))
    assert float((after - before).abs().max()) < 0.1 * float((after - here).abs().max()), "every other point is alike"
    rises = BINS.potential(fixed.points).diff() > 1e-9
    assert 80 < int(rises.sum()) < 120, "the potential rises in every other step"
    assert float(BINS.spread(fixed.final[0])) > 5
    steep = run(STEEP, Smith(0.5, adaptive=False), shares(0.9, 0.1), 100).points[0][:, 0]
    assert float((steep[-1] - steep[-3]).abs()) < 1e-12 < 0.3 < float((steep[-1] - steep[-2]).abs())
    adaptive = run(BINS, Smith(0.02), every_other_bin(), 150, record=None).final
    assert float(BINS.spread(adaptive[0])) < 1e-3


@pytest.mark.parametrize("dynamic", [Smith(), Replicator()], ids=lambda d: d.name)
@pytest.mark.parametrize("seed", range(2))
def test_of_populations_of_any_masses_the_potential_falls_though_only_the_field_is_seen(
    dynamic: Smith | Replicator, seed: int
) -> None:
    game = several_populations(seed)
    start = game.sample(generator=torch_stream(seed, "start"))
    path = run(game, dynamic, start, 60)
    potential = game.potential(path.points)
    assert float(potential.diff().max()) <= 1e-14 * float(potential.max())
    assert float(game.excess(path.final)) < 1e-2 * float(game.excess(start))


def test_smiths_dynamic_finds_what_nobody_plays_and_the_replicator_does_not() -> None:
    assert float(run(PIGOU, Smith(), shares(1.0, 0.0), 50).final[0][1]) > 1 - 1e-9
    rest = run(PIGOU, Replicator(), shares(1.0, 0.0), 50)
    assert rest.final[0].tolist() == [1.0, 0.0] and float(PIGOU.excess(rest.final)) == 1.0


@given(st.integers(0, 2**31))
@settings(max_examples=5)
def test_a_fixed_step_of_smiths_dynamic_equals_its_definition(seed: int) -> None:
    game, eta = several_populations(seed), 0.3
    x = game.sample(generator=torch_stream(seed, "start"))
    ours = Smith(eta, adaptive=False).step(Smith(eta).init(x, GameOracle(game)), GameOracle(game)).x
    for share, payoff, new in zip(x, game.field(x), ours, strict=True):
        expected = share.tolist()
        for p in range(4):
            gains = [max(float(payoff[q] - payoff[p]), 0.0) for q in range(4)]
            if sum(gains) == 0:
                continue
            leaving = float(share[p]) * (1 - np.exp(-eta * sum(gains)))
            for q in range(4):
                expected[q] += leaving * gains[q] / sum(gains)
            expected[p] -= leaving
        np.testing.assert_allclose(new.numpy(), expected, rtol=1e-12, atol=1e-15)


def test_short_steps_follow_smiths_differential_equation() -> None:
    x = BRAESS.profile([0.5, 0.3, 0.2])
    (v,), (share,) = BRAESS.field(x), x
    gains = (v.unsqueeze(0) - v.unsqueeze(1)).clamp(min=0)
    velocity = (share.unsqueeze(1) * gains).sum(0) - share * gains.sum(1)
    moved = Smith(1e-6, adaptive=False).step(Smith(1e-6).init(x, GameOracle(BRAESS)), GameOracle(BRAESS)).x[0] - share
    torch.testing.assert_close(moved / 1e-6, velocity, rtol=1e-5, atol=1e-9)


def test_a_step_of_the_replicator_that_nobody_regrets_is_one_of_hedge() -> None:
    x, oracle = BRAESS.profile([0.5, 0.3, 0.2]), GameOracle(BRAESS)
    ours = Replicator(0.1).step(Replicator(0.1).init(x, oracle), oracle)
    hedge = Hedge(0.1).step(Hedge(0.1).init(x, oracle), oracle)
    torch.testing.assert_close(ours.x.flat(), hedge.x.flat(), rtol=1e-15, atol=0)
    assert float(ours.rates[0]) == 0.2, "the next one is tried twice as long"


def test_rows_of_a_batch_have_step_sizes_of_their_own() -> None:
    starts = STEEP.sample((20,), generator=torch_stream(0, "batch"))
    together = run(STEEP, Smith(), starts, 40)
    assert float(STEEP.excess(together.final).max()) < 1e-6
    alone = run(STEEP, Smith(), Profile(t[7] for t in starts), 40)
    torch.testing.assert_close(together.points[0][:, 7], alone.points[0], rtol=0, atol=1e-12)
    assert together.step_sizes.shape == (41, 20) and int(together.step_sizes[-1].unique().numel()) > 1


def test_in_single_precision_a_step_that_grows_for_ever_stays_finite() -> None:
    end = run(PIGOU, Smith(), [torch.tensor([0.5, 0.5])], 150)
    assert end.outcome == "max_steps" and bool(end.points.isfinite().all()) and float(end.final[0][0]) < 1e-6


def test_payoffs_that_are_not_numbers_end_a_run_and_do_not_hang_it() -> None:
    game = Game(lambda x: x[0].log().sum(-1, keepdim=True) * float("nan"), [Simplex(2)], name="broken")
    assert run(game, Smith(), game.profile([0.5, 0.5]), 5).outcome == "nonfinite"


def test_where_utilities_are_cyclic_play_goes_on_and_stays_in_the_simplex() -> None:
    game = catalogue_game("rock_paper_scissors")
    for dynamic in (Smith(), Replicator()):
        end = run(game, dynamic, game.profile([0.5, 0.3, 0.2], [0.2, 0.2, 0.6]), 40)
        assert end.outcome == "max_steps" and float((end.final[0].sum() - 1).abs()) < 1e-12


@pytest.mark.parametrize("dynamic", [Smith(), Replicator()], ids=lambda d: d.name)
def test_sets_that_are_no_simplices_are_refused(dynamic: Smith | Replicator) -> None:
    game = Game(lambda x: torch.stack([x[0].sum(-1), x[1].sum(-1)], -1), [Simplex(2), Box(0, 1)], name="mixed")
    with pytest.raises(InvalidSettingError, match=rf"{dynamic.name}, on mixed: got Box\(0.0, 1.0\) for player_1"):
        run(game, dynamic, game.profile([0.5, 0.5], [0.5]), 1)
    with pytest.raises(InvalidSettingError, match=f"{dynamic.name}: got step_size=0"):
        type(dynamic)(step_size=0)
