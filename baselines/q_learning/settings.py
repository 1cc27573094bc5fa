"""How the firms learn: step size, exploration, first values, and when a session is over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from strategic_envs.baselines.q_learning.initial import AverageRivals, Initial
from strategic_envs.baselines.q_learning.schedules import Exponential, Schedule, in_range, per_firm
from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = ["QLearning"]


@dataclass(frozen=True)
class QLearning:
    """Tabular Q-learning of all firms at once (AER 2020, section II).

    Args:
        alpha: The learning rate, one number for all firms or one a firm, in (0, 1].
        beta: The rate at which exploration fades: a firm explores in period t = 0, 1, ... with chance exp(-beta t). One
            number, or one a firm.
        window: A session has converged when no firm's greedy price has changed for so many periods.
        cap: A session that has not converged after so many periods is kept and flagged.
        exploration: Another schedule than `Exponential(beta)`; `beta` is then not looked at.
        initial: The first values of all cells.
        ties: Which of several equally good prices is greedy: the "lowest", or one at "random". It matters where cells
            start equal. At random, cells within 2.2e-16 of the best count as equally good, as in the authors' program.

    Raises:
        InvalidSettingError: If alpha is not in (0, 1], beta is negative, or window or cap is no positive integer.
        UnknownNameError: If the rule for ties is unknown.

    Example:
        >>> QLearning(alpha=(0.05, 0.15)).alphas(2)
        array([0.05, 0.15])
    """

    alpha: float | Sequence[float] = 0.15
    beta: float | Sequence[float] = 4e-6
    window: int = 100_000
    cap: int = 1_000_000_000
    exploration: Schedule | None = None
    initial: Initial = field(default_factory=AverageRivals)
    ties: str = "lowest"

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", in_range("alpha", self.alpha, math.ulp(0.0), 1.0, "in (0, 1]"))
        object.__setattr__(self, "beta", in_range("beta", self.beta, 0.0, math.inf, ">= 0"))
        for name, value in (("window", self.window), ("cap", self.cap)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise InvalidSettingError(
                    f"q_learning: got {name}={value!r}, expected a positive number of periods, an integer"
                )
        if self.cap >= 2**62:
            raise InvalidSettingError(f"q_learning: got cap={self.cap}, expected a number of periods below 2**62")
        if not isinstance(self.initial, Initial):
            raise InvalidSettingError(
                f"q_learning: got initial={self.initial!r}, expected one of the first values in initial.py: "
                "AverageRivals(), Constant(5.0), Given(values), for example"
            )
        if self.exploration is not None and not isinstance(self.exploration, Schedule):
            raise InvalidSettingError(
                f"q_learning: got exploration={self.exploration!r}, expected one of the schedules in schedules.py: "
                "Exponential(4e-6), Boltzmann(), NoExploration()"
            )
        if self.ties not in ("lowest", "random"):
            raise UnknownNameError("rule for ties", self.ties, ["lowest", "random"])

    @property
    def schedule(self) -> Schedule:
        """The schedule of exploration: `exploration`, or `Exponential(beta)`."""
        return Exponential(self.beta) if self.exploration is None else self.exploration

    def alphas(self, n: int) -> Float[np.ndarray, " n"]:
        """The learning rates by firm.

        Raises:
            InvalidSettingError: If there are not as many as firms.
        """
        return per_firm("alpha", self.alpha, n)
