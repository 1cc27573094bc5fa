"""What RLlib must know of a game to train it: a task.

A task says what a player's strategy is (the flat parameters of its module), how its own-utility gradient is computed,
exactly or from sampled play, and what play the parameters amount to, for the evaluators. Learners, runners and the
driver each build their own from the same configuration.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.dynamics import Dynamic, Oracle, run
from strategic_envs.agents.rllib.modules import flat_parameters, load_parameters
from strategic_envs.agents.rllib.sampling import Scores, score_objective
from strategic_envs.agents.rllib.sharing import sharing
from strategic_envs.agents.rllib.tasks.options import Options
from strategic_envs.errors import InvalidSettingError, OracleError
from strategic_envs.evaluators.gap import Gap
from strategic_envs.play import Empirical, Independent, TabularPlay
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, StrategySet

__all__ = ["DERIVATIVES", "Draw", "Options", "Play", "Sample", "Task"]

DERIVATIVES = ("jvp", "vjp", "hessian", "jacobian", "utilities", "welfare_gradient", "welfare_hessian")
"""What an oracle may give beside the field and the projection."""

Play = Independent | Empirical | TabularPlay


@dataclass(frozen=True)
class Draw:
    """Which random numbers to use: the iteration of the run and the call of the oracle, counted from 0.

    `data` counts the draws of data, where a game has them; None means the data that the game holds.
    """

    iteration: int = 0
    call: int = 0
    data: int | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """What a runner hands to learners: one player's scores each, and the environment steps that were made."""

    scores: list[Scores]
    steps: int

    def numpy(self) -> Sample:
        """The same with NumPy arrays, to travel."""
        return Sample([s.numpy() for s in self.scores], self.steps)

    def to(self, device: torch.device | str) -> Sample:
        """The same with tensors on a device."""
        return Sample([s.to(device) for s in self.scores], self.steps)

    @classmethod
    def mean(cls, samples: Sequence[Sample]) -> Sample:
        """One sample of all games that several runners of equal size played."""
        if len(samples) == 1:
            return samples[0]
        scores = [Scores.mean(of_player) for of_player in zip(*(s.scores for s in samples), strict=True)]
        return cls(scores, sum(s.steps for s in samples))

    def share(self, index: int, count: int) -> Sample:
        """The part of one of `count` learners: the estimates from all parts add up to the estimate from the whole."""
        return Sample([s.share(index, count) for s in self.scores], self.steps)


