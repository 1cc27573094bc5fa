"""The layers of a network as players: how far each layer is from its own equilibrium, the others being as they are.

Layer l's own game: its players are the units that it reads (and its bias), their strategies the edges to the units that
it gives, with either sign; an edge costs its slope `dL/dW_l`. All slopes zero is the Wardrop equilibrium of every
layer's game. Where the loss is convex in the layer's weights (linear networks, and the last layer of any), that is a
best response: critical points of a linear network, saddles among them, are Nash equilibria of its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.wardrop.chain import layered, one_profile
from strategic_envs.evaluators.wardrop.losses import Data, data_of
from strategic_envs.evaluators.wardrop.paths import network_and_data
from strategic_envs.evaluators.wardrop.problem import LayerProblem, problem_of
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["LayerEquilibrium", "layer_equilibrium"]


@dataclass(frozen=True)
class LayerEquilibrium:
    """One layer's distance from its own equilibrium.

    What zero means: `gap` 0: the layer cannot gain at first order. `best_response_gain` 0: it cannot gain at all, the
    others staying. If that holds for all layers, the weights are a Nash equilibrium of the layers, and no more: saddles
    and poor local minima are such equilibria too. Of a hidden layer before a ReLU only the gap is known: it may gain by
    a large move through other gates although its gap is 0.

    Args:
        name: The layer.
        gap: The largest `|dL/dW|` of its weights and biases, its weight decay counted in.
        excess: `sum_k b_k max_i |G_ik| + <W, G>`, G being the slopes and `b_k = sum_i |W_ik|` the budget of unit k. If
            `convex`, the layer cannot gain more than this without a larger budget; otherwise a score of first order.
            It can be 0 where the gap is not: the budget is spent, or is zero. None for layers that are not linear.
        best_response_gain: How much the layer gains by its best response, without a budget. None where its problem is
            not convex, or was not solved.
        convex: Whether the loss is convex in the layer's weights.
        exact: Whether `best_response_gain` is exact; if not, it is a gain that some weights reach.
    """

    name: str
    gap: float
    excess: float | None
    best_response_gain: float | None
    convex: bool
    exact: bool

    def row(self) -> dict[str, float]:
        """The numbers as a flat dictionary (flags are 0 or 1); what is None is left out."""
        values = {"layer_gap": self.gap, "layer_excess": self.excess, "best_response_gain": self.best_response_gain}
        flags = {"convex": float(self.convex), "exact": float(self.exact)}
        return {k: float(v) for k, v in values.items() if v is not None} | flags

    def __str__(self) -> str:
        parts = [f"{self.name:24} gap {self.gap:.4g}"]
        if self.excess is not None:
            parts.append(f"excess {self.excess:.4g}{'' if self.convex else ' (first order)'}")
        if self.best_response_gain is None:
            parts.append("best response unknown")
        else:
            parts.append(f"best response gains {'' if self.exact else 'at least '}{self.best_response_gain:.4g}")
        return ", ".join(parts)


def layer_equilibrium(
    net: nn.Module | DynamicGame,
    inputs: object,
    targets: Tensor | None = None,
    loss: str | None = None,
    *,
    best_response: bool = True,
) -> tuple[LayerEquilibrium, ...]:
    """How far each layer is from its own equilibrium, the other layers being as they are; see `LayerEquilibrium`.

    Args:
        net: A network that `path_wardrop` reads, or any `DynamicGame`: of one with convolutions, shortcuts or norms the
            gaps are given, and the best response of a last linear layer.
        inputs: The samples; for a game the profile.
        targets: As of `path_wardrop`; not for a game.
        loss: As of `path_wardrop`; not for a game.
        best_response: Whether best responses are computed; under cross-entropy each is a search.

    Returns:
        One entry a layer; of a game one a player, in order.

    Raises:
        InvalidGameError: If the network is not covered, or the data does not fit or is empty.
        InvalidStrategyError: If a weight is NaN or infinite.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
        >>> for p in net.parameters():
        ...     _ = nn.init.zeros_(p)
        >>> for layer in layer_equilibrium(net, torch.eye(2), torch.tensor([[1.0], [0.0]])):
        ...     print(layer)  # a saddle is an equilibrium of the layers
        0                        gap 0, excess 0, best response gains 0
        1                        gap 0, excess 0, best response gains 0
    """
    if isinstance(net, DynamicGame):
        return _of_game(net, inputs, targets, loss, best_response)
    network, data = network_and_data(net, inputs, targets, loss)
    slopes, shifts = network.gradients(data)
    found = []
    for i, name in enumerate(network.names):
        own = _joined(network.weights[i], network.biases[i])
        problem = problem_of(network, data, i)
        found.append(_judged(name, own, _joined(slopes[i], shifts[i]), problem, best_response))
    return tuple(found)


def _joined(weight: Tensor, bias: Tensor | None) -> Tensor:
    """A layer's matrix, with its bias as the last column."""
    return weight if bias is None else torch.cat([weight, bias[:, None]], 1)


