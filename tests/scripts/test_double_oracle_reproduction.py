from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import _continuous_rows, double_oracle


@pytest.mark.slow
def test_double_oracle_takes_as_many_iterations_as_expected(tmp_path: Path) -> None:
    rows = double_oracle.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert [row["quantity"] for row in rows if not row["within"]] == []
    found = {row["quantity"]: row["ours"] for row in rows}
    assert found["larger number up to 64: iterations, lowest tie"] == 64
    assert found["hide and seek, 64 places: iterations to just below 0.05"] == 41
    assert found["tanh(10(x - y)) on [0, 10] from (0, 0): iterations, ties to the lowest"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["double_oracle.png"]


def test_every_continuous_case_knows_its_value() -> None:
    for case in _continuous_rows.CASES:
        assert abs(case.value(case.game())) < 100


def test_the_reproduction_of_double_oracle_names_itself() -> None:
    assert double_oracle.NAME == "double-oracle"
    assert double_oracle.SUMMARY.endswith(".")
