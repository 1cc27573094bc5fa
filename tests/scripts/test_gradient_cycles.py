from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import gradient_cycles


def rows_by_quantity(out: Path, quick: bool) -> dict[str, dict[str, object]]:
    rows = gradient_cycles.reproduce(out, quick=quick)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    return {str(row["quantity"]): row for row in rows}


@pytest.mark.slow
def test_gradient_play_cycles_on_f1_and_matching_pennies_where_it_should(tmp_path: Path) -> None:
    rows = rows_by_quantity(tmp_path, quick=True)
    assert [q for q, row in rows.items() if not row["within"]] == []
    counts = {q: row["ours"] for q, row in rows.items() if "of 100 starts" in q}
    assert counts == {
        "x y on [-1, 1]: simultaneous gradient converges, of 100 starts": 0,
        "x y on [-1, 1]: extragradient converges, of 100 starts": 100,
        "f_1 on [-3, 3]: simultaneous gradient converges, of 100 starts": 0,
        "f_1 on [-3, 3]: extragradient converges, of 100 starts": 0,
        "f_1 on [-1, 1]: simultaneous gradient converges, of 100 starts": 100,
        "f_1 on [-1, 1]: extragradient converges, of 100 starts": 100,
    }
    assert {p.name for p in tmp_path.iterdir()} == {"matching_pennies.png", "f1.png"}


def test_the_reproduction_names_itself() -> None:
    assert gradient_cycles.NAME == "gradient-cycles" and gradient_cycles.SUMMARY.endswith(".")
