"""The strategic test from the command line: whom it judges, what is printed, and what is saved."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strategic_envs.results import RunFolder, write_atomic
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.players import Asking, named_play
from strategic_envs.scripts.tables import console, number, print_table

if TYPE_CHECKING:
    from strategic_envs.agents.text import Examination, TextPlayer
    from strategic_envs.agents.text.match import Match, Player
    from strategic_envs.evaluators.strategic import StrategicReport

__all__ = ["StrategicOptions", "Verdict", "run_strategic"]


@dataclass(frozen=True)
class StrategicOptions:
    """What the strategic test looks at."""

    positions: Literal["canonical", "all"] = "canonical"
    """The boards that a model is asked: one of each eight alike (627), or all 4520."""
    classes: tuple[str, ...] = ()
    """Only these classes of positions, for a model that is asked."""
    limit: int | None = None
    """At most so many boards of each class, for a model that is asked."""
    workers: int = 1
    """How many questions to a model are under way at once."""
    games: int = 0
    """How many games to play against each of the opponents, sides in turn."""
    opponents: tuple[str, ...] = ("uniform_random", "fastest")
    """Who these games are against: fixed players, checkpoints or folders that train wrote."""
    seed: int = 0
    """The seed of boards and games that are drawn."""
    out: Path | None = None
    """A folder for answers and results; the same command goes on where it was stopped."""


@dataclass(frozen=True)
class Verdict:
    """All that was found of a player.

    Args:
        name: Who was judged.
        report: The strategic test.
        examination: The answers, of a model that was asked.
        matches: Games, by the opponent's name.
    """

    name: str
    report: StrategicReport
    examination: Examination | None
    matches: dict[str, Match]

    def row(self) -> dict[str, Any]:
        """The numbers by name, of JSON's types."""
        row: dict[str, Any] = {"player": self.name, **self.report.row()}
        if self.examination is not None:
            row |= {**self.examination.tally.row(), "reasons": dict(self.reasons())}
        return row | {f"against_{name}": match.row() for name, match in self.matches.items()}

    def reasons(self) -> list[tuple[str, int]]:
        """Why positions were forfeited, the most frequent reason first."""
        turns = [] if self.examination is None else self.examination.turns
        return Counter(turn.reason for turn in turns if turn.action is None).most_common()


