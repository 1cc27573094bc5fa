from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strategic_envs.scripts import reproduce
from strategic_envs.scripts.cli import main

MODULE = '''"""A reproduction for tests."""

from __future__ import annotations

from dataclasses import dataclass

NAME, SUMMARY, RESUMES = "trial-run", "Adds up.", True


@dataclass(frozen=True)
class Options:
    """How it is done."""

    terms: int = 3
    """How many terms are added."""
    aloud: bool = False
    """Whether it says so."""


def reproduce(out, *, seed=0, quick=False, options=Options()):
    (out / "done.txt").write_text(f"{options.terms} {options.aloud} {seed} {quick}")
    common = {"expected": 6.0, "source": "by hand"}
    return [
        {"quantity": "sum", "ours": float(sum(range(options.terms + 1))), "within": options.terms == 3, **common},
        {"quantity": "beside", "ours": 1.0, "within": None, "published": 2.5, **common},
    ]
'''


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[int, str, str]]]:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "trial_run.py").write_text(MODULE)
    monkeypatch.setattr(reproduce, "__path__", [*reproduce.__path__, str(folder)])
    monkeypatch.chdir(tmp_path)
    yield lambda *words: main(["reproduce", *words])
    sys.modules.pop("strategic_envs.scripts.reproduce.trial_run", None)


def test_options_of_a_reproduction_reach_it(trial: Callable[..., int], tmp_path: Path, capsys) -> None:
    assert trial("trial-run", "--terms", "4", "--aloud", "--seed", "2", "--out", "here") == 0
    assert (tmp_path / "here" / "done.txt").read_text() == "4 True 2 False"
    record = json.loads((tmp_path / "here" / "reproduction.json").read_text())
    assert record["options"] == {"terms": 4, "aloud": True} and record["finished"] and record["seed"] == 2
    shown = capsys.readouterr().out
    assert "MISSED" in shown and "published" in shown and "2.5" in shown and "0 of 1 within" in shown


def test_defaults_of_options_are_those_of_the_dataclass(trial: Callable[..., int], tmp_path: Path) -> None:
    assert trial("trial_run") == 0
    assert (tmp_path / "results/reproduce/trial-run/done.txt").read_text() == "3 False 0 False"


def test_an_option_that_the_reproduction_does_not_have_is_named(trial: Callable[..., int], capsys) -> None:
    assert trial("trial-run", "--sessions", "3") == 2
    assert "--sessions" in capsys.readouterr().err
    assert main(["reproduce", "gradient-cycles", "--terms", "3"]) == 2  # another one's option
    assert "--terms" in capsys.readouterr().err


def test_help_shows_the_options_of_the_reproduction_that_is_named(trial: Callable[..., int], capsys) -> None:
    with pytest.raises(SystemExit):
        trial("trial-run", "--help")
    told = capsys.readouterr().out
    assert "--terms" in told and "How many terms are added." in told and "The same seed gives" in told
    with pytest.raises(SystemExit):
        trial("--help")
    assert "--terms" not in capsys.readouterr().out


def test_a_folder_of_the_same_reproduction_goes_on_and_others_are_left_alone(
    trial: Callable[..., int], tmp_path: Path, capsys
) -> None:
    assert trial("trial-run", "--out", "here") == 0
    assert trial("trial-run", "--out", "here", "--terms", "5") == 0  # what can be used again is used again
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert trial("trial-run", "--out", "mine") == 2
    assert "mine is neither empty nor the folder of a run of trial-run" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert main(["reproduce", "gradient-cycles", "--out", "here"]) == 2
    assert "here is not an empty folder" in capsys.readouterr().err


def test_a_folder_called_like_a_reproduction_is_a_folder(trial: Callable[..., int], tmp_path: Path) -> None:
    assert trial("--out", "gradient-cycles", "trial-run", "--terms", "2") == 0
    assert (tmp_path / "gradient-cycles" / "done.txt").read_text() == "2 False 0 False"
