"""PSRO with runners in other processes: they are told whom they meet, and share the games of every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from strategic_envs.agents.double_oracle.policy_space.machine import same_policy
from strategic_envs.agents.rllib import DoubleOracle, DoubleOracleConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

SETTINGS: dict[str, Any] = {
    "payoffs": "sampled",
    "games_per_cell": 200,
    "games_per_sample": 128,
    "oracle_steps": 10,
    "tremble": 0.2,
    "hidden": (8,),
}


def algorithm(runners: int) -> DoubleOracle:
    config = DoubleOracleConfig().environment("tic_tac_toe_v0").training(**SETTINGS)
    return config.env_runners(num_env_runners=runners).build_algo()


def test_remote_runners_fill_the_table_and_play_against_the_mixture(tmp_path: Path) -> None:
    run = algorithm(2)
    try:
        row = [run.train() for _ in range(3)][-1]
        table = run.psro.table
        assert bool((table.count == 200).all()) and bool((table.standard_error > 0).all())
        for cell in ((0, 0), (2, 1)):  # the means are those of the policies, and not of others
            exact = run.task.payoffs(run.task.cell(cell))
            error = (table.mean[(slice(None), *cell)] - exact).abs() / table.standard_error[(slice(None), *cell)]
            assert float(error.max()) < 4.5
        assert row["env_steps"] > 3 * 200 and row["population_0"] == 3
        run.save_to_path(tmp_path / "checkpoint")
        run.train()
    finally:
        run.stop()  # its processors are needed
    other = DoubleOracle.from_checkpoint(tmp_path / "checkpoint")
    try:
        other.train()
        assert same_policy(other.psro.populations, run.psro.populations)
        assert other.psro.table.mean.equal(run.psro.table.mean)
    finally:
        other.stop()


def test_a_runner_that_was_started_again_is_told_the_populations_anew() -> None:
    run = algorithm(1)
    try:
        run.train()
        run.train()
        group: Any = run.env_runner_group
        group.foreach_env_runner(lambda r: setattr(r, "task", r.config.task()), local_env_runner=False)  # as when made
        row = run.train()
        assert row["population_0"] == 3 and row["outcome"] == "running"
    finally:
        run.stop()


def test_tune_runs_psro(tmp_path: Path) -> None:
    from ray import tune

    config = DoubleOracleConfig().environment("larger_number_v0", env_config={"n": 3})
    config.training(field="exact", step_size=2.0, oracle_steps=5)
    config.debugging(seed=tune.grid_search([0, 1])).resources(num_cpus_for_main_process=0.5)
    run = tune.RunConfig(storage_path=str(tmp_path), stop={"training_iteration": 3}, verbose=0)
    found = tune.Tuner(DoubleOracle, param_space=config, run_config=run).fit()
    assert not found.errors and [r.metrics["population_0"] for r in found if r.metrics] == [3, 3]


def test_a_learner_in_another_process_trains_the_same_replies() -> None:
    config = DoubleOracleConfig().environment("larger_number_v0", env_config={"n": 4})
    config.training(field="exact", step_size=2.0, oracle_steps=5)
    runs = [config.copy().learners(num_learners=n).build_algo() for n in (0, 1)]
    try:
        for run in runs:
            run.train()
            run.train()
        here, there = (torch.cat([p for ps in run.psro.populations for p in ps]) for run in runs)
        assert here.allclose(there, atol=1e-12)
    finally:
        for run in runs:
            run.stop()
