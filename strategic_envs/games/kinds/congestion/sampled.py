"""Cost functions are looked at on sampled loads: whether they are costs, and whether their parts fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError

if TYPE_CHECKING:
    from strategic_envs.games.kinds.congestion.costs import Costs

__all__ = ["check_costs"]

_LOADS = 33  # sampled between zero and the largest load
_SLACK = 1e-9  # what rounding may take, relative to the size of the costs
_FIT = 1e-5  # how well the central differences of the integral must fit


def check_costs(costs: Costs, largest: Float[Tensor, " E"], name: str) -> None:
    """Checks costs on 33 loads from zero to `largest`: a sample, so it can miss what happens between.

    Raises:
        InvalidGameError: If a shape is wrong, or a cost is not finite, negative (unless it may be), decreasing, or not
            the derivative of its integral. Names the game, the resource and the load.

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> check_costs(PowerCosts.affine([1.0], [0.0]), torch.ones(1, dtype=torch.float64), "example")
    """
    most = largest.max() if bool((largest > 0).any()) else torch.ones((), dtype=torch.float64)
    largest = torch.where(largest > 0, largest, most)  # what no strategy uses is sampled like the others
    loads = torch.linspace(0, 1, _LOADS, dtype=torch.float64).unsqueeze(-1) * largest
    value = costs.value(loads)
    if not isinstance(value, Tensor) or value.shape != loads.shape:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InvalidGameError(
            f"{name}: costs returned {shape} for loads {tuple(loads.shape)}, expected the same shape"
        )
    inside = slice(None) if costs.finite else slice(1, None)
    _refuse(name, ~value[inside].isfinite(), loads[inside], value[inside], "finite costs")
    size = value[inside].abs().amax(0)
    if costs.nonnegative:
        _refuse(name, value < -_SLACK * size, loads, value, "non-negative costs (or allow_negative=True)")
    falls = value[1:] - value[:-1] < -_SLACK * size
    _refuse(name, falls, loads[1:], value[1:], "costs that do not decrease, but here they do")
    middle, step = loads[1:-1], 1e-6 * largest
    slope = (costs.integral(middle + step) - costs.integral(middle - step)) / (2 * step)
    least, most = costs.value(middle - step), costs.value(middle + step)  # it lies between, even where costs jump
    slack = _FIT * (size + value[1:-1].abs()) + 1e-12
    wrong = ~((slope >= least - slack) & (slope <= most + slack))
    _refuse(name, wrong, middle, slope, "an integral whose slope is the cost, but its slope here is the number given")


def _refuse(name: str, wrong: Tensor, loads: Tensor, values: Tensor, expected: str) -> None:
    if bool(wrong.any()):
        row, e = wrong.nonzero()[0].tolist()
        raise InvalidGameError(
            f"{name}, resource {e}: got {float(values[row, e]):.6g} at a load of {float(loads[row, e]):.6g}, "
            f"expected {expected}"
        )
