"""The RLModules: one a player, none shared.

Every policy gives logits (`Columns.ACTION_DIST_INPUTS`) for a whole table of observations at once. A module starts
from parameters drawn from its own stream of the run's seed, and builds the same everywhere: in a learner, in a runner
and on the driver.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.utils.torch_utils import FLOAT_MIN
from torch import Tensor, nn

from strategic_envs.seeding import torch_stream

__all__ = [
    "Constant",
    "Coordinates",
    "Logits",
    "MaskedNetwork",
    "SoftmaxNetwork",
    "TableOfLogits",
    "flat_parameters",
    "load_parameters",
    "observation_keys",
    "perceptron",
]


def perceptron(inputs: int, hidden: Sequence[int], outputs: int, generator: torch.Generator) -> nn.Sequential:
    """A multi-layer perceptron with tanh units; `hidden=()` is linear.

    Weights and biases are uniform within `1/sqrt(inputs of the layer)`, as torch draws them, but from `generator`.

    Example:
        >>> net = perceptron(3, (8,), 2, torch.Generator().manual_seed(0))
        >>> sum(p.numel() for p in net.parameters())
        50
    """
    sizes = [inputs, *hidden, outputs]
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        bound = max(fan_in, 1) ** -0.5
        with torch.no_grad():
            for parameter in linear.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        layers += [linear, nn.Tanh()] if i < len(hidden) else [linear]
    return nn.Sequential(*layers)


def flat_parameters(module: nn.Module) -> Tensor:
    """All parameters of a module in one vector (a copy), in the module's own order."""
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()])


def load_parameters(module: nn.Module, flat: Tensor) -> None:
    """Writes a vector into the parameters of a module, which stay the same tensors.

    Raises:
        ValueError: If the vector has another length than the parameters.
    """
    parameters = list(module.parameters())
    total = sum(p.numel() for p in parameters)
    if flat.shape != (total,):
        raise ValueError(f"got parameters of shape {tuple(flat.shape)}, expected ({total},)")
    with torch.no_grad():
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


class SoftmaxNetwork(TorchRLModule):
    """A softmax policy over flat observations: a perceptron whose outputs are logits.

    `model_config`: `hidden` (sizes of hidden layers), `seed`, `player`.
    """

    def setup(self) -> None:
        options = self.model_config
        stream = torch_stream(options["seed"], "module", options["player"])
        self.network = perceptron(self._inputs(), options["hidden"], int(self.action_space.n), stream)

    def _inputs(self) -> int:
        return int(self.observation_space.shape[0])

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return {Columns.ACTION_DIST_INPUTS: self.network(batch[Columns.OBS])}


class MaskedNetwork(SoftmaxNetwork):
    """A softmax policy over observations `{"observation", "action_mask"}`: illegal actions get probability zero."""

    def _inputs(self) -> int:
        return int(self.observation_space["observation"].shape[0])

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        logits = self.network(seen["observation"])
        return {Columns.ACTION_DIST_INPUTS: logits.masked_fill(~seen["action_mask"].bool(), FLOAT_MIN)}


def observation_keys(obs: Tensor) -> Tensor:
    """One int64 an observation `(*batch, obs)`: the same for equal ones, and another for others, accidents aside."""
    bits = obs.to(torch.float32).contiguous().view(torch.int32).long()
    factors = torch.randint(-(2**62), 2**62, (obs.shape[-1],), generator=torch_stream(0, "observation keys"))
    return (bits * (factors | 1).to(obs.device)).sum(-1)  # modulo 2^64


class TableOfLogits(TorchRLModule):
    """A softmax policy with logits of their own for every observation of a known list, all zero at the start.

    `model_config`: `keys`, the `observation_keys` of the list, an array. Anything else that it sees has logits zero,
    which never change. Observations are `{"observation", "action_mask"}`, as those of `MaskedNetwork`.
    """

    def setup(self) -> None:
        self._keys = torch.as_tensor(self.model_config["keys"]).unique()  # in order: one row of the table each
        self.table = nn.Parameter(torch.zeros(len(self._keys), int(self.action_space.n)))

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen, keys = batch[Columns.OBS], self._keys.to(self.table.device)
        wanted = observation_keys(seen["observation"])
        place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        known = (keys[place] == wanted).unsqueeze(-1)
        logits = self.table[place].masked_fill(~known, 0.0)
        return {Columns.ACTION_DIST_INPUTS: logits.masked_fill(~seen["action_mask"].bool(), FLOAT_MIN)}


class Coordinates(TorchRLModule):
    """A strategy that is a vector of numbers, the module's only parameter: a point of a continuous game.

    `model_config`: `start`, the vector, an array. The output is the vector itself, for every row of the batch.
    """

    def setup(self) -> None:
        self.vector = nn.Parameter(torch.tensor(self.model_config["start"]))

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch.get(Columns.OBS)
        rows = len(seen) if isinstance(seen, Tensor) else 1
        return {Columns.ACTION_DIST_INPUTS: self.vector.expand(rows, -1)}


class Logits(Coordinates):
    """A mixed strategy of a one-shot game: the softmax of a vector of logits."""


class Constant(TorchRLModule):
    """What a perceptron answers to a constant: a strategy of a one-shot game, made by layers.

    `model_config`: `hidden` (sizes of hidden layers), `seed`, `player`, and `start`, an array: the output at the
    start, which the bias of the last layer is set to give. The output is the same for every row of the batch.
    """

    def setup(self) -> None:
        options = self.model_config
        stream = torch_stream(options["seed"], "module", options["player"])
        start = torch.as_tensor(options["start"])
        self.network = perceptron(1, options["hidden"], len(start), stream).to(start.dtype)
        with torch.no_grad():
            self.network[-1].bias += start - self.network(torch.ones(1, 1, dtype=start.dtype))[0]

    def output(self) -> Tensor:
        """The output, one vector."""
        weight: Any = self.network[0].weight
        return self.network(weight.new_ones(1, 1))[0]

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch.get(Columns.OBS)
        rows = len(seen) if isinstance(seen, Tensor) else 1
        return {Columns.ACTION_DIST_INPUTS: self.output().expand(rows, -1)}
