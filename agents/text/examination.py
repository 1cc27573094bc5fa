"""The strategic test set put to a player in words: one question a position, each asked once.

With `positions="canonical"` one board of each eight that are alike is asked, 627 in all, and the answer is turned to
the others: the player that is judged turns every board to the one it was asked, and its exploitability is exact. With
`"all"` each of the 4520 positions is asked as it is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.agents.text.match import Player
from strategic_envs.agents.text.turns import Attempt, Tally, Turn
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.strategic import SLIDE, StrategicReport, strategic_test
from strategic_envs.evaluators.strategic_classes import CLASSES, SYMMETRIES, canonical, strategic_classes
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board
from strategic_envs.seeding import numpy_stream

__all__ = ["Examination", "Positions", "choose_positions", "examine", "judge_turns"]

Positions = Literal["canonical", "all"]

_UNASKED = frozenset({"timeout", "refused", "http", "malformed", "error"})


@dataclass(frozen=True, eq=False)
class Examination:
    """What a player answered, and what that is worth.

    Args:
        turns: One turn a question, in the order of the questions.
        report: The strategic test.
        tally: The count of what happened.
        table: The policy `(S, A)` that the answers amount to; uniform where there was no answer.
        forfeits: Where the player forfeits `(S,)`.
        asked: Where there is an answer or a forfeit `(S,)`.
    """

    turns: tuple[Turn, ...]
    report: StrategicReport
    tally: Tally
    table: Float[Tensor, "S A"]
    forfeits: Float[Tensor, " S"]
    asked: Bool[Tensor, " S"]

    def row(self) -> dict[str, float]:
        """All numbers by name."""
        return {**self.tally.row(), **self.report.row()}


def choose_positions(
    positions: Positions = "canonical", classes: Sequence[str] | None = None, limit: int | None = None, seed: int = 0
) -> list[int]:
    """The boards to ask.

    Args:
        positions: `"canonical"` or `"all"`.
        classes: Only these classes; None for all. What is not scored is asked only if everything is.
        limit: At most so many boards of each class, drawn by the seed; the position `SLIDE` is the first of its class.
        seed: The seed of the draw.

    Raises:
        UnknownNameError: If there is no such class or choice of positions.
        InvalidSettingError: If the limit leaves no board.

    Example:
        >>> len(choose_positions()), len(choose_positions("all")), len(choose_positions(limit=3))
        (627, 4520, 15)
    """
    if positions not in ("canonical", "all"):
        raise UnknownNameError("choice of positions", positions, ("canonical", "all"))
    if limit is not None and limit < 1:
        raise InvalidSettingError(f"got limit={limit}, expected at least 1 position of each class")
    known, graph = strategic_classes(), TicTacToe().state_graph()
    every = classes is None and limit is None
    slide = parse_board(SLIDE)
    kept = ~graph.terminal if positions == "all" else ~graph.terminal & _representatives()
    chosen: list[int] = []
    for name in CLASSES if classes is None else dict.fromkeys(classes):
        mask = known[name] & kept
        codes = graph.states[mask if every else mask & known.scored].tolist()
        if limit is not None and len(codes) > limit:
            drawn = numpy_stream(seed, "positions", name).permutation(codes).tolist()
            codes = sorted(sorted(drawn, key=lambda code: code != slide)[:limit])
        chosen += codes
    if not chosen:
        raise InvalidSettingError(f"the classes {', '.join(classes or ())} have no position that is scored")
    return chosen


@functools.cache
def _representatives() -> Tensor:
    """One board of each eight that are alike: the canonical one, but `SLIDE` itself for those like it."""
    graph = TicTacToe().state_graph()
    slide = torch.tensor(parse_board(SLIDE))
    codes, _ = canonical(graph.states)
    like_slide = codes == canonical(slide)[0]
    return torch.where(like_slide, graph.states == slide, graph.states == codes)


def examine(
    player: Player,
    boards: Sequence[int],
    *,
    positions: Positions = "canonical",
    workers: int = 1,
    give_up_after: int = 5,
    seed: int = 0,
    on_turn: Callable[[Turn], None] | None = None,
) -> Examination:
    """Asks a player for its move on each board, and judges the answers.

    Args:
        player: Who is asked.
        boards: The boards, as of `choose_positions`.
        positions: As there: whether an answer counts for all boards that are alike.
        workers: How many questions are under way at once.
        give_up_after: After so many questions in a row to which a model gave no answer at all (no connection, no answer
            in time, an error), the rest is not asked any more and counts as forfeited.
        seed: The seed of a player that draws.
        on_turn: Called with each turn, as it comes.

    Raises:
        InvalidSettingError: If a number is not at least 1.

    Example:
        >>> from strategic_envs.agents.text.match import TablePlayer
        >>> from strategic_envs.baselines.turn_based import fixed_player
        >>> best = TablePlayer(TicTacToe(), fixed_player(TicTacToe(), "fastest"), "fastest")
        >>> examine(best, choose_positions()).report.exploitability
        0.0
    """
    for name, value in (("workers", workers), ("give_up_after", give_up_after)):
        if value < 1:
            raise InvalidSettingError(f"got {name}={value}, expected at least 1")
    lock, down = threading.Lock(), _Down(give_up_after)

    def one(board: int) -> Turn:
        with lock:
            turn = down.skip(board)
        if turn is None:
            turn = player.turn(board, numpy_stream(seed, "examination", board))
        with lock:
            down.watch(turn)
            if on_turn is not None:
                on_turn(turn)
        return turn

    if workers == 1:
        return judge_turns([one(board) for board in boards], positions=positions)
    with ThreadPoolExecutor(workers) as pool:
        return judge_turns(pool.map(one, boards), positions=positions)


class _Down:
    """Notices when a model does not answer any more."""

    def __init__(self, after: int) -> None:
        self._after, self._failed, self._reason = after, 0, ""

    def skip(self, board: int) -> Turn | None:
        if self._failed < self._after:
            return None
        explain = f"the last {self._after} questions had no answer ({self._reason})"
        return Turn(board, None, (Attempt("not_asked", explain=explain),))

    def watch(self, turn: Turn) -> None:
        kind = turn.attempts[-1].kind if turn.attempts else "ok"
        if kind in _UNASKED:
            self._failed, self._reason = self._failed + 1, turn.reason
        elif kind != "not_asked" and self._failed < self._after:
            self._failed = 0


def judge_turns(turns: Iterable[Turn], *, positions: Positions = "canonical") -> Examination:
    """Judges answers that are there.

    Args:
        turns: One turn a board; boards must be reachable and not terminal.
        positions: `"canonical"`: an answer counts for all boards that are alike, unless they have one of their own;
            `"all"`: for its own board only.

    Raises:
        InvalidStrategyError: If there are none, a board is no such board, or an action is illegal.
    """
    turns, game = tuple(turns), TicTacToe()
    graph = game.state_graph()
    if not turns:
        raise InvalidStrategyError(f"{game.name}: got no answers to judge, expected at least one")
    boards = torch.tensor([turn.state for turn in turns])
    rows = graph.index(boards)
    if bool(graph.terminal[rows].any()):
        raise InvalidStrategyError(f"{game.name}: got an answer for a board on which the game is over")
    table, forfeits = game.uniform_policy(), torch.zeros(len(graph.states), dtype=torch.float64)
    source = torch.full((len(graph.states),), -1)  # which turn speaks for a state
    codes, turned = canonical(graph.states)
    if positions == "canonical":
        speaks = {int(code): number for number, code in enumerate(codes[rows].tolist())}
        of_code, speaker = torch.tensor([*speaks]), torch.tensor([*speaks.values()])
        order = of_code.argsort()
        at = torch.searchsorted(of_code[order], codes).clamp(max=len(order) - 1)
        alike = of_code[order][at] == codes
        source = torch.where(alike, speaker[order][at], source)
    source[rows] = torch.arange(len(turns))
    asked = (source >= 0) & ~graph.terminal
    actions = torch.tensor([-1 if turn.action is None else turn.action for turn in turns])
    theirs = actions[source[asked]]
    there, back = torch.tensor(SYMMETRIES), torch.tensor(SYMMETRIES).argsort(-1)
    moved = there[turned[rows][source[asked]], theirs.clamp(min=0)]  # on the canonical board
    cells = back[turned[asked], moved]
    own = torch.nn.functional.one_hot(cells, game.n_actions).double()
    gone = theirs < 0
    table[asked] = torch.where(gone.unsqueeze(-1), table[asked], own)
    forfeits[asked] = gone.double()
    report = strategic_test(table, forfeits=forfeits, asked=asked)
    return Examination(turns, report, Tally.of(turns), table, forfeits, asked)
