"""Runs that learn tic-tac-toe: what each is, its curve, and what it plays at the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strategic_envs.agents.double_oracle.policy_space.machine import PSROState
from strategic_envs.agents.double_oracle.policy_space.run import PSROResult, psro
from strategic_envs.agents.roster import Job, agent, checkpoint_play
from strategic_envs.evaluators.outcomes import outcome_probabilities
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay

__all__ = ["QUICK", "RUNS", "Learned", "Run", "exact_psro", "learn", "losses"]

_NETWORK = {"strategy": None, "hidden": [64, 64], "field": "exact", "entropy": [0.1, 0.02, 300]}


@dataclass(frozen=True)
class Run:
    """One way to learn.

    Args:
        label: What tables and pictures call it.
        agent: The agent of the roster.
        settings: What differs from its preset.
        reaches: Whether it is meant to reach the aims, rather than to be compared with.
        seeds: How many seeds are run in full.
    """

    label: str
    agent: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    reaches: bool = True
    seeds: int = 1


RUNS = (
    Run("independent gradient", "independent_gd", seeds=3),
    Run("extragradient", "extragradient", seeds=3),
    Run("independent gradient, network, exact", "independent_gd", {**_NETWORK, "step_size": 20.0}),
    Run("ExtraAdam, network, exact", "extra_adam", {**_NETWORK, "step_size": 0.01, "entropy": 0.0}),
    Run(
        "control: independent gradient from the empty board, no entropy",
        "independent_gd",
        {"exploring_starts": 0.0, "entropy": 0.0, "step_size": 30.0},
        reaches=False,
    ),
    Run("control: stock PPO, 10,240 moves", "ppo", reaches=False),
)
_EXACT = {"field": "exact", "entropy": 0.0, "evaluate_every": 4}
QUICK = (
    Run("independent gradient, exact", "independent_gd", {**_EXACT, "iterations": 20}),
    Run("extragradient, exact", "extragradient", {**_EXACT, "iterations": 20}),
)
"""What a first look learns by: exact gradients, 200 steps."""


@dataclass(frozen=True)
class Learned:
    """What a run left behind.

    Args:
        steps: Moves played up to each measurement; gradients taken where these are exact.
        seconds: Wall-clock time up to each.
        exploitability: Measured there, exactly.
        play: The tables at the end.
    """

    steps: list[int]
    seconds: list[float]
    exploitability: list[float]
    play: TabularPlay


def learn(run: Run, seed: int) -> Learned:
    """Trains once."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job("tic_tac_toe_v0", agent=dict(run.settings), seed=seed, out=Path(folder))
        rows: list[dict[str, Any]] = []
        result = agent(run.agent).train(job, rows.append)
        assert result.checkpoint is not None
        play = checkpoint_play(result.checkpoint)[1]
    columns = ([r[name] for r in rows] for name in ("steps", "seconds", "exploitability"))
    return Learned(*columns, play=play)


def losses(game: TicTacToe, play: TabularPlay) -> tuple[float, float]:
    """The exact probability of losing to random play, as X and as O."""
    uniform = game.uniform_policy()
    as_x = outcome_probabilities(game, TabularPlay((play.policies[0], uniform)))
    as_o = outcome_probabilities(game, TabularPlay((uniform, play.policies[1])))
    return float(as_x.loss[0]), float(as_o.loss[1])


def exact_psro(game: TicTacToe) -> tuple[PSROResult, list[float]]:
    """PSRO with exact replies and payoffs, and the seconds it took up to each iteration."""
    began, seconds = time.perf_counter(), []

    def watch(state: PSROState) -> None:
        while len(seconds) < len(state.history):
            seconds.append(time.perf_counter() - began)

    return psro(game, watch=watch), seconds
