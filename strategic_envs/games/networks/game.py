"""Any torch network and a batch of data as a dynamic game: the stages as functions of the players' flat weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import with_weights
from strategic_envs.games.networks.checks import check_batch, check_samples
from strategic_envs.games.networks.refusals import refuse
from strategic_envs.games.networks.staged import StagedNet, from_module
from strategic_envs.games.networks.units import Player, State, Unit

__all__ = ["NetworkStage", "Template", "network_game"]

_Place = tuple[int, int, dict[str, torch.Size]]  # the player, the first of its pieces, and the shapes of the pieces


class Template:
    """A staged network without its players' weights, which all stages of a game share.

    Args:
        module: The module; it is copied. Its buffers and frozen layers keep their numbers.
        alignment: As of `from_module`.
        **options: `unsupported` and `in_place`, as of `from_module`.
    """

    def __init__(self, module: nn.Module, alignment: str | Mapping[str, int] = "late", **options: str) -> None:
        trained = [p for p in module.parameters() if p.requires_grad]
        bare: dict[int, Any] = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in trained}
        self.staged = from_module(copy.deepcopy(module, bare), alignment, **options)
        self._variants: dict[tuple[torch.dtype, torch.device], StagedNet] = {}

    def like(self, tensor: Tensor) -> StagedNet:
        """The staged network with its buffers and frozen layers in a tensor's dtype and on its device."""
        key = (tensor.dtype, tensor.device)
        if key not in self._variants:
            kept: dict[int, Any] = {}
            for p in self.staged.module.parameters():
                kept[id(p)] = p if p.is_meta else nn.Parameter(p.detach().to(tensor), requires_grad=False)
            for b in self.staged.module.buffers():
                kept[id(b)] = b.to(tensor) if b.is_floating_point() else b.to(tensor.device)
            self._variants[key] = copy.deepcopy(self.staged, kept)
        return self._variants[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"staged": self.staged, "_variants": {}}


class NetworkStage:
    """One stage of a network game; it has what a `DynamicGame` asks of a `GameStage`.

    Args:
        template: The network.
        t: The number of the stage.

    Example:
        >>> template = Template(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
        >>> stage = NetworkStage(template, 0)
        >>> stage.dims, stage((torch.zeros(5, 4),), [torch.zeros(15)])[0].shape
        ((15,), torch.Size([5, 3]))
    """

    def __init__(self, template: Template, t: int) -> None:
        self.template, self.t = template, t
        stage = template.staged.stages[t]
        self.players = tuple(_template_of(player) for player in stage.players)
        self.names = tuple(player.name for player in stage.players)
        self.dims = tuple(sum(p.numel() for p in player.parameters()) for player in self.players)
        self.shapes = tuple({name: p.shape for name, p in player.named_parameters()} for player in self.players)
        self.ends_linear = stage.ends is not None and stage.ends.kind == "linear" and stage.ends.player >= 0
        every = list(template.staged.module.parameters())
        index = {id(p): i for i, p in enumerate(every)}
        own = tuple(index[id(p)] for player in self.players for p in player.parameters())
        self.origin = (tuple(p.shape for p in every), own)
        self._places = _places(stage.players)
        self._sizes = tuple([p.numel() for p in player.parameters()] for player in self.players)

    def __reduce__(self) -> tuple[Any, ...]:
        return NetworkStage, (self.template, self.t)

    def __call__(self, state: State, weights: Sequence[Tensor]) -> State:
        """The next state.

        Args:
            state: The slots of `x_t`, samples first.
            weights: The flat weights of each player, `(d,)`.
        """
        pieces = [w.split(sizes) for w, sizes in zip(weights, self._sizes, strict=True)]

        def apply(unit: Unit, value: Tensor) -> Tensor:
            parameters: dict[str, Tensor] = {}
            if unit.name in self._places:
                number, start, shapes = self._places[unit.name]
                own = pieces[number][start:]
                parameters = {name: w.view(shape) for (name, shape), w in zip(shapes.items(), own, strict=False)}
            return _call(unit, parameters, value)

        return self._stage(state).run(state, apply)

    def run(self, state: State, modules: Sequence[nn.Module]) -> State:
        """The next state, from what `modules` gave; other than in the game, norms keep their running statistics."""
        layers = {
            unit.name: layer
            for player, module in zip(self.template.staged.stages[self.t].players, modules, strict=True)
            for unit, layer in zip(player.units, [module] if len(player.units) == 1 else module.children(), strict=True)
        }

        def apply(unit: Unit, value: Tensor) -> Tensor:
            return layers[unit.name](value) if unit.name in layers else _call(unit, {}, value)

        return self._stage(state).run(state, apply)

    def modules(self, weights: Sequence[Tensor]) -> tuple[nn.Module, ...]:
        """The players as modules with these weights, which they do not share."""
        return tuple(with_weights(player, w) for player, w in zip(self.players, weights, strict=True))

    def _stage(self, state: State) -> Any:
        return self.template.like(state[0]).stages[self.t]


