"""Costs of a user's own functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.costs import Costs

__all__ = ["FunctionCosts", "MarginalCosts"]

Function = Callable[[Tensor], Tensor]


class FunctionCosts(Costs):
    """Costs given as functions of all loads `(*batch, E)`, in torch operations, resource by resource.

    A game looks at them on 33 loads a resource when it is made: they must be finite, must not decrease, must not be
    negative unless that is allowed, and the integral must fit. Solvers take the tensor path, which is slower than the
    compiled one of `PowerCosts`.

    Args:
        value: The cost.
        integral: Its integral from a load of zero.
        derivative: Its slope; by automatic differentiation when not given.
        size: E, the number of resources.
        second: The slope of the slope, likewise.
        allow_negative: Whether costs may be negative. There is no relative gap and no price of anarchy then.

    Raises:
        InvalidGameError: If a function is none or the size is not above 0.

    Example:
        >>> tolls = FunctionCosts(torch.exp, lambda x: torch.exp(x) - 1, size=2)
        >>> load = torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> [round(v, 6) for v in tolls.marginal().value(load).tolist()]
        [1.0, 5.436564]
    """

    def __init__(
        self,
        value: Function,
        integral: Function,
        derivative: Function | None = None,
        size: int = 0,
        *,
        second: Function | None = None,
        allow_negative: bool = False,
    ) -> None:
        for what, function in (("value", value), ("integral", integral)):
            if not callable(function):
                raise InvalidGameError(f"function costs: got {what}={function!r}, expected a function of the loads")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidGameError(f"function costs: got size={size!r}, expected the number of resources, at least 1")
        self._value, self._integral, self._derivative, self._second = value, integral, derivative, second
        self._size = size
        self.nonnegative = not allow_negative

    def __repr__(self) -> str:
        return f"FunctionCosts({self._size} resources)"

    @property
    def size(self) -> int:
        return self._size

    def value(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self._value(load)

    def integral(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self._integral(load)

    def derivative(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return _slope(self._value, load) if self._derivative is None else self._derivative(load)

    def second(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return _slope(self.derivative, load) if self._second is None else self._second(load)

    def marginal(self) -> MarginalCosts:
        return MarginalCosts(self)


class MarginalCosts(Costs):
    """The marginal costs `c(x) + x c'(x)` of any costs.

    Args:
        of: The costs.

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> MarginalCosts(PowerCosts.affine([1.0], [3.0])).value(torch.tensor([2.0])).tolist()
        [7.0]
    """

    def __init__(self, of: Costs) -> None:
        self.of = of
        self.nonnegative, self.finite = of.nonnegative, of.finite

    def __repr__(self) -> str:
        return f"MarginalCosts({self.of!r})"

    @property
    def size(self) -> int:
        return self.of.size

    def value(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self.of.value(load) + _times(load, self.of.derivative(load))

    def integral(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return _times(load, self.of.value(load))

    def derivative(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return 2 * self.of.derivative(load) + _times(load, self.of.second(load))

    def second(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return _slope(self.derivative, load)

    def marginal(self) -> MarginalCosts:
        return MarginalCosts(self)


def _times(load: Tensor, value: Tensor) -> Tensor:
    """Their product, and nothing at no load, where a slope may be infinite."""
    return torch.where(load == 0, 0.0, load * value)


def _slope(function: Function, load: Tensor) -> Tensor:
    """The derivative of a function that acts on each load alone."""
    with torch.enable_grad():
        x = load if load.requires_grad else load.detach().requires_grad_()
        y = function(x)
        if not y.requires_grad:  # constant costs
            return torch.zeros_like(load)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True)
    return slope if load.requires_grad else slope.detach()
