"""`evaluate --strategic` and `play` of fixed players, files of answers and models at an endpoint."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from strategic_envs.scripts.cli import main

KEY = "sk-a-very-secret-key"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_KEY", KEY)

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        assert KEY not in captured.out + captured.err
        return code, captured.out, captured.err

    return command


def strategic(run, *words: str) -> dict:
    code, out, err = run("evaluate", "--strategic", "--json", *words)
    assert code == 0, err
    return json.loads(out)


def words(server) -> list[str]:
    return ["--endpoint", server.url, "--model", "small", "--key-env", "SOME_KEY"]


def reader(server, reads) -> None:
    """The server answers as a model that reads the board well."""
    model = reads()

    def reply(handler, body):
        content = model.answer(body["messages"][1]["content"])
        handler.send(200, {"choices": [{"message": {"content": content}}]})

    server.reply = reply


def test_a_fixed_player_is_judged_with_the_known_numbers(run) -> None:
    row = strategic(run, "uniform_random")
    assert row["exploitability"] == pytest.approx(116101 / 120960)
    assert row["fork_value_kept"] == pytest.approx(0.3330, abs=5e-5) and row["slide_right"] == pytest.approx(0.2)
    row = strategic(run, "fastest", "--games", "4")
    assert row["scored_accuracy"] == 1 and row["against_fastest"]["draw"] == 4
    assert row["against_uniform_random"]["loss"] == 0
    row = strategic(run, "lowest", "--games", "3", "--opponents", "lowest")
    assert row["against_lowest"] == {"games": 3, "win": 2, "draw": 0, "loss": 1, "forfeit": 0, "reasons": []}
    code, out, _ = run("evaluate", "optimal", "--strategic")
    assert code == 0 and "prevent_fork" in out and "exploitability 0" in out
    assert "X.X / OO. / ..., X to move: wins now with probability 0.5, keeps the value with 1" in out


def test_what_is_found_is_saved(run) -> None:
    row = strategic(run, "optimal", "--out", "here", "--games", "2")
    assert json.loads(Path("here/result.json").read_text()) == row
    rows = [json.loads(line) for line in Path("here/rows.jsonl").read_text().splitlines()]
    assert [r["name"] for r in rows][:2] == ["win1", "block1"]
    assert len(Path("here/games.jsonl").read_text().splitlines()) == 4
    assert strategic(run, "optimal", "--out", "here", "--games", "2") == row  # the same again is no other run
    code, _, err = run("evaluate", "--strategic", "lowest", "--out", "here", "--games", "2")
    assert code == 2 and "holds another run" in err


def test_a_model_at_an_endpoint_is_judged_and_its_answers_are_saved(run, server, reads) -> None:
    reader(server, reads)
    row = strategic(run, *words(server), "--out", "here", "--games", "2", "--workers", "2", "--limit", "8")
    assert row["scored_accuracy"] == 1 and row["slide_right"] == 1 and "exploitability" not in row
    assert row["questions"] == row["legal_first_time"] == 40 and row["reasons"] == {}
    assert row["against_uniform_random"]["loss"] == 0 and row["against_fastest"]["draw"] == 2
    saved = "".join(path.read_text() for path in Path("here").iterdir())
    assert KEY not in saved and "SOME_KEY" in saved
    again = strategic(run, "here/rows.jsonl")
    assert again["scored_positions"] == row["scored_positions"] and again["questions"] == 40


def test_a_stopped_run_goes_on_where_it_was(run, server, reads) -> None:
    reader(server, reads)
    few = [*words(server), "--classes", "fork", "win1", "--limit", "5", "--out", "here"]
    whole = strategic(run, *few)
    assert len(server.requests) == 10
    rows = Path("here/rows.jsonl")
    rows.write_text("".join(line + "\n" for line in rows.read_text().splitlines()[:4]))
    again = strategic(run, *few)
    assert len(server.requests) == 16
    same = {k: v for k, v in whole.items() if not k.startswith("seconds")}
    assert {k: v for k, v in again.items() if not k.startswith("seconds")} == same


def test_nonsense_costs_positions_and_games_and_never_the_run(run, server) -> None:
    server.says("I like the middle.")
    few = ("--limit", "2", "--retries", "1", "--games", "2")
    code, out, err = run("evaluate", "--strategic", "--json", *words(server), *few)
    row = json.loads(out)
    assert code == 1 and "no legal answer at all" in err
    assert row["forfeited"] == 10 and row["attempts_unparsable"] == 20 and row["scored_forfeits"] == 1
    assert row["against_fastest"]["forfeit"] == 2 and "none of the forms" in row["against_fastest"]["reasons"][0]


@pytest.mark.parametrize(("status", "told"), [(401, "http: 401 no"), (404, "http: 404 no"), (400, "http: 400 no")])
def test_an_endpoint_that_says_no_is_told_with_its_reason(run, server, status, told) -> None:
    server.sends(status, {"error": {"message": "no"}})
    code, out, err = run("evaluate", "--strategic", *words(server), "--games", "3")
    assert code == 1 and told in out and told in err and len(server.requests) == 5
    assert "asked 627: 0 legal at the first attempt, 627 forfeited" in out
    assert "not_asked 622" in out and "games against" not in out


def test_nobody_at_the_endpoint_is_told(run, nobody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    code, out, err = run("evaluate", "--strategic", "--endpoint", nobody, "--model", "small", "--limit", "1")
    assert code == 1 and "refused: no connection to 127.0.0.1" in out and "(3 tries)" in err


def test_a_person_plays_against_a_model(run, server, reads, monkeypatch: pytest.MonkeyPatch) -> None:
    reader(server, reads)
    monkeypatch.setattr("sys.stdin", io.StringIO("0\n1\n3\n5\n7\n2\n6\n8\n4\n" * 3))
    code, out, _ = run("play", "tic_tac_toe_v0", *words(server), "--as", "O")
    assert code == 0 and re.search(r"small plays \d", out) and out.splitlines()[-1] in ("small wins.", "A draw.")


def test_a_person_wins_against_a_model_that_fails(run, server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.sends(401, {"error": {"message": f"wrong key {KEY}"}})
    monkeypatch.setattr("sys.stdin", io.StringIO("4\n"))
    code, out, _ = run("play", "tic_tac_toe_v0", *words(server))
    assert code == 0 and out.endswith("You win: small gave no legal move (http: 401 wrong key [key]).\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategic"], "give either a checkpoint"),
        (["--strategic", "optimal", "--endpoint", "http://localhost:1", "--model", "m"], "give either a checkpoint"),
        (["--strategic", "optimum"], "did you mean 'optimal'?"),
        (["--strategic", "nowhere/at/all"], "there is no nowhere/at/all"),
        (["--strategic", "ppo"], "ppo must be trained first"),
        (["--strategic", "."], "expected a checkpoint"),
        (["--strategic", "optimal", "--limit", "3"], "of a model that is asked"),
        (["--strategic", "optimal", "--games", "-1"], "got --games -1"),
        (["--strategic", "optimal", "--games", "2", "--opponents", "fastets"], "did you mean 'fastest'?"),
        (["--strategic", "optimal", "--positions", "some"], "--positions"),
        (["--strategic", "bad.jsonl"], "bad.jsonl, line 1"),
        (["--strategic", "bad.jsonl", "--games", "2"], "play no games"),
        (["--strategic", "--endpoint", "http://localhost:1"], "give --model NAME"),
        (["--strategic", "--endpoint", "http://me:pw@localhost:1", "--model", "m"], "user or a password"),
        (
            ["--strategic", "--endpoint", "http://localhost:1", "--model", "m", "--key-env", "NO_KEY_9"],
            "NO_KEY_9 is not",
        ),
        (["--strategic", "--endpoint", "http://localhost:1", "--model", "m", "--classes", "forks"], "'fork'"),
        (["--strategic", "--endpoint", "http://localhost:1", "--model", "m", "--limit", "0"], "limit=0"),
        (["--strategic", "--endpoint", "http://localhost:1", "--model", "m", "--workers", "0"], "workers=0"),
        (["optimal", "--games", "2"], "give --strategic too"),
        ([], "give a checkpoint"),
    ],
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(run, arguments, message) -> None:
    Path("bad.jsonl").write_text("no answers\n")
    out = ["--out", "here"] if "--strategic" in arguments else []
    code, _, err = run("evaluate", *arguments, *out)
    assert code == 2 and message in err and err.count("\n") == 1 and "pw" not in err
    assert not Path("here").exists()
