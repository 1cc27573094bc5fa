"""Million session-steps a CPU second: whole sessions of the representative pricing experiment, on one core.

A session-step is a period of the duopoly of AER 2020 in which both firms learn (alpha 0.15, beta 4e-6). All cases take
turns in one run, with sessions of their own in every turn, and a figure is the median over the turns of periods played
by CPU time. `session_msteps_fp64` and `session_msteps_fp32` draw late explorations directly ("thinned" draws),
`session_msteps_per_period_draws` tests every period in float64, `plain_msteps` is the loop that serves every variant,
`replay_msteps` the same with the random numbers of the authors' program. `numpy_batched_msteps` and
`torch_batched_msteps` take 512 sessions side by side through stretches of their course. `cuda_msteps`, by the clock, is
left out where there is no GPU. `analysis_ms` is the time to judge the end of a session, exact best responses included,
and `thousand_sessions_s` the time by the clock of 1,000 sessions on all cores. `converged` is the share of the timed
sessions that ended by themselves, `mean_time_to_convergence` the mean of their periods without the window, and
`mean_profit_gain` that of the profit gain.

`--fortran PATH` times the authors' program beside it: an executable that finds an input file in its folder which asks
for one core and the baseline. `--fortran-sessions` says how many sessions that is; ours, replayed, tell their periods.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numba
import numpy as np
import torch

from strategic_envs.baselines.q_learning import cuda
from strategic_envs.baselines.q_learning.batched import batched_msteps
from strategic_envs.baselines.q_learning.fast import pieces, play_piece
from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.baselines.q_learning.session import Outcome, Plan, play
from strategic_envs.baselines.q_learning.settings import QLearning
from strategic_envs.evaluators.collusion import analyse
from strategic_envs.games.pricing import pricing
from strategic_envs.scripts.bench_common import emit

QUICK = QLearning(beta=1e-3, window=2000)
TABLES = pricing().frozen()


@dataclass
class Case:
    """One way to play sessions, and what has been measured of it.

    Args:
        draws: The draws of `run_sessions`.
        dtype: The type of the tables of values.
        sessions: How many a turn.
        plain: Whether the plain loop plays them.
    """

    draws: str
    dtype: str
    sessions: int
    plain: bool = False
    rates: list[float] = field(default_factory=list)
    ends: list[Outcome] = field(default_factory=list)

    def play(self, learner: QLearning, first: int, sessions: int) -> list[Outcome]:
        """Plays sessions from this number on."""
        plan = Plan(TABLES, learner, 0, self.draws, self.dtype)
        todo = [(index, first + 1 + index) for index in range(sessions)]  # replayed sessions are numbered from 1
        if self.plain:
            ends = [play(plan, index, number, _never) for index, number in todo]
            return [end for end in ends if end is not None]
        return [end for piece in pieces(plan, todo, 1) for end in play_piece(plan, piece, _never)]

    def turn(self, learner: QLearning, turn: int) -> None:
        """Plays and times the sessions of a turn."""
        began = time.process_time()
        ends = self.play(learner, turn * self.sessions, self.sessions)
        self.rates.append(sum(end.periods for end in ends) / (time.process_time() - began) / 1e6)
        self.ends += ends


CASES = {
    "session_msteps_fp64": Case("thinned", "float64", 32),
    "session_msteps_fp32": Case("thinned", "float32", 32),
    "session_msteps_per_period_draws": Case("per_period", "float64", 32),
    "plain_msteps": Case("per_period", "float64", 8, plain=True),
    "replay_msteps": Case("replay", "float64", 4, plain=True),
}


def _never() -> bool:
    return False


def authors(program: Path, sessions: int) -> Callable[[], float]:
    """Million session-steps a CPU second of the authors' program, once a call."""
    periods = int(run_sessions(TABLES, sessions=sessions, draws="replay").periods.sum())

    def run() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program.resolve()], cwd=program.parent, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return periods / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 1e6

    return run


def batched(quick: bool) -> dict[str, float]:
    """The executors by array operations, and the one on a GPU where there is one."""
    short = {"sessions": 8, "periods": 5, "marks": [0]} if quick else {}
    figures = {f"{xp}_batched_msteps": batched_msteps(xp, **short) for xp in ("numpy", "torch")}  # type: ignore[arg-type]
    reason = "numba only simulates CUDA" if getattr(numba.config, "ENABLE_CUDASIM", 0) else cuda.missing()
    if reason:
        print(f"bench_pricing: no cuda_msteps: {reason}", file=sys.stderr)
    else:
        figures["cuda_msteps"] = cuda.cuda_msteps(64, cap=1000) if quick else cuda.cuda_msteps()
    return figures


def judged(ends: Sequence[Outcome]) -> tuple[float, float]:
    """CPU milliseconds a session to judge ends, and their mean profit gain."""
    strategy, state = np.stack([end.strategy for end in ends]), np.array([end.state for end in ends])
    analyse(TABLES, strategy[:1], state[:1])
    began = time.process_time()
    found = analyse(TABLES, strategy, state)
    return 1e3 * (time.process_time() - began) / len(state), float(found.gain.mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="short sessions of a quick learner: checks the measurement"
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns a case")
    parser.add_argument("--fortran", type=Path, help="an executable of the authors' program")
    parser.add_argument("--fortran-sessions", type=int, default=12, help="how many sessions it plays")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    learner, repeats = (QUICK, 1) if options.quick else (QLearning(), options.repeats)
    cases = {
        name: Case(case.draws, case.dtype, 4 if options.quick else case.sessions, case.plain)
        for name, case in CASES.items()
    }

    rival = authors(options.fortran, options.fortran_sessions) if options.fortran else None
    rivals: list[float] = []
    for case in cases.values():  # what is compiled at the first call is compiled now
        case.play(QUICK, 0, 4)
    for turn in range(repeats):
        for case in cases.values():
            case.turn(learner, turn)
        if rival:
            rivals.append(rival())
    figures = {name: statistics.median(case.rates) for name, case in cases.items()}
    if rivals:
        figures["fortran_msteps"] = statistics.median(rivals)
        figures["plain_ratio"] = statistics.median(
            ours / theirs for ours, theirs in zip(cases["plain_msteps"].rates, rivals, strict=True)
        )
    figures |= batched(options.quick)
    ends = [end for case in cases.values() for end in case.ends]
    figures["analysis_ms"], figures["mean_profit_gain"] = judged(ends)
    figures["converged"] = statistics.mean(end.converged for end in ends)
    figures["mean_time_to_convergence"] = statistics.mean(end.periods - learner.window for end in ends)
    began = time.perf_counter()
    run_sessions(TABLES, learner, 4 if options.quick else 1000, seed=1)
    figures["thousand_sessions_s"] = time.perf_counter() - began
    emit(figures, "bench_pricing.py", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    main()