class Task(ABC):
    """One kind of game as RLlib trains it.

    Class attributes: `parameterisation` names what the strategies are, for tables; `fields` lists the ways the
    gradient can be computed, the default first; `step_size` is a dynamic's when none is given; `derivatives` lists what
    else than the field there is, of what `closed_form` gives; `regularises` says whether players may ascend more than
    their own utility (`Regularisation`), `networks` whether the profile is a network's weights, whose Wardrop gaps may
    be measured.
    """

    parameterisation: ClassVar[str]
    fields: tuple[str, ...]
    step_size: ClassVar[float]
    derivatives: ClassVar[tuple[str, ...]] = ()
    regularises: ClassVar[bool] = False
    networks: ClassVar[bool] = False

    def __init__(self, game: Any, options: Options) -> None:
        self.game = game
        self.options = options
        if options.field is not None and options.field not in self.fields:
            raise InvalidSettingError(
                f"{game.name}: got field={options.field!r}, but strategies that are {self.parameterisation} "
                f"have {' or '.join(map(repr, self.fields))}"
            )
        self.field = options.field or self.fields[0]
        self.regularisation = options.regularisation()
        if self.regularisation.active and not self.regularises:
            raise InvalidSettingError(
                f"{game.name}: got entropy={options.entropy!r} and exploring_starts={options.exploring_starts!r}, "
                "which only turn-based games have: leave them out"
            )
        if options.wardrop and not self.networks:
            raise InvalidSettingError(
                f"{game.name}: got wardrop=True, but a network's Wardrop gaps are of games whose players are its "
                "layers, such as layers_v0: leave it out"
            )

    @cached_property
    def paid(self) -> Any:
        """The game whose payoffs are ascended: the game itself, or the one in which everybody is paid the sum."""
        return self.game if self.options.objective == "own" else sharing(self.game)

    @property
    def ascends_own(self) -> bool:
        """Whether what players ascend is their own utility in the game, and nothing else."""
        return self.options.objective == "own" and not self.regularisation.active

    @property
    def players(self) -> tuple[str, ...]:
        """The agents, which are also the ids of the modules."""
        return tuple(f"player_{i}" for i in range(self.game.n_players))

    @property
    def sampled(self) -> bool:
        """Whether the gradient comes from play that a runner samples."""
        return self.field == "sampled"

    @property
    def drawn(self) -> bool:
        """Whether the gradient is exact on data that are drawn anew for every call."""
        return self.field == "drawn"

    @abstractmethod
    def specs(self) -> tuple[RLModuleSpec, ...]:
        """The module of each player."""

    @cached_property
    def modules(self) -> tuple[TorchRLModule, ...]:
        """Modules of our own, for evaluation on this machine; they start as those of every learner do."""
        return tuple(spec.build() for spec in self.specs())  # pyright: ignore[reportReturnType]

    def initial(self) -> Profile:
        """The parameters at the start."""
        return Profile(flat_parameters(spec.build()) for spec in self.specs())  # pyright: ignore[reportArgumentType]

    @cached_property
    def sets(self) -> tuple[StrategySet, ...]:
        """Where each player's parameters live: everywhere, unless a kind of game says otherwise."""
        return tuple(Box(-math.inf, math.inf, dim=t.shape[-1]) for t in self.initial())

    def closed_form(self, draw: Draw | None = None) -> Oracle | None:
        """An oracle that gives the exact field in these parameters, and derivatives of it, without any module.

        Args:
            draw: Which minibatch of data, where there is one.

        Returns:
            The oracle; None where gradients are sampled, or come from networks.
        """
        return None

    def provides(self, what: str) -> bool:
        """Whether a dynamic on this task may ask for `what`: `field`, `project`, `jvp`, `hessian`, ..."""
        if what in ("field", "project", "sets"):
            return True
        exact = self.closed_form() if what in self.derivatives else None
        return exact is not None and exact.provides(what)

    def derivative(
        self, what: str, modules: Sequence[TorchRLModule], draw: Draw | None, arguments: Sequence[Any]
    ) -> Profile | Tensor:
        """What `closed_form` answers at the parameters of the modules.

        Args:
            what: A method of an oracle, such as `"jvp"`.
            modules: The modules of all players.
            draw: Which minibatch of data, where there is one.
            arguments: What the method takes after the profile.

        Raises:
            OracleError: If this task gives no such derivative.
        """
        exact = self.closed_form(draw)
        if exact is None or not self.provides(what):
            raise OracleError(f"{self.game.name}: strategies that are {self.parameterisation} give no {what} here")
        return getattr(exact, what)(Profile(flat_parameters(m) for m in modules), *arguments)

    def check(self, dynamic: Dynamic[Any]) -> None:
        """Refuses a dynamic that cannot run on this task, before anything is built.

        Raises:
            OracleError: Naming what the dynamic needs and this task does not give, or a joint set that it cannot use.
            InvalidSettingError: If the dynamic is not made for these sets or so many players.
            InvalidGameError: If it refuses the game for another reason.
        """
        lacking = [need for need in dynamic.needs if not self.provides(need)]
        if lacking:
            raise OracleError(
                f"{dynamic.name} needs {' and '.join(lacking)}, which {self.field} gradients in "
                f"{self.parameterisation} of {self.game.name} do not give: {self.remedy}"
            )
        unsuited = dynamic.suits(self.sets)
        if unsuited is not None:
            raise InvalidSettingError(
                f"{dynamic.name}, on {self.game.name} with strategies that are {self.parameterisation}: {unsuited}"
            )
        exact = self.closed_form()
        if exact is not None:
            run(exact, dynamic, self.initial(), 0, record=None)  # it takes no step, and refuses what cannot be run

    @property
    def remedy(self) -> str:
        """What helps a dynamic that asks for more than this task gives."""
        return "use a dynamic that needs the field alone, such as extragradient"

    def load(self, x: Profile) -> tuple[TorchRLModule, ...]:
        """Our own modules with the parameters x."""
        for module, flat in zip(self.modules, x, strict=True):
            load_parameters(module, flat)
        return self.modules

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        """Plays one batch of games on the generator's device, without gradients; `draw` says for which step."""
        raise InvalidSettingError(f"{self.game.name}: this task plays no episodes; its gradient is exact")

    @abstractmethod
    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        """The exact own-utility gradient of each of `players` in its parameters, flat.

        Args:
            modules: The modules of all players.
            players: Whose gradients are wanted.
            draw: Which minibatch of data, where there is one, and which step; None means all data, and the game's own
                utilities without what is added to them in training.
        """

    def scores(self, module: TorchRLModule, scores: Scores) -> Tensor:
        """The logits that a player's module gives the observations of a sample."""
        raise NotImplementedError

    def objective(self, module: TorchRLModule, scores: Scores) -> Tensor:
        """A number whose gradient in the module's parameters is the policy gradient that the scores are about."""
        return score_objective(self.scores(module, scores), scores.coefficient)

    def estimate(self, modules: Sequence[TorchRLModule], players: Sequence[int], sample: Sample) -> list[Tensor]:
        """The policy gradient of each of `players` from a sample, flat; opponents do not enter."""
        return [flat_gradient(self.objective(modules[i], sample.scores[i]), modules[i]) for i in players]

    def exact_scores(self, modules: Sequence[TorchRLModule], draw: Draw | None) -> Sample:
        """The exact gradient in the form of a sample, where strategies are networks: for `estimate`.

        The observations are all that there are, the coefficients the derivatives in the networks' outputs.

        Raises:
            InvalidSettingError: If strategies are no networks.
        """
        raise InvalidSettingError(f"{self.game.name}: strategies that are {self.parameterisation} have no layers")

    @abstractmethod
    def play(self, modules: Sequence[TorchRLModule]) -> Play:
        """The play that the modules amount to."""

    def point(self, modules: Sequence[TorchRLModule]) -> Profile | None:
        """The strategies as points of the game's own sets, which a run remembers; None for networks and weights."""
        return None

    def figures(self, modules: Sequence[TorchRLModule]) -> dict[str, float]:
        """What else is measured when play is judged, because an option asks for it."""
        return {}

    def named_weights(self, x: Profile) -> dict[str, Tensor]:
        """The parameters x as the tensors of one network by name, which a checkpoint keeps; none where it is none."""
        return {}

    def judgeable(self, modules: Sequence[TorchRLModule]) -> bool:
        """Whether the players' utilities are finite numbers here."""
        return True

    def local_nash(self, modules: Sequence[TorchRLModule]) -> Gap:
        """The local Nash gap in these parameters: the norm of each player's exact gradient, the largest of them."""
        gradients = self.exact(modules, range(self.game.n_players), None)
        return Gap.largest([float(g.norm()) for g in gradients])


def flat_gradient(objective: Tensor, module: TorchRLModule, weight: Tensor | None = None) -> Tensor:
    """The gradient of an objective in a module's parameters, in one vector."""
    parts = torch.autograd.grad(objective, list(module.parameters()), grad_outputs=weight)
    return torch.cat([p.reshape(-1) for p in parts])