def run_strategic(
    what: str | None, asking: Asking, options: StrategicOptions, *, address: str | None = None, as_json: bool = False
) -> int:
    """Judges a player, prints the result and saves it.

    Args:
        what: A fixed player, a checkpoint, a folder that train wrote, or a file of answers; None for a model.
        asking: The model.
        options: What is looked at.
        address: A Ray cluster that restores a checkpoint.
        as_json: Whether to print one JSON object.

    Returns:
        The exit code: 1 if a model gave no answer at all.

    Raises:
        InputError: If options do not fit.
    """
    player = asking.player()
    if (what is None) == (player is None):
        raise InputError("give either a checkpoint, a folder, a player's name or a file of answers, or --endpoint URL")
    if options.games < 0:
        raise InputError(f"got --games {options.games}, expected a whole number from 0")
    config = {"command": "evaluate --strategic", "player": what, **asdict(asking), **asdict(options)}
    config = {key: value for key, value in config.items() if key not in ("out", "workers")}
    if player is None:
        verdict = _known(str(what), options, address)
        with _folder(options.out, config) as folder:
            if folder is not None and not folder.rows():
                for score in verdict.report.classes:
                    folder.append(asdict(score))
    else:
        from strategic_envs.agents.text import choose_positions

        boards = choose_positions(options.positions, options.classes or None, options.limit, options.seed)
        opponents = _opponents(options, address)
        with _folder(options.out, config) as folder:
            verdict = _examined(player, boards, opponents, options, folder)
    if folder is not None:
        write_atomic(folder.path / "result.json", json.dumps(verdict.row(), indent=2) + "\n")
        games = [game.row() for match in verdict.matches.values() for game in match.games]
        if games:
            write_atomic(folder.path / "games.jsonl", "".join(json.dumps(game) + "\n" for game in games))
    print(json.dumps(verdict.row())) if as_json else _print(verdict)
    if verdict.examination is not None and not verdict.examination.tally.attempts["ok"]:
        print(f"strategic-envs: no legal answer at all: {verdict.reasons()[0][0]}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _folder(path: Path | None, config: dict[str, Any]) -> Iterator[RunFolder | None]:
    """The folder of the results, if one is wanted; it is removed again if nothing came of it."""
    folder = None if path is None else RunFolder.create(path, config)
    try:
        yield folder
    except BaseException:
        if folder is not None:
            folder.discard_unused()
        raise


def _known(what: str, options: StrategicOptions, address: str | None) -> Verdict:
    """A player whose play is known: a policy, or answers that were given before."""
    from strategic_envs.agents.text import TablePlayer, judge_turns, read_answers
    from strategic_envs.evaluators.strategic import strategic_test
    from strategic_envs.games.tic_tac_toe import TicTacToe

    if options.classes or options.limit is not None or options.workers != 1:
        raise InputError("--classes, --limit and --workers are of a model that is asked: give --endpoint URL")
    if Path(what).is_file():
        if options.games:
            raise InputError("answers in a file play no games: leave --games out")
        found = judge_turns(read_answers(what), positions=options.positions)
        return Verdict(what, found.report, found, {})
    game, opponents = TicTacToe(), _opponents(options, address)
    play = named_play(what, game, address)
    table = game.merge(play.policies)
    return Verdict(what, strategic_test(play), None, _matches(TablePlayer(game, table, what), opponents, options))


def _examined(
    player: TextPlayer,
    boards: Sequence[int],
    opponents: Mapping[str, Player],
    options: StrategicOptions,
    folder: RunFolder | None,
) -> Verdict:
    """A model that is asked now; what a stopped run has asked already is not asked again."""
    from strategic_envs.agents.text import Turn, examine, judge_turns, read_answers
    from strategic_envs.agents.text.answers_file import turn_record

    done = read_answers(folder.path / "rows.jsonl") if folder is not None and folder.rows() else []
    asked = {turn.state for turn in done}
    left = [board for board in boards if board not in asked]
    count = [len(done)]

    def on_turn(turn: Turn) -> None:
        count[0] += 1
        if folder is not None and not (turn.attempts and turn.attempts[-1].kind == "not_asked"):
            folder.append(turn_record(turn))
        if count[0] % 50 == 0 or count[0] == len(boards):
            print(f"asked {count[0]} of {len(boards)}", file=sys.stderr)

    settings = {"positions": options.positions, "seed": options.seed}
    new = examine(player, left, workers=options.workers, on_turn=on_turn, **settings).turns if left else ()
    found = judge_turns([*done, *new], positions=options.positions)
    down = not any(attempt.answer is not None for turn in found.turns for attempt in turn.attempts)
    return Verdict(player.name, found.report, found, {} if down else _matches(player, opponents, options))


def _opponents(options: StrategicOptions, address: str | None) -> dict[str, Player]:
    """Who games are played against, by name; empty if none are played."""
    from strategic_envs.agents.text import TablePlayer
    from strategic_envs.games.tic_tac_toe import TicTacToe

    if not options.games:
        return {}
    game = TicTacToe()
    plays = {name: named_play(name, game, address) for name in options.opponents}
    return {name: TablePlayer(game, game.merge(play.policies), name) for name, play in plays.items()}


def _matches(player: Player, opponents: Mapping[str, Player], options: StrategicOptions) -> dict[str, Match]:
    from strategic_envs.agents.text import play_games
    from strategic_envs.games.tic_tac_toe import TicTacToe

    return {name: play_games(TicTacToe(), player, it, options.games, options.seed) for name, it in opponents.items()}


def _print(verdict: Verdict) -> None:
    """Prints the classes as a table, and the rest below in words."""
    from strategic_envs.evaluators.strategic import SLIDE

    out, report = console(), verdict.report
    columns = ["positions", "number", "right", "right as X", "right as O", "keeps the value", "regret", "forfeits"]
    rows = [
        ["-" if value != value else value for value in asdict(score).values()]
        for score in report.classes
        if score.positions
    ]
    print_table(out, f"strategic test of {verdict.name}", columns, rows)
    lines = []
    if report.exploitability is not None:
        lines.append(f"exploitability {number(report.exploitability)}, NashConv {number(report.nash_conv)}")
    if report.slide_right is not None and report.slide_value_kept is not None:
        told = f"wins now with probability {number(report.slide_right)}"
        lines.append(f"{SLIDE}, X to move: {told}, keeps the value with {number(report.slide_value_kept)}")
    if verdict.examination is not None:
        tally = verdict.examination.tally
        lines.append(
            f"asked {tally.questions}: {tally.first_time} legal at the first attempt, {tally.forfeits} forfeited; "
            f"seconds: median {number(tally.seconds_median)}, longest {number(tally.seconds_max)}"
        )
        lines.append("attempts: " + ", ".join(f"{kind} {count}" for kind, count in tally.attempts.items() if count))
    lines += [f"forfeited {count} times: {reason}" for reason, count in verdict.reasons()[:5]]
    for name, match in verdict.matches.items():
        counts = ", ".join(f"{match.count(result)} {result}" for result in ("win", "draw", "loss", "forfeit"))
        lines.append(f"{len(match.games)} games against {name}: {counts}")
    for line in lines:
        out.print(line, highlight=False, markup=False)
