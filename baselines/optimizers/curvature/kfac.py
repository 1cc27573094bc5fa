"""KFAC: the curvature of a layer as the Kronecker product of two small matrices (Martens and Grosse, 2015)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.base import Matrix, copied
from strategic_envs.baselines.optimizers.curvature.kronecker import KroneckerFactors
from strategic_envs.games.networks.units import Unit

__all__ = ["KFAC"]

_LARGEST_RATIO = 1e6


class KFAC(KroneckerFactors):
    """`(A + pi sqrt(d) I) (x) (B + sqrt(d) / pi I)`, `pi^2` the ratio of the factors' mean eigenvalues, `d` damping.

    Norms and convolutions in several groups have the diagonal `E[g^2] + d`. A layer without statistics has the
    identity.

    Args:
        damping: `d`.
        decay: How much of the old factors stays at each sampling.
        every: Statistics are sampled and factors inverted at each `every`th step,
        first: and at the first so many.

    Example:
        >>> import torch
        >>> unit = Unit("fc", torch.nn.Linear(2, 1, bias=False), "linear", 0)
        >>> kfac = KFAC(damping=1.0)
        >>> kfac.observe(unit, torch.eye(2), torch.ones(2, 1), torch.ones(1, 2))
        >>> kfac.refresh(0)
        >>> x = torch.tensor([[1.0, 2.0]])
        >>> bool(kfac.apply(unit, kfac.solve(unit, x)).allclose(x))
        True
    """

    def __init__(self, damping: float = 0.01, decay: float = 0.95, every: int = 10, first: int = 5) -> None:
        super().__init__(damping, decay, every, first)
        self._damped: dict[str, tuple[Tensor, ...]] = {}
        self._inverses: dict[str, tuple[Tensor, ...]] = {}

    def _make(self, name: str, damping: float) -> None:
        if len(self._means[name]) == 1:
            (squares,) = self._means[name]
            self._damped[name] = (squares + damping,)
            return
        A, B = self._means[name]
        damped = damp(A, B, damping)
        of_A, of_B = inverse(damped[0]), inverse(damped[1])
        if of_A is None or of_B is None:
            self._refused[name] = torch.ones((), dtype=torch.bool)
        else:
            self._damped[name], self._inverses[name] = damped, (of_A, of_B)

    def solve(self, unit: Unit, R: Matrix) -> Matrix:
        damped = self._damped.get(unit.name)
        if damped is None:
            return R
        if len(damped) == 1:
            return R / damped[0]
        A, B = self._inverses[unit.name]
        return B @ R @ A

    def apply(self, unit: Unit, X: Matrix) -> Matrix:
        damped = self._damped.get(unit.name)
        if damped is None:
            return X
        return X * damped[0] if len(damped) == 1 else damped[1] @ X @ damped[0]

    def factors(self, unit: Unit) -> tuple[Tensor, Tensor] | None:
        damped = self._damped.get(unit.name, ())
        return (damped[0], damped[1]) if len(damped) == 2 else None

    def _export(self) -> dict[str, Any]:
        return super()._export() | {"damped": copied(self._damped), "inverses": copied(self._inverses)}

    def _import(self, layers: Mapping[str, Any]) -> None:
        super()._import(layers)
        self._damped, self._inverses = copied(layers["damped"]), copied(layers["inverses"])


def damp(A: Tensor, B: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Both factors, the damping shared out by the ratio of their mean eigenvalues; guarded where a factor vanishes."""
    ratio = (A.diagonal().mean() / B.diagonal().mean()).sqrt().nan_to_num(nan=1.0, posinf=_LARGEST_RATIO)
    ratio = ratio.clamp(1 / _LARGEST_RATIO, _LARGEST_RATIO)
    root = math.sqrt(damping)
    shifted = A.clone(), B.clone()
    shifted[0].diagonal().add_(root * ratio)
    shifted[1].diagonal().add_(root / ratio)
    return shifted


def inverse(matrix: Tensor) -> Tensor | None:
    """The inverse of a positive definite matrix, lifted where rounding has made it none; None if it fails."""
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if not bool(failed):
        return torch.cholesky_inverse(lower)
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError:
        return None
    floor = values[-1].clamp(min=torch.finfo(values.dtype).tiny) * torch.finfo(values.dtype).eps
    return (vectors / torch.maximum(values, floor)) @ vectors.mT
