"""The learner: raw policy gradients of each player's module, in its flat parameters.

There is no optimizer here, no clipping and no normalisation, because the steps are taken by a dynamic that sees the
field alone. Each player's gradient is taken of its own objective with respect to its own parameters. Losses are never
summed over players, since in a zero-sum game the sum has gradient zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from torch import Tensor

from strategic_envs.agents.rllib.modules import flat_parameters, load_parameters
from strategic_envs.agents.rllib.sampling import score_objective
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, Task
from strategic_envs.profile import Profile

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.config import GameDynamicsConfig

__all__ = ["GameLearner"]


class GameLearner(TorchLearner):
    """Holds one module a player and differentiates."""

    config: GameDynamicsConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> None:
        super().build()
        self.task: Task = self.config.task()

    @property
    def modules(self) -> list[Any]:
        """The players' modules, without any wrapper of a distributed learner."""
        return [self.module[p].unwrapped() for p in self.task.players]

    def load(self, x: Profile) -> None:
        """Writes a profile into the modules."""
        for module, flat in zip(self.modules, x, strict=True):
            load_parameters(module, flat.to(self.device))

    def parameters_of_players(self) -> Profile:
        """The parameters of the modules, flat."""
        return Profile(flat_parameters(m) for m in self.modules)

    def field(self, players: Sequence[int], draw: Draw, sample: Sample | None) -> list[Tensor]:
        """The own-utility gradients of `players` at the parameters loaded.

        Args:
            players: Whose gradients are wanted.
            draw: Which minibatch of data, where there is one.
            sample: The sampled play; None where gradients are exact. Of several learners each takes its share, and
                the sum of their answers is the gradient.
        """
        modules = self.modules
        if sample is None:
            return [g.detach() for g in self.task.exact(modules, players, draw)]
        if self.config.num_learners > 1:
            sample = sample.share(self._learner_index, self.config.num_learners)
        return self.task.estimate(modules, players, sample.to(self.device))

    def derivative(self, what: str, draw: Draw, arguments: Sequence[Any]) -> Any:
        """A derivative of the exact field at the parameters loaded: what an oracle's method of this name answers.

        Args:
            what: `"jvp"`, `"vjp"`, `"hessian"`, `"jacobian"`, ...
            draw: Which minibatch of data, where there is one.
            arguments: What the method takes after the profile.
        """
        here = [a.to(self.device) if isinstance(a, Tensor | Profile) else a for a in arguments]
        return self.task.derivative(what, self.modules, draw, here)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """No optimizer: steps are taken by a dynamic."""

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Mapping[str, Any], fwd_out: Mapping[str, Any]
    ) -> Tensor:
        """Minus the objective of one player, for RLlib's own `update`; it holds no parameters of opponents."""
        coefficient = torch.as_tensor(batch["coefficient"], device=self.device)
        return -score_objective(fwd_out["action_dist_inputs"], coefficient)
