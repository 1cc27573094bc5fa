"""Teams: a network with the optimizer whose players are its layers, over the modules that RLlib holds.

Where layers are the players of the environment itself, all modules together are one team. Everywhere else each player
has a policy network, and its layers are a team of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from strategic_envs.agents.dgnopt import DGNOpt, StepResult
from strategic_envs.agents.rllib.dgnopt.losses import MeanLoss, ScoreLoss
from strategic_envs.agents.rllib.dgnopt.networks import live_network, weights_of
from strategic_envs.agents.rllib.modules import flat_parameters, load_parameters
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, Task
from strategic_envs.agents.rllib.tasks.layers import LayersTask
from strategic_envs.agents.rllib.tasks.one_shot_network import PointNetworkTask
from strategic_envs.errors import InvalidSettingError
from strategic_envs.seeding import child_seed

__all__ = ["Team", "teams"]


class Team(ABC):
    """A network that DGNOpt trains, one step at a time."""

    optimizer: DGNOpt

    @abstractmethod
    def step(self, draw: Draw, sample: Sample | None) -> StepResult:
        """One step from the modules' present parameters, which it changes.

        Args:
            draw: Which minibatch of data, where there is one.
            sample: What each player ascends, where players have policies.
        """


class LayersTeam(Team):
    """All modules are layers of one network.

    Args:
        task: The task.
        modules: The module of each layer.
        settings: Those of DGNOpt.
    """

    def __init__(self, task: LayersTask, modules: Sequence[nn.Module], settings: Mapping[str, Any]) -> None:
        self.task, self.modules = task, modules
        net = live_network(task.game, flat_parameters(modules[0]))
        self.layers = [weights_of(net, i) for i in range(task.game.n_players)]
        own = {**settings, "loss": task.game.objective.loss, "seed": task.options.seed}
        decay = own.pop("weight_decay")
        groups = [
            {"params": list(layer), "weight_decay": decay + of_game}
            for layer, of_game in zip(self.layers, task.game.weight_decay, strict=True)
        ]
        self.optimizer = DGNOpt(net, params=groups, **own)

    def step(self, draw: Draw, sample: Sample | None) -> StepResult:
        for layer, module in zip(self.layers, self.modules, strict=True):
            load_parameters(layer, flat_parameters(module))
        game = self.task.minibatch(draw.iteration)
        result = self.optimizer.step(game.objective.data(self.layers[0][0]))
        for layer, module in zip(self.layers, self.modules, strict=True):
            load_parameters(module, flat_parameters(layer))
        return result


class PolicyTeam(Team):
    """The layers of one player's policy network.

    Args:
        task: The task.
        module: The player's module; what it calls `network` is trained.
        player: The player.
        settings: Those of DGNOpt.
    """

    def __init__(self, task: Task, module: nn.Module, player: int, settings: Mapping[str, Any]) -> None:
        self.player = player
        end = MeanLoss if isinstance(task, PointNetworkTask) else ScoreLoss
        loss = end(settings["value_hessian"], settings["rank"])
        seed = child_seed(task.options.seed, "player", player)
        network: nn.Module = module.network  # pyright: ignore[reportAssignmentType]
        self.optimizer = DGNOpt(network, **{**settings, "loss": loss, "seed": seed})

    def step(self, draw: Draw, sample: Sample | None) -> StepResult:
        assert sample is not None, "players with policies are told what they ascend"
        own = sample.scores[self.player]
        weight = next(self.optimizer.net.module.parameters())
        return self.optimizer.step((own.obs.to(weight), (own.coefficient, own.mask)))


def teams(task: Task, modules: Sequence[nn.Module], settings: Mapping[str, Any]) -> Sequence[Team]:
    """The teams of a task.

    Args:
        task: The task.
        modules: The modules of all players, where the parameters live.
        settings: Those of DGNOpt.

    Raises:
        UnknownNameError: If one of the settings names what there is not.
        InvalidSettingError: If a setting makes no sense, or the strategies have no layers.
    """
    if isinstance(task, LayersTask):
        return [LayersTeam(task, modules, settings)]
    if not all(isinstance(getattr(m, "network", None), nn.Module) for m in modules):
        raise InvalidSettingError(
            f"{task.game.name}: dgnopt got strategies that are {task.parameterisation}, expected networks, whose "
            "layers are its players: leave out strategy, or give strategy='network' in a one-shot game"
        )
    return [PolicyTeam(task, module, i, settings) for i, module in enumerate(modules)]