def _template_of(player: Player) -> nn.Module:
    if len(player.units) == 1:
        return player.units[0].module
    return nn.ModuleDict({f"{i}_{u.name.rpartition('.')[2]}": u.module for i, u in enumerate(player.units)})


def _places(players: Sequence[Player]) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for number, player in enumerate(players):
        start = 0
        for unit in player.units:
            shapes = {name: parameter.shape for name, parameter in unit.module.named_parameters()}
            places[unit.name] = (number, start, shapes)
            start += len(shapes)
    return places


def _call(unit: Unit, parameters: dict[str, Tensor], value: Tensor) -> Tensor:
    """Runs a unit with given parameters, or its own if it is frozen, and changes nothing in it."""
    module = unit.module
    if unit.kind == "dropout":
        return value  # network_game has refused it where it would do something
    own = parameters or dict(module.named_parameters())
    if unit.kind == "linear":
        return functional.linear(value, own["weight"], own.get("bias"))
    if unit.kind == "conv" and isinstance(module, nn.Conv1d | nn.Conv2d):
        return module._conv_forward(value, own["weight"], own.get("bias"))
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return _normalise(unit, module, own, value)
    buffers = {name: b.clone() for name, b in module.named_buffers()}
    return functional_call(module, {**own, **buffers}, (value,))


def _normalise(
    unit: Unit, module: nn.modules.batchnorm._NormBase, parameters: dict[str, Tensor], value: Tensor
) -> Tensor:
    """A norm with running statistics: in training mode by the samples at hand, otherwise by the running ones."""
    weight, bias = parameters.get("weight"), parameters.get("bias")
    mean, variance = module.running_mean, module.running_var
    here = module.training or mean is None
    if here:
        mean = variance = None
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return functional.instance_norm(value, mean, variance, weight, bias, use_input_stats=here, eps=module.eps)
    check_samples(unit, len(value))
    return functional.batch_norm(value, mean, variance, weight, bias, training=here, eps=module.eps)


def network_game(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: str = "cross_entropy",
    *,
    alignment: str | Mapping[str, int] = "late",
    unsupported: str = "refuse",
    in_place: str = "refuse",
    weight_decay: float | Sequence[float] = 0.0,
    name: str = "network",
) -> DynamicGame:
    """The game of a torch module's layers: the players are those of `from_module`, in the same order.

    The module is copied, not kept; `game.load(module)` reads its weights. Batch norms are played as the module is: in
    training mode they normalise by the statistics of the game's samples (of the minibatch, in `game.minibatch`), in
    evaluation mode by their running statistics; the game never changes these. Frozen layers keep their numbers.

    Args:
        module: The network, one tensor in, one tensor out, samples first.
        inputs: The samples, `(N, ...)`.
        targets: See `DynamicGame`.
        loss: `cross_entropy` or `mse`.
        alignment: `early`, `late`, or the stage of every player by name.
        unsupported: See `from_module`.
        in_place: See `from_module`.
        weight_decay: The players' decay, one number or one a player.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: If the module cannot be cut into stages, has dropout in training mode, or a batch norm in
            training mode and one sample; or the data does not fit.

    Example:
        >>> module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> game = network_game(module, torch.ones(8, 2), torch.arange(8) % 2)
        >>> game.dims, torch.equal(game.outputs(game.load(module)), module(game.inputs))
        ((9, 8), True)
    """
    template = Template(module, alignment, unsupported=unsupported, in_place=in_place)
    for unit in template.staged.units:
        if unit.kind == "dropout" and unit.module.training and getattr(unit.module, "p", 1) > 0:
            raise refuse(
                f"layer {unit.name} ({type(unit.module).__name__})",
                "its output is random, and a game's utilities are not: set p=0, or call module.eval()",
            )
    check_batch(template.staged, inputs)
    stages = [NetworkStage(template, t) for t in range(len(template.staged.stages))]
    return DynamicGame(stages, inputs, targets, loss=loss, weight_decay=weight_decay, name=name)
