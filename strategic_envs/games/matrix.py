"""Small matrix games of the textbooks, as normal-form games with their equilibria.

Strategies are probability vectors over the actions. Every function returns a new game.
"""

from __future__ import annotations

import torch

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.kinds.normal_form import NormalFormGame

__all__ = [
    "GAMES",
    "chicken",
    "hide_and_seek",
    "matching_pennies",
    "prisoners_dilemma",
    "rock_paper_scissors",
    "stag_hunt",
]


def matching_pennies() -> NormalFormGame:
    """Matching pennies: player 0 wins 1 when the coins match, player 1 when they differ.

    Unique equilibrium (von Neumann and Morgenstern 1944): both mix evenly; value 0.

    Example:
        >>> matching_pennies().payoffs[0].tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    known = Known(
        equilibria=(Equilibrium.pure("nash", [[0.5, 0.5], [0.5, 0.5]]),),
        values={"value": 0.0},
        complete=True,
        source="von Neumann and Morgenstern (1944)",
    )
    return NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]], name="matching_pennies", known=known)


def rock_paper_scissors() -> NormalFormGame:
    """Rock, paper, scissors: each beats the one before it in cyclic order, for 1 against -1.

    Unique equilibrium: both mix evenly; value 0.

    Example:
        >>> rock_paper_scissors().payoffs[0, 1].tolist()
        [1.0, 0.0, -1.0]
    """
    even = [1 / 3, 1 / 3, 1 / 3]
    known = Known(
        equilibria=(Equilibrium.pure("nash", [even, even]),),
        values={"value": 0.0},
        complete=True,
        source="von Neumann and Morgenstern (1944)",
    )
    matrix = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]
    return NormalFormGame.zero_sum(matrix, name="rock_paper_scissors", known=known)


def prisoners_dilemma(
    temptation: float = 5.0, reward: float = 3.0, punishment: float = 1.0, sucker: float = 0.0
) -> NormalFormGame:
    """The prisoner's dilemma; action 0 cooperates, action 1 defects.

    Defection dominates, so mutual defection is the only equilibrium, though both prefer mutual cooperation.

    Args:
        temptation: Payoff of defecting against a cooperator.
        reward: Payoff of mutual cooperation.
        punishment: Payoff of mutual defection.
        sucker: Payoff of cooperating against a defector.

    Raises:
        InvalidGameError: Unless temptation > reward > punishment > sucker.

    Example:
        >>> prisoners_dilemma().payoffs[:, 1, 0].tolist()
        [5.0, 0.0]
    """
    if not temptation > reward > punishment > sucker:
        raise InvalidGameError(
            "prisoners_dilemma: needs temptation > reward > punishment > sucker, "
            f"got {temptation}, {reward}, {punishment}, {sucker}"
        )
    row = torch.tensor([[reward, sucker], [temptation, punishment]], dtype=torch.float64)
    known = Known(
        equilibria=(Equilibrium.pure("nash", [[0.0, 1.0], [0.0, 1.0]]),), complete=True, source="Tucker (1950)"
    )
    return NormalFormGame(torch.stack([row, row.T]), name="prisoners_dilemma", known=known)


def stag_hunt() -> NormalFormGame:
    """The stag hunt; action 0 hunts the stag (4 together, 0 alone), action 1 the hare (3, whatever the other does).

    Two pure equilibria and one mixed: stag with probability 3/4.

    Example:
        >>> len(stag_hunt().known().equilibria)
        3
    """
    row = torch.tensor([[4.0, 0.0], [3.0, 3.0]], dtype=torch.float64)
    return _two_by_two(row, [0.75, 0.25], [([1.0, 0.0], [1.0, 0.0]), ([0.0, 1.0], [0.0, 1.0])], "stag_hunt", "Rousseau")


def chicken() -> NormalFormGame:
    """Chicken; action 0 dares, action 1 swerves; the standard example of a correlated equilibrium (Aumann 1974).

    Payoffs: both dare 0, dare against swerve 7 and 2, both swerve 6. Two pure equilibria and one mixed: dare with
    probability 1/3. Correlated play reaches payoff sums that no equilibrium reaches.

    Example:
        >>> chicken().payoffs[:, 0, 1].tolist()
        [7.0, 2.0]
    """
    row = torch.tensor([[0.0, 7.0], [2.0, 6.0]], dtype=torch.float64)
    pure = [([1.0, 0.0], [0.0, 1.0]), ([0.0, 1.0], [1.0, 0.0])]
    return _two_by_two(row, [1 / 3, 2 / 3], pure, "chicken", "Aumann (1974)")


def _two_by_two(
    row: torch.Tensor, mixed: list[float], pure: list[tuple[list[float], list[float]]], name: str, source: str
) -> NormalFormGame:
    equilibria = (*(Equilibrium.pure("nash", p) for p in pure), Equilibrium.pure("nash", [mixed, mixed]))
    known = Known(equilibria=equilibria, complete=True, source=source)
    return NormalFormGame(torch.stack([row, row.T]), name=name, known=known)


def hide_and_seek(n: int = 4) -> NormalFormGame:
    """Hide and seek: player 0 wins 1 when it names the place of player 1, and 0 otherwise.

    Unique equilibrium: both mix evenly; value 1/n.

    Args:
        n: The number of places, at least 1.

    Raises:
        InvalidGameError: If `n < 1`.

    Example:
        >>> hide_and_seek(5).known().values["value"]
        0.2
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InvalidGameError(f"hide_and_seek: needs a whole number n >= 1 of places, got {n!r}")
    even = [1 / n] * n
    known = Known(
        equilibria=(Equilibrium.pure("nash", [even, even]),),
        values={"value": 1 / n},
        complete=True,
        source="von Neumann (1953)",
    )
    return NormalFormGame.zero_sum(torch.eye(n, dtype=torch.float64), name="hide_and_seek", known=known)


GAMES = {
    "chicken": chicken,
    "hide_and_seek": hide_and_seek,
    "matching_pennies": matching_pennies,
    "prisoners_dilemma": prisoners_dilemma,
    "rock_paper_scissors": rock_paper_scissors,
    "stag_hunt": stag_hunt,
}
