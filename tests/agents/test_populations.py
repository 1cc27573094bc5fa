"""Better-responding agents and noisy weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from strategic_envs.agents.populations import AdditiveNoise, MultiplicativeNoise, settle
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.arbitrage import Arbitrage
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.seeding import torch_stream

LINES = CongestionGame(
    [2.0], [[[0], [1], [2]]], costs=PowerCosts.affine([1.0, 2.0, 0.5], [0.0, 0.3, 1.0]), name="lines"
)


def test_twenty_thousand_agents_settle_on_a_lognormal() -> None:
    game = Arbitrage()
    found = settle(game)
    mean, deviation = game.moments(found.shares)
    assert found.outcome == "converged" and int(found.counts.sum()) == 20_000
    assert float(mean) == pytest.approx(-4.0, abs=5e-4) and float(deviation) == pytest.approx(0.997, abs=1e-3)
    assert float(game.divergence(found.shares)) == pytest.approx(2e-4, abs=5e-5)
    assert float(found.potentials.diff().max()) <= 0 and found.moves > 10_000


@pytest.mark.parametrize("agents", [1, 4, 7])
@pytest.mark.parametrize("seed", range(3))
def test_the_end_is_a_pure_equilibrium_by_the_definition(agents: int, seed: int) -> None:
    found = settle(LINES, agents, seed=seed)
    assert found.outcome == "converged"
    counts = found.counts.tolist()

    def cost(k: int, n: int) -> float:
        return float(LINES.costs.value(torch.full((3,), 2.0 * n / agents, dtype=torch.float64))[k])

    for old, new in itertools.permutations(range(3), 2):
        assert counts[old] == 0 or cost(old, counts[old]) <= cost(new, counts[new] + 1)
    rosenthal = sum(cost(k, n) for k in range(3) for n in range(1, counts[k] + 1)) / agents
    assert float(found.potentials[-1]) == pytest.approx(rosenthal, rel=1e-12)


def test_the_seed_decides_and_the_start_may_be_given() -> None:
    one, same, other = settle(LINES, 50, seed=1), settle(LINES, 50, seed=1), settle(LINES, 50, seed=2)
    assert one.moves == same.moves and one.counts.equal(same.counts) and one.potentials.equal(same.potentials)
    assert one.moves != other.moves
    rest = settle(LINES, 50, start=one.counts)
    assert rest.moves == 0 and rest.counts.equal(one.counts) and len(rest.potentials) == 1
    cut = settle(LINES, 50, start=torch.tensor([50, 0, 0]), sweeps=0)
    assert cut.outcome == "max_steps" and cut.counts.tolist() == [50, 0, 0]


def test_what_agents_cannot_play_is_refused() -> None:
    shared = CongestionGame([1.0], [[[0], [0, 1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.0]), name="shared")
    with pytest.raises(InvalidGameError, match="shared: got 1 populations over 2 strategies and 2 resources, expected"):
        settle(shared)
    two = CongestionGame([1.0, 1.0], [[[0]], [[1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.0]), name="two")
    with pytest.raises(InvalidGameError, match="two: got 2 populations"):
        settle(two)
    with pytest.raises(InvalidSettingError, match="got agents=0 and sweeps=5"):
        settle(LINES, 0, sweeps=5)
    with pytest.raises(InvalidSettingError, match="got a start of shape .2,. that sums to 5, expected 3 whole numbers"):
        settle(LINES, 5, start=torch.tensor([2, 3]))
    with pytest.raises(InvalidSettingError, match="take fewer agents"):
        settle(LINES, 2**26)


def test_multiplicative_noise_ends_lognormal_and_additive_noise_gaussian() -> None:
    random = torch_stream(0, "noise")
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(20_000)
    w = MultiplicativeNoise(alpha=-3.0, beta=0.75, crowding=1.5).advance(0.1 * signs, 20.0, random)
    assert w.sign().equal(signs)
    size = w.abs().log()
    assert float(size.mean()) == pytest.approx(-2.0, abs=0.02) and float(size.std()) == pytest.approx(1.0, abs=0.02)
    v = AdditiveNoise(decay=2.0, temperature=0.5).advance(torch.ones(40_000, dtype=torch.float64), 10.0, random)
    assert float(v.mean()) == pytest.approx(0.0, abs=0.01) and float(v.std()) == pytest.approx(0.5, abs=0.01)
    assert float(((v - v.mean()) ** 4).mean() / v.var() ** 2) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("law", [MultiplicativeNoise(-4.0, 0.5), AdditiveNoise(1.0, 0.3)])
def test_many_short_steps_have_the_law_of_one_long_step(law: MultiplicativeNoise | AdditiveNoise) -> None:
    start, random = torch.full((50_000,), 2.0, dtype=torch.float64), torch_stream(1, "noise")
    long = short = start
    long = law.advance(long, 0.5, random)
    for _ in range(20):
        short = law.advance(short, 0.025, random)
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(short, q) == pytest.approx(np.quantile(long, q), rel=0.04, abs=0.02)


def test_noise_refuses_what_would_never_move() -> None:
    random = torch_stream(0, "noise")
    with pytest.raises(InvalidSettingError, match="got a weight of 0, expected none"):
        MultiplicativeNoise().advance(torch.zeros(2), 1.0, random)
    with pytest.raises(InvalidSettingError, match="advance: got time=0"):
        AdditiveNoise().advance(torch.ones(2), 0, random)
    with pytest.raises(InvalidSettingError, match="MultiplicativeNoise: got beta=0"):
        MultiplicativeNoise(beta=0)
    with pytest.raises(InvalidSettingError, match="AdditiveNoise: got temperature=inf"):
        AdditiveNoise(temperature=math.inf)
