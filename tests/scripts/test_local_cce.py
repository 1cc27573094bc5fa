from __future__ import annotations

from pathlib import Path

import pytest
import torch

from strategic_envs.agents.dynamics import OnlineGradientDescent, run
from strategic_envs.games.nonconcave import f1
from strategic_envs.scripts.reproduce import local_cce


@pytest.mark.parametrize("rule", [OnlineGradientDescent(0.05), OnlineGradientDescent(0.5, "anytime")])
def test_a_path_in_stretches_is_the_path_step_by_step(rule: OnlineGradientDescent) -> None:
    game = f1()
    starts = game.sample((2,), generator=torch.Generator().manual_seed(0))
    whole = local_cce.whole_path(game, rule, starts, 50)
    path = run(game, rule, starts, steps=50)
    for ours, theirs in zip(whole, path.points, strict=True):
        assert torch.allclose(ours, theirs[:50], atol=1e-10)


@pytest.mark.slow
def test_local_gaps_fall_and_stay_below_their_bounds(tmp_path: Path) -> None:
    rows = local_cce.reproduce(tmp_path, quick=True)
    assert all(set(row) == {"quantity", "ours", "expected", "source", "within"} for row in rows)
    certain = [r for r in rows if "G D / sqrt T" in r["quantity"] or "true gain" in r["quantity"]]
    assert len(certain) == 5 and all(r["within"] for r in certain)
    assert all(-1.2 < r["ours"] < -0.3 for r in rows if "slope" in r["quantity"])
    assert {p.name for p in tmp_path.iterdir()} == {"local_cce.png"}


def test_the_reproduction_of_local_cce_names_itself() -> None:
    assert local_cce.NAME == "local-cce" and local_cce.SUMMARY.endswith(".")
