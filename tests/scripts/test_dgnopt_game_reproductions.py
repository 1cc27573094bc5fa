"""`reproduce` dgnopt-fictitious and dgnopt-alignment, in short: rows, controls, resuming, options."""

from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.reproduce import dgnopt_alignment, dgnopt_fictitious


def saved(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("rows.jsonl"))


def test_fictitious_players_in_short(tmp_path: Path) -> None:
    options = dgnopt_fictitious.Options(players=(1, 2), seeds=1, epochs=2, loss=2.2)
    rows = dgnopt_fictitious.reproduce(tmp_path, options=options)
    labels = [row["quantity"].split(":")[0] for row in rows]
    assert labels[:4] == ["1 player, lr 0.1", "SGD, lr 0.1", "2 players, lr 0.1", "SGD, lr 0.2"]
    assert all(row["expected"] == "-" for row in rows[:4])  # another mark than the prototype's
    one, sgd = rows[0], rows[1]
    assert {k: one[k] for k in ("ours", "steps", "accuracy")} == {k: sgd[k] for k in ("ours", "steps", "accuracy")}
    assert rows[4]["expected"] == "2.2 on SVHN, 1.2 on CIFAR-10"
    assert len(rows) == 4 + 1 + 1 + 2
    assert saved(tmp_path) == 5
    assert (tmp_path / "fictitious.png").stat().st_size > 10_000
    again = dgnopt_fictitious.reproduce(tmp_path, options=options)
    assert (again, saved(tmp_path)) == (rows, 5)


@pytest.mark.slow
def test_n_players_are_n_times_the_rate(tmp_path: Path) -> None:
    options = dgnopt_fictitious.Options(players=(1, 2), seeds=2, epochs=10)
    rows = dgnopt_fictitious.reproduce(tmp_path, options=options)
    assert {row["diverged"] for row in rows[:4]} == {"0 of 2"}
    assert rows[0]["expected"] == "10/10/9, 95.75%"
    steps = {row["quantity"].split(":")[0]: float(row["steps"]) for row in rows[:4]}
    assert steps["2 players, lr 0.1"] < 0.85 * steps["1 player, lr 0.1"]
    assert abs(steps["2 players, lr 0.1"] / steps["SGD, lr 0.2"] - 1) < 0.2
    assert rows[-2]["within"] is True


def test_alignments_in_short(tmp_path: Path) -> None:
    options = dgnopt_alignment.Options(seeds=1, epochs=0.5, curvature=("kfac",))
    rows = dgnopt_alignment.reproduce(tmp_path, options=options)
    assert [row["quantity"].split(": ")[0] for row in rows[:5]] == [
        "KFAC alone",
        *(f"DGNOpt on KFAC, {name}" for name in ("fixed, late", "fixed, early", "random", "adaptive")),
    ]
    assert [row["expected"] for row in rows[:2]] == ["87.49; 84.67", "88.20; 85.20"]
    assert len(rows) == 7
    assert {row["diverged"] for row in rows[:5]} == {"0 of 1"}
    assert (tmp_path / "alignment.png").stat().st_size > 10_000
    again = dgnopt_alignment.reproduce(tmp_path, options=options)
    assert (again[:5], saved(tmp_path)) == (rows[:5], 5)


@pytest.mark.slow
def test_dgnopt_with_any_alignment_is_ahead_of_its_curvature_early(tmp_path: Path) -> None:
    rows = dgnopt_alignment.reproduce(tmp_path, quick=True, options=dgnopt_alignment.Options(seeds=1))
    baseline, *aligned = (float(row["early"]) for row in rows[:5])
    assert all(loss < baseline for loss in aligned)
    assert rows[5]["within"] is True


def test_bad_options_of_the_games_are_refused(tmp_path: Path) -> None:
    fictitious, alignment = dgnopt_fictitious.Options, dgnopt_alignment.Options
    with pytest.raises(InputError, match="--players"):
        dgnopt_fictitious.reproduce(tmp_path, options=fictitious(players=(2, 4)))
    with pytest.raises(InputError, match="--lr"):
        dgnopt_fictitious.reproduce(tmp_path, options=fictitious(lr=0.0))
    with pytest.raises(InputError, match="--seeds 0"):
        dgnopt_fictitious.reproduce(tmp_path, options=fictitious(seeds=0))
    with pytest.raises(InputError, match="--validation 0"):
        dgnopt_alignment.reproduce(tmp_path, options=alignment(validation=0))


def test_the_reproductions_of_games_name_themselves() -> None:
    for module in (dgnopt_fictitious, dgnopt_alignment):
        assert module.NAME.startswith("dgnopt-")
        assert module.SUMMARY.endswith(".")
        assert module.RESUMES
