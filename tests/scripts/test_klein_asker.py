"""`reproduce klein` and `reproduce asker`: rows, pictures, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.reproduce import asker, klein


def by_quantity(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    return {row["quantity"]: row for row in rows}


@pytest.mark.slow
def test_klein_in_short(tmp_path: Path) -> None:
    rows = by_quantity(klein.reproduce(tmp_path, options=klein.Options(sessions=24, threads=2)))
    assert {p.name for p in tmp_path.iterdir()} == {"price_paths.png", "learning.png"}
    assert [q for q, row in rows.items() if row["within"] is False] == []
    assert rows["k=6, Edgeworth cycle: profit of a firm and period"]["ours"] == pytest.approx(0.0656858, abs=1e-6)
    assert rows["k=6: share of Edgeworth cycles"]["ours"] < rows["k=24: share of Edgeworth cycles"]["ours"]
    assert len(rows) == 4 + 3 * 5 + 1


def test_asker_in_short(tmp_path: Path) -> None:
    rows = by_quantity(asker.reproduce(tmp_path, quick=True))
    assert {p.name for p in tmp_path.iterdir()} == {"price_paths.png", "resting_prices.png"}
    assert [q for q, row in rows.items() if row["within"] is False] == []
    assert rows["asynchronous: mean price at rest"]["ours"] > 7.5
    assert rows["downward: mean price at rest"]["ours"] < 2.6


def test_a_mean_far_from_the_expected_one_is_missed() -> None:
    assert klein._close(np.full(100, 0.109) + np.linspace(-0.01, 0.01, 100), 0.109, 1000)
    assert not klein._close(np.full(100, 0.120) + np.linspace(-0.01, 0.01, 100), 0.109, 1000)
    assert not klein._close(np.ones(100, dtype=bool), 0.685, 1000)


@pytest.mark.parametrize("module", [klein, asker])
@pytest.mark.parametrize("option", ["sessions", "threads"])
def test_bad_options_are_refused(module: Any, option: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"got --{option} 0, expected a whole number from 1"):
        module.reproduce(tmp_path, options=module.Options(**{option: 0}))
