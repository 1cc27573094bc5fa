"""The measurement of matrix games prints one line of JSON with the promised figures."""

from __future__ import annotations

import json
import math

import pytest

from strategic_envs.scripts import bench_matrix

FIGURES = {
    "zero_sum_100_ms",
    "highs_100_ms",
    "zero_sum_1000_s",
    "highs_ipm_1000_s",
    "highs_ipm_ratio",
    "rm_plus_1000_s",
    "double_oracle_1000_s",
}


def test_bench_matrix_prints_the_promised_figures(capsys: pytest.CaptureFixture[str]) -> None:
    bench_matrix.main(["--quick"])
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1
    figures = json.loads(captured)["figures"]
    assert set(figures) >= FIGURES
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in FIGURES)
    assert figures["double_oracle_1000_gap"] <= 1e-6
    assert figures["zero_sum_100_nash_conv"] <= 1e-9 and figures["zero_sum_1000_nash_conv"] <= 1e-9
    assert figures["rm_plus_1000_nash_conv"] <= 1e-3
