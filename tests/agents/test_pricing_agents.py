"""Agents of pricing games: fixed firms, Q-learning without Ray, and the cartel of the cooperative gradient."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strategic_envs.agents.roster import GAPS, Job, agent, agents, checkpoint_play, evaluate_checkpoint
from strategic_envs.agents.roster.fixed_firms import FixedFirmsAgent
from strategic_envs.baselines.pricing import FIXED_FIRMS
from strategic_envs.baselines.q_learning import QLearning, run_sessions
from strategic_envs.errors import (
    CheckpointError,
    InvalidGameError,
    InvalidSettingError,
    OracleError,
    UnknownNameError,
)
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.evaluators.collusion.policies import FIGURES
from strategic_envs.evaluators.expectation import initial_utilities
from strategic_envs.evaluators.tabular import tabular_fields, welfare_fields
from strategic_envs.games.pricing import pricing
from strategic_envs.play import TabularPlay

PRICING = "duopoly_pricing_v0"
SHORT = {"beta": 1e-4, "window": 5000}
SMALL: dict[str, Any] = {"env": {"m": 4}, "agent": SHORT}


def _train(name: str, **job: Any) -> Any:
    return agent(name).train(Job(PRICING, **job), lambda row: None)


def test_every_rule_of_firms_is_an_agent() -> None:
    named = {name for name, one in agents().items() if isinstance(one, FixedFirmsAgent)}
    assert named | {"uniform_random"} == set(FIXED_FIRMS)


@pytest.mark.parametrize("name", FIXED_FIRMS)
def test_fixed_firms_have_gaps_and_figures(name: str) -> None:
    final = _train(name).final
    assert all(math.isfinite(final[key]) for key in (*GAPS, *FIGURES))
    assert final["exploitability_exact"] == 1.0


def test_the_cartel_that_a_threat_protects_is_the_one_that_nobody_can_exploit() -> None:
    grim, cartel = _train("grim_trigger").final, _train("monopoly").final
    assert grim["profit_gain"] == cartel["profit_gain"] == pytest.approx(0.9997, abs=5e-5)
    assert grim["exploitability"] == pytest.approx(0.0, abs=1e-14) and cartel["exploitability"] > 0.07
    assert (grim["deviation_unprofitable"], cartel["deviation_unprofitable"]) == (1.0, 0.0)
    assert grim["rival_response"] < -0.2 and cartel["rival_response"] == 0.0


@pytest.mark.parametrize("name", ["grim_trigger", "q_learning"])
def test_who_prices_plays_nothing_else(name: str) -> None:
    for environment in ("tic_tac_toe_v0", "continuous_game_v0", "layers_v0", "larger_number_v0"):
        with pytest.raises(InvalidSettingError, match=f"{name} does not play {environment}: it .* repeated price game"):
            agent(name).check(Job(environment))


def test_a_rule_that_answers_refuses_firms_without_memory_before_it_starts() -> None:
    with pytest.raises(InvalidGameError, match="memory=0: expected memory >= 1"):
        agent("tit_for_tat").check(Job(PRICING, env={"memory": 0}))


def test_q_learning_ends_where_its_session_ends() -> None:
    rates = {"beta": 2e-5, "window": 5000}
    result = _train("q_learning", seed=3, env={"m": 4}, agent=rates)
    game = pricing(m=4)
    session = run_sessions(game, QLearning(beta=2e-5, window=5000), [0], seed=3)
    analysis = analyse(game.frozen(), session.strategy, session.state)
    assert result.final["outcome"] == "converged"
    assert result.final["steps"] == int(session.periods[0])
    assert result.final["profit_gain"] == pytest.approx(float(analysis.gain[0]), abs=1e-12)
    assert result.final["best_reply_loss"] == pytest.approx(float(analysis.exploitability[0].mean()), abs=1e-10)
    assert [row["iteration"] for row in result.rows][:3] == [1, 2, 4]
    assert [row["outcome"] for row in result.rows] == ["running"] * (len(result.rows) - 1) + ["converged"]
    assert result.parameters_moved


def test_q_learning_repeats_and_other_seeds_differ() -> None:
    def course(seed: int) -> list[dict[str, Any]]:
        rows = _train("q_learning", seed=seed, **SMALL).rows
        return [{k: v for k, v in row.items() if k not in ("seconds", "seed")} for row in rows]

    assert course(1) == course(1) != course(2)


def test_a_session_that_does_not_converge_is_flagged() -> None:
    final = _train("q_learning", iterations=3, env={"m": 4}).final
    assert (final["steps"], final["outcome"]) == (75_000, "not converged")
    assert "still changing after 75,000 periods" in final["explain"]


def test_a_checkpoint_of_q_learning_is_judged_again(tmp_path: Path) -> None:
    first = _train("q_learning", seed=1, out=tmp_path, **SMALL)
    again = evaluate_checkpoint(tmp_path, PRICING)
    kept = (*GAPS, *FIGURES, "steps", "iteration", "agent", "seed", "environment")
    assert {k: again[k] for k in kept} == {k: first.final[k] for k in kept}
    game, play = checkpoint_play(tmp_path)
    assert game.m == 4 and [p.shape for p in play.policies] == [(16, 4)] * 2
    with np.load(first.checkpoint / "session.npz") as saved:
        assert saved["q"].shape == (2, 16, 4)
        assert (saved["q"].argmax(-1) == saved["strategy"]).all()
    (first.checkpoint / "session.npz").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        evaluate_checkpoint(tmp_path)


@pytest.mark.slow
def test_q_learning_and_its_checkpoints_need_no_ray(tmp_path: Path) -> None:
    code = (
        "import sys, json; from strategic_envs.agents.roster import Job, agent, evaluate_checkpoint\n"
        "from pathlib import Path\n"
        f"job = Job('{PRICING}', env={{'m': 3}}, agent={SHORT!r}, out=Path({str(tmp_path)!r}))\n"
        "agent('q_learning').check(job); agent('q_learning').train(job, lambda row: None)\n"
        "row = evaluate_checkpoint(job.out); print(json.dumps(['ray' in sys.modules, row['agent']]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [False, "q_learning"]


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (InvalidSettingError, "alpha=2.0", {"alpha": 2.0}),
        (InvalidSettingError, "window=0", {"window": 0}),
        (UnknownNameError, "did you mean 'beta'", {"betta": 1e-4}),
    ],
)
def test_bad_rates_are_named_before_anything_starts(error: type, message: str, settings: dict[str, Any]) -> None:
    with pytest.raises(error, match=message):
        agent("q_learning").check(Job(PRICING, agent=settings))


def test_the_gradient_of_everybodys_profits_is_the_sum_of_their_derivatives() -> None:
    game = pricing(m=3, delta=0.7)
    stream = torch.Generator().manual_seed(0)
    tables = tuple(torch.rand(9, 3, generator=stream, dtype=torch.float64).softmax(-1) for _ in range(2))
    weights = (0.25, 2.0)
    slopes = welfare_fields(game, TabularPlay(tables), weights)
    for player, state, action in ((0, 4, 2), (1, 7, 0), (0, 0, 1)):
        step = torch.zeros(9, 3, dtype=torch.float64)
        step[state] = -tables[player][state]
        step[state, action] += 1.0  # towards the pure action: the tables stay distributions
        moved = [
            tuple(t + s * h * step if i == player else t for i, t in enumerate(tables))
            for s, h in ((1, 1e-6), (-1, 1e-6))
        ]
        paid = [initial_utilities(game, m) @ torch.tensor(weights, dtype=torch.float64) for m in moved]
        expected = float(paid[0] - paid[1]) / 2e-6
        assert float((slopes[player] * step).sum()) == pytest.approx(expected, abs=1e-7)


def test_with_one_weight_it_is_a_players_own_gradient() -> None:
    game = pricing(m=3)
    play = TabularPlay(game.uniform_policy())
    assert welfare_fields(game, play, (1.0, 0.0))[0].allclose(tabular_fields(game, play)[0])


def test_nobody_answers_a_mixture_for_the_good_of_all() -> None:
    pytest.importorskip("ray.rllib")
    with pytest.raises(OracleError, match="cooperative_gradient needs welfare_gradient"):
        agent("psro").check(Job(PRICING, agent={"dynamic": "cooperative_gradient"}))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_the_cooperative_gradient_reaches_the_cartel_and_nothing_protects_it() -> None:
    final = _train("cooperative_gradient", iterations=100, agent={"evaluate_every": 100}).final
    assert final["profit_gain"] > 0.999
    assert final["best_reply_loss"] > 0.18 and final["deviation_gain"] > 0.01
    assert abs(final["rival_response"]) < 1e-3 and final["deviation_unprofitable"] == 0.0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_independent_gradient_ends_at_or_beside_a_static_equilibrium_and_punishes_nobody() -> None:
    exact = {"field": "exact", "games_per_sample": None, "horizon": None, "evaluate_every": 80}
    plain = _train("independent_gd", iterations=80, agent=exact).final
    adam = _train("adam_gradient", iterations=80, agent=exact).final
    assert adam["profit_gain"] == pytest.approx(-0.0238, abs=2e-3) and adam["exploitability"] < 1e-4
    assert plain["profit_gain"] == pytest.approx(0.1789, abs=0.01)  # price indices 2 and 3
    assert plain["best_reply_loss"] < 0.01
    assert all(abs(final["rival_response"]) < 1e-3 for final in (plain, adam))
