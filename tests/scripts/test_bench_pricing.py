"""The measurement of pricing sessions prints one line of JSON with the promised figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from strategic_envs.scripts import bench_pricing as bench

FIGURES = {
    "session_msteps_fp64",
    "session_msteps_fp32",
    "session_msteps_per_period_draws",
    "plain_msteps",
    "replay_msteps",
    "numpy_batched_msteps",
    "torch_batched_msteps",
    "analysis_ms",
    "thousand_sessions_s",
}


def test_bench_pricing_prints_the_promised_figures(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--quick"])
    captured, told = capsys.readouterr()
    assert captured.count("\n") == 1
    found = json.loads(captured)
    figures = found["figures"]
    assert set(figures) >= FIGURES
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in FIGURES)
    assert ("cuda_msteps" in figures) != ("no cuda_msteps: " in told)
    assert figures["converged"] == 1.0 and figures["analysis_ms"] < 40
    assert found["command"] == "python scripts/bench_pricing.py --quick"


def test_another_program_is_timed_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "sessions"
    program.write_text('#!/bin/sh\ni=0; while [ "$i" -lt 20000 ]; do i=$((i+1)); done\n')
    program.chmod(0o755)
    rate = bench.authors(program, 1)()
    assert math.isfinite(rate) and rate > 0
    assert capsys.readouterr().out == ""


def test_every_case_plays_sessions_of_its_own_in_every_turn() -> None:
    case = bench.Case("per_period", "float64", 4)
    for turn in range(2):
        case.turn(bench.QUICK, turn)
    plain = bench.Case("per_period", "float64", 8, plain=True)
    plain.turn(bench.QUICK, 0)
    assert [end.number for end in case.ends] == list(range(1, 9)) == [end.number for end in plain.ends]
    assert [end.periods for end in case.ends] == [end.periods for end in plain.ends]
    assert len(case.rates) == 2
