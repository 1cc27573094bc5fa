"""Weight decay prices a mode: the classical Wardrop condition of a linear network with one hidden layer.

With decays l1, l2 of its two layers, `l1/2 |W_1|^2 + l2/2 |W_2|^2 >= sqrt(l1 l2) |P|_*` for `P = W_2 W_1`, so that a
wide enough network minimises `L(P) + l |P|_*`, `l = sqrt(l1 l2)`, a convex problem. At its minimum every singular mode
`u s v'` of P that is used has the marginal benefit `-u' G v = l`, and no direction has more than l.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.wardrop.losses import Data
from strategic_envs.evaluators.wardrop.paths import network_and_data
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["SpectralGap", "spectral_gap"]


@dataclass(frozen=True)
class SpectralGap:
    """Benefits of the modes of a linear network with weight decay. Experimental.

    What zero means: `spectral_gap`, `used_error` and `largest_slope` all 0: the global minimum of the loss with decay.
    `spectral_gap` 0 alone says only that no direction pays more than the used modes do.

    Args:
        spectral_gap: `|G|_2 - min over used modes of (-u' G v)`; where no mode is used, what `|G|_2` is above `decay`.
        used_error: The largest `|benefit - decay|` of a used mode; 0 if there is none.
        largest_slope: The largest slope of the loss with decay, over all weights.
        decay: `sqrt(l1 l2)`.
        benefits: `-u' G v` of each used mode, in the order of its size.
        modes: The sizes of the used modes.
        unused: The largest benefit of a direction orthogonal to all used modes; None if there is none.
        full_width: Whether the hidden layer is no narrower than both ends. If it is narrower, a gap may stay at the
            best network of these widths.
    """

    spectral_gap: float
    used_error: float
    largest_slope: float
    decay: float
    benefits: tuple[float, ...]
    modes: tuple[float, ...]
    unused: float | None
    full_width: bool

    def row(self) -> dict[str, float]:
        """The numbers as a flat dictionary; what is None is left out."""
        values = {
            "spectral_gap": self.spectral_gap,
            "used_error": self.used_error,
            "largest_slope": self.largest_slope,
            "decay": self.decay,
            "used_modes": float(len(self.modes)),
            "unused_benefit": self.unused,
            "full_width": float(self.full_width),
        }
        return {k: v for k, v in values.items() if v is not None}

    def __str__(self) -> str:
        benefits = ", ".join(f"{b:.6g}" for b in self.benefits) or "none is used"
        lines = [f"spectral_gap     {self.spectral_gap:.6g}", f"benefits         {benefits} (decay {self.decay:.6g})"]
        if self.unused is not None:
            lines.append(f"unused           at most {self.unused:.6g}")
        return "\n".join([*lines, f"largest_slope    {self.largest_slope:.6g}", "experimental"])


def spectral_gap(
    net: nn.Module | DynamicGame,
    inputs: object,
    targets: Tensor | None = None,
    loss: str | None = None,
    *,
    weight_decay: float | None = None,
    tolerance: float = 1e-6,
) -> SpectralGap:
    """The benefits of the singular modes of a linear network with one hidden layer and weight decay; see `SpectralGap`.

    Args:
        net: Two linear layers without bias, or a `DynamicGame` of them, whose decays it has.
        inputs: The samples; for a game the profile.
        targets: As of `path_wardrop`; not for a game.
        loss: As of `path_wardrop`; not for a game.
        weight_decay: l of `l/2 (|W_1|^2 + |W_2|^2)`, positive; not for a game.
        tolerance: A mode is used if it is larger than this share of the largest, and of the size that turns the inputs
            into the targets (into numbers of order one, under cross-entropy).

    Raises:
        InvalidGameError: If the network is not of this kind, or the data does not fit.
        InvalidSettingError: If there is no positive decay.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        >>> for p in net.parameters():
        ...     _ = nn.init.ones_(p)
        >>> one = torch.ones(1, 1)
        >>> spectral_gap(net, one, 3 * one, "half_squared", weight_decay=2.0).benefits  # P = 1 earns 3 - 1
        (2.0,)
    """
    network, data = network_and_data(net, inputs, targets, loss)
    if len(network.weights) != 2 or not network.linear or any(b is not None for b in network.biases):
        raise InvalidGameError(
            f"{data.name}: got layers {list(network.names)} of widths {network.widths}"
            f"{'' if network.linear else ' with ReLU'}, expected two linear layers without bias and nothing between"
        )
    if isinstance(net, DynamicGame):
        if weight_decay is not None:
            raise InvalidSettingError(f"{net.name}: got weight_decay beside a game, which has its own: leave it out")
        decays = net.weight_decay
    else:
        decays = (weight_decay or 0.0,) * 2
    if not all(math.isfinite(d) and d > 0 for d in decays):
        raise InvalidSettingError(
            f"{data.name}: got weight decay {decays}, expected positive numbers: without decay no mode has a price, "
            "and path_wardrop is the gap to read"
        )
    decay, first, second = math.sqrt(decays[0] * decays[1]), *network.weights
    cost = data.delta(network.forward(data.inputs)[1][-1]).mT @ data.inputs
    u, size, v = torch.linalg.svd(second @ first, full_matrices=False)
    used = size > tolerance * max(float(size.max()), _natural_size(data))
    u, v = u[:, used], v[used]
    benefits = -(u * (cost @ v.mT)).sum(0)
    rest = cost - u @ (u.mT @ cost)
    rest = rest - (rest @ v.mT) @ v
    slopes, _ = network.gradients(data)
    return SpectralGap(
        spectral_gap=float(torch.linalg.matrix_norm(cost, 2)) - (float(benefits.min()) if len(benefits) else decay),
        used_error=float((benefits - decay).abs().max()) if len(benefits) else 0.0,
        largest_slope=max(
            float((g + d * w).abs().max()) for g, d, w in zip(slopes, decays, (first, second), strict=True)
        ),
        decay=decay,
        benefits=tuple(benefits.tolist()),
        modes=tuple(size[used].tolist()),
        unused=float(torch.linalg.matrix_norm(rest, 2)) if len(benefits) < min(cost.shape) else None,
        full_width=network.full_width,
    )


def _natural_size(data: Data) -> float:
    """The size of a map from the inputs to numbers such as the targets."""
    wanted = float(data.targets.norm()) if data.quadratic else len(data) ** 0.5
    return wanted / max(float(data.inputs.norm()), 1e-150)
