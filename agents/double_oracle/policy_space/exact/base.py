"""What exact PSRO asks of a kind of game: first policies, exact payoffs, best replies, and the play they add up to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import (
    CellPayoffs,
    Policy,
    Populations,
    PSROState,
    Reply,
    same_policy,
)
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.errors import InvalidGameError, InvalidStrategyError

__all__ = ["Arena", "check_uncorrelated"]


class Arena(ABC):
    """A game as PSRO sees it: oracle and simulator in one, both without sampling.

    `chunk` is how many cells of the payoff table are filled in one unit of work.
    """

    chunk: int = 2**12

    def __init__(self, game: Any) -> None:
        self.game = game

    @abstractmethod
    def first(self) -> Populations:
        """The population that a run starts from, if it is not told another."""

    @abstractmethod
    def check(self, player: int, policy: Policy) -> Policy:
        """The policy in the form that this arena uses.

        Raises:
            InvalidStrategyError: If it is none.
        """

    @abstractmethod
    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        """What policies pay against each other."""

    @abstractmethod
    def reply(self, player: int, state: PSROState) -> Reply:
        """A best reply to the others' mixture."""

    @abstractmethod
    def play(self, populations: Populations, meta: MetaSolution) -> object | None:
        """The mixture as play that evaluators understand; None where there is no such form."""

    def same(self, a: Policy, b: Policy) -> bool:
        """Whether two policies are the same."""
        return same_policy(a, b)

    def populations(self, given: object) -> Populations:
        """First populations, checked; the arena's own where none are given.

        Raises:
            InvalidStrategyError: If there is not one population a player, or a policy is none.
        """
        if given is None:
            return self.first()
        n = self.game.n_players
        if not isinstance(given, tuple | list) or len(given) != n:
            got = len(given) if isinstance(given, tuple | list) else type(given).__name__
            raise InvalidStrategyError(
                f"{self.game.name}: got {got} as first populations, expected a list of policies for each of {n} players"
            )
        return tuple(tuple(self.check(i, policy) for policy in policies) for i, policies in enumerate(given))


def check_uncorrelated(name: str, player: int, meta: MetaSolution) -> None:
    """Refuses a correlated mixture of several opponents, to which this kind of game has no exact reply.

    Raises:
        InvalidGameError: Naming what works.
    """
    if meta.joint is not None and len(meta.marginals) > 2:
        raise InvalidGameError(
            f"{name}, player_{player}: got the correlated mixture of {meta.name} with {len(meta.marginals)} players, "
            "expected opponents who draw alone: use uniform or projected_replicator"
        )
