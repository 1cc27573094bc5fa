"""What a resource costs each of its users, as a function of its load.

A `Costs` holds the cost functions of all E resources at once and works on loads `(*batch, E)`. Costs do not decrease:
then the Beckmann potential, the sum of their integrals, is convex, and its minima are the Wardrop equilibria.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion.sampled import check_costs

__all__ = ["Costs", "LogCosts", "PowerCosts", "numbers"]

Numbers = Tensor | np.ndarray | Sequence[float] | Sequence[Sequence[float]]


def numbers(values: object, what: str) -> Tensor:
    """A tensor of finite float64 numbers, or an error that says what they were to be.

    Example:
        >>> numbers([1, 2], "slopes").tolist()
        [1.0, 2.0]
    """
    try:
        tensor = torch.as_tensor(values, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidGameError(f"{what}: expected a rectangular array of numbers: {error}") from error
    if not bool(tensor.isfinite().all()):
        where = (~tensor.isfinite()).nonzero()[0].tolist()
        raise InvalidGameError(f"{what}: got a value that is NaN or infinite at {where}, expected finite numbers")
    return tensor


class Costs(ABC):
    """The cost functions of E resources: loads `(*batch, E)` in, one number a resource `(*batch, E)` out.

    Attributes:
        nonnegative: Whether no cost can be below zero. Only then is a relative gap meaningful.
        finite: Whether costs are finite at a load of zero.
    """

    nonnegative: bool = True
    finite: bool = True

    @property
    @abstractmethod
    def size(self) -> int:
        """E, the number of resources."""

    @abstractmethod
    def value(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        """What a user of each resource pays."""

    @abstractmethod
    def integral(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        """The integral of the cost from a load of zero."""

    @abstractmethod
    def derivative(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        """The slope of the cost."""

    @abstractmethod
    def second(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        """The slope of the slope."""

    @abstractmethod
    def marginal(self) -> Costs:
        """The marginal costs `c(x) + x c'(x)`: what one more user costs all users together. Their integral is x c(x).

        A Wardrop equilibrium under marginal costs is a system optimum (Beckmann, McGuire and Winsten 1956).
        """

    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The costs as numbers for compiled solvers: coefficients and powers `(E, T)`, and how much of ln x, `(E,)`.

        None where the costs are no such sum: solvers then ask for values.
        """
        return None

    def check(self, largest: Float[Tensor, " E"], name: str) -> None:
        """Refuses what is no cost on sampled loads from zero to `largest`: a game asks when it is made.

        Raises:
            InvalidGameError: As `strategic_envs.games.kinds.congestion.sampled.check_costs`.
        """
        check_costs(self, largest, name)


