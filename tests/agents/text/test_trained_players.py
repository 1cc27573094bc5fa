"""What was trained is judged on the strategic test set and played against, from its checkpoint."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from strategic_envs.agents.roster import Job, agent, checkpoint_play
from strategic_envs.errors import CheckpointError
from strategic_envs.evaluators.strategic import strategic_test
from strategic_envs.scripts.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

SETTINGS = {
    "extragradient": {"field": "exact"},
    "ppo": {"envs": 4, "batch": 32, "num_epochs": 2, "hidden": (8,)},
    "double_oracle": {},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_checkpoint_is_judged_with_the_exploitability_of_its_run(name, tmp_path: Path, monkeypatch, capsys):
    job = Job("tic_tac_toe_v0", agent=SETTINGS[name], iterations=1, out=tmp_path)
    result = agent(name).train(job, lambda row: None)
    capsys.readouterr()
    assert main(["evaluate", "--strategic", "--json", str(result.checkpoint), "--games", "2"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["exploitability"] == pytest.approx(result.final["exploitability"], abs=1e-9)
    assert row["positions"] == 4520 and row["against_uniform_random"]["games"] == 2
    game, play = checkpoint_play(result.checkpoint, "tic_tac_toe_v0")
    assert game.name == "tic_tac_toe" and strategic_test(play).row()["fork_accuracy"] == row["fork_accuracy"]
    monkeypatch.setattr("sys.stdin", io.StringIO("4\n0\n1\n2\n3\n5\n6\n7\n8\n" * 3))
    assert main(["play", "tic_tac_toe_v0", "--against", str(tmp_path / "checkpoint")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(("wins.", "win.", "draw."))


def test_a_checkpoint_of_another_game_or_a_damaged_one_is_refused(tmp_path: Path, capsys):
    job = Job("larger_number_v0", env={"n": 4}, iterations=1, out=tmp_path)
    checkpoint = agent("independent_gd").train(job, lambda row: None).checkpoint
    assert checkpoint is not None
    capsys.readouterr()
    assert main(["evaluate", "--strategic", str(checkpoint)]) == 2
    error = capsys.readouterr().err
    assert "expected one of 'tic_tac_toe_v0'" in error and error.count("\n") == 1
    with pytest.raises(CheckpointError, match="expected one of 'tic_tac_toe_v0'"):
        checkpoint_play(checkpoint, "tic_tac_toe_v0")
    (checkpoint / "algorithm_state.pkl").write_bytes(b"nothing")
    assert main(["evaluate", "--strategic", str(checkpoint)]) == 2
    error = capsys.readouterr().err
    assert "damaged" in error and error.count("\n") == 1
