"""The positions of tic-tac-toe by what they ask of the mover: six disjoint classes, and the symmetries of the board.

The classes are tried in this order, so each position is in one of them:

1. `win1`: the mover has a winning cell. Right is to win now.
2. `block1`: the opponent has exactly one winning cell. Right is to take it.
3. `lost`: the opponent has two winning cells or more. Every move loses; nothing is scored.
4. `fork`: the mover can make two winning cells at once. Right is what wins soonest, which is to make them.
5. `prevent_fork`: the opponent could do so next. Right is what keeps the value.
6. `other`: nothing of this.

Right is measured in depth: a win as soon as possible, a loss as late as possible.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from strategic_envs.errors import UnknownNameError
from strategic_envs.evaluators.perfect_play import PerfectPlay, perfect_play
from strategic_envs.games.tic_tac_toe import LINES, TicTacToe

__all__ = ["CLASSES", "SYMMETRIES", "StrategicClasses", "canonical", "strategic_classes"]

CLASSES = ("win1", "block1", "lost", "fork", "prevent_fork", "other")
"""The classes in the order in which they are tried."""

_CELLS = range(9)
_TURNS = [
    lambda r, c: (r, c),
    lambda r, c: (c, 2 - r),
    lambda r, c: (2 - r, 2 - c),
    lambda r, c: (2 - c, r),
    lambda r, c: (r, 2 - c),
    lambda r, c: (2 - r, c),
    lambda r, c: (c, r),
    lambda r, c: (2 - c, 2 - r),
]
SYMMETRIES = tuple(tuple(3 * r + c for r, c in (turn(*divmod(cell, 3)) for cell in _CELLS)) for turn in _TURNS)
"""Four turns and four reflections of the board: `SYMMETRIES[k][cell]` is where a cell goes."""


@dataclass(frozen=True, eq=False)
class StrategicClasses:
    """The classes as masks over the state graph of tic-tac-toe.

    Args:
        kind: The class of each state `(S,)`, an index into `CLASSES`; -1 at terminal states.
        scored: States with a right answer `(S,)`: those of `win1`, `fork`, `prevent_fork`, `other`, and those of
            `block1` where to block does not lose as well.
        correct: Which moves are right `(S, A)`, in every state that is not terminal.
        wins: Cells with which the mover wins at once `(S, A)`.
        threats: Cells with which the opponent would win at once `(S, A)`.
        forks: Cells with which the mover makes two winning cells or more `(S, A)`.
        perfect: Values and plies.
    """

    kind: Int[Tensor, " S"]
    scored: Bool[Tensor, " S"]
    correct: Bool[Tensor, "S A"]
    wins: Bool[Tensor, "S A"]
    threats: Bool[Tensor, "S A"]
    forks: Bool[Tensor, "S A"]
    perfect: PerfectPlay

    def __getitem__(self, name: str) -> Bool[Tensor, " S"]:
        """The mask of a class.

        Raises:
            UnknownNameError: If there is no such class.
        """
        if name not in CLASSES:
            raise UnknownNameError("class of positions", name, CLASSES)
        return self.kind == CLASSES.index(name)


@functools.cache
def strategic_classes() -> StrategicClasses:
    """The classes of all positions of tic-tac-toe.

    Example:
        >>> classes = strategic_classes()
        >>> [int(classes[name].sum()) for name in CLASSES]
        [2358, 976, 508, 192, 254, 232]
    """
    game = TicTacToe()
    graph, perfect = game.state_graph(), perfect_play(game)
    live, x, o = ~graph.terminal, graph.states & 511, graph.states >> 9
    own, other = torch.where(graph.mover == 0, x, o), torch.where(graph.mover == 0, o, x)
    wins, threats = _winning_cells(own, other), _winning_cells(other, own)
    forks = _forking_cells(own, other)
    tried = torch.stack(
        [
            wins.any(-1),
            threats.sum(-1) == 1,
            threats.sum(-1) >= 2,
            forks.any(-1),
            _forking_cells(other, own).any(-1),
            torch.ones_like(live),
        ]
    )
    kind = torch.where(live, tried.to(torch.uint8).argmax(0), -1)
    scored = live & (kind != CLASSES.index("lost"))
    scored &= ~((kind == CLASSES.index("block1")) & (perfect.value < 0))
    return StrategicClasses(kind, scored, perfect.fastest, wins, threats, forks, perfect)


def _winning_cells(own: Tensor, other: Tensor) -> Tensor:
    """Empty cells with which the player who holds `own` gets a line, `(*batch, 9)`."""
    bits = 1 << torch.arange(9)
    after = own.unsqueeze(-1) | bits
    lines = torch.tensor([sum(1 << c for c in line) for line in LINES])
    return ((own | other).unsqueeze(-1) & bits == 0) & (after.unsqueeze(-1) & lines == lines).any(-1)


def _forking_cells(own: Tensor, other: Tensor) -> Tensor:
    """Empty cells after which the player has two winning cells or more, `(*batch, 9)`."""
    bits = 1 << torch.arange(9)
    after = own.unsqueeze(-1) | bits
    winning = _winning_cells(after, other.unsqueeze(-1).expand_as(after)).sum(-1)
    return ((own | other).unsqueeze(-1) & bits == 0) & (winning >= 2)


def canonical(states: Int[Tensor, "*batch"]) -> tuple[Int[Tensor, "*batch"], Int[Tensor, "*batch"]]:
    """Each board's representative up to symmetry, and the symmetry that leads to it.

    Args:
        states: Boards as integers.

    Returns:
        The smallest code among the eight images of a board, and the index of the (first) symmetry that gives it.

    Example:
        >>> canonical(torch.tensor([1, 4, 64, 256]))[0].tolist()
        [1, 1, 1, 1]
    """
    where = torch.tensor(SYMMETRIES)
    held = states.unsqueeze(-1) >> torch.arange(18) & 1  # (*batch, 18): X's cells, then O's
    target = torch.cat([where, where + 9], dim=-1)  # (8, 18)
    images = (held.unsqueeze(-2) << target).sum(-1)
    smallest = images.min(-1)
    return smallest.values, smallest.indices
