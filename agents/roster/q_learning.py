"""Tabular Q-learning of firms, one session to its end: the learner that the word "algorithmic collusion" is about.

Calvano, Calzolari, Denicolò and Pastorello (AER 2020). An iteration is 25,000 periods, as in the authors' program. The
session is a function of the seed alone, so its course is told by ending it early: rows are of the greedy prices after
1, 2, 4, 8, ... iterations and at the end, where no firm's greedy price has changed for a long time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows
from strategic_envs.agents.roster.kinds import prices
from strategic_envs.errors import CheckpointError

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning import QLearning, Sessions
    from strategic_envs.games.pricing import PricingGame
    from strategic_envs.play import TabularPlay

__all__ = ["AGENT", "QLearningAgent"]

_PERIODS = 25_000  # in an iteration
_FILE = "session.npz"


class QLearningAgent(Agent):
    """One session of Q-learning in a pricing game; it needs no Ray.

    Hyper-parameters are `alpha`, `beta` (per period) and `window` of `QLearning`, and `draws` of `run_sessions`. Rows
    judge the greedy strategies: gaps from all histories alike, figures from the state in which the session stands.
    """

    name: str = "q_learning"
    summary: str = "tabular Q-learning of firms (Calvano et al. 2020), one session until it converges"
    needs_ray: ClassVar[bool] = False

    def refuses(self, environment: str) -> str | None:
        return None if prices(environment) else "it keeps tables of the repeated price game, by remembered prices"

    def preset(self, environment: str) -> dict[str, Any]:
        return {"iterations": 40_000, "alpha": 0.15, "beta": 4e-6, "window": 100_000, "draws": "per_period"}

    def check(self, job: Job) -> None:
        self._learner(self.resolve(job), 1)
        _game(job.environment, job.env)

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        from strategic_envs.baselines.q_learning import run_sessions

        settings = self.resolve(job)
        game, rows = _game(job.environment, job.env), Rows(job, self.name, on_row)
        tables = game.frozen()
        ends: Sessions | None = None
        for iterations in _doubling(settings["iterations"]):
            learner = self._learner(settings, iterations)
            ends = run_sessions(tables, learner, [0], seed=job.seed, draws=settings["draws"], threads=1, keep_q=True)
            over, periods = bool(ends.converged[0]), int(ends.periods[0])
            stopped = iterations == settings["iterations"]
            told = _told(over, stopped, periods)
            rows.add(-(-periods // _PERIODS), periods, {**_judge(game, *_play(ends)), **told})
            if over or stopped:
                break
        assert ends is not None, "there is at least one iteration"
        moved = bool((ends.strategy[0] != tables.initial_q.argmax(-1)[:, None]).any())
        checkpoint = None if job.out is None else self._save(Path(job.out) / "checkpoint", job, settings, ends)
        return Result(rows.all, rows.all[-1], settings, checkpoint, moved)

    def _learner(self, settings: Mapping[str, Any], iterations: int) -> QLearning:
        from strategic_envs.baselines.q_learning import QLearning

        rule = {name: settings[name] for name in ("alpha", "beta", "window")}
        return QLearning(**rule, cap=iterations * _PERIODS)

    def _save(self, folder: Path, job: Job, settings: Mapping[str, Any], ends: Sessions) -> Path:
        """Writes the tables and where the session stands."""
        import numpy as np

        from strategic_envs.agents.checkpoint import write_metadata

        folder.mkdir(parents=True, exist_ok=True)
        assert ends.q is not None, "they were kept"
        np.savez(folder / _FILE, strategy=ends.strategy[0], state=ends.state[0], periods=ends.periods[0], q=ends.q[0])
        about = {"environment": job.environment, "env_options": dict(job.env), "agent": self.name, "seed": job.seed}
        iteration = -(-int(ends.periods[0]) // _PERIODS)
        write_metadata(folder, {**about, "iteration": iteration, "settings": dict(settings)})
        return folder

    def judged_again(self, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
        import time

        began = time.perf_counter()
        game, play, state, periods = _read(folder, about)
        named = {key: about.get(key) for key in ("environment", "seed", "iteration", "agent")}
        gaps = _judge(game, play, state)
        return {**named, "seconds": time.perf_counter() - began, "steps": periods, **gaps}

    def played_again(self, folder: Path, about: Mapping[str, Any]) -> tuple[Any, Any]:
        return _read(folder, about)[:2]


def _doubling(last: int) -> Iterator[int]:
    """1, 2, 4, 8, ... and the last."""
    count = 1
    while count < last:
        yield count
        count *= 2
    yield last


def _told(over: bool, stopped: bool, periods: int) -> dict[str, Any]:
    if over:
        return {"outcome": "converged"}
    if stopped:
        return {"outcome": "not converged", "explain": f"greedy prices were still changing after {periods:,} periods"}
    return {"outcome": "running"}


def _game(environment: str, env: Mapping[str, Any]) -> PricingGame:
    from strategic_envs import registry

    game: Any = registry.make(environment, **env).unwrapped.game
    return game


def _tables(strategy: Any, m: int) -> TabularPlay:
    import torch

    from strategic_envs.play import TabularPlay

    rows = torch.eye(m, dtype=torch.float64)
    return TabularPlay(tuple(rows[torch.as_tensor(prices).long()] for prices in strategy))


def _play(ends: Sessions) -> tuple[TabularPlay, int]:
    """The greedy play of a session, and the state in which it stands."""
    assert ends.q is not None, "they were kept"
    return _tables(ends.strategy[0], ends.q.shape[-1]), int(ends.state[0])


def _judge(game: PricingGame, play: TabularPlay, state: int) -> dict[str, Any]:
    from strategic_envs.evaluators.figures import figures
    from strategic_envs.evaluators.report import evaluate

    told = {"local_gap_by": "policy tables", "cce_gap_of": "present play"}
    return {**evaluate(game, play).row(), **told, **figures(game, play, state)}


def _read(folder: Path, about: Mapping[str, Any]) -> tuple[PricingGame, TabularPlay, int, int]:
    import numpy as np

    try:
        with np.load(folder / _FILE) as saved:
            strategy, state, periods = saved["strategy"], int(saved["state"]), int(saved["periods"])
    except (OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{folder / _FILE}: not readable ({error}): train again") from error
    game = _game(str(about["environment"]), about.get("env_options", {}))
    return game, _tables(strategy, game.m), state, periods


AGENT = QLearningAgent()
