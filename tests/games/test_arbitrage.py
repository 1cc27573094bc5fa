"""The arbitrage equilibrium: a Wardrop equilibrium of bins, lognormal, and reached by every rule that looks for it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.dynamics import Hedge, Replicator, Smith, run
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.arbitrage import Arbitrage
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.congestion import LogCosts
from strategic_envs.profile import Profile

EVEN = torch.full((61,), 1 / 61, dtype=torch.float64)
GAME = Arbitrage()


@pytest.mark.parametrize(
    ("binning", "crowding", "mean", "variance"),
    [("log", 1.0, -4.0, 1.0), ("linear", 1.0, -3.0, 1.0), ("log", 0.5, -4.0, 0.5), ("linear", 0.5, -3.5, 0.5)],
)
def test_ln_w_is_gaussian_with_the_mean_and_variance_of_its_binning(
    binning: str, crowding: float, mean: float, variance: float
) -> None:
    game = Arbitrage(20_001, binning=binning, crowding=crowding, reach=6.0)
    assert (game.known().values["mu"], game.known().values["sigma2"]) == pytest.approx((mean, variance), rel=1e-12)
    found, deviation = game.moments(game.equilibrium)
    assert float(found) == pytest.approx(mean, abs=2e-5) and float(deviation) ** 2 == pytest.approx(variance, abs=1e-4)


@given(st.floats(-8, 3), st.floats(0.1, 3), st.floats(0.2, 4), st.sampled_from(["log", "linear"]))
@settings(max_examples=8)
def test_all_bins_are_worth_the_same_at_the_equilibrium(
    alpha: float, beta: float, crowding: float, binning: str
) -> None:
    game = Arbitrage(31, alpha, beta, binning=binning, crowding=crowding)
    values, scale = game.known().values, 1 + float(game.worth.abs().max())
    assert float(game.spread(game.equilibrium)) <= 1e-13 * scale
    assert float(game.utilities_of_bins(game.equilibrium)[0]) == pytest.approx(values["utility"], abs=1e-12 * scale)
    assert float(game.potential((game.equilibrium,))) == pytest.approx(values["potential"], abs=1e-12 * scale)
    assert float(game.excess((game.equilibrium,))) <= 1e-13 * scale


@given(st.integers(0, 2**31), st.floats(0.2, 4))
@settings(max_examples=5)
def test_what_the_mean_member_lacks_is_the_divergence_and_the_potential_is_minus_phi(
    seed: int, crowding: float
) -> None:
    game = Arbitrage(crowding=crowding)
    (x,) = game.sample((5,), generator=torch.Generator().manual_seed(seed))
    lacking = game.known().values["utility"] - (x * game.utilities_of_bins(x)).sum(-1)
    torch.testing.assert_close(lacking, crowding * game.divergence(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(game.phi(x), -game.potential((x,)) - crowding, rtol=1e-12, atol=1e-12)
    above = game.potential((x,)) - game.known().values["potential"]
    torch.testing.assert_close(above, crowding * game.divergence(x), rtol=1e-10, atol=1e-12)
    assert bool((above <= game.excess((x,))).all()), "the excess is a certificate"


def test_smiths_dynamic_levels_the_bins_and_the_potential_falls_all_the_way() -> None:
    path = run(GAME, Smith(), [EVEN], 450, record=range(0, 451, 3))
    assert float(GAME.spread(EVEN)) == pytest.approx(12.5, abs=1e-12)
    (x,) = path.final
    assert float(GAME.spread(x)) <= 1e-12
    mean, deviation = GAME.moments(x)
    assert float(mean) == pytest.approx(-4, abs=1e-12) and float(deviation) == pytest.approx(0.999995, abs=5e-7)
    assert float(GAME.phi(path.points[0]).diff().min()) >= -1e-14


def test_a_step_of_exponentiated_gradient_of_length_one_over_crowding_is_the_equilibrium() -> None:
    game = Arbitrage(crowding=2.0)
    after = run(game, Hedge(0.5), [EVEN], 1).final[0]
    torch.testing.assert_close(after, game.equilibrium, rtol=1e-13, atol=0)
    replicator = run(game, Replicator(0.1), [EVEN], 40).final[0]
    torch.testing.assert_close(replicator, game.equilibrium, rtol=1e-12, atol=0)


def test_the_solver_of_wardrop_equilibria_finds_it() -> None:
    for options in ({"bins": 21}, {"bins": 21, "binning": "linear", "crowding": 0.3, "alpha": 2.0}):
        game = catalogue_game("arbitrage", **options)
        flow = game.wardrop()
        assert flow.outcome == "converged" and flow.relative_gap is None
        torch.testing.assert_close(flow.flows[0], game.equilibrium, rtol=1e-9, atol=1e-12)


def test_a_batch_of_starts_ends_at_the_one_equilibrium() -> None:
    (starts,) = GAME.sample((4,), generator=torch.Generator().manual_seed(0))
    ends = run(GAME, Smith(), Profile([starts]), 60, record=None).final[0]
    assert float(GAME.divergence(ends).max()) < 1e-3 < float(GAME.divergence(starts).min())


def test_an_empty_bin_is_worth_everything_so_dynamics_must_start_inside() -> None:
    corner = torch.zeros(61, dtype=torch.float64)
    corner[0] = 1
    assert float(GAME.utilities_of_bins(corner)[1]) == math.inf
    assert run(GAME, Smith(), [corner], 5).outcome == "nonfinite"


def test_log_costs_have_a_weight() -> None:
    load = torch.linspace(0.1, 3, 7, dtype=torch.float64).unsqueeze(-1)
    costs = LogCosts([0.7], 2.0)
    torch.testing.assert_close(costs.value(load), 2 * load.log() + 0.7)
    _assert_derivative(costs.integral, costs.value, load)
    _assert_derivative(costs.value, costs.derivative, load)
    _assert_derivative(costs.derivative, costs.second, load)
    torch.testing.assert_close(costs.marginal().integral(load), load * costs.value(load))
    with pytest.raises(InvalidGameError, match="log costs: got weight=0, expected a finite number above 0"):
        LogCosts([0.0], 0)


def _assert_derivative(f: object, slope: object, at: Tensor) -> None:
    h = 1e-6
    torch.testing.assert_close((f(at + h) - f(at - h)) / (2 * h), slope(at), rtol=1e-7, atol=1e-7)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 1}, "got bins=1, expected a whole number from 2"),
        ({"beta": 0.0}, "got beta=0.0, expected a finite number above 0"),
        ({"crowding": -1.0}, "got crowding=-1.0, expected"),
        ({"reach": math.inf}, "got reach=inf, expected"),
        ({"alpha": math.nan}, "got alpha=nan, expected a finite number"),
        ({"binning": "both"}, "got binning='both', expected 'log'"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:  # pyright: ignore[reportMissingTypeArgument]
    with pytest.raises(InvalidGameError, match=f"arbitrage: {message}"):
        catalogue_game("arbitrage", **options)
