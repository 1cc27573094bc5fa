"""Layered networks as the path evaluators see them: weight matrices, biases and gates, in float64.

A network of linear layers with ReLU or nothing between them is *positively homogeneous* in every layer: its output is a
sum over paths from a source to an output. Everything else (tanh, norms, convolutions, shortcuts) breaks that sum, and
is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.wardrop.losses import Data
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import Chain, GameStage, Stage, StagedNetwork
from strategic_envs.games.networks.game import NetworkStage
from strategic_envs.profile import Profile

__all__ = ["LayeredNet", "layered", "one_profile"]

_PASSING = (nn.Identity, nn.Flatten)
_WHY_NOT: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.modules.conv._ConvNd, "a convolution uses each weight at many places, and a path would use it many times"),
    (nn.modules.batchnorm._NormBase, "a norm divides by the size of what it reads: that is no sum over paths"),
    (nn.LayerNorm, "a norm divides by the size of what it reads: that is no sum over paths"),
    (nn.GroupNorm, "a norm divides by the size of what it reads: that is no sum over paths"),
    (nn.RMSNorm, "a norm divides by the size of what it reads: that is no sum over paths"),
    (nn.modules.dropout._DropoutNd, "its output is random"),
    (nn.modules.pooling._MaxPoolNd, "pooling joins positions, and no path is known through it here"),
    (nn.modules.pooling._AvgPoolNd, "pooling joins positions, and no path is known through it here"),
)
_BENT = "its output is not positively homogeneous in what it reads, and the edge identity would not hold"
_EXPECTED = "expected nn.Linear, with nn.ReLU or nothing between two of them, nn.Identity and nn.Flatten"


@dataclass(frozen=True, eq=False)
class LayeredNet:
    """Linear layers, each but the last followed by a ReLU or by nothing.

    Args:
        weights: The matrices, `(d_l, d_{l-1})`.
        biases: A vector `(d_l,)` a layer, or None.
        relu: For each layer but the last, whether a ReLU follows.
        names: What each layer is called.

    Example:
        >>> net = layered(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False)))
        >>> net.widths, net.linear, net.paths
        ((4, 3, 2), False, 30)
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor | None, ...]
    relu: tuple[bool, ...]
    names: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths `d_0 .. d_H`."""
        return (self.weights[0].shape[1], *(len(w) for w in self.weights))

    @property
    def linear(self) -> bool:
        """Whether the network is a linear (affine) map: no ReLU in it."""
        return not any(self.relu)

    @property
    def paths(self) -> int:
        """The number of paths from an input or a bias to an output."""
        total, ways = 0, 1
        for weight, bias in zip(reversed(self.weights), reversed(self.biases), strict=True):
            ways *= len(weight)
            total += ways * (bias is not None)
        return total + ways * self.widths[0]

    @property
    def full_width(self) -> bool:
        """Whether a linear network of these widths represents every linear map, or every affine one if it has biases.

        Every linear map: exactly if no hidden layer is narrower than both ends. A bias of the last layer moves freely;
        without it, a bias further down counts as one more input.
        """
        hidden = self.widths[1:-1]
        ends = self.widths[0] + (self.biases[-1] is None and any(b is not None for b in self.biases))
        return all(width >= min(ends, self.widths[-1]) for width in hidden)

    def forward(self, inputs: Float[Tensor, "N features"]) -> tuple[list[Tensor], list[Tensor]]:
        """What each layer reads, and the preactivations that it gives; the last of these are the outputs."""
        reads, gives = [inputs], []
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = reads[-1] @ weight.mT
            gives.append(z if bias is None else z + bias)
            if i < len(self.relu):
                reads.append(gives[-1].relu() if self.relu[i] else gives[-1])
        return reads, gives

    def gates(self, gives: list[Tensor]) -> list[Tensor | None]:
        """Each hidden layer's open gates `(N, d_l)` as zeros and ones; None where all are open."""
        return [(z > 0).to(z) if bent else None for z, bent in zip(gives, self.relu, strict=False)]

    def gradients(self, data: Data) -> tuple[list[Tensor], list[Tensor | None]]:
        """The loss's derivatives in each layer's matrix and bias (None where it has none), by automatic derivation."""
        with torch.enable_grad():
            weights = tuple(w.clone().requires_grad_() for w in self.weights)
            biases = tuple(None if b is None else b.clone().requires_grad_() for b in self.biases)
            outputs = LayeredNet(weights, biases, self.relu, self.names).forward(data.inputs)[1][-1]
            leaves = [*weights, *(b for b in biases if b is not None)]
            slopes = list(torch.autograd.grad(data.value(outputs), leaves))
        shifts = iter(slopes[len(weights) :])
        return slopes[: len(weights)], [None if b is None else next(shifts) for b in biases]


def layered(net: nn.Module | DynamicGame, profile: object = None) -> LayeredNet:
    """A module, or a game of layers with a profile, as a `LayeredNet`; detached copies in float64.

    Args:
        net: `nn.Sequential` of `nn.Linear`, `nn.ReLU`, `nn.Identity`, `nn.Flatten`, nested or not; one `nn.Linear`;
            what `game.module(x)` gave; or a `DynamicGame`.
        profile: The weights, of a game.

    Raises:
        InvalidGameError: If a layer is none that the construction covers: named, with the reason.
        InvalidStrategyError: If a weight is NaN or infinite: the layer is named; or the profile is not one profile.
    """
    if isinstance(net, DynamicGame):
        x = one_profile(net, profile)
        _check_stages(net.stages)
        net = net.module(x)
    parts = list(_of_stages(net.stages, net) if isinstance(net, StagedNetwork) else _of_module(net, ""))
    return _assemble(parts)


