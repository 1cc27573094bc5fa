"""Running means of the two factors of each layer, and when they are sampled: what KFAC and EKFAC share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.base import Curvature, Matrix, copied
from strategic_envs.baselines.optimizers.curvature.statistics import (
    input_gram,
    is_diagonal,
    output_gram,
    sample_gradients,
)
from strategic_envs.baselines.optimizers.layers import is_kronecker
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks.units import Unit

__all__ = ["KroneckerFactors"]


class KroneckerFactors(Curvature):
    """Factors `A = E[sum_l p p^T]` of the inputs and `B = E[mean_l h h^T]` of the outputs of linear and conv layers.

    `p` are the patches that the layer's matrix is applied to, `h` the derivatives of a sample's loss there, `l` the
    output locations (Grosse and Martens, 2016). A norm and a convolution in several groups keep the diagonal `E[g^2]`
    of their samples' gradients; any other layer is stepped by its gradient. The running mean weighs the old by
    `min(decay, 1 - 1 / (step + 1))`: at first it is the plain mean.

    Args:
        damping: Added to the curvature.
        decay: How much of the old factors stays at each sampling, in [0, 1).
        every: The statistics are sampled, and the matrices made, at each `every`th step,
        first: and at the first so many.
    """

    def __init__(self, damping: float, decay: float, every: int, first: int) -> None:
        super().__init__(damping)
        if not 0 <= decay < 1:
            raise InvalidSettingError(f"decay is in [0, 1), got {decay!r}: pass decay=0.95, for example")
        if every < 1 or first < 0:
            raise InvalidSettingError(f"every is at least 1 and first at least 0, got every={every!r}, first={first!r}")
        self.decay, self.every, self.first = decay, every, first
        self._sums: dict[str, tuple[Tensor, ...]] = {}  # over samples: (A, B) or (squares,)
        self._samples: dict[str, int] = {}
        self._means: dict[str, tuple[Tensor, ...]] = {}

    def due(self, step: int) -> bool:
        """Whether statistics are sampled, and the matrices made again, at this step."""
        return step < self.first or step % self.every == 0

    def wants(self, step: int) -> bool:
        return self.due(step)

    def observe(self, unit: Unit, a: Tensor | None, h: Tensor | None, gradient: Matrix) -> None:
        if a is None or h is None or unit.kind in ("other", "dropout") or not self.due(self.step):
            return
        a, h = a.detach().to(gradient.dtype), h.detach().to(gradient.dtype)
        if is_kronecker(unit):
            new = (input_gram(unit, a), output_gram(unit, h))
        else:
            assert is_diagonal(unit)
            new = (sample_gradients(unit, a, h).square_().sum(0),)
        old = self._sums.get(unit.name)
        self._sums[unit.name] = new if old is None else tuple(x + y for x, y in zip(old, new, strict=True))
        self._samples[unit.name] = self._samples.get(unit.name, 0) + len(h)

    def refresh(self, step: int, damping: Mapping[str, float] | None = None) -> None:
        if self.due(step):
            self._refused = {}
            keep = min(self.decay, 1 - 1 / (step + 1))
            for name, sums in self._sums.items():
                new = tuple(total / self._samples[name] for total in sums)
                self._refused[name] = ~torch.stack([torch.isfinite(mean).all() for mean in new]).all()
                if bool(self._refused[name]):
                    continue
                old = self._means.get(name, new)
                self._means[name] = tuple(torch.lerp(mean, before, keep) for mean, before in zip(new, old, strict=True))
                self._make(name, (damping or {}).get(name, self.damping))
        self._forget_sums()
        self.step = step + 1

    @abstractmethod
    def _make(self, name: str, damping: float) -> None:
        """Makes the layer's matrix from its running means."""

    def discard(self) -> None:
        self._forget_sums()

    def _forget_sums(self) -> None:
        self._sums, self._samples = {}, {}

    def _export(self) -> dict[str, Any]:
        return {"means": copied(self._means)}

    def _import(self, layers: Mapping[str, Any]) -> None:
        self._means = copied(layers["means"])
