"""Why the larger number without a bound has no approximate equilibrium of any kind, proved from any play.

Let any finite-support play be given, joint or independent. Whoever names more than every number that the other plays is
paid 1, whatever the play; the utilities of the play itself sum to 0. So the two gains sum to 2 and the larger is at
least 1: the play is no epsilon-coarse correlated equilibrium for any epsilon < 1, and even less a correlated or a Nash
equilibrium. In the smooth version a finite number is paid at least `1 - margin`, for any margin > 0: the larger gain is
at least `1 - margin`, so again no epsilon < 1 is reached. (Play with infinite support is the same in the limit: far
enough out, a number exceeds the other's with a probability as near to 1 as one likes.)

Everything that is claimed of the sign is computed in rational numbers from the weights as they are stored, and
deviations are whole numbers without a largest: nothing rounds.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.larger_number import LargerNumber
from strategic_envs.play import Empirical, Independent

__all__ = ["NoCCECertificate", "no_cce_certificate"]

_ROUNDING = Fraction(1, 10**12)  # what float64 may take from a mean of tanh; the sign needs none


@dataclass(frozen=True, eq=False)
class NoCCECertificate:
    """What each player does better than this play, and by how much at least.

    Args:
        play: The play that is refuted.
        deviations: For each player a number that it should name instead, a Python integer of any size.
        utilities: What each player gets from the play; exact for the sign, else within 1e-12.
        gains: Proved lower bounds of what each deviation gains; exact for the sign.
        epsilon: The play is no epsilon'-CCE for any epsilon' below this: a proved lower bound of the larger gain.
        smooth: The slope of the smooth version, or None.
        margin: How far below 1 a deviation may be paid; 0 for the sign.
    """

    play: Empirical | Independent
    deviations: tuple[int, int]
    utilities: tuple[Fraction, Fraction]
    gains: tuple[Fraction, Fraction]
    epsilon: Fraction
    smooth: float | None
    margin: Fraction

    def check(self) -> bool:
        """Whether the proof holds, everything computed anew from the play and the deviations."""
        points = self.play.points
        for i, y in enumerate(self.deviations):
            top = _largest(self.play, 1 - i)
            if self.smooth is None:
                beats = y > top
            else:  # 1 - tanh(z) <= 2 e^(-2 z) <= 2 * 7^(-z), and e^2 > 7
                z = math.floor(Fraction(self.smooth) * (y - top))
                beats = z >= 0 and self.margin * 7**z >= 2
            if not beats or y < 1 or points[1 - i].shape[-1] != 1:
                return False
        paid, slack = _utility(self.play, self.smooth), _ROUNDING if self.smooth is not None else 0
        reached = 1 - self.margin
        gains_hold = all(gain <= reached - u - slack for gain, u in zip(self.gains, (paid, -paid), strict=True))
        # whatever the play pays, the two utilities sum to 0: the larger gain is at least what a deviation is paid
        return gains_hold and self.epsilon <= max(reached, *self.gains)


def no_cce_certificate(
    play: Empirical | Independent, game: LargerNumber | None = None, *, margin: float = 1e-6
) -> NoCCECertificate:
    """Proves that a play is no approximate coarse correlated equilibrium of the larger number without a bound.

    Args:
        play: Any finite-support play of two players who name one number each.
        game: Which version: integers or reals, the sign or smooth; None is the sign. It must be without a bound.
        margin: In the smooth version, how far below 1 a deviation may be paid.

    Returns:
        The deviations and proved gains. The larger gain is at least 1, or `1 - margin` in the smooth version.

    Raises:
        InvalidGameError: If the game has a largest number (then both naming it is an equilibrium).
        InvalidStrategyError: If the play is not of that kind, or is outside the game's sets.
        InvalidSettingError: If the margin is not between 0 and 1.

    Example:
        >>> import torch
        >>> numbers = torch.tensor([[1.0], [5.0], [9.0]])
        >>> play = Independent((numbers, numbers), (torch.tensor([0.25, 0.25, 0.5]), torch.tensor([0.5, 0.25, 0.25])))
        >>> proof = no_cce_certificate(play)
        >>> proof.deviations, [str(gain) for gain in proof.gains], str(proof.epsilon), proof.check()
        ((10, 10), ['11/16', '21/16'], '21/16', True)
    """
    smooth = game.smooth if game is not None else None
    if game is not None and game.n is not None:
        raise InvalidGameError(
            f"{game.name}: got a game with the largest number {game.n:g}, in which both naming it is an equilibrium; "
            "expected one without a bound"
        )
    if not 0 < margin < 1:
        raise InvalidSettingError(f"no_cce_certificate: got margin={margin}, expected a number in (0, 1)")
    _check(play, game)
    short = Fraction(0) if smooth is None else Fraction(margin)
    further = 0
    if smooth is not None:
        steps = next(z for z in itertools.count() if short * 7**z >= 2)
        further = math.ceil(steps / Fraction(smooth))
    ours, theirs = (max(math.floor(_largest(play, 1 - i)) + 1 + further, 1) for i in (0, 1))
    paid, slack = _utility(play, smooth), _ROUNDING if smooth is not None else 0
    gains = (1 - short - paid - slack, 1 - short + paid - slack)
    return NoCCECertificate(play, (ours, theirs), (paid, -paid), gains, max(1 - short, *gains), smooth, short)


def _check(play: Empirical | Independent, game: LargerNumber | None) -> None:
    if len(play.points) != 2 or any(points.shape[-1] != 1 for points in play.points):
        shapes = [tuple(points.shape) for points in play.points]
        raise InvalidStrategyError(f"larger_number: got points of shapes {shapes}, expected two players with (k, 1)")
    if game is not None:
        game.validate([points.double() for points in play.points])


def _weights(play: Empirical | Independent, player: int) -> list[Fraction]:
    """The weights as they are stored, exactly, over their sum."""
    weights = play.weights if isinstance(play, Empirical) else play.weights[player]
    exact = [Fraction(w) for w in weights.double().tolist()]
    total = sum(exact)
    return [w / total for w in exact]


def _numbers(play: Empirical | Independent, player: int) -> list[float]:
    return play.points[player].detach().double().flatten().tolist()


def _largest(play: Empirical | Independent, player: int) -> Fraction:
    """The largest number that is played with a positive weight."""
    played = zip(_numbers(play, player), _weights(play, player), strict=True)
    return Fraction(max(x for x, w in played if w > 0))


def _utility(play: Empirical | Independent, smooth: float | None) -> Fraction:
    """What player 0 gets: exactly for the sign."""
    x, y = _numbers(play, 0), _numbers(play, 1)
    if isinstance(play, Empirical):
        return sum(
            (w * _paid(a, b, smooth) for a, b, w in zip(x, y, _weights(play, 0), strict=True)), start=Fraction(0)
        )
    p, q = _weights(play, 0), _weights(play, 1)
    if smooth is not None:
        table = np.tanh(smooth * np.subtract.outer(x, y))
        return Fraction(float(np.array(p, dtype=float) @ table @ np.array(q, dtype=float)))
    # sum over i of p_i (Q(below x_i) - Q(above x_i)), with Q by partial sums in the order of the numbers
    order = sorted(range(len(y)), key=y.__getitem__)
    sums = [Fraction(0), *itertools.accumulate(q[j] for j in order)]
    ordered = np.array([y[j] for j in order])
    below, upto = np.searchsorted(ordered, x, "left").tolist(), np.searchsorted(ordered, x, "right").tolist()
    return sum((w * (sums[b] - (1 - sums[u])) for w, b, u in zip(p, below, upto, strict=True)), start=Fraction(0))


def _paid(a: float, b: float, smooth: float | None) -> Fraction:
    return Fraction((a > b) - (a < b)) if smooth is None else Fraction(math.tanh(smooth * (a - b)))
