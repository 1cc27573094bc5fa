"""No curvature: the step is the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategic_envs.baselines.optimizers.curvature.base import Curvature, Matrix
from strategic_envs.games.networks.units import Unit

__all__ = ["Identity"]


class Identity(Curvature):
    """The identity matrix for every layer; with it an optimizer is SGD.

    Example:
        >>> import torch
        >>> unit = Unit("fc", torch.nn.Linear(1, 1), "linear", 0)
        >>> Identity().solve(unit, torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]])
    """

    def observe(self, unit: Unit, a: Any, h: Any, gradient: Matrix) -> None:
        del unit, a, h, gradient

    def refresh(self, step: int, damping: Mapping[str, float] | None = None) -> None:
        del damping
        self.step = step + 1

    def solve(self, unit: Unit, R: Matrix) -> Matrix:
        return R

    def apply(self, unit: Unit, X: Matrix) -> Matrix:
        return X

    def discard(self) -> None:
        pass

    def _export(self) -> dict[str, Any]:
        return {}

    def _import(self, layers: Mapping[str, Any]) -> None:
        del layers
