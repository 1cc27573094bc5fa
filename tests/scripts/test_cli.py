from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from strategic_envs import evaluators
from strategic_envs.agents.dynamics import dynamics
from strategic_envs.agents.roster import agents
from strategic_envs.scripts.cli import main
from strategic_envs.scripts.gaps_table import GAPS
from strategic_envs.scripts.matrix import matrix_rows

ENVIRONMENT = "continuous_game_v0"


@pytest.fixture
def run(fake: Any, capsys: pytest.CaptureFixture[str]):
    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_train_saves_rows_settings_and_a_checkpoint_that_evaluate_judges(run, fake, tmp_path: Path) -> None:
    code, out, _ = run("train", ENVIRONMENT, "--agent", "fake", "--agent.step-size", "0.25", "--seed", "1")
    folder = tmp_path / "results" / f"{ENVIRONMENT}-fake-seed1"
    assert code == 0 and "exploitability 0.25" in out
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 3
    record = json.loads((folder / "result.json").read_text())
    assert record["settings"]["step_size"] == 0.25 and record["checkpoint"] == "checkpoint"
    assert json.loads((folder / "run.json").read_text())["config"]["preset"] == {"iterations": 3, "step_size": 0.5}
    code, out, _ = run("evaluate", str(folder), "--json")
    assert code == 0 and json.loads(out) == {"exploitability": 0.25}
    code, out, _ = run("evaluate", str(folder / "checkpoint"))
    assert code == 0 and "0.25" in out


def test_options_of_the_environment_and_the_agent_reach_the_job(run, fake) -> None:
    words = ("--env.game", "forsaken", "--env.max_cycles=7", "--iterations", "2", "--device", "cpu")
    assert run("train", ENVIRONMENT, "--agent", "fake", *words)[0] == 0
    (job,) = fake.jobs
    assert job.env == {"game": "forsaken", "max_cycles": 7} and job.iterations == 2 and job.device == "cpu"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "--agent", "fake"], "Missing from strategic-envs train: ENV"),
        (["train", ENVIRONMENT], "--agent"),
        (["train", "continuous_gam_v0", "--agent", "fake"], "did you mean 'continuous_game_v0'"),
        (["train", ENVIRONMENT, "--agent", "fak"], "unknown agent 'fak': did you mean 'fake'?"),
        (["train", ENVIRONMENT, "--agent", "fake", "--sed", "1"], "--seed"),
        (["train", ENVIRONMENT, "--agent", "fake", "--seed", "one"], "--seed"),
        (["train", ENVIRONMENT, "--agent", "fake", "--seed", "-1"], "got --seed -1"),
        (["train", ENVIRONMENT, "--agent", "fake", "--iterations", "0"], "expected at least 1"),
        (["train", ENVIRONMENT, "--agent", "fake", "--device", "gpu"], "unknown device 'gpu'"),
        (["train", ENVIRONMENT, "--agent", "fake", "--agent.stepsize", "1"], "did you mean 'step_size'?"),
        (["train", ENVIRONMENT, "--agent", "fake", "--env.gme", "x"], "unknown option of the game"),
        (["train", ENVIRONMENT, "--agent", "fake", "--env.game"], "--env.game has no value"),
        (["train", ENVIRONMENT, "--agent", "fake", "--env.game", "a", "--env.game", "b"], "given twice"),
        (["train", "larger_number_v0", "--agent", "fake"], "does not train larger_number_v0: it has no numbers"),
        (["train", ENVIRONMENT, "--agent", "fake", "--address", "127.0.0.1:1"], "where nothing answers"),
        (["train", ENVIRONMENT, "--agent", "fake", "--address", "somewhere"], "expected auto or HOST:PORT"),
        (["train", ENVIRONMENT, "--agent", "fake", "--env.game", "f2"], "f2: it has no derivatives"),
        (["list", "--env.game", "x"], "they belong to train"),
        (["evaluate", "nowhere"], "there is no nowhere"),
        (["evaluate", "."], "is no checkpoint"),
        (["benchmark", "--out", "x", "--preset", "quik"], "did you mean 'quick'?"),
        (["reproduce", "gradient-cycle"], "did you mean 'gradient-cycles'?"),
        (["reproduce", "gradient-cycles", "--seed", "-2"], "got --seed -2"),
    ],
)
def test_bad_input_exits_2_with_one_line_and_makes_nothing(run, tmp_path: Path, words, message) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert message in err and err.startswith("strategic-envs: ") and err.count("\n") == 1 and "Traceback" not in err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_folder_with_results_is_refused_and_untouched(run, tmp_path: Path) -> None:
    words = ("train", ENVIRONMENT, "--agent", "fake", "--out", "here")
    assert run(*words)[0] == 0
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for more in ([], ["--seed", "5"]):
        code, _, err = run(*words, *more)
        assert code == 2 and "choose another folder" in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_run_that_fails_before_its_first_row_leaves_nothing_in_the_way(run, fake, tmp_path: Path) -> None:
    fake.fails_on = ENVIRONMENT
    with pytest.raises(RuntimeError):
        run("train", ENVIRONMENT, "--agent", "fake", "--out", "here")
    assert not (tmp_path / "here").exists()


