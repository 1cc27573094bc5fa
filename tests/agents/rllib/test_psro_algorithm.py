"""PSRO as an algorithm of RLlib: it finds the known equilibria, and says what it judged and why it ended."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from strategic_envs.agents.double_oracle.policy_space.meta import meta_solvers
from strategic_envs.agents.rllib import DoubleOracle, DoubleOracleConfig
from strategic_envs.agents.rllib.judge import GAPS
from strategic_envs.games.kinds.normal_form import NormalFormGame

pytestmark = pytest.mark.usefixtures("ray_session")


def built(environment: str, env: dict[str, Any] | None = None, **settings: Any) -> DoubleOracle:
    config = DoubleOracleConfig().environment(environment, env_config=env or {})
    return config.training(**settings).build_algo()


def trained(algorithm: DoubleOracle, iterations: int) -> list[dict[str, Any]]:
    return [algorithm.train() for _ in range(iterations)]


def test_learned_replies_name_larger_and_larger_numbers_up_to_the_largest() -> None:
    rows = trained(built("larger_number_v0", {"n": 6}, field="exact", step_size=2.0), 8)
    assert rows[0]["exploitability"] > 0.5 and rows[-1]["exploitability"] < 0.02
    assert rows[-1]["exploitability_exact"] == 1.0 and rows[-1]["judged"] == "the mixture"
    assert [row["psro_iteration"] for row in rows] == list(range(8)) and rows[-1]["population_0"] == 8


def test_sampled_replies_and_sampled_payoffs_do_so_too() -> None:
    settings = {"games_per_sample": 512, "payoffs": "sampled", "games_per_cell": 50}
    rows = trained(built("larger_number_v0", {"n": 4}, **settings), 6)
    assert rows[-1]["exploitability"] < 0.1
    assert rows[-1]["env_steps"] > 6 * 6 * 50 and rows[-1]["local_nash_gap_exact"] in (0.0, 1.0)


def test_points_of_a_continuous_game_reach_its_mixed_equilibrium() -> None:
    row = trained(built("continuous_game_v0", {"game": "squared_difference"}, step_size=0.05, oracle_steps=200), 7)[-1]
    assert row["exploitability"] < 0.01 and row["utility_0"] == pytest.approx(1.0, abs=0.02)


def test_tables_of_logits_that_tremble_solve_tic_tac_toe_in_two_iterations() -> None:
    how = {"strategy": "logits", "dynamic": "adam_gradient", "step_size": 0.1, "oracle_steps": 60}
    algorithm = built("tic_tac_toe_v0", field="exact", tremble=0.3, warm_start="fresh", **how)
    rows = trained(algorithm, 3)
    assert rows[0]["exploitability"] > 0.9 and rows[2]["exploitability"] < 0.05
    assert rows[2]["judged"] == "behaviour policies of the mixture" and rows[2]["exploitability_exact"] == 1.0


def test_a_network_learns_to_answer_in_tic_tac_toe() -> None:
    how = {"games_per_sample": 128, "hidden": (32,), "dynamic": "adam_gradient", "step_size": 0.02}
    algorithm = built("tic_tac_toe_v0", oracle_steps=60, **how)
    trained(algorithm, 2)
    gains = algorithm.psro.history[0].gains
    assert min(gains) > 0.3  # what each reply gains against the first policies, about .6 and 1.2 at best


def test_pricing_is_judged_between_bounds_that_meet_while_everybody_plays_one_policy() -> None:
    how = {"hidden": (8,), "games_per_sample": 32, "horizon": 20, "oracle_steps": 10, "meta_solver": "uniform"}
    first, second = trained(built("duopoly_pricing_v0", **how), 2)
    assert first["exploitability_exact"] == 1.0 and first["exploitability_lower"] == first["exploitability"]
    assert second["exploitability_exact"] == 0.0 and second["judged"].startswith("upper bound")
    assert 0 < second["exploitability_lower"] <= second["exploitability"]


@pytest.mark.parametrize("name", sorted(meta_solvers()))
def test_every_meta_solver_gives_finite_gaps(name: str) -> None:
    settings = {"field": "exact", "step_size": 2.0, "oracle_steps": 20, "meta_solver": name}
    for row in trained(built("larger_number_v0", {"n": 3}, **settings), 3):
        assert all(math.isfinite(row[gap]) and math.isfinite(row[f"{gap}_exact"]) for gap in GAPS)
        assert row["nash_conv"] == pytest.approx(2 * row["exploitability"])


def test_the_cce_gap_is_of_the_joint_distribution() -> None:
    chicken = NormalFormGame([[[6.0, 2.0], [7.0, 0.0]], [[6.0, 7.0], [2.0, 0.0]]])
    config = DoubleOracleConfig().training(game=chicken, oracle="exact", meta_solver="cce")
    row = trained(config.build_algo(), 4)[-1]
    assert row["cce_gap"] == pytest.approx(0.0, abs=1e-6) and row["cce_gap_exact"] == 1.0


@pytest.mark.parametrize("environment", ["larger_number_v0", "continuous_game_v0", "tic_tac_toe_v0"])
def test_exact_replies_converge_or_go_on(environment: str) -> None:
    env = {"larger_number_v0": {"n": 4}, "continuous_game_v0": {"game": "squared_difference"}}.get(environment, {})
    algorithm = built(environment, env, oracle="exact")
    row = trained(algorithm, 6)[-1]
    if environment == "larger_number_v0":
        assert row["outcome"] == "converged" and row["exploitability"] == 0.0 and "tolerance" in row["explain"]
    assert row["env_steps"] == 0 and row["exploitability"] <= 1.0


def test_once_ended_nothing_changes() -> None:
    algorithm = built("larger_number_v0", {"n": 2}, oracle="exact")
    rows = trained(algorithm, 5)
    assert rows[-1]["outcome"] == "converged" and rows[-1]["psro_iteration"] == rows[-2]["psro_iteration"]
    populations, weights = algorithm.mixture()
    assert populations == ((0, 1), (0, 1)) and [w.tolist() for w in weights] == [[0.0, 1.0]] * 2


def test_replies_that_are_not_finite_end_the_run_by_name() -> None:
    algorithm = built("continuous_game_v0", {"game": "squared_difference"}, step_size=0.1)
    algorithm.train()
    algorithm.state = type(algorithm.state)(algorithm.state.x.map(lambda t: t * torch.nan))
    row = algorithm.train()
    assert row["outcome"] == "nonfinite" and "not finite" in row["explain"]


@pytest.mark.parametrize("how", ["best", "newest", "shrunk", "fresh"])
def test_replies_start_where_they_are_told_to(how: str) -> None:
    algorithm = built("larger_number_v0", {"n": 3}, field="exact", step_size=2.0, warm_start=how, oracle_steps=5)
    trained(algorithm, 3)
    policies, fresh = algorithm.psro.populations[0], algorithm.task.fresh(algorithm.psro.iteration)[0]
    best = policies[int(algorithm._deviations()[0].argmax())]
    there = {"best": best, "newest": policies[-1], "shrunk": (best + fresh) / 2, "fresh": fresh}
    assert algorithm.point()[0].equal(there[how])


def test_units_cut_an_iteration_into_pieces() -> None:
    settings = {"field": "exact", "step_size": 2.0, "oracle_steps": 5, "cells_per_unit": 1}
    whole = trained(built("larger_number_v0", {"n": 4}, **settings), 3)[-1]
    algorithm = built("larger_number_v0", {"n": 4}, units_per_iteration=1, **settings)
    row: dict[str, Any] = {}
    for _ in range(100):
        row = algorithm.train()
        if row["psro_iteration"] == 2 and algorithm.psro.meta is not None:
            break
    assert row["exploitability"] == whole["exploitability"] and row["reply_steps"] == 0


def test_learners_hold_one_module_a_player_however_many_policies_there_are() -> None:
    algorithm = built("larger_number_v0", {"n": 3}, field="exact", step_size=2.0, oracle_steps=5)
    trained(algorithm, 4)
    learner: Any = algorithm.learner_group._learner
    assert sorted(learner.module.keys()) == ["player_0", "player_1"]
    assert all(p.ndim == 1 and not p.requires_grad for population in algorithm.psro.populations for p in population)
