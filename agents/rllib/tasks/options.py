"""The settings of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from strategic_envs.agents.rllib.regularisation import Regularisation
from strategic_envs.errors import InvalidSettingError

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The settings of a task; None means the default of the kind of game.

    Args:
        seed: The seed of starts, networks and samples.
        strategy: `"logits"` or `"coordinates"`, where a game allows both.
        field: `"exact"`, `"sampled"`, or `"drawn"`: exact on data that are drawn anew for every call.
        games: How many games one sample plays.
        horizon: Periods of a Markov game that is sampled.
        minibatch: Rows of data in an iteration's minibatch (layers); 0 means all of them.
        hidden: Sizes of the hidden layers of policy networks.
        start: The start, one list of numbers a player, for strategies that are vectors.
        entropy: The weight of own entropy, or how it falls, and
        exploring_starts: the share of games that start anywhere: see `Regularisation`.
        objective: What a player ascends: its `"own"` utility, or `"welfare"`, the sum of everybody's.
        wardrop: Whether judging also measures the network's Wardrop gaps, where layers are players.
    """

    seed: int = 0
    strategy: Literal["logits", "coordinates", "network"] | None = None
    field: Literal["exact", "sampled", "drawn"] | None = None
    games: int | None = None
    horizon: int | None = None
    minibatch: int | None = None
    hidden: tuple[int, ...] | None = None
    start: Sequence[Sequence[float]] | None = None
    entropy: float | Sequence[float] | None = None
    exploring_starts: float | None = None
    objective: str = "own"
    wardrop: bool | None = None

    def __post_init__(self) -> None:
        self.regularisation()
        for name in ("games", "horizon"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InvalidSettingError(f"{name}: got {value!r}, expected a whole number >= 1")
        if self.minibatch is not None and (not isinstance(self.minibatch, int) or self.minibatch < 0):
            raise InvalidSettingError(f"minibatch: got {self.minibatch!r}, expected rows of data, or 0 for all of them")
        if self.field not in (None, "exact", "sampled", "drawn"):
            raise InvalidSettingError(f"field: got {self.field!r}, expected 'exact', 'sampled' or 'drawn'")
        if self.strategy not in (None, "logits", "coordinates", "network"):
            raise InvalidSettingError(f"strategy: got {self.strategy!r}, expected 'logits', 'coordinates' or 'network'")
        if self.objective not in ("own", "welfare"):
            raise InvalidSettingError(f"objective: got {self.objective!r}, expected 'own' or 'welfare'")
        if self.wardrop not in (None, True, False):
            raise InvalidSettingError(f"wardrop: got {self.wardrop!r}, expected true or false")

    def regularisation(self) -> Regularisation:
        """What is ascended beside own utility."""
        given = {"entropy": self.entropy, "exploring_starts": self.exploring_starts}
        return Regularisation(**{name: value for name, value in given.items() if value is not None})
