"""A whole study of algorithmic collusion: sessions and what they ended in, controls, retraining, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from strategic_envs.baselines.q_learning.progress import Progress
from strategic_envs.baselines.q_learning.retraining import Rematched, Retrained, rematch, retrain
from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.baselines.q_learning.schedules import Exponential
from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.collusion import (
    Analysis,
    CollusionReport,
    Controls,
    ImpulseResponse,
    LearningCost,
    analyse,
    collusion_report,
    impulse_response,
)
from strategic_envs.games.pricing import PricingGame
from strategic_envs.games.pricing.tables import PricingTables

__all__ = ["CONTROLS", "Study", "learning_cost", "run_controls", "study", "usual_draws"]

CONTROLS: dict[str, dict[str, Any]] = {"delta = 0": {"delta": 0.0}, "delta = 0, k = 0": {"delta": 0.0, "memory": 0}}
"""What is changed in a game so that deviations cannot be punished: nobody cares for tomorrow, nobody remembers.

The published control without memory has no future either. With the discount factor kept, learners without memory end
near monopoly (profit gain .96), where nothing can be punished.
"""

Stages = Callable[[str, int], Callable[[Progress], None]]


@dataclass(frozen=True, eq=False)
class Study:
    """All that is known about a learner in a game.

    Args:
        tables: The game.
        learner: The learner.
        sessions: The sessions.
        analysis: What they ended in.
        responses: What follows a deviation, by kind: `static_br` and `figure4_compat`.
        controls: By control, the analysis of as many sessions; empty if none were run.
        retrained: Firms that learnt anew against frozen rivals; None if that was not tried.
        rematched: Firms of different sessions together.
        cost: How long learning took.
        report: Which signs of collusion there are.
    """

    tables: PricingTables
    learner: QLearning
    sessions: Sessions
    analysis: Analysis
    responses: dict[str, ImpulseResponse]
    controls: dict[str, Analysis]
    retrained: Retrained | None
    rematched: Rematched | None
    cost: LearningCost
    report: CollusionReport


def study(
    game: PricingGame | PricingTables,
    learner: QLearning | None = None,
    sessions: int | Sequence[int] = 1000,
    *,
    seed: int = 0,
    controls: bool = True,
    retraining: int = 100,
    half: int = 20,
    folder: str | Path | None = None,
    progress: Stages | None = None,
    threads: int | None = None,
    draws: str | None = None,
) -> Study:
    """Runs sessions, judges them, and runs what a claim of collusion must stand up to.

    Args:
        game: The game.
        learner: How the firms learn.
        sessions: How many sessions, or their numbers.
        seed: The seed of all draws.
        controls: Whether to run the controls of `CONTROLS`, as many sessions each.
        retraining: How many of the sessions are retrained and rematched; 0 for none.
        half: In how many of the sessions the period is looked for in which the profit gain passes 1/2; 0 for none.
        folder: Where sessions are saved as they finish; the same call goes on where it was stopped.
        progress: Called with the name of a run and its number of sessions; what it returns is called whenever a session
            has finished.
        threads: Threads of the sessions; all cores if None.
        draws: How the sessions' random numbers are drawn, as for `run_sessions`; `usual_draws` if not given.

    Raises:
        InvalidSettingError: If a number is negative, or there is one firm only.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> found = study(pricing(m=3), QLearning(beta=1e-3, window=500), 4, retraining=2, half=0)
        >>> sorted(found.controls), len(found.retrained.sessions)
        (['delta = 0', 'delta = 0, k = 0'], 2)
    """
    learner = QLearning() if learner is None else learner
    for name, value in (("retraining", retraining), ("half", half)):
        if value < 0:
            raise InvalidSettingError(f"study: got {name}={value}, expected a number of sessions >= 0")
    tables = game.frozen() if isinstance(game, PricingGame) else game
    if tables.n == 1:
        raise InvalidSettingError("study: got a game of 1 firm, expected at least 2: nobody is there to collude with")

    def run(what: str, count: int, own: bool = False) -> dict[str, Any]:
        """Where a run is saved and told of; what starts from other sessions has a folder for each number of them."""
        name = "".join(c for c in what if c.isalnum()) + (f"-{count}" if own else "")
        return {
            "threads": threads,
            "folder": None if folder is None else Path(folder) / name,
            "on_done": None if progress is None else progress(what, count),
        }

    count = sessions if isinstance(sessions, int) else len(sessions)
    drawn = {"seed": seed, "draws": draws or usual_draws(learner)}
    fresh = {
        "seed": seed,
        "draws": usual_draws(learner) if draws == "replay" else drawn["draws"],
    }  # what the authors did not run
    again = min(retraining, count) > 1
    whole = again and retraining >= count  # every session's tables are needed
    name = "sessions with tables" if whole else "sessions"
    ended = run_sessions(tables, learner, sessions, keep_q=whole, **drawn, **run(name, count))
    found = analyse(tables, ended.strategy, ended.state, converged=ended.converged, threads=threads or 1)
    responses = {
        kind: impulse_response(tables, ended.strategy, ended.state, kind, converged=ended.converged)
        for kind in ("static_br", "figure4_compat")
    }
    numbers = [int(r) for r in ended.number]
    control = run_controls(tables, learner, numbers, run=run, **fresh) if controls else {}
    retrained = rematched = None
    if again:
        some, kept = numbers[:retraining], ended
        if not whole:
            kept = run_sessions(tables, learner, some, keep_q=True, threads=threads, **drawn)
        retrained = retrain(tables, kept, learner, seed=seed, **run("retraining", len(some), own=True))
        rematched = rematch(tables, kept, learner, learn=True, **fresh, **run("rematch", len(some), own=True))
    cost = learning_cost(tables, learner, ended, some=half, threads=threads, **drawn)
    told = Controls(**_control_figures(control)) if controls else None
    evidence = None if retrained is None else retrained.evidence(rematched)
    report = collusion_report(
        found, response=responses["static_br"], controls=told, retraining=evidence, learning_cost=cost
    )
    return Study(tables, learner, ended, found, responses, control, retrained, rematched, cost, report)


def usual_draws(learner: QLearning) -> str:
    """The fastest way to draw a learner's random numbers: late explorations at once, where they fade exponentially.

    Example:
        >>> usual_draws(QLearning())
        'thinned'
    """
    return "thinned" if isinstance(learner.schedule, Exponential) else "per_period"


def run_controls(
    tables: PricingTables,
    learner: QLearning,
    sessions: int | Sequence[int],
    *,
    seed: int = 0,
    draws: str | None = None,
    run: Callable[[str, int], dict[str, Any]] | None = None,
) -> dict[str, Analysis]:
    """The same learner where deviations cannot be punished.

    Args:
        tables: The game; its discount factor or its memory is set to 0, nothing else changes.
        learner: The learner.
        sessions: How many sessions, or their numbers.
        seed: The seed of all draws.
        draws: How they are drawn, as for `run_sessions`; `usual_draws` if not given.
        run: Further options of `run_sessions`, from the control's name and the number of sessions.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> found = run_controls(pricing(m=3).frozen(), QLearning(beta=1e-3, window=500), 2)
        >>> [len(a) for a in found.values()]
        [2, 2]
    """
    found = {}
    for name, change in CONTROLS.items():
        changed = replace(tables, **change)
        options = {} if run is None else run(name, sessions if isinstance(sessions, int) else len(sessions))
        ended = run_sessions(changed, learner, sessions, seed=seed, draws=draws or usual_draws(learner), **options)
        found[name] = analyse(changed, ended.strategy, ended.state, converged=ended.converged)
    return found


def learning_cost(
    tables: PricingTables,
    learner: QLearning,
    sessions: Sessions,
    *,
    some: int = 20,
    seed: int = 0,
    draws: str | None = None,
    threads: int | None = None,
    block: int = 25_000,
) -> LearningCost:
    """How many periods the sessions took, and some of them until the profit gain was above 1/2 for good.

    It is the gain of play as it happens, exploration included, averaged over blocks of periods. Prices that are
    explored have a gain of about 1/2 from the start, which is why the last block at or below 1/2 is looked for.

    Args:
        tables: The game.
        learner: The learner.
        sessions: Its sessions.
        some: How many of them are played again for it; 0 for none.
        seed: The seed of the sessions.
        draws: The draws of the sessions; `usual_draws` if not given.
        threads: Threads of the sessions.
        block: Periods of a block.

    Example:
        >>> from strategic_envs.games.pricing import pricing
        >>> tables, learner = pricing(m=3).frozen(), QLearning(beta=1e-3, window=500)
        >>> learning_cost(tables, learner, run_sessions(tables, learner, 3), some=2, block=100).converged
        3
    """
    kept = sessions.converged
    times = sessions.time_to_convergence[kept].astype(float)
    numbers = [int(r) for r in sessions.number[:some]]
    passed: list[float] = []
    if numbers:
        how = {"seed": seed, "draws": draws or usual_draws(learner), "threads": threads}
        again = run_sessions(tables, learner, numbers, gain_every=block, **how)
        found = again.first_gain_above(0.5)
        passed = found[np.isfinite(found)].tolist()
    error = float(times.std(ddof=1) / len(times) ** 0.5) if len(times) > 1 else 0.0
    return LearningCost(
        convergence=float(times.mean()) if len(times) else 0.0,
        convergence_error=error,
        half=float(np.mean(passed)) if passed else None,
        sessions=len(sessions),
        converged=int(kept.sum()),
    )


def _control_figures(controls: dict[str, Analysis]) -> dict[str, Any]:
    figures: dict[str, Any] = {"sessions": min(int(a.converged.sum()) for a in controls.values())}
    for key, name in (("delta_0", "delta = 0"), ("k_0", "delta = 0, k = 0")):
        figures[key], figures[f"{key}_error"] = _mean(controls[name].gain, controls[name].converged)
    return figures


def _mean(values: Float[np.ndarray, " B"], kept: Bool[np.ndarray, " B"]) -> tuple[float | None, float]:
    """The mean over sessions that count and its standard error; None without any."""
    values = values[kept]
    if not len(values):
        return None, 0.0
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
