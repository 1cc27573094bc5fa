"""The roster: who plays what, with which settings, and rows that are never empty."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strategic_envs.agents.dynamics import dynamics
from strategic_envs.agents.roster import GAPS, Job, Result, agent, agents, evaluate_checkpoint
from strategic_envs.agents.roster.game_dynamics import DynamicsAgent
from strategic_envs.agents.roster.psro import PopulationAgent
from strategic_envs.agents.roster.scan import described
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.registry import list_environments

NAMED = ["dgnopt", "extragradient", "independent_gd", "ppo", "uniform_random"]
LEARNERS = ["dgnopt", "extragradient", "independent_gd", "ppo"]
QUICK: dict[str, dict[str, Any]] = {
    "dgnopt": {"evaluate_every": 3, "steps_per_iteration": 2},
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
    assert set(NAMED) <= set(agents()) and list(agents()) == sorted(agents())
    assert [agent(n).needs_ray for n in NAMED] == [True, True, True, True, False]
    assert all(a.summary and a.name == n for n, a in agents().items())


def test_every_dynamic_is_an_agent_once() -> None:
    played = [a.dynamic for a in agents().values() if isinstance(a, DynamicsAgent)]
    assert sorted(played) == list(dynamics())
    assert {n for n, a in agents().items() if isinstance(a, DynamicsAgent) and n != a.dynamic} == {"independent_gd"}


def test_what_is_read_from_the_sources_of_dynamics_is_what_they_are() -> None:
    assert list(described()) == list(dynamics())
    for name, kind in dynamics().items():
        about = described()[name]
        said = (about.summary, about.needs, about.batched, about.experimental)
        assert said == (kind.summary, kind.needs, kind.batched, kind.experimental), name
        fields = {f.name: f.default for f in dataclasses.fields(kind)}
        assert set(about.settings) == set(fields), name
        for setting, value in about.settings.items():  # None: there is no default, or none that is a literal
            assert value is None or value == fields[setting], (name, setting)


def test_an_unknown_agent_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="unknown agent 'extragradent': did you mean 'extragradient'"):
        agent("extragradent")


def test_listing_the_roster_loads_neither_ray_nor_torch() -> None:
    listing = "import sys; from strategic_envs.agents import roster; roster.agents()"
    code = f"{listing}; print({{'ray', 'torch'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("name", NAMED)
def test_everybody_plays_every_environment_with_a_preset(name: str) -> None:
    for environment in list_environments():
        assert agent(name).refuses(environment) is None
        assert agent(name).preset(environment)["iterations"] >= (1 if name == "uniform_random" else 20)
        json.dumps(agent(name).preset(environment))  # it goes into run folders


@pytest.mark.parametrize("name", [n for n in agents() if n in described() and n not in NAMED])
def test_a_dynamic_refuses_an_environment_or_has_a_preset_with_all_its_settings(name: str) -> None:
    assert agent(name).refuses("continuous_game_v0") is None
    for environment in list_environments():
        reason = agent(name).refuses(environment)
        if reason is not None:
            assert "\n" not in reason and len(reason) < 200
            continue
        preset = agent(name).preset(environment)
        assert set(described()[name].settings) <= set(preset) and preset["iterations"] >= 20
        assert ("step_size" in preset) == ("step_size" in described()[name].settings)
        json.dumps(preset)


@pytest.mark.parametrize("name", ["double_oracle", "psro"])
def test_populations_answer_in_every_environment_with_opponents(name: str) -> None:
    for environment in list_environments():
        if environment == "layers_v0":
            assert agent(name).refuses(environment) == (
                "the layers of a network share one loss: nobody is there to be answered"
            )
            continue
        preset = agent(name).preset(environment)
        assert preset["iterations"] >= 10
        assert ("oracle_steps" in preset) == (name == "psro")
        json.dumps(preset)


@pytest.mark.parametrize(
    ("name", "environment", "reason"),
    [
        (
            "symplectic_gradient",
            "tic_tac_toe_v0",
            r"policy gradients are not differentiated again \(it needs jvp and vjp",
        ),
        ("curvature_eg_plus", "layers_v0", r"too many for matrices of second derivatives \(it needs jacobian"),
        ("hedge", "duopoly_pricing_v0", "parameters without bounds .it expects a Simplex"),
        ("follow_the_ridge", "larger_number_v0", "second derivatives, which are zero"),
    ],
)
def test_what_an_environment_cannot_give_is_said_in_one_line(name: str, environment: str, reason: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"{name} does not play {environment}: .*{reason}"):
        agent(name).check(Job(environment))


def test_a_one_shot_game_is_looked_at_as_the_dynamic_needs_it() -> None:
    assert agent("consensus_optimization").preset("larger_number_v0")["field"] == "exact"
    assert agent("hedge").preset("larger_number_v0")["strategy"] == "coordinates"
    assert agent("eg_plus").preset("larger_number_v0")["field"] is None


@pytest.mark.parametrize(
    ("error", "message", "name", "env"),
    [
        (InvalidSettingError, "hedge, on f1 .*expected a Simplex", "hedge", {"game": "f1"}),
        (InvalidSettingError, "got 3 players", "follow_the_ridge", {"game": "three_player_polynomial"}),
        (InvalidGameError, "utilities are not opposite", "follow_the_ridge", {"game": "chicken"}),
        (UnknownNameError, "did you mean 'f1'", "eg_plus", {"game": "ff1"}),
    ],
)
def test_a_game_that_does_not_suit_is_refused_before_anything_starts(error, message, name, env) -> None:
    pytest.importorskip("ray.rllib")
    with pytest.raises(error, match=message):
        agent(name).check(Job("continuous_game_v0", env=env))


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
def test_every_dynamic_trains_every_environment_that_it_does_not_refuse(environment: str) -> None:
    simplices = dict.fromkeys(("hedge", "regret_matching_plus", "replicator", "smith"), "rock_paper_scissors")
    game = {**simplices, "cooperative_gradient": "chicken"}
    for name in (n for n, a in agents().items() if n not in NAMED and isinstance(a, DynamicsAgent | PopulationAgent)):
        if agent(name).refuses(environment) is None:
            env = {"game": game.get(name, "f1")} if environment == "continuous_game_v0" else {}
            if environment == "routing_v0" and isinstance(agents()[name], PopulationAgent):
                env = {"players": "atomic"}
            small = {"games_per_sample": 64, "minibatch_size": 32, "hidden": (8,), "horizon": 10, "oracle_steps": 3}
            settings = {k: v for k, v in small.items() if agent(name).preset(environment).get(k) is not None}
            agent(name).check(Job(environment, env=env))
            result = _train(environment, name, env=env, agent={**settings, "evaluate_every": 3})
            assert result.parameters_moved, name
            assert all(math.isfinite(result.final[gap]) for gap in GAPS), name


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


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("environment", ["larger_number_v0", "tic_tac_toe_v0", "duopoly_pricing_v0"])
@pytest.mark.parametrize("name", ["double_oracle", "psro"])
def test_populations_repeat_and_are_judged_again(environment: str, name: str, tmp_path: Path) -> None:
    short = {"oracle_steps": 3} if name == "psro" else {}
    first = _train(environment, name, out=tmp_path, agent=short, seed=1)
    second = _train(environment, name, agent=short, seed=1)
    assert _numbers(first.final) == _numbers(second.final)
    assert first.checkpoint is not None
    again = evaluate_checkpoint(first.checkpoint, environment)
    assert again["agent"] == name
    assert {k: again[k] for k in GAPS} == {k: first.final[k] for k in GAPS}
