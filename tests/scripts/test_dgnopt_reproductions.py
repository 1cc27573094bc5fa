"""`reproduce` dgnopt-residual, dgnopt-ablation and dgnopt-large-steps, in short: rows, pictures, resuming, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strategic_envs.agents.dgnopt.experiments.methods import methods
from strategic_envs.agents.dgnopt.experiments.training import Epoch, Run
from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts import bench_dgnopt_defaults as defaults
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.reproduce import dgnopt_ablation, dgnopt_large_steps, dgnopt_residual
from strategic_envs.scripts.reproduce._dgnopt_runs import curves, percent


def run_of(accuracies: list[float], *, outcome: str = "finished") -> Run:
    rows = tuple(Epoch(k, 1 / k, share, 10.0 * k, 9.0 * k) for k, share in enumerate(accuracies, start=1))
    return Run("sgd", {"lr": 0.1}, 0, rows, outcome)


def saved(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("rows.jsonl"))


def test_large_steps_in_short(tmp_path: Path) -> None:
    options = dgnopt_large_steps.Options(rates=(0.4,), seeds=1, epochs=1)
    rows = dgnopt_large_steps.reproduce(tmp_path, options=options)
    assert (tmp_path / "large_steps.png").stat().st_size > 10_000
    assert [row["quantity"].split(", ")[1].split(":")[0] for row in rows[:3]] == ["SGD", "feedback", "feedback"]
    assert rows[0]["expected"] == "95.25, 0 of 3 diverged"
    assert rows[3]["quantity"].startswith("lr 0.4, at which SGD fails")  # one epoch is too few for all of them
    assert rows[3]["within"] is False
    assert saved(tmp_path) == 3
    again = dgnopt_large_steps.reproduce(tmp_path, options=options)
    assert (again, saved(tmp_path)) == (rows, 3)


@pytest.mark.slow
def test_where_sgd_fails_capped_feedback_trains(tmp_path: Path) -> None:
    options = dgnopt_large_steps.Options(rates=(0.8,), seeds=2)
    *runs, claim = dgnopt_large_steps.reproduce(tmp_path, options=options)
    assert [row["diverged"] for row in runs] == ["0 of 2", "0 of 2", "2 of 2"]
    assert float(runs[0]["ours"].split()[0]) < 90
    assert claim["within"] is True


@pytest.mark.slow
def test_feedback_lowers_the_loss_of_the_ablation(tmp_path: Path) -> None:
    rows = dgnopt_ablation.reproduce(
        tmp_path, quick=True, options=dgnopt_ablation.Options(seeds=1, epochs=5, conv=False)
    )
    assert len(rows) == 6 + 1
    assert rows[-1]["within"] is True
    assert rows[0]["expected"] == "0.702/0.221/0.023"
    assert {row["diverged"] for row in rows[:-1]} == {"0 of 1"}
    assert (tmp_path / "residual_lr0.03.png").is_file()


def test_residual_in_short(tmp_path: Path) -> None:
    few = dgnopt_residual.Options(
        methods=("sgd", "adam", "fne"), seeds=1, epochs=1, trials=2, tuning_seeds=1, tuning_epochs=0.25, mark=0.3
    )
    rows = dgnopt_residual.reproduce(tmp_path, options=few)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "trials.md", "curves.png"}
    assert (tmp_path / "trials.md").read_text().count("| yes |") == 3
    assert [row["diverged"] for row in rows[:3]] == ["0 of 1"] * 3
    assert rows[0]["expected"] == 96.29
    assert {row["quantity"].split(":")[0] for row in rows[3:]} <= {"mean epochs to 30%", "mean seconds to 30%"}
    assert saved(tmp_path) == 3 * (2 + 1)
    dgnopt_residual.reproduce(tmp_path, options=few)
    assert saved(tmp_path) == 3 * (2 + 1)


def test_published_numbers_are_judged_on_their_own_data_and_network_only() -> None:
    conv = dgnopt_residual.Options(data="mnist", network="conv")
    assert dgnopt_residual._published("fne", conv)[0] == 98.76
    assert dgnopt_residual._within("fne", 98.75, 98.76, conv) is False
    assert dgnopt_residual._within("ekfac", 98.63, 98.77, conv) is True
    mlp = dgnopt_residual.Options(data="mnist")
    assert dgnopt_residual._within("ekfac", 90.0, 98.77, mlp) is None
    assert dgnopt_residual._published("kfac", mlp) == (None, "not in table 2")


def test_all_methods_of_the_table_exist() -> None:
    assert set(dgnopt_residual._METHODS) | set(dgnopt_ablation._VARIANTS) <= set(methods())
    assert set(dgnopt_large_steps._METHODS) <= set(methods())


def test_numbers_over_seeds() -> None:
    gone = run_of([0.5], outcome="diverged")
    assert percent([run_of([0.9]), gone]) == "90.00"
    assert percent([gone]) == "-"
    drawn = curves([run_of([0.5, 0.6, 0.7]), gone], timed=True)
    assert list(map(float, drawn.epochs)) == [1, 2, 3]  # pyright: ignore[reportArgumentType]
    assert str(drawn.accuracy.tolist()) == "[[0.5, 0.5], [0.6, nan], [0.7, nan]]"  # pyright: ignore[reportAttributeAccessIssue]
    assert dgnopt_residual._to([1.0, None, 2.0]) == "1.50 (2 of 3)"
    assert dgnopt_residual._to([None]) == "never"


@pytest.mark.parametrize(
    ("module", "wrong", "says"),
    [
        (dgnopt_large_steps, {"seeds": 0}, "got --seeds 0, expected a whole number from 1"),
        (dgnopt_large_steps, {"rates": ()}, "got --rates"),
        (dgnopt_large_steps, {"rates": (-1.0,)}, "expected positive learning rates"),
        (dgnopt_ablation, {"epochs": 1.0}, "got --epochs 1.0, expected a number from 5"),
        (dgnopt_residual, {"trials": 99}, "got --trials 99, expected at most 6"),
        (dgnopt_residual, {"tuning_seeds": 0}, "got --tuning-seeds 0"),
        (dgnopt_residual, {"emsa": 0.0}, "got --emsa 0.0"),
    ],
)
def test_bad_options_are_refused(module: Any, wrong: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        module.reproduce(tmp_path, options=module.Options(**wrong))
    with pytest.raises(UnknownNameError, match="did you mean 'adam'"):
        dgnopt_residual.reproduce(tmp_path, options=dgnopt_residual.Options(methods=("adm",)))


def test_the_check_of_the_defaults_counts_seeds() -> None:
    runs = [run_of([0.9, 0.96]), run_of([0.97, 0.9]), run_of([0.9, 0.9]), run_of([0.96], outcome="diverged")]
    assert defaults.figures(runs) == {"diverged": 1, "missed": 2, "epochs": 1.5, "worst": 0.0}


@pytest.mark.slow
def test_the_defaults_train_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    defaults.main(["--seeds", "1", "--networks", "mlp", "conv", "--methods", "gr"])
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert {value for name, value in figures.items() if name.endswith(("diverged", "missed"))} == {0}
