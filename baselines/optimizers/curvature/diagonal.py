"""A diagonal matrix made of a running mean of squared gradients: what RMSprop and Adam have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.base import Curvature, Matrix, copied
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks.units import Unit

__all__ = ["SquaredGradients"]


class SquaredGradients(Curvature):
    """The diagonal `sqrt(mean of squared gradients) + eps`, whose running mean forgets by the factor `decay` a step.

    Args:
        decay: In [0, 1).
        eps: Positive.
    """

    def __init__(self, decay: float, eps: float) -> None:
        if not 0 <= decay < 1:
            raise InvalidSettingError(f"the decay (RMS: alpha, Adam: beta) is in [0, 1), got {decay!r}: pass 0.99")
        super().__init__(eps)
        self.decay = decay
        self._notes: dict[str, tuple[Tensor, int]] = {}
        self._squares: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._scales: dict[str, Tensor] = {}

    def observe(self, unit: Unit, a: Any, h: Any, gradient: Matrix) -> None:
        del a, h
        before, times = self._notes.get(unit.name, (torch.zeros_like(gradient), 0))
        self._notes[unit.name] = (before + gradient.detach(), times + 1)

    def refresh(self, step: int, damping: Mapping[str, float] | None = None) -> None:
        self._refused = {}
        for name, (total, times) in self._notes.items():
            mean = total / times
            good = torch.isfinite(mean).all()
            if name not in self._squares:
                self._squares[name] = torch.zeros_like(mean)
                self._counts[name] = torch.zeros((), dtype=torch.float64, device=mean.device)
            old, count = self._squares[name], self._counts[name]
            square = (old * self.decay).addcmul_(mean, mean, value=1 - self.decay)
            self._squares[name] = torch.where(good, square, old)
            self._counts[name] = count + good
            self._refused[name] = ~good
            eps = (damping or {}).get(name, self.damping)
            scale = self._scale(self._squares[name], self._counts[name]).add_(eps)
            self._scales[name] = torch.where(self._counts[name] > 0, scale, 1.0)
        self._notes = {}
        self.step = step + 1

    @abstractmethod
    def _scale(self, square: Tensor, count: Tensor) -> Tensor:
        """The square root of the running mean, a new tensor."""

    def solve(self, unit: Unit, R: Matrix) -> Matrix:
        return R / self._scales[unit.name] if unit.name in self._scales else R

    def apply(self, unit: Unit, X: Matrix) -> Matrix:
        return X * self._scales[unit.name] if unit.name in self._scales else X

    def discard(self) -> None:
        self._notes = {}

    def _export(self) -> dict[str, Any]:
        return copied(
            {n: {"square": v, "count": self._counts[n], "scale": self._scales[n]} for n, v in self._squares.items()}
        )

    def _import(self, layers: Mapping[str, Any]) -> None:
        layers = copied(layers)
        self._squares = {name: layer["square"] for name, layer in layers.items()}
        self._counts = {name: layer["count"] for name, layer in layers.items()}
        self._scales = {name: layer["scale"] for name, layer in layers.items()}