def _judged(name: str, own: Tensor, slope: Tensor, problem: LayerProblem | None, solve: bool) -> LayerEquilibrium:
    """The entry of a linear layer.

    Args:
        name: The layer.
        own: Its matrix `(d_l, s)`, biases last.
        slope: The slopes, of the same shape, decay counted in.
        problem: Its own problem where it is convex.
        solve: Whether to solve it.
    """
    excess = (own.abs().sum(0) * slope.abs().amax(0)).sum() + (own * slope).sum()
    gain, exact = None, False
    if problem is not None and solve:
        best = problem.best(own)
        gain, exact = max(0.0, float(problem.value(own)) - best.value), best.exact
    gap = float(slope.abs().max())
    return LayerEquilibrium(name, gap, max(0.0, float(excess)), gain, problem is not None, exact)


def _of_game(
    game: DynamicGame, profile: object, targets: object, loss: object, solve: bool
) -> tuple[LayerEquilibrium, ...]:
    if targets is not None or loss is not None:
        raise InvalidGameError(
            f"{game.name}: got targets or a loss beside a game, which has its own; expected (game, profile)"
        )
    x, names = one_profile(game, profile), [name for stage in game.stages for name in stage.names]
    templates = [player for stage in game.stages for player in stage.players]
    problems, found = _problems(game, x), []
    for i, (name, layer, slope) in enumerate(zip(names, templates, game.field(x), strict=True)):
        if type(layer) is nn.Linear:
            found.append(_judged(name, _matrix(layer, x[i]), _matrix(layer, -slope), problems[i], solve))
        else:
            found.append(LayerEquilibrium(name, float(slope.abs().max()), None, None, convex=False, exact=False))
    return tuple(found)


def _matrix(layer: nn.Linear, flat: Tensor) -> Tensor:
    size = layer.out_features * layer.in_features
    weight = flat[:size].view(layer.out_features, layer.in_features)
    return _joined(weight, None if layer.bias is None else flat[size:])


def _problems(game: DynamicGame, x: Sequence[Tensor]) -> list[LayerProblem | None]:
    """Each player's own problem where it is convex."""
    none: list[LayerProblem | None] = [None] * game.n_players
    if len(game.output_shape) != 1:
        return none
    outputs = game.output_shape[0]
    try:
        net = layered(game, x)
    except InvalidGameError:
        last = game.stages[-1]
        if len(last.players) != 1 or not last.ends_linear or type(last.players[0]) is not nn.Linear:
            return none
        reads = _last_reads(game, x)
        data = data_of(reads, game.targets, game.objective.loss, outputs, reads.shape[1], reads, game.name)
        if last.players[0].bias is not None:
            reads = torch.cat([reads, torch.ones_like(reads[:, :1])], 1)
        unit = torch.eye(outputs).to(reads)
        none[-1] = LayerProblem(reads, unit, torch.zeros_like(reads[:, :1] * unit[:1]), data, game.weight_decay[-1])
        return none
    data: Data = data_of(
        game.inputs, game.targets, game.objective.loss, outputs, net.widths[0], net.weights[0], game.name
    )
    return [problem_of(net, data, i, decay) for i, decay in enumerate(game.weight_decay)]


def _last_reads(game: DynamicGame, x: Sequence[Tensor]) -> Tensor:
    """What the last layer reads, `(N, s)`."""
    module, seen = game.module(x), []
    hook = module.players[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    with torch.no_grad():
        module(game.inputs.to(x[0]))
    hook.remove()
    return seen[0]
