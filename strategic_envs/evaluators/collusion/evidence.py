"""Evidence that needs more learning: control experiments, retrained rivals, and what learning cost.

An evaluator of strategies cannot make these figures. Whoever trains fills them in; the report reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategic_envs.errors import InvalidSettingError

__all__ = ["Controls", "LearningCost", "Retraining"]


@dataclass(frozen=True)
class Controls:
    """Where the same learner ends when punishment is impossible.

    Args:
        delta_0: Mean profit gain with discount factor 0: nobody cares for tomorrow. `None` if it was not run.
        k_0: Mean profit gain without memory and with discount factor 0, as in the published control: nobody can see a
            deviation either. `None` if it was not run. (Without memory alone Q-learners end near monopoly.)
        delta_0_error: Standard error of `delta_0`, over sessions.
        k_0_error: Standard error of `k_0`, over sessions.
        sessions: Converged sessions behind each figure.

    Raises:
        InvalidSettingError: For a figure that is not a finite number.

    Example:
        >>> Controls(delta_0=0.23, k_0=0.19, sessions=1000).complete
        True
    """

    delta_0: float | None = None
    k_0: float | None = None
    delta_0_error: float = 0.0
    k_0_error: float = 0.0
    sessions: int = 0

    def __post_init__(self) -> None:
        _finite("Controls", delta_0=self.delta_0, k_0=self.k_0)
        _finite("Controls", delta_0_error=self.delta_0_error, k_0_error=self.k_0_error)

    @property
    def complete(self) -> bool:
        """Whether both controls were run."""
        return self.delta_0 is not None and self.k_0 is not None


@dataclass(frozen=True)
class Retraining:
    """What firms do against rivals that they did not learn with.

    Args:
        gain: One firm's rivals keep their strategies, the firm learns anew from its first values: the change of its
            profit, as a share of its profit before. Positive: the rivals' strategies can be exploited by learning.
        gain_error: Standard error of `gain`, over sessions.
        rival_loss: What the frozen rivals lose meanwhile, as a share of their profit before.
        rematch: Mean profit gain Delta when trained firms of different sessions meet and do not explore; `None` if
            that was not tried.
        rematch_error: Standard error of `rematch`.
        sessions: Sessions behind each figure.

    Raises:
        InvalidSettingError: For a figure that is not a finite number.

    Example:
        >>> Retraining(gain=0.11, rematch=0.2, sessions=100).gain
        0.11
    """

    gain: float
    gain_error: float = 0.0
    rival_loss: float = 0.0
    rematch: float | None = None
    rematch_error: float = 0.0
    sessions: int = 0

    def __post_init__(self) -> None:
        _finite("Retraining", gain=self.gain, gain_error=self.gain_error, rival_loss=self.rival_loss)
        _finite("Retraining", rematch=self.rematch, rematch_error=self.rematch_error)


@dataclass(frozen=True)
class LearningCost:
    """How many periods learning takes.

    Args:
        convergence: Mean periods until a session has converged, the window that confirms it left out.
        convergence_error: Standard error of `convergence`, over sessions.
        half: Mean periods until the profit gain of play passes 1/2 for good; `None` if it was not tracked.
        sessions: Sessions that were run.
        converged: How many of them converged.

    Raises:
        InvalidSettingError: For a figure that is not a finite number, or more converged sessions than sessions.

    Example:
        >>> LearningCost(convergence=1.76e6, sessions=1000, converged=1000).share
        1.0
    """

    convergence: float
    convergence_error: float = 0.0
    half: float | None = None
    sessions: int = 0
    converged: int = 0

    def __post_init__(self) -> None:
        _finite("LearningCost", convergence=self.convergence, half=self.half, convergence_error=self.convergence_error)
        if not 0 <= self.converged <= self.sessions:
            raise InvalidSettingError(
                f"LearningCost: got {self.converged} converged of {self.sessions} sessions, expected no more than all"
            )

    @property
    def share(self) -> float:
        """The share of sessions that converged."""
        return self.converged / self.sessions if self.sessions else math.nan


def _finite(what: str, **figures: float | None) -> None:
    for name, value in figures.items():
        if value is not None and not math.isfinite(value):
            raise InvalidSettingError(f"{what}: got {name}={value!r}, expected a finite number (None if not measured)")
