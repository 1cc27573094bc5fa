"""Stock DQN: seeded, judged by its greedy play, and told what it cannot learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode

from strategic_envs.agents.rllib.dqn import SeededEpisodeReplayBuffer, dqn_config
from strategic_envs.agents.rllib.dqn_run import DQNRun, greedy
from strategic_envs.agents.roster import GAPS, Job, agent, checkpoint_play, evaluate_checkpoint
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.collusion.policies import FIGURES
from strategic_envs.play import Independent, TabularPlay

QUICK: dict[str, Any] = {"envs": 4, "batch": 16, "steps": 64, "hidden": (8,), "device": "cpu"}
ENVIRONMENTS = ("duopoly_pricing_v0", "larger_number_v0", "tic_tac_toe_v0")
STARTS = {"num_steps_sampled_before_learning_starts": 32}


def test_greedy_play_is_pure() -> None:
    table = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]])  # nobody moves in the second state
    assert greedy(TabularPlay((table,))).policies[0].tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    play = greedy(Independent.pure([torch.tensor([0.1, 0.9]), torch.tensor([0.5, 0.5])]))
    assert [p.tolist() for p in play.points] == [[[0.0, 1.0]], [[1.0, 0.0]]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"envs": 0}, "envs=0, expected a whole number >= 1"),
        ({"capacity": True}, "capacity=True"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"epsilon": ((5, 1.0), (10, 0.1))}, "the first at step 0"),
        ({"epsilon": ((0, 1.5), (10, 0.1))}, r"a share in \[0, 1\]"),
        ({"epsilon": 0.1}, "expected at least two pairs"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        dqn_config("duopoly_pricing_v0", **settings)


def test_infinitely_many_actions_are_refused() -> None:
    with pytest.raises(InvalidGameError, match="dqn got a continuous game, expected one with finitely many actions"):
        dqn_config("continuous_game_v0", {"game": "f1"})
    for environment in ("continuous_game_v0", "layers_v0"):
        with pytest.raises(InvalidSettingError, match=f"dqn does not play {environment}: its actions are points"):
            agent("dqn").check(Job(environment))


def test_the_future_counts_as_in_the_game() -> None:
    assert dqn_config("duopoly_pricing_v0", {"delta": 0.5}).gamma == 0.5
    assert (dqn_config("tic_tac_toe_v0").gamma, dqn_config("larger_number_v0").gamma) == (1.0, 0.0)


def _episode(length: int) -> MultiAgentEpisode:
    names = ("b", "a")
    episode = MultiAgentEpisode(agent_module_ids={n: n for n in names}, agent_to_module_mapping_fn=lambda a, e: a)
    episode.add_env_reset(observations={n: np.zeros(1, np.float32) for n in names})
    for t in range(length):
        seen = {n: np.full(1, t + 1, np.float32) for n in names}
        episode.add_env_step(seen, dict.fromkeys(names, t), dict.fromkeys(names, float(t)))
    return episode


def test_what_is_replayed_follows_from_the_seed() -> None:
    def replayed(seed: int) -> list[tuple[str, int]]:
        buffer = SeededEpisodeReplayBuffer(100, seed=seed, alpha=0.6)
        buffer.add([_episode(40)])
        return [(str(e.module_id), int(e.actions[0])) for e in buffer.sample(num_items=8, beta=0.4)]

    assert replayed(1) == replayed(1) != replayed(2)
    assert [module for module, _ in replayed(1)] == ["a"] * 8 + ["b"] * 8  # in order, whatever the hash seed


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_seed_gives_one_run(environment: str) -> None:
    def twice() -> tuple[dict[str, Any], bool]:
        run = DQNRun(environment, seed=3, **QUICK, **STARTS)
        try:
            run.step()
            _ = torch.rand(7), np.random.rand(7)  # somebody else draws from the global generators
            run.step()
            return run.row(), run.moved()
        finally:
            run.stop()

    first, second = twice(), twice()
    assert first == second and first[1]
    assert all(np.isfinite(first[0][gap]) for gap in GAPS)
    assert set(FIGURES) <= set(first[0]) or environment != "duopoly_pricing_v0"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_checkpoint_is_judged_like_the_run_that_wrote_it(tmp_path: Path) -> None:
    settings = {k: v for k, v in QUICK.items() if k != "device"}
    job = Job("duopoly_pricing_v0", agent={**settings, "evaluate_every": 2}, seed=1, iterations=2, out=tmp_path)
    first = agent("dqn").train(job, lambda row: None)
    again = evaluate_checkpoint(tmp_path)
    kept = (*GAPS, *FIGURES, "steps", "agent")
    assert {k: again[k] for k in kept} == {k: first.final[k] for k in kept}
    assert bool(((checkpoint_play(tmp_path)[1].policies[0] == 1).sum(-1) == 1).all())
    from strategic_envs.agents.rllib.ppo_run import PPORun

    with pytest.raises(CheckpointError, match="of agent 'dqn', expected one of 'ppo'"):
        PPORun.restore(tmp_path / "checkpoint")