class PowerCosts(Costs):
    """Sums of powers with non-negative coefficients: `c_e(x) = sum_t a_et x^p_et`.

    Args:
        coefficients: a, `(E, T)`, each at least 0.
        powers: p, `(E, T)` or `(T,)`, each at least 0; they need not be whole.

    Raises:
        InvalidGameError: If shapes do not fit, or a number is negative or not finite.

    Example:
        >>> costs = PowerCosts([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0])  # 1 and x
        >>> load = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> costs.value(load).tolist(), costs.integral(load).tolist(), costs.marginal().value(load).tolist()
        ([1.0, 0.5], [0.5, 0.125], [1.0, 1.0])
    """

    def __init__(self, coefficients: Numbers, powers: Numbers) -> None:
        a, p = numbers(coefficients, "coefficients of costs"), numbers(powers, "powers of costs")
        if a.ndim != 2 or 0 in a.shape or p.shape not in (a.shape, a.shape[1:]):
            raise InvalidGameError(
                f"power costs: got coefficients of shape {tuple(a.shape)} and powers of shape {tuple(p.shape)}, "
                "expected (resources, terms) and the same or (terms,)"
            )
        for what, values in (("coefficient", a), ("power", p)):
            if bool((values < 0).any()):
                row, term = [*(values < 0).nonzero()[0].tolist(), 0][:2] if values.ndim == 2 else (0, 0)
                raise InvalidGameError(
                    f"power costs: got the {what} {float(values.min())} (resource {row}, term {term}), expected at "
                    "least 0: costs must be non-negative and must not decrease; use FunctionCosts for others"
                )
        self.coefficients, self.powers = a, p.expand(a.shape).contiguous()

    @classmethod
    def affine(cls, slope: Numbers, constant: Numbers) -> PowerCosts:
        """`slope x + constant`, each `(E,)`.

        Example:
            >>> PowerCosts.affine([2.0], [1.0]).value(torch.tensor([3.0])).tolist()
            [7.0]
        """
        return cls.polynomial(torch.stack(_rows([constant, slope], "affine costs"), -1))

    @classmethod
    def monomial(cls, factor: Numbers, power: Numbers | float) -> PowerCosts:
        """`factor x^power`, factors `(E,)` and powers `(E,)` or one number.

        Example:
            >>> PowerCosts.monomial([1.0, 2.0], 3).value(torch.tensor([2.0, 1.0])).tolist()
            [8.0, 2.0]
        """
        factor, power = _rows([factor, power], "monomial costs")
        return cls(factor.unsqueeze(-1), power.unsqueeze(-1))

    @classmethod
    def polynomial(cls, coefficients: Numbers) -> PowerCosts:
        """`sum_t coefficients[e, t] x^t`, coefficients `(E, degree + 1)`, the constants first.

        Example:
            >>> PowerCosts.polynomial([[1.0, 0.0, 3.0]]).value(torch.tensor([2.0])).tolist()
            [13.0]
        """
        a = numbers(coefficients, "coefficients of costs")
        if a.ndim != 2:
            raise InvalidGameError(f"polynomial costs: got shape {tuple(a.shape)}, expected (resources, degree + 1)")
        return cls(a, torch.arange(a.shape[1], dtype=torch.float64))

    @classmethod
    def bpr(
        cls,
        free_flow: Numbers,
        capacity: Numbers,
        b: Numbers | float = 0.15,
        power: Numbers | float = 4.0,
        fixed: Numbers | float = 0.0,
    ) -> PowerCosts:
        """Travel times of roads, `free_flow (1 + b (x / capacity)^power) + fixed` (Bureau of Public Roads 1964).

        Args:
            free_flow: The time on an empty road, `(E,)`.
            capacity: The load at which it has grown by the share b, `(E,)`, each above 0.
            b: That share.
            power: How sharply it grows.
            fixed: A constant on top, such as a toll in units of time.

        Example:
            >>> PowerCosts.bpr([2.0], [10.0], b=0.5).value(torch.tensor([10.0])).tolist()
            [3.0]
        """
        free, cap, b, power, fixed = _rows([free_flow, capacity, b, power, fixed], "BPR costs")
        if bool((cap <= 0).any()):
            raise InvalidGameError(f"BPR costs: got the capacity {float(cap.min())}, expected each above 0")
        terms = torch.stack([free + fixed, free * b / cap**power], -1)
        return cls(terms, torch.stack([torch.zeros_like(power), power], -1))

    def __repr__(self) -> str:
        return f"PowerCosts({self.size} resources, {self.coefficients.shape[1]} terms)"

    @property
    def size(self) -> int:
        return len(self.coefficients)

    def value(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self._sum(load, 0)

    def derivative(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self._sum(load, 1)

    def second(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self._sum(load, 2)

    def integral(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        a, p = self.coefficients.to(load), self.powers.to(load)
        return (a / (p + 1) * load.clamp(min=0).unsqueeze(-1) ** (p + 1)).sum(-1)

    def _sum(self, load: Tensor, order: int) -> Tensor:
        """The derivative of this order; a load just below zero, from rounding, counts as zero."""
        a, p = self.coefficients.to(load), self.powers.to(load)
        for _ in range(order):  # d/dx x^p = p x^(p-1), and nothing is left of a constant
            a, p = a * p, torch.where(p == 0, p, p - 1)
        power = load.clamp(min=0).unsqueeze(-1) ** p
        return torch.where(a == 0, torch.zeros_like(a), a * power).sum(-1)

    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, p = self.coefficients.cpu().numpy(), self.powers.cpu().numpy()
        return np.ascontiguousarray(a), np.ascontiguousarray(p), np.zeros(len(a))

    def marginal(self) -> PowerCosts:
        return PowerCosts(self.coefficients * (1 + self.powers), self.powers)


class LogCosts(Costs):
    """Costs that grow with the logarithm of the load: `c_e(x) = w ln x + offset_e`, minus infinity at a load of zero.

    With one resource an action, the Wardrop equilibrium shares the mass in proportion to `exp(-offset_e / w)`: the
    logit rule, and what chemists call an equilibrium of chemical potentials.

    Args:
        offset: `(E,)`.
        weight: w > 0, the same for all resources.

    Raises:
        InvalidGameError: If the offsets are not a row of finite numbers, or the weight is not above 0.

    Example:
        >>> LogCosts([0.0, 1.0]).value(torch.tensor([1.0, 1.0])).tolist()
        [0.0, 1.0]
    """

    nonnegative = False
    finite = False

    def __init__(self, offset: Numbers, weight: float = 1.0) -> None:
        self.offset, self.weight = numbers(offset, "offsets of costs"), float(weight)
        if self.offset.ndim != 1 or not len(self.offset):
            raise InvalidGameError(f"log costs: got offsets of shape {tuple(self.offset.shape)}, expected (resources,)")
        if not 0 < self.weight < math.inf:
            raise InvalidGameError(f"log costs: got weight={weight}, expected a finite number above 0")

    def __repr__(self) -> str:
        return f"LogCosts({self.size} resources)"

    @property
    def size(self) -> int:
        return len(self.offset)

    def value(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self.weight * load.clamp(min=0).log() + self.offset.to(load)

    def integral(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self.weight * torch.xlogy(load.clamp(min=0), load.clamp(min=0)) + load * (
            self.offset.to(load) - self.weight
        )

    def derivative(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return self.weight / load.clamp(min=0)

    def second(self, load: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        return -self.weight / load.clamp(min=0) ** 2

    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a = np.ascontiguousarray(self.offset.cpu().numpy()[:, None])
        return a, np.zeros_like(a), np.full(len(a), self.weight)

    def marginal(self) -> LogCosts:
        return LogCosts(self.offset + self.weight, self.weight)


def _rows(values: Sequence[object], what: str) -> list[Tensor]:
    """Rows of one length (E,), from rows and single numbers."""
    rows = [numbers(v, what) for v in values]
    try:
        rows = list(torch.broadcast_tensors(*rows))
    except RuntimeError as error:
        raise InvalidGameError(
            f"{what}: got shapes {[tuple(r.shape) for r in rows]}, expected one number a resource in each"
        ) from error
    if rows[0].ndim != 1:
        raise InvalidGameError(f"{what}: got shape {tuple(rows[0].shape)}, expected (resources,)")
    return [r.clone() for r in rows]
