from __future__ import annotations

from pathlib import Path

import pytest

from strategic_envs.scripts.reproduce import dgnopt_overhead


@pytest.mark.slow
def test_time_and_memory_are_compared_with_ekfac(tmp_path: Path) -> None:
    options = dgnopt_overhead.Options(device="cpu")
    rows = dgnopt_overhead.reproduce(tmp_path, quick=True, options=options)
    found = {row["quantity"]: row for row in rows}
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    assert found["time of FNE over EKFAC (conv, cpu)"]["expected"] == "0.6 to 1.4"
    assert 0.5 < found["memory of FNE over EKFAC (conv, cpu)"]["ours"] < 1.5
    assert all(row["ours"] > 0 for row in rows)
    assert {path.name for path in tmp_path.iterdir()} == {"overhead.png"}
