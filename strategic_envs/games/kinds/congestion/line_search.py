"""How far to go along a line of loads: a safe Newton's method on the slope of the Beckmann potential."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from strategic_envs.games.kinds.congestion.costs import Costs

__all__ = ["step_length"]


def step_length(
    costs: Costs, loads: Float[Tensor, " E"], direction: Float[Tensor, " E"], most: float, accuracy: float = 0.1
) -> float:
    """A step s in [0, most] along which the potential falls, nearly to its least value on `loads + s direction`.

    Newton's method on the potential's slope, within a bracket that is halved where Newton would leave it or gains too
    little; it stops a little before the minimum, so the potential cannot grow. The compiled kernel does the same.

    Args:
        costs: The cost functions.
        loads: Where the line starts, `(E,)`.
        direction: `(E,)`.
        most: The longest step.
        accuracy: The slope, as a share of the first one, at which it stops before the minimum.

    Example:
        >>> import torch
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> costs = PowerCosts.affine([0.0, 1.0], [0.5, 0.0])
        >>> step_length(costs, torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 1.0]).double(), 1.0)
        0.5
    """
    on = direction != 0

    def along(s: float) -> tuple[float, float]:
        x = (loads + s * direction).clamp(min=0)
        d = direction[on]
        return float((d * costs.value(x)[on]).sum()), float((d * d * costs.derivative(x)[on]).sum())

    g, h = along(0.0)
    if not g < 0:
        return 0.0
    first = -g if g > -math.inf else 1.0
    low, high, s, closed = 0.0, most, 0.0, False  # closed: the slope at `high` is known to be above 0
    for trial in range(200):
        new = s - g / h if 0 < h < math.inf and g > -math.inf else -1.0
        if not low < new < high or (trial == 1 and not closed):  # after one Newton step the end is tried
            new = 0.5 * (low + high) if closed else high
        if new == low or (closed and new == high):  # no number is left between them
            break
        last, s = abs(g), new
        g, h = along(s)
        if -accuracy * first <= g <= 1e-5 * accuracy * first or (s == most and g <= 0):
            return s
        if g < 0:
            low = s
        else:
            high, closed = s, True
        if abs(g) > 0.5 * last:
            h = 0.0  # the bracket is halved next
    return low
