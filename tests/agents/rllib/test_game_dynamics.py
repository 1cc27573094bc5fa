"""The algorithms as users run them: build, train, evaluate, tune."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from strategic_envs.agents.rllib.algorithm import GameDynamics
from strategic_envs.agents.rllib.config import ExtragradientConfig, GameDynamicsConfig, IndependentGDConfig
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.sets import Box

pytestmark = pytest.mark.usefixtures("ray_session")

GAPS = ["exploitability", "nash_conv", "cce_gap", "local_nash_gap", "local_cce_gap"]
START = [[0.443, 0.0], [0.0, 0.0]]  # NashConv 0.436: away from the equilibrium


def last_quarter(config: GameDynamicsConfig, seed: int, iterations: int = 60) -> float:
    """The mean NashConv of the evaluations in the last quarter of a run."""
    config = config.environment("continuous_game_v0", env_config={"game": "matching_pennies"}).debugging(seed=seed)
    algorithm = config.training(start=START, step_size=1.0).evaluation(evaluation_interval=3).build_algo()
    rows = [algorithm.train() for _ in range(iterations)]
    gaps = [row["nash_conv"] for row in rows[-iterations // 4 :] if "nash_conv" in row]
    assert len(gaps) == iterations // 12
    return sum(gaps) / len(gaps)


@pytest.mark.parametrize("seed", range(5))
def test_on_matching_pennies_independent_gradient_spirals_out_and_extragradient_comes_in(seed: int) -> None:
    assert last_quarter(IndependentGDConfig(), seed) >= 1.0
    assert last_quarter(ExtragradientConfig(), seed) <= 0.08
    assert last_quarter(ExtragradientConfig().training(field="exact"), seed) <= 0.005


def build(game: Any, config: type[GameDynamicsConfig] = IndependentGDConfig, **settings: Any) -> GameDynamics:
    return config().training(game=game, **settings).build_algo()


def numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: row[k] for k in (*GAPS, "env_steps", "field_calls")}


def test_every_row_has_every_gap_and_says_whether_it_is_exact(pennies, slippery_rooms, nim) -> None:
    for game in (pennies, slippery_rooms, nim):
        row = build(game, hidden=(4,), games_per_sample=64, horizon=5).train()
        for name in GAPS:
            assert math.isfinite(row[name]) and row[name] == row["evaluation"][name]
            assert row[f"{name}_exact"] in (0.0, 1.0)
        assert row["nash_conv"] == pytest.approx(2 * row["exploitability"])
        assert row["outcome"] == "running" and row["env_steps"] > 0
        assert row["num_env_steps_sampled_lifetime"] == row["env_steps"]


def test_what_evaluate_returns_is_what_train_reported(pennies) -> None:
    """RLlib discards what a custom evaluation function returns; ours is no such function."""
    algorithm = build(pennies)
    row = algorithm.train()
    assert {k: row[k] for k in GAPS} == {k: algorithm.evaluate()[k] for k in GAPS}


def test_evaluating_does_not_change_a_run(nim) -> None:
    often = build(nim, hidden=(4,), games_per_sample=32)
    config = IndependentGDConfig().training(game=nim, hidden=(4,), games_per_sample=32)
    seldom = config.evaluation(evaluation_interval=3).build_algo()
    rows = [(often.train(), seldom.train()) for _ in range(3)]
    often.evaluate()
    assert "exploitability" not in rows[0][1]
    assert numbers(rows[2][0]) == numbers(rows[2][1])


@pytest.mark.parametrize("config", [IndependentGDConfig, ExtragradientConfig])
def test_the_same_seed_gives_the_same_numbers_and_another_one_others(config, pennies, slippery_rooms, nim) -> None:
    for game in (pennies, slippery_rooms, nim):

        def rows(seed: int, game=game) -> list[dict[str, float]]:
            settings = config().training(game=game, hidden=(4,), games_per_sample=64, horizon=5).debugging(seed=seed)
            algorithm = settings.build_algo()
            start = algorithm.point().flat().clone()
            found = [numbers(algorithm.train()) for _ in range(3)]
            assert (algorithm.point().flat() - start).norm() > 0, "the parameters moved"
            return found

        first = rows(0)
        torch.manual_seed(99)
        assert rows(0) == first
        assert rows(1) != first


def test_modules_that_users_see_hold_the_present_weights(slippery_rooms) -> None:
    algorithm = build(slippery_rooms, ExtragradientConfig, hidden=(4,), games_per_sample=64, horizon=5)
    algorithm.train()
    for player, flat in zip(("player_0", "player_1"), algorithm.point(), strict=True):
        shown = algorithm.get_module(player)
        assert torch.cat([p.detach().flatten() for p in shown.parameters()]).equal(flat)
        weights = algorithm.learner_group.get_weights([player])[player]
        assert torch.cat([torch.as_tensor(w).flatten() for w in weights.values()]).equal(flat)


def test_frozen_play_has_the_norm_of_its_gradient_as_local_cce_gap(pennies) -> None:
    algorithm = build(pennies, field="exact", step_size=1e-300, start=START)
    gradient = algorithm.oracle.field(algorithm.point())
    for _ in range(5):
        row = algorithm.train()
    assert row["local_cce_gap"] == pytest.approx(max(float(g.norm()) for g in gradient), abs=1e-12)
    assert row["local_nash_gap"] == pytest.approx(row["local_cce_gap"], abs=1e-12)


def test_squared_difference_has_a_small_local_and_a_large_global_gap() -> None:
    config = IndependentGDConfig().environment("continuous_game_v0", env_config={"game": "squared_difference"})
    algorithm = config.training(step_size=0.02).build_algo()
    for _ in range(300):
        row = algorithm.train() if algorithm.iteration % 100 == 99 else algorithm.training_step()
    row = algorithm.train()
    assert row["local_cce_gap"] < 0.5
    assert row["cce_gap"] > 2.0
    assert row["local_gap_by"] == "coordinates" and row["cce_gap_of"] == "run"


def test_independent_gradient_is_projected_onto_the_sets() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)], name="saddle")
    algorithm = build(game, step_size=1.5, start=[[0.9], [0.8]])
    for _ in range(20):
        algorithm.train()
        assert game.validate(algorithm.point())


def test_a_field_that_is_not_finite_stops_the_run_and_keeps_the_parameters() -> None:
    def steep(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (torch.log(x - 0.5) * y).sum(-1)  # no number below 1/2

    game = Game.minmax(steep, [Box(0, 1), Box(-1, 1)], name="steep")
    algorithm = build(game, step_size=0.2, start=[[0.6], [1.0]])
    rows = [algorithm.train() for _ in range(3)]
    assert rows[-1]["outcome"] == "nonfinite" and rows[-1]["exploitability"] == math.inf
    assert algorithm.point().isfinite()
    kept = algorithm.point().flat().clone()
    assert algorithm.train()["outcome"] == "nonfinite" and algorithm.point().flat().equal(kept)


def test_independent_gradient_on_layers_is_stochastic_gradient_descent_of_torch() -> None:
    config = IndependentGDConfig().environment("layers_v0").evaluation(evaluation_interval=20)
    algorithm = config.training(minibatch_size=64, step_size=0.1).build_algo()
    game = algorithm.task.game
    network = game.module(algorithm.point())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(20):
        batch = game.minibatch(step, 64, seed=0)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch.inputs), batch.targets).backward()
        optimizer.step()
        algorithm.train()
    assert (game.load(network).flat() - algorithm.point().flat()).abs().max() < 1e-6


def test_any_dynamic_of_the_project_trains(pennies) -> None:
    for name in ("alternating_gradient", "optimistic_gradient", "online_gradient"):
        algorithm = GameDynamicsConfig().training(game=pennies, dynamic=name, step_size=0.5).build_algo()
        for _ in range(3):
            row = algorithm.train()
        assert all(math.isfinite(row[g]) for g in GAPS)


def test_players_of_any_number_are_trained() -> None:
    game = NormalFormGame(torch.randn(3, 2, 3, 2, generator=torch.Generator().manual_seed(0)), name="three")
    row = build(game, games_per_sample=256).train()
    assert row["nash_conv"] == pytest.approx(3 * row["exploitability"])


@pytest.mark.slow
def test_remote_runners_share_the_sampling(pennies) -> None:
    config = ExtragradientConfig().training(game=pennies, start=START).env_runners(num_env_runners=2)
    rows = []
    for _ in range(2):
        algorithm = config.resources(num_cpus_for_main_process=0).build_algo()
        rows.append([numbers(algorithm.train()) for _ in range(40)])
        assert algorithm.get_module("player_0").vector.detach().equal(algorithm.point()[0])
        algorithm.stop()
    assert rows[0] == rows[1], "the same seed gives the same numbers"
    assert rows[0][0]["env_steps"] == 4 * 4096, "two runners, two points a step"
    assert sum(r["nash_conv"] for r in rows[0][-10:]) / 10 < 0.1


@pytest.mark.slow
def test_several_learners_find_the_gradient_of_one() -> None:
    def config() -> GameDynamicsConfig:
        settings = {"hidden": (4,), "games_per_sample": 64, "horizon": 5}
        return IndependentGDConfig().environment("duopoly_pricing_v0").training(**settings)

    one, two = config().build_algo(), config().learners(num_learners=2).build_algo()
    for _ in range(3):
        a, b = numbers(one.train()), numbers(two.train())
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    two.stop()


@pytest.mark.slow
def test_tune_runs_one_trial_a_seed(tmp_path) -> None:
    from ray import tune

    config = IndependentGDConfig().environment("continuous_game_v0", env_config={"game": "matching_pennies"})
    config = config.debugging(seed=tune.grid_search([0, 1])).resources(num_cpus_for_main_process=0.5)
    run = tune.RunConfig(
        storage_path=str(tmp_path),
        stop={"training_iteration": 3},
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        verbose=0,
    )
    results = tune.Tuner(GameDynamics, param_space=config, run_config=run).fit()
    assert not results.errors
    gaps = [result.metrics["exploitability"] for result in results]
    assert len(gaps) == 2 and gaps[0] != gaps[1]
    restored = GameDynamics.from_checkpoint(results[1].checkpoint.path)
    assert restored.iteration == 3 and restored.evaluate()["exploitability"] == gaps[1]
