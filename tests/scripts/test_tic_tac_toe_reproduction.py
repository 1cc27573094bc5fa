from __future__ import annotations

import json
from pathlib import Path

import pytest

from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.scripts.reproduce import tic_tac_toe
from strategic_envs.scripts.reproduce._tic_tac_toe_facts import fact_rows


def test_every_integer_and_fraction_is_found_again() -> None:
    rows = fact_rows(TicTacToe())
    assert len(rows) > 70 and [r["quantity"] for r in rows if not r["within"]] == []
    assert len({r["quantity"] for r in rows}) == len(rows)


def test_the_reproduction_of_tic_tac_toe_names_itself() -> None:
    assert tic_tac_toe.NAME == "tic-tac-toe" and tic_tac_toe.SUMMARY.endswith(".")


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_quick_reproduction_reaches_every_aim(tmp_path: Path) -> None:
    pytest.importorskip("ray.rllib")
    rows = tic_tac_toe.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    timed = "exact PSRO: seconds, below"  # the machine may be busy
    assert [r["quantity"] for r in rows if not r["within"] and r["quantity"] != timed] == []
    assert {p.name for p in tmp_path.iterdir()} == {"tic_tac_toe.png", "psro.jsonl"}
    log = [json.loads(line) for line in (tmp_path / "psro.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in log] == list(range(1, len(log) + 1)) and log[-1]["gap"] < 2e-9
    assert all(max(r["support"]) <= max(r["policies"]) for r in log)
