"""Stock PPO through our wrappers: what is trained is what is judged, and one seed gives one run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ray.rllib")

from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from strategic_envs.agents.rllib.modules import flat_parameters
from strategic_envs.agents.rllib.ppo import ppo_config, ppo_task
from strategic_envs.agents.rllib.ppo_modules import policy_parameters
from strategic_envs.agents.rllib.ppo_run import PPORun
from strategic_envs.agents.rllib.register import make_for_rllib, register
from strategic_envs.agents.rllib.tasks import Options
from strategic_envs.agents.rllib.tasks.gaussian import GaussianTask, played, raw
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.sets import Ball, Box, Simplex

ENVIRONMENTS = [
    "bertrand_pricing_v0",
    "continuous_game_v0",
    "duopoly_pricing_v0",
    "larger_number_v0",
    "layers_v0",
    "routing_v0",
    "sequential_pricing_v0",
    "tic_tac_toe_v0",
]
QUICK: dict[str, Any] = {"envs": 4, "batch": 32, "num_epochs": 2, "hidden": (8,), "device": "cpu"}


def _runner(environment: str, env: dict[str, Any] | None = None, **settings: Any) -> MultiAgentEnvRunner:
    return MultiAgentEnvRunner(config=ppo_config(environment, env, **{**QUICK, **settings}), worker_index=0)


def test_all_environments_are_registered_once_or_twice() -> None:
    assert register() == register() == ENVIRONMENTS


def test_an_environment_is_parallel_where_it_can_be() -> None:
    assert type(make_for_rllib("duopoly_pricing_v0")).__name__ == "ParallelEnvForRLlib"
    assert type(make_for_rllib("duopoly_pricing_v0", mode="aec")).__name__ == "TurnBasedEnvForRLlib"
    with pytest.raises(UnknownNameError, match="did you mean 'layers_v0'"):
        make_for_rllib("layer_v0")


@pytest.mark.parametrize("environment", ["duopoly_pricing_v0", "larger_number_v0", "tic_tac_toe_v0"])
def test_ppo_starts_from_the_policies_of_the_other_learners(environment: str) -> None:
    runner = _runner(environment)
    task = ppo_task(environment, {}, Options(seed=0, hidden=(8,)))
    try:
        for player, start in zip(task.players, task.initial(), strict=True):
            module: Any = runner.module[player].unwrapped()
            assert policy_parameters(module).allclose(start.float())
            assert len(flat_parameters(module)) > len(start)  # the critic is there, and is not part of the strategy
    finally:
        runner.stop()


def test_the_masked_module_makes_no_illegal_move() -> None:
    runner = _runner("tic_tac_toe_v0")
    try:
        episodes = runner.sample(num_episodes=20)
    finally:
        runner.stop()
    for episode in episodes:
        squares = [int(a) for e in episode.agent_episodes.values() for a in e.get_actions()]
        assert len(set(squares)) == len(squares) >= 5
        assert sum(e.get_return() for e in episode.agent_episodes.values()) == 0


@pytest.mark.parametrize("strategies", [Box([-1.0, 0.0], [3.0, 1.0]), Simplex(3), Ball([1.0, 1.0], 0.5)])
def test_what_rllib_plays_is_undone_inside_every_bounded_set(strategies: Any) -> None:
    x = strategies.sample((5,), generator=torch.Generator().manual_seed(0))
    assert played(strategies, raw(strategies, x)).allclose(x)


def test_actions_beyond_an_unbounded_set_are_played_as_they_are() -> None:
    action = torch.tensor([[5.0]], dtype=torch.float64)
    assert played(Box(-np.inf, np.inf), action).equal(action)
    assert played(Box(-1, 1), action).item() == 1


def test_an_action_outside_its_simplex_is_projected_on_it() -> None:
    env = make_for_rllib("continuous_game_v0", game="matching_pennies", actions="mixed")
    env.reset(seed=0)
    outside = np.array([2.0, -1.0], dtype=np.float32)
    _, rewards, *_ = env.step({"player_0": outside, "player_1": outside})
    assert rewards == {"player_0": 1.0, "player_1": -1.0}  # both were projected on the first action


def test_the_gradient_of_a_gaussian_is_the_derivative_of_its_expected_utility() -> None:
    # u_0 = -x y - x^2, u_1 = x y; far from the edges E u_0 = -m n - m^2 - s^2, in units of half the range, 10
    game = Game(
        lambda x: torch.cat([-x[0] * x[1] - x[0] ** 2, x[0] * x[1]], dim=-1), [Box(-10, 10), Box(-10, 10)], name="gauss"
    )
    task = GaussianTask(game, Options(seed=0, games=400_000, start=[[2.0], [-3.0]]), deviation=0.05)
    g = task.exact(task.modules, range(2), None)
    m, n, s = 2.0, -3.0, 0.5
    expected = [[10 * (-n - 2 * m), -2 * s**2], [10 * m, 0.0]]
    assert g[0].tolist() == pytest.approx(expected[0], abs=0.3)
    assert g[1].tolist() == pytest.approx(expected[1], abs=0.3)


def test_the_play_of_a_gaussian_is_exactly_what_is_drawn() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
    task = GaussianTask(game, Options(seed=0, start=[[0.5], [-0.5]]), deviation=0.1)
    play = task.play(task.modules)
    assert play.mean().flat().tolist() == pytest.approx([0.5, -0.5], abs=0.05)
    assert all(float(p.abs().max()) <= 1 for p in play.points)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"envs": 0}, "envs=0, expected a whole number >= 1"),
        ({"batch": True}, "batch=True"),
        ({"runners": -1}, "runners=-1"),
        ({"deviation": 0.0}, "deviation=0.0, expected a number > 0"),
        ({"device": "tpu"}, "device='tpu'"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        ppo_config("larger_number_v0", **settings)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_seed_gives_one_run_and_others_are_not_disturbed(environment: str) -> None:
    def twice() -> tuple[dict[str, Any], bool]:
        run = PPORun(environment, seed=3, **QUICK)
        try:
            run.step()
            _ = torch.rand(7), np.random.rand(7), random.random()  # somebody else draws from the global generators
            run.step()
            return run.row(), run.moved()
        finally:
            run.stop()

    before = torch.get_rng_state(), random.getstate()
    torch.manual_seed(0)
    first = twice()
    torch.manual_seed(1)
    second = twice()
    torch.set_rng_state(before[0])
    random.setstate(before[1])
    assert first == second
    assert first[1]
    assert all(np.isfinite(v) for v in first[0].values() if isinstance(v, float))


_PROCESS = """
from strategic_envs.agents.rllib.ppo_run import PPORun
from strategic_envs.agents.rllib.session import session
with session():
    for environment in ("larger_number_v0", "tic_tac_toe_v0"):
        run = PPORun(environment, seed=0, envs=4, batch=32, num_epochs=2, minibatch_size=16, hidden=(8,), device="cpu")
        run.step()
        run.step()
        print([t.double().sum().item() for t in run.parameters()])
