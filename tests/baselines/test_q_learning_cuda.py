"""The CUDA kernel gives the sessions of the plain loop: in numba's simulator, and on a device where there is one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strategic_envs.baselines.q_learning import QLearning, cuda, run_sessions
from strategic_envs.baselines.q_learning.cuda import host
from strategic_envs.baselines.q_learning.initial import UniformCells
from strategic_envs.baselines.q_learning.schedules import Boltzmann, Exponential
from strategic_envs.baselines.q_learning.session import Outcome, Plan, play
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.pricing import PricingTables, pricing

BUSY = {"alpha": 0.5, "beta": 6e-2, "window": 30, "cap": 150, "initial": UniformCells(0, 10)}


def plan_of(tables: PricingTables, draws: str = "per_period", dtype: str = "float64", **settings: object) -> Plan:
    return Plan(tables, QLearning(**{**BUSY, **settings}), 5, draws, dtype, keep_q=True)


def same(ours: Outcome, plain: Outcome) -> bool:
    numbers = ("number", "state", "periods", "converged", "visited")
    equal = all(getattr(ours, name) == getattr(plain, name) for name in numbers)
    tables = np.array_equal(ours.strategy, plain.strategy) and np.array_equal(ours.q, plain.q)
    return equal and tables and ours.q.dtype == plain.q.dtype


def plain_equals(plan: Plan, todo: list[tuple[int, int]]) -> set[int]:
    """The lengths of the sessions, all of which have to be those of the plain loop."""
    ends = list(cuda.play(plan, todo))
    assert {end.number for end in ends} == {number for _, number in todo}
    places = {number: place for place, number in todo}
    assert all(same(end, play(plan, places[end.number], end.number, lambda: False)) for end in ends)
    return {end.periods for end in ends}


def simulated() -> None:
    """What the test below runs in a process of its own, where kernels are simulated."""
    host._FIRST_SLICE, small = 32, pricing(m=4).frozen()
    lengths = plain_equals(plan_of(small), [(0, 3), (1, 4), (2, 9)])
    assert len(lengths) > 1, lengths  # some sessions went on when others had ended
    gaps = Exponential(beta=1e-3, first=1 / 64)  # all draws are gaps
    plain_equals(plan_of(small, "thinned", "float32", exploration=gaps), [(0, 3), (1, 4)])
    moving = pricing(n=3, m=3, rho=0.2).frozen()
    plain_equals(plan_of(moving, alpha=(0.1, 0.2, 0.3), cap=80), [(0, 3), (1, 4)])
    plain_equals(plan_of(pricing(m=3, memory=2).frozen(), cap=80), [(0, 3)])
    plain_equals(plan_of(pricing(m=3, memory=0).frozen(), cap=80), [(0, 3)])
    own = np.random.default_rng(0).random((2, 2, 16, 4))
    fixed = {1: np.arange(32).reshape(2, 16) % 4}
    plain_equals(
        Plan(small, plan_of(small).learner, 5, "per_period", "float64", keep_q=True, start_q=own, frozen=fixed),
        [(1, 3)],
    )
    assert not list(cuda.play(plan_of(small), [(0, 3)], stopped=lambda: True))
    assert cuda.cuda_msteps(sessions=1, cap=20) > 0
    few = {"tables": small, "learner": plan_of(small).learner, "sessions": 2, "seed": 5}
    assert np.array_equal(run_sessions(**few, device="cuda").strategy, run_sessions(**few).strategy)


@pytest.mark.slow
def test_simulated_kernels_give_the_sessions_of_the_plain_loop() -> None:
    root = Path(__file__).parents[2]
    settings = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__], env=settings, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_without_a_device_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing", lambda: "numba finds no CUDA device: take device='cpu'")
    with pytest.raises(InvalidSettingError, match=r"got device='cuda', but numba finds no CUDA device"):
        list(cuda.play(plan_of(pricing(m=3).frozen()), [(0, 0)]))


@pytest.mark.parametrize(
    ("settings", "word"), [({"exploration": Boltzmann()}, "Boltzmann"), ({"ties": "random"}, "ties")]
)
def test_what_the_kernel_cannot_do_is_refused(settings: dict, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"on CUDA: got .*{word}"):
        list(cuda.play(plan_of(pricing(m=3).frozen(), **settings), [(0, 0)]))


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cuda'"):
        run_sessions(pricing(m=3), device="cudda")


def test_a_session_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing", lambda: None)
    monkeypatch.setattr(host, "fits", lambda plan: 0)
    with pytest.raises(InvalidSettingError, match=r"9 states, 2 firms and 3 prices does not fit"):
        list(cuda.play(plan_of(pricing(m=3).frozen()), [(0, 0)]))


def test_how_many_sessions_fit() -> None:
    learner, tables = QLearning(), pricing().frozen()
    double, single = (Plan(tables, learner, 0, "per_period", dtype) for dtype in ("float64", "float32"))
    assert cuda.fits(double, 8 * 10**9) > 65_536 and cuda.fits(single, 4 * 10**9) > 57_000
    assert cuda.fits(double, 10**4) == 0


@pytest.mark.gpu
@pytest.mark.parametrize("draws", ["per_period", "thinned"])
def test_the_device_gives_the_baseline_sessions_of_the_plain_loop(draws: str) -> None:
    if reason := cuda.missing():
        pytest.skip(reason)
    plan = Plan(pricing().frozen(), QLearning(), 0, draws, "float64", keep_q=True)
    ends = {end.number: end for end in cuda.play(plan, [(r, r) for r in range(256)])}
    assert len(ends) == 256 and all(same(ends[r], play(plan, r, r, lambda: False)) for r in range(0, 256, 16))
    from strategic_envs.baselines.q_learning.cuda import kernels

    kernel = kernels.advance(2, 1, draws == "thinned", False, False)
    for text in kernel.inspect_asm().values():  # no multiply-add that rounds once
        assert not re.search(r"\bfma\.", text)


if __name__ == "__main__":
    simulated()