def one_profile(game: DynamicGame, profile: object) -> Profile:
    """One profile of the game's weights, checked, detached, in float64.

    Args:
        game: The game.
        profile: A sequence of tensors `(d_i,)`.

    Raises:
        InvalidStrategyError: If it is none, a batch, or a weight is NaN or infinite: the layer is named.

    Example:
        >>> game = DynamicGame.from_sequential([nn.Linear(1, 1)], torch.ones(2, 1), torch.zeros(2, 1), "mse")
        >>> one_profile(game, game.initial(0))[0].dtype
        torch.float64
    """
    if not isinstance(profile, Sequence) or not all(isinstance(t, Tensor) for t in profile):
        raise InvalidStrategyError(
            f"{game.name}: got a profile of type {type(profile).__name__}, expected one tensor of weights a player, "
            "such as game.initial(seed=0)"
        )
    names = [name for stage in game.stages for name in stage.names]
    for name, weights in zip(names, profile, strict=False):
        if not bool(weights.isfinite().all()):
            raise InvalidStrategyError(
                f"{game.name}, layer {name}: got {int((~weights.isfinite()).sum())} weights that are NaN or infinite, "
                "expected finite ones"
            )
    x = game.validate(profile)
    if x.batch_shape:
        raise InvalidStrategyError(
            f"{game.name}: got profiles of batch shape {x.batch_shape}, expected one: index the tensors first"
        )
    return Profile(t.detach().double() for t in x)


def _of_module(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is nn.Sequential:
        for child, part in module.named_children():
            yield from _of_module(part, f"{name}.{child}" if name else child)
    else:
        yield name or "0", module


def _of_stages(stages: tuple[GameStage, ...], net: StagedNetwork) -> Iterator[tuple[str, nn.Module]]:
    _check_stages(stages)
    players = iter(net.players)
    for stage in stages:
        for name in stage.names:
            yield name.partition(":")[0] or "layer", next(players)
        for rest in stage.merge.layers if isinstance(stage, Stage) and isinstance(stage.merge, Chain) else ():
            yield f"after {stage.names[0]}" if stage.names else "first", rest


def _check_stages(stages: tuple[GameStage, ...]) -> None:
    """Refuses what is no plain chain, and says what happens there."""
    traced = [stage.template.staged.stages[stage.t] for stage in stages if isinstance(stage, NetworkStage)]
    for unit in (unit for stage in traced for unit in stage.units):
        if unit.kind != "linear":
            raise _refuse(unit.name, unit.module)
    for own in traced:
        if len(own.results) > 1:
            raise InvalidGameError(
                f"layer {own.players[0].name if own.players else own.slots[0]} is not covered: with its output "
                f"{len(own.results) - 1} more tensors are carried on, for a shortcut or branches that join later, and "
                f"no paths are known through these here; {_EXPECTED}. layer_equilibrium reads any DynamicGame"
            )
    for t, stage in enumerate(stages):
        if isinstance(stage, NetworkStage):
            raise InvalidGameError(
                f"stage {t} {list(stage.names)}: got a network whose forward pass was traced, and what it does between "
                f"its layers cannot be seen; {_EXPECTED}, as an nn.Sequential. layer_equilibrium reads any DynamicGame"
            )
        if not isinstance(stage, Stage) or not isinstance(stage.merge, Chain) or len(stage.players) > 1:
            raise InvalidGameError(
                f"stage {t} {list(stage.names)}: got {len(stage.players)} players in a stage whose outputs are joined "
                "(or whose weights add up), expected one linear layer a stage; layer_equilibrium reads any DynamicGame"
            )


def _refuse(name: str, layer: nn.Module) -> InvalidGameError:
    why = next((reason for kind, reason in _WHY_NOT if isinstance(layer, kind)), _BENT)
    if any(True for _ in layer.children()):
        why = "it is a module of its own, and what it does with its parts cannot be seen"
    return InvalidGameError(
        f"layer {name} ({type(layer).__name__}) is not covered: {why}; {_EXPECTED}. layer_equilibrium reads any "
        "DynamicGame"
    )


def _assemble(parts: list[tuple[str, nn.Module]]) -> LayeredNet:
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    bent: list[bool] = []
    names: list[str] = []
    for name, layer in parts:
        if type(layer) is nn.Linear:
            for what, p in layer.named_parameters():
                if not bool(p.isfinite().all()):
                    raise InvalidStrategyError(
                        f"layer {name} (Linear): its {what} has {int((~p.isfinite()).sum())} entries that are NaN or "
                        "infinite, expected finite weights"
                    )
            if weights and layer.in_features != len(weights[-1]):
                raise InvalidGameError(
                    f"layer {name} (Linear): got {layer.in_features} inputs after a layer of {len(weights[-1])} "
                    "outputs, expected as many"
                )
            weights.append(layer.weight.detach().double().clone())
            biases.append(None if layer.bias is None else layer.bias.detach().double().clone())
            names.append(name)
            bent.append(False)
        elif type(layer) is nn.ReLU and weights:
            bent[-1] = True
        elif type(layer) not in _PASSING:
            raise (
                _refuse(name, layer)
                if type(layer) is not nn.ReLU
                else InvalidGameError(
                    f"layer {name} (ReLU): it stands before the first linear layer, {_EXPECTED}: apply it to the data"
                )
            )
    if not weights:
        raise InvalidGameError(f"got a network without a linear layer, {_EXPECTED}")
    if bent[-1]:
        raise InvalidGameError(
            f"layer after {names[-1]} (ReLU): it bends the outputs, and the loss would not be convex in the path "
            f"flows; {_EXPECTED}, and a linear layer at the end"
        )
    return LayeredNet(tuple(weights), tuple(biases), tuple(bent[:-1]), tuple(names))
