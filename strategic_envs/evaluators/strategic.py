"""The strategic test set of tic-tac-toe: how often a policy does what a position asks for.

Each position that is scored counts alike. In it a policy is *right* with the probability that it makes a right move
(see `strategic_classes`), *keeps the value* with the probability that its move loses nothing against perfect play, and
its *regret* is the value that it loses on average. A player that gives no legal answer forfeits: it is neither right
nor keeps the value, and it loses the game.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.evaluators.expectation import tabulate
from strategic_envs.evaluators.strategic_classes import CLASSES, StrategicClasses, strategic_classes
from strategic_envs.games.kinds.turn_based import StateGraph
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board
from strategic_envs.play import TabularPlay

__all__ = ["SLIDE", "ClassScore", "StrategicReport", "strategic_test"]

SLIDE = "X.X / OO. / ..."
"""X to move. Cell 1 wins; cell 5 blocks and makes two threats, so it keeps the value, but it is not the win."""


@dataclass(frozen=True)
class ClassScore:
    """How a policy did in one class of positions.

    Args:
        name: The class: one of `CLASSES`, `scored` for all of them together, `critical` for all positions in which
            some move loses value, or `all` for every position, those of `lost` included.
        positions: How many of its positions were scored.
        accuracy: The mean probability of a right move; NaN where no position was scored.
        accuracy_x: The same where X moves.
        accuracy_o: The same where O moves.
        value_kept: The mean probability of a move that keeps the value.
        regret: The mean value lost, between 0 and 2.
        forfeits: The mean probability of no legal answer.
    """

    name: str
    positions: int
    accuracy: float
    accuracy_x: float
    accuracy_o: float
    value_kept: float
    regret: float
    forfeits: float


@dataclass(frozen=True)
class StrategicReport:
    """The result of the strategic test.

    Args:
        classes: One score a class, then `scored`, `critical` and `all`.
        positions: How many positions were looked at, scored or not; 4520 is all of them.
        nash_conv: The sum of what both players would gain by best responses; None unless all positions were looked at.
        slide_right: The probability of the win in the position `SLIDE`; None if it was not looked at.
        slide_value_kept: The probability of a move there that keeps the value.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> report = strategic_test(TicTacToe().uniform_policy())
        >>> [round(score.accuracy, 3) for score in report.classes[:2]], round(report.exploitability, 6)
        ([0.433, 0.33], 0.95983)
    """

    classes: tuple[ClassScore, ...]
    positions: int
    nash_conv: float | None
    slide_right: float | None
    slide_value_kept: float | None

    @property
    def exploitability(self) -> float | None:
        """NashConv / 2."""
        return None if self.nash_conv is None else self.nash_conv / 2

    def __getitem__(self, name: str) -> ClassScore:
        return next(score for score in self.classes if score.name == name)

    def row(self) -> dict[str, float]:
        """The numbers by name, such as `fork_accuracy_x`; what was not measured has no name."""
        numbers: dict[str, Any] = {"positions": self.positions}
        for score in self.classes:
            numbers[f"{score.name}_positions"] = score.positions
            for what in ("accuracy", "accuracy_x", "accuracy_o", "value_kept", "regret", "forfeits"):
                numbers[f"{score.name}_{what}"] = getattr(score, what)
        numbers |= {"slide_right": self.slide_right, "slide_value_kept": self.slide_value_kept}
        numbers |= {"nash_conv": self.nash_conv, "exploitability": self.exploitability}
        return {name: value for name, value in numbers.items() if value is not None and value == value}


def strategic_test(
    play: TabularPlay | Sequence[Any] | Float[Tensor, "S A"],
    *,
    forfeits: Float[Tensor, " S"] | None = None,
    asked: Bool[Tensor, " S"] | None = None,
) -> StrategicReport:
    """Scores a policy on the test set, and measures its exact exploitability.

    Args:
        play: One table for both players, a `TabularPlay`, or one function `policy(observation[, mask])` a player. A
            policy that draws is scored by its expected numbers.
        forfeits: The probability `(S,)` of no legal answer in each state; the table says what is done otherwise.
        asked: The states that count `(S,)`; all that are not terminal if not given.

    Raises:
        InvalidStrategyError: If the play is not one of distributions over legal moves, or a probability of forfeit is
            not one.
    """
    game = TicTacToe()
    graph, classes = game.state_graph(), strategic_classes()
    tables = tabulate(game, TabularPlay((play, play)) if isinstance(play, Tensor) else play).policies
    live = ~graph.terminal
    lost = torch.zeros(len(live), dtype=torch.float64) if forfeits is None else forfeits.double()
    if lost.shape != live.shape or not bool(((lost >= 0) & (lost <= 1)).all()):
        raise InvalidStrategyError(
            f"{game.name}: got probabilities of forfeit of shape {tuple(lost.shape)}, expected one in [0, 1] a state"
        )
    lost = lost * live
    looked = live if asked is None else asked & live
    merged = game.merge(tables) * (1 - lost).unsqueeze(-1)
    right, kept, regret = _expected(merged, lost, classes)
    selections = {name: classes[name] & classes.scored for name in CLASSES}
    selections |= {"scored": classes.scored, "critical": classes.perfect.critical, "all": live}
    scores = []
    for name, mask in selections.items():
        rows = mask & looked
        of_x, of_o = rows & (graph.mover == 0), rows & (graph.mover == 1)
        accuracies = (_mean(right, rows), _mean(right, of_x), _mean(right, of_o))
        scores.append(
            ClassScore(name, int(rows.sum()), *accuracies, _mean(kept, rows), _mean(regret, rows), _mean(lost, rows))
        )
    slide = int(graph.index(torch.tensor(parse_board(SLIDE))))
    seen = bool(looked[slide])
    return StrategicReport(
        classes=tuple(scores),
        positions=int(looked.sum()),
        nash_conv=_nash_conv(graph, merged, lost) if bool((looked == live).all()) else None,
        slide_right=float(right[slide]) if seen else None,
        slide_value_kept=float(kept[slide]) if seen else None,
    )


def _expected(merged: Tensor, lost: Tensor, classes: StrategicClasses) -> tuple[Tensor, Tensor, Tensor]:
    """In each state: the probability of a right move, of one that keeps the value, and the mean value lost."""
    perfect = classes.perfect
    losses = (perfect.value.unsqueeze(-1) - perfect.worth).nan_to_num(0.0)
    regret = (merged * losses).sum(-1) + lost * (perfect.value + 1)
    return (merged * classes.correct).sum(-1), (merged * perfect.keeps).sum(-1), regret


def _mean(numbers: Tensor, rows: Tensor) -> float:
    return float(numbers[rows].mean())


def _nash_conv(graph: StateGraph, merged: Tensor, lost: Tensor) -> float:
    """What both players would gain by best responses, together; payoffs sum to zero, so do those of the play."""
    return sum(_best(graph, merged, lost, player) for player in (0, 1))


def _best(graph: StateGraph, merged: Tensor, lost: Tensor, player: int) -> float:
    """What a best response of one player earns from the initial state against the other, who may forfeit."""
    value = graph.returns[:, player].clone()
    for level in reversed(graph.levels):
        ahead = value[graph.child[level]]
        mine = graph.mover[level] == player
        best = ahead.masked_fill(~graph.legal[level], -torch.inf).max(-1).values
        mean = (merged[level] * ahead).sum(-1) + lost[level]
        value[level] = torch.where(graph.terminal[level], value[level], torch.where(mine, best, mean))
    return float(value[0])
