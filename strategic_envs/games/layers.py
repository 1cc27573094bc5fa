"""The layers of a plain network as players, on real data: handwritten digits.

Every layer owns its weights and all pay the same loss, so this is a game of common interest; what the layers disagree
about is only what each may change. See `strategic_envs.games.kinds.dynamic`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from strategic_envs.data import MinibatchSampler, load
from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["GAMES", "layers"]

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "identity": nn.Identity}


def layers(
    hidden: Sequence[int] = (16,),
    data: str = "digits",
    data_dir: str | Path | None = None,
    *,
    network: nn.Sequential | None = None,
    split: str = "train",
    activation: str = "relu",
    loss: str = "cross_entropy",
    samples: int | None = None,
    weight_decay: float | Sequence[float] = 0.0,
    seed: int = 0,
) -> DynamicGame:
    """A multilayer perceptron on a data set; player i is its i-th linear layer.

    Args:
        hidden: The widths of the hidden layers; none leaves softmax regression, a convex game of one player.
        data: `digits` (needs scikit-learn) or `mnist`.
        data_dir: The folder of the MNIST files; by default the one that `STRATEGIC_ENVS_DATA` names.
        network: A plain torch network to take instead of a perceptron; it reads flat vectors (an `nn.Unflatten` makes
            images of them), and `hidden` and `activation` are not used then.
        split: `train` or `test`.
        activation: `relu`, `tanh`, `sigmoid`, `gelu` or `identity`, between the layers.
        loss: `cross_entropy` or `mse` (against one-hot classes).
        samples: How many samples to take, drawn by `seed`; all by default.
        weight_decay: The players' decay, one number or one a player.
        seed: Which samples are drawn. Initial weights have a seed of their own, `game.initial(seed)`.

    Raises:
        InvalidGameError: If a width is not a whole number >= 1, or the network is not supported.
        UnknownNameError: If there is no such data set, split or activation.
        DataError: If the data cannot be read.

    Example:
        >>> game = layers(hidden=(16,))
        >>> game.dims, len(game.inputs)
        ((1040, 170), 1437)
    """
    if not isinstance(hidden, Sequence) or not all(type(width) is int and width >= 1 for width in hidden):
        raise InvalidGameError(f"got hidden={hidden!r}, expected widths that are whole numbers >= 1, such as (16,)")
    if activation not in _ACTIVATIONS:
        raise UnknownNameError("activation", activation, _ACTIVATIONS)
    dataset = load(data, data_dir, split).flatten()
    inputs, targets = dataset.inputs, dataset.targets
    if samples is not None:
        rows = MinibatchSampler(len(targets), samples, seed).indices(0)
        inputs, targets = inputs[rows], targets[rows]
    if network is None:
        widths = [inputs.shape[1], *hidden, dataset.n_classes]
        chain: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            chain += [nn.Linear(before, after, device="meta"), _ACTIVATIONS[activation]()]
        network, label = nn.Sequential(*chain[:-1]), "-".join(map(str, widths))
    else:
        label = "network"
    name = f"layers({data}, {label})"
    return DynamicGame.from_sequential(network, inputs, targets, loss, weight_decay=weight_decay, name=name)


GAMES: dict[str, Callable[..., DynamicGame]] = {"layers": layers}
