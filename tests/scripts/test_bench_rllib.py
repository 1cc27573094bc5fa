"""The measurement of RLlib's runners prints one line of JSON of the promised shape."""

from __future__ import annotations

import json
import math

import pytest

pytest.importorskip("ray.rllib")

from strategic_envs.scripts import bench_rllib


def test_bench_rllib_prints_both_runners_and_their_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    bench_rllib.main(["--quick"])
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1
    found = json.loads(captured)
    assert set(found) == {"figures", "versions", "device", "command"}
    figures = found["figures"]
    assert {"batched_steps_per_s", "stock_steps_per_s", "ratio"} <= set(figures)
    assert all(math.isfinite(v) and v > 0 for v in figures.values())
    assert figures["ratio"] == pytest.approx(figures["batched_steps_per_s"] / figures["stock_steps_per_s"], rel=1e-3)
