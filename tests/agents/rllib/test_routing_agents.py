"""Agents on networks: selfish ones come to the Wardrop equilibrium, cooperative ones to the optimum."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ray.rllib")

from strategic_envs import game
from strategic_envs.agents.rllib import DGNOptConfig
from strategic_envs.agents.rllib.sharing import sharing
from strategic_envs.agents.roster import Job, agent
from strategic_envs.errors import InvalidGameError

SIX = {"network": "braess_six"}


def trained(name: str, env: dict[str, Any], iterations: int, **settings: Any) -> dict[str, Any]:
    every = {"evaluate_every": iterations} if "evaluate_every" in agent(name).preset("routing_v0") else {}
    job = Job("routing_v0", env=env, agent={**every, **settings}, iterations=iterations)
    agent(name).check(job)
    return agent(name).train(job, lambda row: None).final


def test_everybody_is_paid_the_marginal_cost_where_welfare_counts() -> None:
    six = game("braess_six")
    shared = sharing(six)
    best = six.profile_of(six.system_optimum())
    assert float(shared.excess(best)) == pytest.approx(0, abs=1e-6)
    gradient = six.welfare_gradient(best)[0]
    assert gradient.tolist() == pytest.approx((6 * shared.field(best)[0]).tolist())
    assert sharing(game("matching_pennies")).payoffs[0].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("name", ["double_oracle", "psro"])
def test_populations_of_travellers_have_no_meta_game(name: str) -> None:
    with pytest.raises(InvalidGameError, match=r"players='atomic'"):
        agent(name).check(Job("routing_v0"))
    agent(name).check(Job("routing_v0", env={"players": "atomic"}))


def test_dqn_learns_values_of_atomic_players_only() -> None:
    with pytest.raises(InvalidGameError, match="finitely many actions"):
        agent("dqn").check(Job("routing_v0"))
    agent("dqn").check(Job("routing_v0", env={"players": "atomic"}))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_session")
def test_selfish_travellers_come_to_552_and_cooperative_ones_to_498() -> None:
    steps = {"steps_per_iteration": 20, "step_size": 0.005}
    for name in ("independent_gd", "extragradient"):
        row = trained(name, SIX, 10, **steps)
        assert row["wardrop_excess"] < 1e-6 and row["relative_gap"] < 1e-8
        assert row["total_cost"] == pytest.approx(552, abs=1e-3)
        assert row["exploitability"] == pytest.approx(row["wardrop_excess"] / 6, abs=1e-9)
    assert trained("cooperative_gradient", SIX, 10, **steps)["total_cost"] == pytest.approx(498, abs=1e-3)
    config = DGNOptConfig().environment("routing_v0", env_config=SIX)
    algorithm = config.training(objective="welfare", steps_per_iteration=50, lr=0.01).build_algo()
    try:
        for _ in range(4):
            algorithm.train()
        assert algorithm.evaluate()["total_cost"] == pytest.approx(498, abs=1)
    finally:
        algorithm.stop()


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_session")
def test_atomic_travellers_are_trained_by_everybody() -> None:
    env = {"players": "atomic"}
    assert trained("double_oracle", env, 10)["cce_gap"] == pytest.approx(0, abs=1e-9)
    assert trained("independent_gd", env, 20, step_size=2.0)["exploitability"] < 0.1
    small = {"envs": 4, "batch": 64, "num_epochs": 2, "hidden": (8,)}
    for options in (env, {}):
        row = trained("ppo", options, 2, **small)
        assert 1.4 < row["total_cost"] <= 2
