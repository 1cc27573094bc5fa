"""Wardrop gaps in the rows of training runs on the layers of a network, and the weights that checkpoints keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from strategic_envs.agents.rllib.config import IndependentGDConfig
from strategic_envs.data.weights import initial_of, read_weights
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.figures import WARDROP, wardrop_figures
from strategic_envs.games.layers import layers
from strategic_envs.scripts.cli import main
from strategic_envs.scripts.curves import curve_panels

SMALL = {"hidden": (4,), "samples": 60}


def test_only_layers_have_wardrop_gaps_to_log() -> None:
    config = IndependentGDConfig().environment("continuous_game_v0", env_config={"game": "f1"})
    with pytest.raises(InvalidSettingError, match=r"f1: got wardrop=True, but .* whose players are its layers"):
        config.training(wardrop=True).task()


def test_the_gaps_are_asked_for_and_are_those_of_the_network_at_its_weights() -> None:
    config = IndependentGDConfig().environment("layers_v0", env_config=SMALL)
    off, on = config.copy().task(), config.copy().training(wardrop=True).task()
    x = on.initial()
    assert off.figures(off.load(x)) == {}
    assert on.figures(on.load(x)) == wardrop_figures(layers(**SMALL), x)
    assert sorted(on.figures(on.load(x))) == sorted(WARDROP)


def test_networks_without_paths_have_the_gaps_of_their_layers() -> None:
    game = layers(hidden=(4,), network="residual", samples=40)
    assert sorted(wardrop_figures(game, game.initial(0))) == ["layer_excess", "layer_gap"]


def test_curves_have_a_panel_for_the_gaps_that_an_agent_has() -> None:
    row = {"steps": 1, **dict.fromkeys(("exploitability", "local_nash_gap", "local_cce_gap", "path_gap"), 0.5)}
    without = {key: value for key, value in row.items() if key != "path_gap"}
    assert [len(curve_panels({"gd": [[r, {**r, "steps": 2}]]}, "").axes) for r in (row, without)] == [4, 3]
    both = curve_panels({"gd": [[row, {**row, "steps": 2}]], "ppo": [[without, {**without, "steps": 2}]]}, "").axes
    assert [len(axes.get_lines()) for axes in both] == [2, 2, 2, 1]


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_run_logs_wardrop_gaps_and_its_weights_are_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    env = ("--env.hidden", "[8]", "--env.samples", "200", "--env.activation", "identity")
    agent = ("--agent", "independent_gd", "--agent.wardrop", "true", "--agent.evaluate_every", "2")
    assert main(["train", "layers_v0", *env, *agent, "--iterations", "4", "--out", "run"]) == 0
    rows = [json.loads(line) for line in Path("run/rows.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and all(set(WARDROP) <= set(row) for row in rows)
    assert all(row["identity_error"] < 1e-12 and 0 < row["norm_gap"] <= 1 for row in rows)
    weights, began = read_weights("run"), initial_of("run")
    assert began is not None and {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in began.items()}
    game = layers(hidden=(8,), samples=200, activation="identity")
    names = ("weight", "bias")
    x = [torch.cat([weights[f"{i}.{name}"].flatten() for name in names]) for i in ("0", "2")]
    assert wardrop_figures(game, x)["path_gap"] == pytest.approx(rows[-1]["path_gap"], abs=1e-12)
    assert not torch.equal(weights["0.weight"], began["0.weight"])
    capsys.readouterr()
    assert main(["evaluate", "--network", "run", "--data", "digits", "--samples", "50", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["rows"][0]["J_init"] is not None and "identity" in record["measured_on"]
