"""A run of PSRO that is saved in the middle of a reply and restored has the same populations, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from strategic_envs.agents.checkpoint import read_metadata
from strategic_envs.agents.double_oracle.policy_space.machine import same_policy
from strategic_envs.agents.rllib import DoubleOracleConfig
from strategic_envs.agents.rllib.judged import judged_again
from strategic_envs.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("ray_session")

SMALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "continuous_game_v0": ({"game": "f1"}, {"step_size": 0.05, "dynamic": "extragradient"}),
    "larger_number_v0": ({"n": 4}, {"games_per_sample": 64, "payoffs": "sampled", "games_per_cell": 40}),
    "duopoly_pricing_v0": (
        {},
        {"games_per_sample": 8, "horizon": 10, "hidden": (4,), "payoffs": "sampled", "meta_solver": "uniform"},
    ),
    "tic_tac_toe_v0": (
        {},
        {"games_per_sample": 16, "hidden": (8,), "dynamic": "adam_gradient", "step_size": 0.01, "tremble": 0.1},
    ),
}


def configured(environment: str, **more: Any) -> DoubleOracleConfig:
    env, settings = SMALL[environment]
    config = DoubleOracleConfig().environment(environment, env_config=env)
    small = {"oracle_steps": 6, "cells_per_unit": 2, "units_per_iteration": 5, "games_per_cell": 40}
    return config.training(**{**small, **settings, **more})


def left(algorithm: Any) -> list[Any]:
    """What three more iterations report, and the populations and payoffs that they leave, bit by bit."""
    kept = ("psro_iteration", "reply_steps", "exploitability", "cce_gap", "local_nash_gap", "env_steps", "field_calls")
    rows = [{k: row[k] for k in kept} for row in (algorithm.train() for _ in range(3))]
    table = {k: v.tobytes() for k, v in algorithm.psro.table.arrays().items()}
    return [rows, algorithm.psro.populations, table, [t.tolist() for t in algorithm.point()]]


def equal(a: list[Any], b: list[Any]) -> bool:
    return a[0] == b[0] and same_policy(a[1], b[1]) and a[2:] == b[2:]


@pytest.mark.parametrize("environment", SMALL)
def test_a_run_that_is_restored_in_the_middle_of_a_reply_goes_on_bit_by_bit(environment: str, tmp_path: Path) -> None:
    algorithm = configured(environment).build_algo()
    while algorithm.psro.iteration < 1 or not 0 < algorithm.spent < 6:
        algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    expected = left(algorithm)
    torch.manual_seed(12345)  # no draw comes from the global generator
    other = configured(environment).build_algo()
    for _ in range(7):
        other.train()
    other.restore_from_path(tmp_path / "checkpoint")
    assert equal(left(other), expected)
    assert equal(left(Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))), expected)


def test_exact_runs_are_restored_too(tmp_path: Path) -> None:
    how = {"oracle": "exact", "dynamic": "simultaneous_gradient", "tremble": 0.0, "units_per_iteration": 3}
    algorithm = configured("tic_tac_toe_v0", **how).build_algo()
    for _ in range(5):
        algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    expected = left(algorithm)
    assert equal(left(Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))), expected)


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ["ppo", "dqn"])
def test_a_run_with_stock_replies_that_is_restored_between_two_replies_goes_on_bit_by_bit(
    oracle: str, tmp_path: Path
) -> None:
    options = {"batch": 64, "envs": 4} if oracle == "ppo" else {"batch": 16, "envs": 4, "steps": 50}
    config = DoubleOracleConfig().environment("larger_number_v0", env_config={"n": 3})
    config.training(oracle=oracle, oracle_steps=1, oracle_options=options, units_per_iteration=1)
    algorithm = config.build_algo()
    while algorithm.psro.replies[0] is None:
        algorithm.train()
    assert algorithm.psro.replies[1] is None  # between the two
    algorithm.save_to_path(tmp_path / "checkpoint")
    expected = left(algorithm)
    assert equal(left(Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))), expected)


def test_a_checkpoint_is_judged_again_and_says_what_it_is_of(tmp_path: Path) -> None:
    algorithm = configured("larger_number_v0", units_per_iteration=None).build_algo()
    row = [algorithm.train() for _ in range(3)][-1]
    path = Path(algorithm.save_to_path(tmp_path / "checkpoint"))
    about = read_metadata(path)
    assert about["agent"] == "psro" and about["oracle"] == "learned" and about["psro_iteration"] == 2
    again = judged_again(path, about)
    assert again["exploitability"] == row["exploitability"] and again["agent"] == "psro"


def test_a_checkpoint_of_another_environment_is_refused(tmp_path: Path) -> None:
    path = configured("larger_number_v0").build_algo().save_to_path(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="expected 'tic_tac_toe_v0'"):
        configured("tic_tac_toe_v0").build_algo().restore_from_path(path)
