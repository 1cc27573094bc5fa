"""DGNOpt as an algorithm of RLlib: what it equals, what it learns, how it goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.agents.rllib.config import IndependentGDConfig
from strategic_envs.agents.rllib.dgnopt.algorithm import DGNOptAlgorithm
from strategic_envs.agents.rllib.dgnopt.config import DGNOptConfig
from strategic_envs.agents.rllib.judge import GAPS
from strategic_envs.errors import CheckpointError
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.layers import layers
from strategic_envs.games.networks import residual_mlp
from strategic_envs.games.networks.game import network_game
from strategic_envs.profile import Profile

pytestmark = pytest.mark.usefixtures("ray_session")

SGD = {"info": "OLNE", "curvature": "identity"}
SMALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "continuous_game_v0": ({"game": "f1"}, {"hidden": (4,)}),
    "larger_number_v0": ({"n": 4}, {"games_per_sample": 64, "hidden": (4,)}),
    "duopoly_pricing_v0": ({}, {"games_per_sample": 8, "horizon": 10, "hidden": (8,)}),
    "tic_tac_toe_v0": ({}, {"games_per_sample": 16, "hidden": (8,)}),
    "layers_v0": ({}, {"minibatch_size": 32}),
}


def made(config: Any) -> Any:
    return config.build_algo()


def built(game: Any, **settings: Any) -> DGNOptAlgorithm:
    return made(DGNOptConfig().training(game=game, **settings))


def dilemma() -> NormalFormGame:
    return NormalFormGame([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]], name="dilemma")


@pytest.mark.parametrize("kind", ["pennies", "dilemma", "two_rooms", "nim", "f1", "layers"])
def test_open_loop_without_curvature_is_independent_gradient(kind: str, request: pytest.FixtureRequest) -> None:
    games = {"dilemma": dilemma, "f1": lambda: catalogue.game("f1"), "layers": lambda: layers((8,), samples=256)}
    game = games[kind]() if kind in games else request.getfixturevalue(kind)
    common: dict[str, Any] = {"game": game, "steps_per_iteration": 4}
    if kind != "layers":
        common |= {"hidden": (4,), "games_per_sample": 64, "horizon": 5}
    if kind in ("pennies", "dilemma", "f1"):
        common["strategy"] = "network"
    one = made(IndependentGDConfig().training(step_size=0.1, **common))
    two = made(DGNOptConfig().training(lr=0.1, **SGD, **common))
    assert one.point().flat().equal(two.point().flat())
    a, b = one.train(), two.train()
    assert (one.point().flat() - two.point().flat()).abs().max() < 1e-6
    assert two.moved() and b["env_steps"] == a["env_steps"]
    for gap in GAPS:
        assert b[gap] == pytest.approx(a[gap], abs=1e-5)


@pytest.mark.parametrize("info", ["FNE", "GR"])
def test_layers_are_trained_as_by_a_plain_loop(info: str) -> None:
    game = layers(hidden=(16,), samples=512)
    config = DGNOptConfig().training(game=game, info=info, lr=0.05, minibatch_size=64, steps_per_iteration=8)
    algorithm = made(config.evaluation(evaluation_interval=None))
    net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    torch.nn.utils.vector_to_parameters(game.initial(0).flat(), net.parameters())
    optimizer = DGNOpt(net, info=info, lr=0.05, kl_clip=None, seed=0)
    for step in range(8):
        batch = game.minibatch(step, 64, seed=0)
        optimizer.step((batch.inputs, batch.targets))
    algorithm.train()
    assert game.load(net).flat().equal(algorithm.point().flat())


def test_any_network_is_trained_in_the_stages_of_its_game() -> None:
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    game = network_game(residual_mlp(6, (5, 4), stem=6, classes=3), x, torch.arange(64) % 3, weight_decay=1e-3)
    config = DGNOptConfig().training(game=game, info="GR", minibatch_size=0, lr=0.1, steps_per_iteration=8)
    algorithm = made(config.evaluation(evaluation_interval=None))
    before = game.utilities(algorithm.point())
    algorithm.train()
    assert (game.utilities(algorithm.point()) > before).all() and algorithm.outcome == "running"


def test_everybody_of_one_mind_cooperates_in_the_prisoners_dilemma() -> None:
    probability = {}
    for objective in ("own", "welfare"):
        algorithm = built(dilemma(), objective=objective, field="exact", lr=0.3, kl_clip=0.1, steps_per_iteration=40)
        row = algorithm.train()
        point = algorithm.task.point(algorithm.task.load(algorithm.point()))
        assert point is not None
        probability[objective] = [float(p[0]) for p in point]
    assert max(probability["own"]) < 0.1 and min(probability["welfare"]) > 0.9
    assert row["utility_0"] > 2.5 and row["local_cce_gap"] == row["local_nash_gap"]


@pytest.mark.parametrize("environment", SMALL)
def test_every_environment_is_trained_and_goes_on_bit_by_bit_from_a_checkpoint(
    environment: str, tmp_path: Path
) -> None:
    env, settings = SMALL[environment]
    config = DGNOptConfig().environment(environment, env_config=env).training(**settings, steps_per_iteration=2)
    algorithm = made(config.evaluation(evaluation_interval=None))
    for _ in range(3):
        algorithm.train()
    assert algorithm.moved() and algorithm.outcome == "running"
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    rows = numbers(algorithm)
    again = made(config.copy(copy_frozen=False))
    again.restore_from_path(path)
    assert numbers(again) == rows
    elsewhere = Algorithm.from_checkpoint(path)
    assert isinstance(elsewhere, DGNOptAlgorithm) and numbers(elsewhere) == rows


def numbers(algorithm: Any) -> list[Any]:
    """What three more iterations report, where they lead and what was summed up, bit by bit."""
    rows = [{k: row[k] for k in ("env_steps", "field_calls", "outcome")} for row in (algorithm.train() for _ in "123")]
    sums = {name: t.tolist() for name, t in algorithm.accumulator.state_dict().items()}
    return [*rows, algorithm.point().flat().tolist(), sums, len(algorithm.history)]


def test_a_checkpoint_of_another_environment_is_refused(tmp_path: Path) -> None:
    config = DGNOptConfig().environment("layers_v0").training(minibatch_size=32)
    path = made(config).save_to_path(tmp_path / "checkpoint")
    other = made(DGNOptConfig().environment("larger_number_v0", env_config={"n": 4}))
    before = other.point().flat().clone()
    with pytest.raises(CheckpointError, match="expected 'larger_number_v0' with options"):
        other.restore_from_path(path)
    assert other.point().flat().equal(before)


def test_a_step_that_diverges_is_refused_and_the_run_is_over() -> None:
    algorithm = built(layers((8,), samples=64, activation="identity"), **SGD, lr=1e18, minibatch_size=0)
    rows = [algorithm.train() for _ in range(6)]
    assert rows[-1]["outcome"] in ("diverged", "nonfinite") and rows[-1]["explain"]
    kept = algorithm.point().flat().clone()
    assert kept.isfinite().all()
    assert algorithm.train()["outcome"] == rows[-1]["outcome"] and algorithm.point().flat().equal(kept)
    assert all(not math.isnan(rows[-1][gap]) for gap in GAPS)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(nim: Any) -> None:
    def run(seed: int) -> Profile:
        config = DGNOptConfig().training(game=nim, hidden=(4,), games_per_sample=16)
        algorithm = made(config.debugging(seed=seed))
        for _ in range(3):
            algorithm.train()
        return algorithm.point()

    first = run(0).flat()
    torch.manual_seed(99)
    assert run(0).flat().equal(first) and not run(1).flat().equal(first)


@pytest.mark.slow
def test_a_learner_in_another_process_does_the_same() -> None:
    def config() -> DGNOptConfig:
        return DGNOptConfig().environment("layers_v0").training(minibatch_size=32)

    here, there = made(config()), made(config().learners(num_learners=1))
    for _ in range(2):
        here.train()
        there.train()
    assert here.point().flat().equal(there.point().flat())
    state = there.get_state()["strategic_envs"]["optimizers"]
    assert state[0]["game"]["steps"] == 2
    there.stop()


@pytest.mark.gpu
def test_a_learner_on_a_gpu_trains() -> None:
    config = DGNOptConfig().environment("layers_v0").training(minibatch_size=64, device="cuda")
    algorithm = made(config)
    losses = [-algorithm.train()["utility_0"] for _ in range(10)]
    assert algorithm.point()[0].device.type == "cuda" and losses[-1] < losses[0]
