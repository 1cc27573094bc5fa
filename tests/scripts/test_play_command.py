"""A person plays in the terminal, with what it types fed in."""

from __future__ import annotations

import io

import pytest

from strategic_envs.scripts.cli import main


class Broken(io.StringIO):
    """A terminal that sends bytes which are no text, once, and then what is given."""

    def readline(self, *_):
        if not self.tell():
            self.read(1)
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return super().readline()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path):
    monkeypatch.chdir(tmp_path)

    def command(typed: str | io.StringIO, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed) if isinstance(typed, str) else typed)
        code = main(["play", "tic_tac_toe_v0", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_a_person_as_x_wins_against_the_lowest_cells(play) -> None:
    code, out, _ = play("2\n4\n6\n", "--against", "lowest")
    assert code == 0 and out.endswith("You win.\n")
    assert "You are X, lowest is O." in out and "lowest plays 0." in out and "lowest plays 1." in out
    assert " O | O | X\n---+---+---\n 3 | X | 5\n---+---+---\n X | 7 | 8\n" in out


def test_a_person_as_o_loses_against_the_lowest_cells(play) -> None:
    code, out, _ = play("8\n7\n", "--against", "lowest", "--as", "O")
    assert code == 0 and out.endswith("lowest wins.\n") and out.index("lowest plays 0.") < out.index("your move")


def test_against_optimal_play_which_is_the_default_the_best_is_a_draw(play) -> None:
    code, out, _ = play("".join(f"{cell}\n" for cell in [4, *range(9), *range(9), *range(9)]), "--seed", "3")
    assert code == 0 and "optimal is O" in out and out.splitlines()[-1] in ("A draw.", "optimal wins.")


def test_wrong_input_is_explained_and_asked_again(play) -> None:
    code, out, _ = play("\nnine\n9\n-1\n4 5\n4\n4\nq\n", "--against", "lowest")
    told = [line for line in out.splitlines() if "That is no move" in line]
    reasons = ["is empty", "none of the forms", "9 is no cell", "-1 is no cell", "several cells (4, 5)", "4 is taken"]
    assert code == 0 and len(told) == 6 and all(r in line for r, line in zip(reasons, told, strict=True))
    assert all("or q to leave" in line for line in told) and out.endswith("You left the game.\n")


@pytest.mark.parametrize("typed", ["", "4\n", "q\n", "4\nQuit\n", "exit\n"])
def test_q_or_the_end_of_the_input_leaves_the_game(play, typed) -> None:
    code, out, err = play(typed)
    assert code == 0 and out.endswith("\nYou left the game.\n") and not err


def test_an_interrupt_leaves_the_game(play, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    code, out, _ = play("")
    assert code == 0 and out.endswith("\nYou left the game.\n")


def test_bytes_that_are_no_text_are_no_move(play) -> None:
    code, out, _ = play(Broken("?q\n"))
    assert code == 0 and "That is no move" in out and out.endswith("You left the game.\n")


def test_the_same_seed_is_the_same_opponent(play) -> None:
    games = [
        play("0\n1\n2\n3\n4\n5\n6\n7\n8\n", "--against", "uniform_random", "--seed", s)[1] for s in ("1", "1", "2")
    ]
    assert games[0] == games[1] != games[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "optimum"], "unknown player or path 'optimum': did you mean 'optimal'?"),
        (["--against", "some/where"], "there is no some/where"),
        (["--against", "."], "expected a checkpoint"),
        (["--against", "extragradient"], "extragradient must be trained first"),
        (["--as", "Z"], "--as"),
        (["--seed", "-1"], "got --seed -1"),
        (["--endpoint", "http://localhost:1/v1"], "give --model NAME"),
        (["--model", "small"], "give --endpoint URL too"),
        (["--endpoint", "localhost", "--model", "small"], "expected one such as http://localhost"),
        (["--endpoint", "http://localhost:1", "--model", "m", "--against", "optimal"], "not both"),
        (
            ["--endpoint", "http://localhost:1", "--model", "m", "--key-env", "NO_SUCH_KEY_9"],
            "NO_SUCH_KEY_9 is not set",
        ),
        (["--endpoint", "http://localhost:1", "--model", "m", "--timeout", "0"], "timeout=0"),
        (["--endpoint", "http://localhost:1", "--model", "m", "--retries", "-1"], "retries=-1"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(play, words, message) -> None:
    code, _, err = play("q\n", *words)
    assert code == 2 and message in err and err.count("\n") == 1 and err.startswith("strategic-envs: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tic_tac_to_v0", "did you mean 'tic_tac_toe_v0'?"),
        ("continuous_game_v0", "players act all at once"),
        ("duopoly_pricing_v0", "players act all at once"),
        ("layers_v0", "players act all at once"),
    ],
)
def test_environments_that_nobody_plays_move_by_move_are_refused(capsys, name, message) -> None:
    assert main(["play", name]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
