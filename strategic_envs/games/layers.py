"""The layers of a network as players, on real data: handwritten digits, MNIST, CIFAR-10.

Every layer owns its weights and all pay the same loss, so this is a game of common interest; what the layers disagree
about is only what each may change. See `strategic_envs.games.kinds.dynamic`, and `strategic_envs.games.networks` for
networks that are no plain chain, whose layers may move in different orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from strategic_envs.data import Dataset, MinibatchSampler, load
from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.sequential import sequential_stages
from strategic_envs.games.networks import inception, mlp, network_game, residual_conv, residual_mlp, resnet18
from strategic_envs.games.networks.fictitious import fictitious_game
from strategic_envs.games.networks.plain import activation_named

__all__ = ["GAMES", "NETWORKS", "layers"]

NETWORKS = ("mlp", "residual", "residual_conv", "inception", "resnet18")
_OF_VECTORS = ("mlp", "residual")


def layers(
    hidden: Sequence[int] = (16,),
    data: str = "digits",
    data_dir: str | Path | None = None,
    *,
    network: str | nn.Module | None = None,
    images: bool | None = None,
    alignment: str | Mapping[str, int] = "late",
    fictitious: int = 1,
    split: str = "train",
    activation: str = "relu",
    loss: str = "cross_entropy",
    samples: int | None = None,
    weight_decay: float | Sequence[float] = 0.0,
    seed: int = 0,
) -> DynamicGame:
    """A network on a data set; the players are its layers, stage by stage.

    Args:
        hidden: The widths of the hidden layers; none leaves softmax regression, a convex game of one player. Of the
            other networks the widths of the blocks: of `inception` each of the four branches' channels, of `resnet18`
            the channels of its stem alone.
        data: `digits` (needs scikit-learn), `mnist` or `cifar10`.
        data_dir: The folder of the files; by default the one that `STRATEGIC_ENVS_DATA` names.
        network: `mlp` (the default), `residual`, `residual_conv`, `inception`, `resnet18`, or a torch module, for
            which `hidden` and `activation` are not used; see `strategic_envs.games.networks`.
        images: Whether the network reads images `(N, channels, height, width)`; by default the convolutional ones do,
            and a torch module reads flat vectors.
        alignment: When a layer moves that may move at more than one stage: `late`, `early`, or the stage of each
            layer by name.
        fictitious: How many players own each layer together, their weights adding up.
        split: `train` or `test`.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`, between the layers.
        loss: `cross_entropy` or `mse` (against one-hot classes).
        samples: How many samples to take, drawn by `seed`; all by default.
        weight_decay: The players' decay, one number or one a layer.
        seed: Which samples are drawn. Initial weights have a seed of their own, `game.initial(seed)`.

    Raises:
        InvalidGameError: If a width is not a whole number >= 1, or the network or the alignment is not supported.
        UnknownNameError: If there is no such data set, network, split or activation.
        DataError: If the data cannot be read.

    Example:
        >>> game = layers(hidden=(16,))
        >>> game.dims, len(game.inputs)
        ((1040, 170), 1437)
        >>> layers(hidden=(8,), network="residual").players
        ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))
    """
    if not isinstance(hidden, Sequence) or not all(type(width) is int and width >= 1 for width in hidden):
        raise InvalidGameError(f"got hidden={hidden!r}, expected widths that are whole numbers >= 1, such as (16,)")
    activation_named(activation)
    named = "mlp" if network is None else network
    if isinstance(named, str) and named not in NETWORKS:
        raise UnknownNameError("network", named, NETWORKS)
    dataset = load(data, data_dir, split)
    by_pixels = images if images is not None else isinstance(named, str) and named not in _OF_VECTORS
    dataset = dataset.images() if by_pixels else dataset.flatten()
    module, label = _build(named, dataset, hidden, activation) if isinstance(named, str) else (named, "network")
    inputs, targets = dataset.inputs, dataset.targets
    if samples is not None:
        rows = MinibatchSampler(len(targets), samples, seed).indices(0)
        inputs, targets = inputs[rows], targets[rows]
    game = _game(module, inputs, targets, loss, alignment, weight_decay, f"layers({data}, {label})")
    return fictitious_game(game, fictitious)


def _build(network: str, data: Dataset, hidden: Sequence[int], activation: str) -> tuple[nn.Module, str]:
    """A network of that name for the data, and what it is called; its weights are not used."""
    features, classes = data.inputs.shape[1], data.n_classes
    if network != "mlp" and not hidden:
        raise InvalidGameError(f"got hidden=() for network={network!r}, expected one width a block, such as (16,)")
    widths = "-".join(map(str, hidden))
    with torch.random.fork_rng(devices=[]):  # torch draws weights where it makes layers
        if network == "mlp":
            sizes = [features, *hidden, classes]
            return mlp(sizes, activation), "-".join(map(str, sizes))
        if network == "residual":
            module = residual_mlp(features, hidden, hidden[0], classes, activation=activation)
        elif network == "residual_conv":
            strides = [1, *[2] * (len(hidden) - 1)]
            module = residual_conv(features, hidden, strides, hidden[0], classes, activation=activation)
        elif network == "inception":
            module = inception(features, hidden, stem=4 * hidden[0], classes=classes, activation=activation)
        else:
            module, widths = resnet18(classes, hidden[0], features), str(hidden[0])
    return module, f"{network} {widths}"


def _game(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: str,
    alignment: str | Mapping[str, int],
    weight_decay: float | Sequence[float],
    name: str,
) -> DynamicGame:
    """The game of the module: of a plain chain as such, otherwise of what torch.fx makes of it."""
    if isinstance(module, nn.Sequential) and alignment in ("late", "early"):
        try:
            stages = sequential_stages(module)
        except InvalidGameError:
            pass  # it has a norm, for example: the general way takes it, or says why not
        else:
            return DynamicGame(stages, inputs, targets, loss=loss, weight_decay=weight_decay, name=name)
    return network_game(module, inputs, targets, loss, alignment=alignment, weight_decay=weight_decay, name=name)


GAMES: dict[str, Callable[..., DynamicGame]] = {"layers": layers}
