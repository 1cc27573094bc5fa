"""`reproduce dgnopt-inception`, in short: rows, files, resuming, where SGD fails, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strategic_envs.agents.dgnopt.experiments.training import Epoch, Run
from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.reproduce import dgnopt_inception
from strategic_envs.scripts.reproduce.dgnopt_inception import Options

FEW: dict[str, Any] = {"seeds": 1, "epochs": 0.25, "trials": 1, "tuning_seeds": 1, "tuning_epochs": 0.25}


def run_of(accuracy: float, outcome: str = "finished") -> Run:
    return Run("sgd", {"lr": 0.1}, 0, (Epoch(1, 0.5, accuracy, 1.0, 1.0),), outcome)


def test_inception_in_short_and_resumed(tmp_path: Path) -> None:
    options = Options(methods=("sgd", "fne"), rates=(0.4,), **FEW)
    rows = dgnopt_inception.reproduce(tmp_path, options=options)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "trials.md", "curves.png"}
    assert (tmp_path / "trials.md").read_text().count("| yes |") == 2
    assert [row["quantity"].split(":")[0] for row in rows] == [
        *("SGD without momentum (sgd)", "DGNOpt, feedback on KFAC (fne)"),
        *("lr 0.4, SGD", "lr 0.4, feedback, capped", "lr 0.4, feedback, no cap", "the rate at which SGD fails"),
    ]
    assert "give more epochs" in rows[-1]["quantity"]
    assert [row["within"] for row in rows] == [None] * 6
    assert {len(row) for row in rows} == {len(rows[0])}
    lines = sum(len(path.read_text().splitlines()) for path in tmp_path.rglob("rows.jsonl"))
    assert dgnopt_inception.reproduce(tmp_path, options=options) == rows
    assert sum(len(path.read_text().splitlines()) for path in tmp_path.rglob("rows.jsonl")) == lines


def test_sgd_fails_at_a_rate_above_one_at_which_it_trains() -> None:
    good, bad, lost = [run_of(0.95)], [run_of(0.5)], [run_of(0.95), run_of(0.95, "diverged")]
    failing = dgnopt_inception._failing
    assert failing({(0.1, "sgd"): bad, (0.4, "sgd"): good}) is None  # slow at first is no failure
    assert failing({(0.1, "sgd"): bad, (0.4, "sgd"): good, (0.8, "sgd"): bad}) == 0.8
    assert failing({(0.4, "sgd"): good, (0.8, "sgd"): lost}) == 0.8
    assert failing({(0.4, "sgd"): bad}) is None


def test_capped_feedback_is_judged_where_sgd_fails() -> None:
    good, bad, lost = [run_of(0.95)], [run_of(0.5)], [run_of(0.9, "diverged")]
    steps = {(0.4, "sgd"): good, (0.8, "sgd"): bad, (0.8, "fne-identity"): good, (0.8, "fne-identity-uncapped"): lost}
    *rows, claim = dgnopt_inception._step_rows(steps)
    assert [row["ours"] for row in rows] == ["95.00", "50.00", "95.00", "-"]
    assert (claim["ours"], claim["expected"], claim["within"]) == ("95.00", 90.0, True)
    claim = dgnopt_inception._step_rows({**steps, (0.8, "fne-identity"): lost})[-1]
    assert (claim["ours"], claim["within"]) == ("diverged", False)
    assert "try larger ones" in dgnopt_inception._step_rows({(0.4, "sgd"): good})[-1]["quantity"]


def test_published_numbers_stand_beside_ours_and_are_not_judged() -> None:
    row = dgnopt_inception._compared("gr", [run_of(0.97), run_of(0.98)], "mnist")
    assert (row["ours"], row["expected"], row["seeds"], row["within"]) == ("97.50 +- 0.71", 98.03, 2, None)
    assert dgnopt_inception._compared("sgd", [run_of(0.9)], "digits")["expected"] == "-"


def test_quick_is_short() -> None:
    plan = dgnopt_inception._plan(Options(), quick=True)
    assert (plan.methods, plan.seeds, plan.trials, plan.epochs) == (("sgd", "adam", "fne"), 1, 1, 3.0)
    assert dgnopt_inception._plan(Options(data="mnist"), quick=False).epochs == 2.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seeds": 0}, InputError, "--seeds 0"),
        ({"trials": 99}, InputError, "--trials 99"),
        ({"rates": ()}, InputError, "--rates"),
        ({"rates": (0.8, 0.4)}, InputError, "the smallest first"),
        ({"rates": (-0.1,)}, InputError, "positive learning rates"),
        ({"cap": -1.0}, InputError, "--cap"),
        ({"methods": ("sgdd",)}, UnknownNameError, "did you mean 'sgd'"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dgnopt_inception.reproduce(tmp_path, options=Options(**options))
