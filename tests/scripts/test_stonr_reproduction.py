from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import stonr
from strategic_envs.scripts.reproduce._ridge_cases import CASES, LARGER


@pytest.mark.slow
def test_every_path_ends_where_it_should(tmp_path: Path) -> None:
    rows = stonr.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert [row["quantity"] for row in rows if not row["within"]] == []
    found = {row["quantity"]: row["ours"] for row in rows}
    assert found["f_1 on [-3, 3], step 0.02: paths of 8 that end at (0, 0)"] == 8
    assert found["f_1 on [-3, 3], step 0.02: largest gap at the end"] < 1e-10
    assert any("first-order variant (experimental)" in quantity for quantity in found)
    assert {p.name for p in tmp_path.iterdir()} == {"paths.png", "coverage.png"}


def test_the_table_of_paths_is_complete_and_its_ends_are_equilibria() -> None:
    assert len(CASES) == 9 and len(LARGER) == 3
    for case in [*CASES, *LARGER]:
        game = case.game()
        for end in case.ends:
            x = game.profile(*[list(part) for part in split(end, game.dims)])
            residual = max(
                float((s.project(t + v) - t).norm()) for s, t, v in zip(game.sets, x, game.field(x), strict=True)
            )
            assert residual < 1e-9, (case.label, end)


def split(end: tuple[float, ...], dims: tuple[int, ...]) -> list[tuple[float, ...]]:
    starts = [sum(dims[:k]) for k in range(len(dims))]
    return [end[a : a + d] for a, d in zip(starts, dims, strict=True)]


def test_the_reproduction_of_stonr_names_itself() -> None:
    assert stonr.NAME == "stonr" and stonr.SUMMARY.endswith(".")
