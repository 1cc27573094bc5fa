"""The learner: DGNOpt works where the modules live, on a GPU if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils import _pytree as pytree

from strategic_envs.agents.rllib.dgnopt.teams import teams
from strategic_envs.agents.rllib.learner import GameLearner
from strategic_envs.agents.rllib.tasks.base import Draw, Sample
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.profile import Profile

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.dgnopt.config import DGNOptConfig

__all__ = ["DGNOptLearner", "Move"]


@dataclass(frozen=True, eq=False)
class Move:
    """What a step of all teams came to.

    Args:
        field: The gradient of what each player ascends, at the parameters before the step.
        point: The parameters after it.
        outcome: `running`, `nonfinite` (a gradient is not finite) or `diverged` (a team refused its step).
        reason: What was not finite.
    """

    field: list[Tensor]
    point: list[Tensor]
    outcome: str = "running"
    reason: str = ""


class DGNOptLearner(GameLearner):
    """Holds one module a player, and the teams that train them."""

    config: DGNOptConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> None:
        super().build()
        self.teams = teams(self.task, self.modules, self.config.optimizer_settings())

    def advance(self, draw: Draw, sample: Sample | None) -> Move:
        """One step of every team from the parameters loaded, each against the others as they were before it.

        Args:
            draw: Which random numbers and which minibatch of data.
            sample: The sampled play; None where gradients are exact.
        """
        modules, players = self.modules, range(self.task.game.n_players)
        if isinstance(self.task, LayersTask):
            scores, field = None, self.task.exact(modules, players, draw)
        else:
            scores = self.task.exact_scores(modules, draw) if sample is None else sample.to(self.device)
            field = self.task.estimate(modules, players, scores)
        field = [g.detach() for g in field]
        if not all(bool(g.isfinite().all()) for g in field):
            return Move(field, list(self.parameters_of_players()), "nonfinite", "the gradient of a player's objective")
        results = [team.step(draw, scores) for team in self.teams]
        refused = next((r for r in results if not r.ok), None)
        outcome = ("running", "") if refused is None else ("diverged", f"DGNOpt refused the step: {refused.reason}")
        return Move(field, list(self.parameters_of_players()), *outcome)

    def optimizer_state(self) -> list[dict[str, Any]]:
        """The states of the teams' optimizers, random generators included, on the CPU."""
        states = [team.optimizer.state_dict() for team in self.teams]
        return pytree.tree_map(lambda x: x.detach().cpu().clone() if isinstance(x, Tensor) else x, states)

    def load_optimizer_state(self, states: list[dict[str, Any]]) -> None:
        """Puts the optimizers into states that `optimizer_state` returned."""
        to_here = pytree.tree_map(lambda x: x.to(self.device) if isinstance(x, Tensor) else x, states)
        for team, state in zip(self.teams, to_here, strict=True):
            team.optimizer.load_state_dict(state)


# What is called on learners, here or in other processes.


def advance(learner: Any, x: Profile, draw: Draw, sample: Sample | None) -> Move:
    """Loads parameters and takes a step."""
    learner.load(x)
    move: Move = learner.advance(draw, sample)
    if learner.config.num_learners:
        return Move([g.cpu() for g in move.field], [t.cpu() for t in move.point], move.outcome, move.reason)
    return move


def save(learner: Any) -> list[dict[str, Any]]:
    """The state of the optimizers."""
    return learner.optimizer_state()


def restore(learner: Any, states: list[dict[str, Any]]) -> None:
    """Puts the optimizers into a state."""
    learner.load_optimizer_state(states)
