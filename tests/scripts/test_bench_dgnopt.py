"""The measurement of the game's optimizer prints one line of JSON with the promised figures."""

from __future__ import annotations

import json
import math

import pytest
import torch

from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts import bench_dgnopt as bench
from strategic_envs.scripts.reproduce import _dgnopt_costs as costs


def test_a_ratio_cancels_what_slows_a_whole_round_down() -> None:
    one, other = (costs.Work(name, costs.work("sgd", "mlp", batch=2).stepper, (torch.empty(0),) * 2) for name in "ab")
    one.seconds, other.seconds = [0.2, 20.0, 0.4], [0.1, 10.0, 0.1]
    assert costs.ratio(one, other) == 2.0
    assert one.ms == 400.0


def test_every_method_is_the_one_that_its_name_says() -> None:
    steppers = {name: costs.work(name, "mlp", batch=2) for name in costs.METHODS}
    for job in steppers.values():
        job.steps(1)
        assert all(torch.isfinite(t).all() for t in job.batch if t.is_floating_point())
    assert all(method in costs.METHODS for pair in bench.RATIOS.values() for method in pair)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown method 'fen': did you mean"):
        costs.work("fen", "mlp")
    with pytest.raises(UnknownNameError, match="unknown network 'lenet'"):
        costs.work("fne", "lenet")


@pytest.mark.slow
def test_bench_dgnopt_prints_the_promised_figures(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--quick"])
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1
    figures = json.loads(captured)["figures"]
    wanted = {f"ms_{name}_mlp" for name in costs.METHODS} | {f"{name}_mlp" for name in bench.RATIOS}
    wanted |= {"memory_over_ekfac", "memory_mb_fne", "memory_mb_ekfac_intra"}
    assert set(figures) >= wanted
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
