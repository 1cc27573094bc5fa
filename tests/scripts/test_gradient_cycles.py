from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import gradient_cycles
from strategic_envs.scripts.reproduce._first_order_counts import METHODS, PROBLEMS, TOLERANCE, count


def rows_by_quantity(out: Path, quick: bool) -> dict[str, dict[str, object]]:
    rows = gradient_cycles.reproduce(out, quick=quick)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    return {str(row["quantity"]): row for row in rows}


@pytest.mark.slow
def test_gradient_play_cycles_on_f1_and_matching_pennies_where_it_should(tmp_path: Path) -> None:
    rows = rows_by_quantity(tmp_path, quick=True)
    assert [q for q, row in rows.items() if not row["within"]] == []
    counts = [q for q in rows if "of 100 starts" in q]
    assert len(counts) == 15 and "f_1 on [-3, 3]: EG+ converges, of 100 starts" in counts
    assert {p.name for p in tmp_path.iterdir()} == {"matching_pennies.png", "f1.png", "counts.png"}


# Cells in which a wrong sign, step size, projection or norm shows, one a method.
CELLS = [
    ("f_2 on [-1, 1]", "simultaneous gradient"),
    ("f_2 on [-1, 1]", "alternating gradient"),
    ("f_2 on [-2, 2]", "optimistic gradient"),
    ("f_2 on [-2, 2]", "anchored extragradient"),
    ("forsaken", "consensus"),
    ("f_1 on [-1, 1]", "symplectic gradient"),
    ("polar, a = 3/4", "extragradient"),
    ("polar, a = 1", "EG+"),
    ("forsaken", "CurvatureEG+"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("game", "method"), CELLS)
def test_cells_of_the_table_of_counts_are_reproduced_in_full(game: str, method: str) -> None:
    problem = next(p for p in PROBLEMS if p.label == game)
    index = [m.label for m in METHODS].index(method)
    ours = count(problem, METHODS[index]).converged
    assert abs(ours - problem.expected[index]) <= TOLERANCE, f"{ours}, expected {problem.expected[index]}"


def test_the_table_is_complete() -> None:
    assert len(METHODS) == 9 and len(PROBLEMS) == 12
    assert all(len(problem.expected) == 9 for problem in PROBLEMS)


def test_the_reproduction_names_itself() -> None:
    assert gradient_cycles.NAME == "gradient-cycles" and gradient_cycles.SUMMARY.endswith(".")
