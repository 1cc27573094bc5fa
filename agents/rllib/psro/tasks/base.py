"""Answering a frozen mixture, as a task: every player's module plays against the others' populations.

The field of such a task is block-diagonal: a player's part is the gradient of its utility in its own parameters,
against opponents whose policies are drawn by the meta-strategy once a game and never learn. So all players' replies of
an iteration are trained side by side, by any dynamic, on the learners and runners that train ordinary play.

A frozen policy is a flat vector, a *strategy* is what it amounts to: a table `(S, A)` in games with states, a mixed
strategy `(A,)` in one-shot finite games, a point `(d,)` in continuous ones.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import same_policy
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.rllib.modules import load_parameters
from strategic_envs.agents.rllib.psro.opponents import Opponents
from strategic_envs.agents.rllib.tasks.base import Options, Play, Task
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile
from strategic_envs.seeding import child_seed

__all__ = ["FORMS", "Response"]

FORMS = ("parameters", "greedy", "strategies")
"""What policies are: parameters of modules, the same played greedily, or strategies themselves."""


class Response(Task):
    """A task against frozen opponents; mixed into the task of ordinary play of each kind of game.

    Args:
        game: The game.
        options: As for ordinary play.
        form: What policies are, one of `FORMS`.
        tremble: With which probability everybody plays uniformly at each move while replies are trained.

    Class attributes: `trembles` says whether the kind of game allows that; `plays` whether payoffs can be sampled;
    `judged` names what `mixture` gives.
    """

    judged: ClassVar[str] = "the mixture"
    trembles: ClassVar[bool] = True
    plays: ClassVar[bool] = True

    def __init__(self, game: Any, options: Options, *, form: str = "parameters", tremble: float = 0.0) -> None:
        super().__init__(game, options)
        if form not in FORMS:
            raise InvalidSettingError(f"{game.name}: got policies as {form!r}, expected one of {', '.join(FORMS)}")
        good = isinstance(tremble, int | float) and not isinstance(tremble, bool) and 0 <= tremble < 1
        if not good or (tremble and not self.trembles):
            only = "a number in [0, 1)" if self.trembles else "0, for no action is drawn there that could slip"
            raise InvalidSettingError(f"{game.name}: got tremble={tremble!r}, expected {only}")
        self.form, self.tremble = form, float(tremble)
        self._known: dict[tuple[int, int], tuple[Any, Tensor]] = {}
        self.face(self._beginning())

    def _beginning(self) -> Opponents:
        """Everybody faces the others' first policies."""
        first = tuple((p,) for p in self.first())
        ones = torch.ones((1,) * (self.game.n_players - 1), dtype=torch.float64)
        return Opponents(0, first, (ones,) * self.game.n_players)

    def first(self) -> Profile:
        """The first policy of each player."""
        start = self.initial()
        if self.form != "strategies":
            return start
        return Profile(self._strategy(i, m).cpu() for i, m in enumerate(self.load(start)))

    def face(self, opponents: Opponents) -> None:
        """From now on the opponents are these."""
        self.opponents = opponents
        self._faced()

    def _faced(self) -> None:
        """What is worked out once for new opponents."""

    @abstractmethod
    def _strategy(self, player: int, module: TorchRLModule) -> Tensor:
        """What a player's module amounts to: a strategy, float64, without gradients."""

    @cached_property
    def _frozen(self) -> tuple[TorchRLModule, ...]:
        """Modules that policies are looked at with, one after the other; nobody trains them."""
        return tuple(spec.build() for spec in self.specs())  # pyright: ignore[reportReturnType]

    def _given(self, player: int, policy: Any) -> Tensor:
        """A policy that is a strategy already, float64."""
        return policy.double()

    def strategy(self, player: int, policy: Any) -> Tensor:
        """What a policy amounts to, float64, on the CPU."""
        if self.form == "strategies":
            return self._given(player, policy)
        module = self._frozen[player]
        load_parameters(module, policy)
        with torch.no_grad():
            return self._strategy(player, module).cpu()

    def held(self, player: int, number: int) -> Tensor:
        """The strategy of a policy of the opponents' populations; each is worked out once."""
        policy = self.opponents.populations[player][number]
        known = self._known.get((player, number))
        if known is None or not (known[0] is policy or same_policy(known[0], policy)):
            known = self._known[player, number] = policy, self.strategy(player, policy)
        return known[1]

    def population(self, player: int) -> Tensor:
        """All strategies of a player's population, stacked."""
        return torch.stack([self.held(player, k) for k in range(len(self.opponents.populations[player]))])

    def others(self, player: int) -> list[int]:
        """The other players, in order."""
        return [j for j in range(self.game.n_players) if j != player]

    def cell(self, numbers: Sequence[int]) -> list[Tensor]:
        """The strategies of one policy of each population."""
        return [self.held(i, k) for i, k in enumerate(numbers)]

    @abstractmethod
    def payoffs(self, strategies: Sequence[Tensor]) -> Tensor:
        """What strategies, one a player, pay each player on average `(n,)`, exactly."""

    def trial(self, strategies: Sequence[Tensor], games: int, generator: torch.Generator) -> tuple[Tensor, int]:
        """What they pay in games that are played: `(games, n)`, and the environment steps made."""
        raise NotImplementedError(f"{self.game.name}: no action is drawn here, so nothing can be sampled")

    def met(self, player: int, strategy: Tensor) -> float:
        """What a strategy pays a player on average against the opponents it faces, exactly."""
        total = 0.0
        for choice, weight in zip(*self.opponents.support(player), strict=True):
            strategies = [self.held(j, int(k)) for j, k in zip(self.others(player), choice, strict=True)]
            strategies.insert(player, strategy)
            total += float(weight * self.payoffs(strategies)[player])
        return total

    def fresh(self, number: int) -> Profile:
        """Parameters to start from, others for every number."""
        options = replace(self.options, seed=child_seed(self.options.seed, "fresh", number))
        return type(self)(self.game, options, form=self.form, tremble=self.tremble).initial()

    def mixture(self, meta: MetaSolution) -> Play | None:
        """The play in which each player draws a policy by its own marginal, once a game.

        None where no play of the game's own kind is the same.
        """
        return None
