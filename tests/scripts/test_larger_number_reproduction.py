from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import larger_number


def test_the_reproduction_names_itself() -> None:
    assert larger_number.NAME == "larger-number" and larger_number.SUMMARY.endswith(".")


@pytest.mark.slow
def test_every_number_of_the_larger_number_is_as_it_should_be(tmp_path: Path) -> None:
    rows = larger_number.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert [row["quantity"] for row in rows if not row["within"]] == []
    quantities = [row["quantity"] for row in rows]
    assert len(set(quantities)) == len(quantities) and (tmp_path / "larger_number.png").stat().st_size > 10_000
    for part in ("NashConv after 200 iterations", "ERM oracle, larger number up to 8", "Littlestone", "random plays"):
        assert any(part in quantity for quantity in quantities), part
