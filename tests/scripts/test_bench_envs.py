"""The measurements print one line of JSON of the promised shape."""

from __future__ import annotations

import json
import math

import pytest

from strategic_envs.scripts import bench_common, bench_envs

ENVIRONMENTS = ("duopoly_pricing", "tic_tac_toe", "larger_number", "continuous_game", "layers")


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1
    found = json.loads(captured)
    assert set(found) == {"figures", "versions", "device", "command"}
    assert all(math.isfinite(v) and v > 0 for v in found["figures"].values())
    return found


def test_bench_envs_prints_every_environment_at_every_batch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_envs, "MINIBATCH", 2)  # the shape of the line is what is tested, not the speed
    bench_envs.main(["--quick"])
    found = line(capsys)
    expected = {f"{e}_batch_{b}" for e in ENVIRONMENTS for b in (1, 64, 4096)} | {
        f"{e}_pettingzoo" for e in ENVIRONMENTS
    }
    figures = found["figures"]
    assert isinstance(figures, dict)
    assert set(figures) == expected
    assert found["command"] == "python scripts/bench_envs.py --quick" and found["device"] == "cpu"


def test_bench_common_prints_the_speed_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    bench_common.main(["--quick"])
    assert "python_loop_per_s" in str(line(capsys)["figures"])


def test_rates_take_turns_and_count_units() -> None:
    order: list[str] = []

    def case(name: str) -> bench_common.Case:
        return lambda: order.append(name) or 1

    found = bench_common.rates({"a": case("a"), "b": case("b")}, repeats=2, seconds=0.0)
    assert order == ["a", "b", "a", "b"] and set(found) == {"a", "b"}
    order.clear()
    bench_common.rates({"a": case("a"), "b": case("b")}, repeats=1, seconds=1e-9)
    assert order == ["a", "b", "a", "b"]  # a warm-up, and a turn