"""


@pytest.mark.slow
def test_the_hash_seed_of_the_process_does_not_change_a_run() -> None:
    # RLlib walks over sets of agents' names; with these two seeds their order differs
    outputs = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", _PROCESS], capture_output=True, text=True, env=environment, check=True
        )
        outputs.append(run.stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_run_leaves_the_global_generators_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # beartype itself draws from Python's, in tests
    run = PPORun("larger_number_v0", seed=0, **QUICK)
    run.step()
    run.stop()
    assert torch.get_rng_state().equal(before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_checkpoint_is_judged_like_the_run_that_wrote_it(tmp_path: Path) -> None:
    run = PPORun("continuous_game_v0", {"game": "matching_pennies_box"}, seed=1, **QUICK)
    run.step()
    row = run.row()
    run.save(tmp_path / "checkpoint")
    run.stop()
    again = PPORun.restore(tmp_path / "checkpoint")
    assert again.row() == row
    again.step()
    assert again.iteration == 2
    again.stop()


def test_whole_numbers_without_a_bound_are_refused() -> None:
    with pytest.raises(InvalidGameError, match="give a bound n, or kind='reals'"):
        ppo_config("larger_number_v0", {"n": None})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_workers_find_the_registered_environments() -> None:
    algorithm = ppo_config("tic_tac_toe_v0", **QUICK, runners=1).build_algo()
    try:
        result = algorithm.train()
    finally:
        algorithm.stop()
    assert result["env_runners"]["num_env_steps_sampled"] >= QUICK["batch"]
    assert set(result["env_runners"]["agent_episode_returns_mean"]) == {"player_0", "player_1"}


def test_what_is_no_checkpoint_of_ppo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file strategic_envs.json"):
        PPORun.restore(tmp_path)
