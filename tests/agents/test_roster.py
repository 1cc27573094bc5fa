"""The roster: who plays what, with which settings, and rows that are never empty."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strategic_envs.agents.roster import GAPS, Job, Result, agent, agents, evaluate_checkpoint
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.registry import list_environments

LEARNERS = ["extragradient", "independent_gd", "ppo"]
QUICK: dict[str, dict[str, Any]] = {
    "extragradient": {"evaluate_every": 3},
    "independent_gd": {"evaluate_every": 3},
    "ppo": {"evaluate_every": 3, "envs": 4, "batch": 32, "num_epochs": 2, "hidden": (8,)},
}


def _train(environment: str, name: str, **job: Any) -> Result:
    settings = {**QUICK.get(name, {}), **job.pop("agent", {})}
    return agent(name).train(Job(environment, agent=settings, iterations=3, **job), lambda row: None)


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if k != "seconds" and isinstance(v, int | float)}


def test_the_roster_is_discovered() -> None:
    assert list(agents()) == ["extragradient", "independent_gd", "ppo", "uniform_random"]
    assert [agent(n).needs_ray for n in agents()] == [True, True, True, False]
    assert all(a.summary and a.name == n for n, a in agents().items())


def test_an_unknown_agent_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="unknown agent 'extragradent': did you mean 'extragradient'"):
        agent("extragradent")


def test_listing_the_roster_loads_neither_ray_nor_torch() -> None:
    listing = "import sys; from strategic_envs.agents import roster; roster.agents()"
    code = f"{listing}; print({{'ray', 'torch'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["extragradient", "independent_gd", "ppo", "uniform_random"])
def test_everybody_plays_every_environment_with_a_preset(name: str) -> None:
    for environment in list_environments():
        assert agent(name).refuses(environment) is None
        assert agent(name).preset(environment)["iterations"] >= (1 if name == "uniform_random" else 20)
        json.dumps(agent(name).preset(environment))  # it goes into run folders


@pytest.mark.parametrize(
    ("error", "message", "job"),
    [
        (UnknownNameError, "did you mean 'lr'", Job("tic_tac_toe_v0", agent={"lrr": 1})),
        (InvalidSettingError, "iterations=0, expected a whole number >= 1", Job("tic_tac_toe_v0", iterations=0)),
        (InvalidSettingError, "evaluate_every=0", Job("tic_tac_toe_v0", agent={"evaluate_every": 0})),
    ],
)
def test_bad_jobs_are_named(error: type[Exception], message: str, job: Job) -> None:
    with pytest.raises(error, match=message):
        agent("ppo").train(job, lambda row: None)


@pytest.mark.parametrize("environment", ["duopoly_pricing_v0", "larger_number_v0", "tic_tac_toe_v0"])
def test_uniform_random_players_are_judged_without_ray(environment: str) -> None:
    seen: list[dict[str, Any]] = []
    result = agent("uniform_random").train(Job(environment), seen.append)
    assert seen == result.rows == [result.final]
    assert (result.checkpoint, result.parameters_moved) == (None, None)
    assert all(math.isfinite(result.final[gap]) for gap in GAPS)
    assert result.final["exploitability_exact"] == 1.0


def test_uniform_tic_tac_toe_has_half_of_nash_conv_116101_over_60480() -> None:
    final = agent("uniform_random").train(Job("tic_tac_toe_v0"), lambda row: None).final
    assert final["exploitability"] == pytest.approx(116101 / 60480 / 2, abs=1e-12)


def test_nobody_is_uniformly_random_on_an_unbounded_set() -> None:
    with pytest.raises(InvalidGameError, match="no uniform distribution"):
        agent("uniform_random").train(Job("larger_number_v0", env={"n": None, "kind": "reals"}), lambda row: None)


@pytest.mark.parametrize("path", ["missing", "empty", "damaged"])
def test_what_is_no_checkpoint_is_refused(path: str, tmp_path: Path) -> None:
    pytest.importorskip("ray.rllib")
    if path != "missing":
        (tmp_path / path).mkdir()
    if path == "damaged":
        (tmp_path / path / "strategic_envs.json").write_text('{"digests": {"gone.pkl": "0"}}')
    with pytest.raises(CheckpointError, match={"missing": "no such folder", "empty": "no file"}.get(path, "damaged")):
        evaluate_checkpoint(tmp_path / path)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("environment", list_environments())
@pytest.mark.parametrize("name", LEARNERS)
def test_every_cell_trains_repeats_and_is_judged_again(environment: str, name: str, tmp_path: Path) -> None:
    first = _train(environment, name, out=tmp_path, seed=1)
    second = _train(environment, name, seed=1)
    assert first.parameters_moved
    assert all(math.isfinite(first.final[gap]) for gap in GAPS)
    assert first.final["iteration"] == 3
    assert first.final["steps"] > 0
    assert _numbers(first.final) == _numbers(second.final)
    assert first.checkpoint is not None
    again = evaluate_checkpoint(first.checkpoint, environment)
    assert {k: again[k] for k in GAPS} == {k: first.final[k] for k in GAPS}
    assert (again["agent"], again["environment"], again["seed"]) == (name, environment, 1)
    with pytest.raises(CheckpointError, match="expected one of 'other_v0'"):
        evaluate_checkpoint(first.checkpoint, "other_v0")
    victim = next(p for p in sorted(first.checkpoint.rglob("*.pkl")))
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        evaluate_checkpoint(first.checkpoint)
