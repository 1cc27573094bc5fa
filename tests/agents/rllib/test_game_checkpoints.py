"""A run that is saved and restored goes on bit by bit; a checkpoint that cannot be right is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from strategic_envs.agents.checkpoint import read_metadata
from strategic_envs.agents.rllib.algorithm import GameDynamics
from strategic_envs.agents.rllib.config import ExtragradientConfig, GameDynamicsConfig, IndependentGDConfig
from strategic_envs.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("ray_session")

SMALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "continuous_game_v0": ({"game": "f1"}, {"step_size": 0.05}),
    "larger_number_v0": ({"n": 4}, {"games_per_sample": 64}),
    "duopoly_pricing_v0": ({}, {"games_per_sample": 8, "horizon": 10, "hidden": (8,)}),
    "tic_tac_toe_v0": ({}, {"games_per_sample": 16, "hidden": (8,)}),
    "layers_v0": ({}, {"minibatch_size": 32}),
}
CONFIGS = [IndependentGDConfig, ExtragradientConfig]


def configured(environment: str, config: type[GameDynamicsConfig]) -> GameDynamicsConfig:
    env, settings = SMALL[environment]
    return config().environment(environment, env_config=env).training(**settings).evaluation(evaluation_interval=2)


KEPT = {"exploitability", "nash_conv", "cce_gap", "local_nash_gap", "local_cce_gap", "env_steps", "field_calls"}


def numbers(algorithm: Any) -> list[Any]:
    """What four more iterations report, and where they lead, bit by bit."""
    rows = [{k: v for k, v in algorithm.train().items() if k in KEPT} for _ in range(4)]
    return [*rows, algorithm.iteration, [t.tolist() for t in algorithm.point()]]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("environment", SMALL)
def test_a_restored_run_goes_on_bit_by_bit(environment: str, config: Any, tmp_path: Path) -> None:
    algorithm = configured(environment, config).build_algo()
    for _ in range(2):
        algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    expected = numbers(algorithm)
    torch.manual_seed(12345)  # no draw comes from the global generator
    other = configured(environment, config).build_algo()
    other.train()
    other.restore_from_path(tmp_path / "checkpoint")
    assert numbers(other) == expected
    rebuilt = Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))
    assert numbers(rebuilt) == expected


def test_optimistic_and_online_states_are_restored_too(tmp_path: Path) -> None:
    for name in ("optimistic_gradient", "online_gradient"):
        config = GameDynamicsConfig().environment("larger_number_v0", env_config={"n": 4})
        algorithm = config.training(dynamic=name, step_size=0.5, games_per_sample=64).build_algo()
        algorithm.train()
        algorithm.save_to_path(tmp_path / name)
        expected = numbers(algorithm)
        assert numbers(Algorithm.from_checkpoint(str(tmp_path / name))) == expected


def test_a_checkpoint_says_what_it_is_of(tmp_path: Path) -> None:
    algorithm = configured("larger_number_v0", ExtragradientConfig).build_algo()
    algorithm.train()
    about = read_metadata(algorithm.save_to_path(tmp_path / "checkpoint"))
    assert about["environment"] == "larger_number_v0" and about["env_options"] == {"n": 4}
    assert about["agent"] == "extragradient" and about["iteration"] == 1 and about["seed"] == 0
    assert {"ray", "torch", "numpy", "python", "strategic-envs"} <= set(about["versions"])


def test_a_checkpoint_of_another_environment_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path = configured("larger_number_v0", IndependentGDConfig).build_algo().save_to_path(tmp_path / "checkpoint")
    for other in (
        configured("continuous_game_v0", IndependentGDConfig).build_algo(),
        IndependentGDConfig().environment("larger_number_v0", env_config={"n": 5}).build_algo(),
    ):
        before = other.point().flat().clone()
        with pytest.raises(CheckpointError, match="expected '.*_v0' with options"):
            other.restore_from_path(path)
        assert other.point().flat().equal(before)


def test_a_damaged_or_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    algorithm = configured("larger_number_v0", IndependentGDConfig).build_algo()
    path = Path(algorithm.save_to_path(tmp_path / "checkpoint"))
    state = path / "algorithm_state.pkl"
    whole = state.read_bytes()
    state.write_bytes(whole[:-10])
    with pytest.raises(CheckpointError, match=r"damaged: missing nothing, changed \['algorithm_state.pkl'\]"):
        algorithm.restore_from_path(path)
    with pytest.raises(CheckpointError, match="damaged"):
        GameDynamics.from_checkpoint(path)
    state.unlink()
    with pytest.raises(CheckpointError, match=r"missing \['algorithm_state.pkl'\]"):
        algorithm.restore_from_path(path)
    state.write_bytes(whole)
    algorithm.restore_from_path(path)
    (path / "strategic_envs.json").write_text("{")
    with pytest.raises(CheckpointError, match="the checkpoint is damaged"):
        algorithm.restore_from_path(path)
    with pytest.raises(CheckpointError, match="no such folder"):
        algorithm.restore_from_path(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no file strategic_envs.json"):
        algorithm.restore_from_path(tmp_path / "empty")