def test_a_run_that_did_not_finish_or_left_no_checkpoint_is_named_by_evaluate(run, tmp_path: Path) -> None:
    run("train", ENVIRONMENT, "--agent", "fake", "--out", "here")
    result = tmp_path / "here" / "result.json"
    record = json.loads(result.read_text())
    result.write_text(json.dumps(record | {"checkpoint": None}))
    assert "leaves no checkpoint" in run("evaluate", "here")[2]
    result.write_text("{")
    assert "result.json is damaged" in run("evaluate", "here")[2]
    result.unlink()
    assert "did not finish" in run("evaluate", "here")[2]


def test_list_shows_games_agents_and_the_matrix_with_presets_and_reasons(run) -> None:
    code, out, _ = run("list", "--games")
    assert code == 0 and "matching_pennies" in out and "[-box, box]^2" in out
    code, out, _ = run("list", "--agents")
    assert code == 0 and "learns nothing, quickly" in out
    code, out, _ = run("list", "--matrix")
    assert code == 0 and "step_size=0.5" in out and "no: it has no numbers" in out
    code, out, _ = run("list")
    assert code == 0 and "tic_tac_toe_v0" in out and "matching_pennies" in out and "fake" in out


def test_list_shows_every_dynamic_and_every_gap(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = main(["list", "--dynamics"]), capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert code == 0 and set(dynamics()) <= set(rows)
    assert "2 field " in rows["extragradient"] and "1 field, 1 vjp" in rows["consensus_optimization"]
    assert "for simplices" in rows["hedge"] and "for two players" in out
    code, out = main(["list", "--gaps"]), capsys.readouterr().out
    assert code == 0 and "local_cce_gap" in out and "0 at Nash" in out


def test_the_gaps_that_are_listed_are_the_functions_that_there_are() -> None:
    there = {name for name in evaluators.__all__ if name.endswith(("_gap", "_conv", "exploitability"))}
    homes = [evaluators, *(import_module(f"{evaluators.__name__}.{m.name}") for m in iter_modules(evaluators.__path__))]
    assert there <= set(GAPS)
    assert [name for name in GAPS if not any(callable(getattr(home, name, None)) for home in homes)] == []
    assert all(question and exact for question, exact in GAPS.values())


def test_the_matrix_puts_agents_with_the_same_settings_in_one_row() -> None:
    rows = [row for row in matrix_rows() if row[0] == "tic_tac_toe_v0"]
    named = [name for row in rows for name in re.findall(r"\w+", row[1].partition(": ")[2] or row[1])]
    assert sorted(named) == sorted(agents()) and len(rows) < len(agents()) / 2
    assert [row[2].startswith("no: ") for row in rows] == sorted(row[2].startswith("no: ") for row in rows)


def test_help_names_every_command_and_version_the_version(run) -> None:
    code, out, _ = run("--help")
    assert code == 0 and all(name in out for name in ("list", "train", "evaluate", "benchmark", "reproduce"))
    assert run("--version")[1].startswith("strategic-envs 0.")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0


def test_an_interruption_exits_130(run, fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "train", train)
    code, _, err = run("train", ENVIRONMENT, "--agent", "fake")
    assert code == 130 and "interrupted" in err


def test_list_does_not_import_ray() -> None:
    code = (
        "import sys; from strategic_envs.scripts.cli import main; main(['list']); main(['list', '--matrix']); "
        "sys.exit('ray was imported' if 'ray' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
