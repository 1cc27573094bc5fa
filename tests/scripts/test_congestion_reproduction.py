"""`reproduce congestion`: published equilibria, what networks' paths show, and what is said where files are missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from strategic_envs.scripts.reproduce import congestion
from strategic_envs.scripts.reproduce._congestion_linear import (
    drawn,
    half_squared,
    least_in_budget,
    least_squares,
    minimised,
    random_data,
)
from strategic_envs.scripts.reproduce._congestion_rows import (
    at_least,
    at_most,
    judged,
    rows_of_networks,
    rows_of_small_games,
    solved_network,
)

DATA = Path(os.environ.get("STRATEGIC_ENVS_DATA", "nowhere"))


def missed(rows: list[dict[str, object]]) -> list[object]:
    return [row["quantity"] for row in rows if row["within"] is False]


def test_small_games_have_the_published_equilibria() -> None:
    rows = rows_of_small_games()
    assert missed(rows) == [] and len(rows) == 5 * 5 + 6 + 15 + 2 * 5
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)


def test_verdicts_are_strict() -> None:
    assert not judged("", 1.1, 1.0, "", 0.05)["within"] and judged("", 101.0, 100.0, "", 0.01, relative=True)["within"]
    assert not judged("", float("nan"), 0.0, "", 1.0)["within"]
    assert not at_most("", float("nan"), 1.0, "")["within"] and not at_least("", 0.9, 1.0, "")["within"]


def test_networks_without_files_are_rows_without_a_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRATEGIC_ENVS_DATA", str(tmp_path))
    assert solved_network("SiouxFalls") is None
    monkeypatch.delenv("STRATEGIC_ENVS_DATA")
    rows = rows_of_networks(solved_network("SiouxFalls"), solved_network("Anaheim"), quick=True)
    assert [row["within"] for row in rows] == [None, None]
    assert all("not run, there are no files" in str(row["quantity"]) for row in rows)


@pytest.mark.skipif(not (DATA / "tntp").is_dir(), reason="STRATEGIC_ENVS_DATA has no folder tntp")
def test_road_networks_have_the_published_flows() -> None:
    rows = rows_of_networks(solved_network("SiouxFalls"), solved_network("Anaheim"), quick=True)
    assert missed(rows) == [] and len(rows) >= 18


def test_minima_and_budgets_are_what_they_say() -> None:
    x, y = random_data(3)
    weights = minimised(drawn((4, 5, 3), 3, "test"), lambda w: half_squared(w, x, y))
    assert float(half_squared(weights, x, y)) == pytest.approx(least_squares(x, y), abs=1e-12)
    eye, best = torch.eye(3).double(), torch.linalg.lstsq(x, y).solution.mT
    inside = least_in_budget(eye, x, y, 2 * best, 2000)  # a budget that does not bind
    assert inside == pytest.approx(least_squares(x, y), abs=1e-9)
    tight = best / 2
    least = least_in_budget(eye, x, y, tight, 2000)
    assert least_squares(x, y) < least < float(half_squared((tight,), x, y))
    draw = torch.Generator().manual_seed(0)
    for _ in range(50):  # no other matrix of these budgets is better
        other = torch.randn(3, 4, generator=draw, dtype=torch.float64)
        other *= tight.abs().sum(0) / other.abs().sum(0)
        assert float(half_squared((other,), x, y)) >= least - 1e-9


@pytest.mark.slow
def test_the_whole_reproduction_misses_nothing_and_draws_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRATEGIC_ENVS_DATA", raising=False)
    rows = congestion.reproduce(tmp_path, quick=True)
    assert missed(rows) == [] and len(rows) > 120
    assert {p.name for p in tmp_path.iterdir()} == {"braess.png", "gaps.png", "grid.png"}
    assert congestion.NAME == "congestion" and congestion.SUMMARY.endswith(".")
