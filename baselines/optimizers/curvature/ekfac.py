"""EKFAC: KFAC's eigenvectors, with scales that are measured along them (George et al., 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from strategic_envs.baselines.optimizers.curvature.base import Matrix, copied, keep_finite
from strategic_envs.baselines.optimizers.curvature.kfac import damp
from strategic_envs.baselines.optimizers.curvature.kronecker import KroneckerFactors
from strategic_envs.baselines.optimizers.curvature.statistics import sample_gradients
from strategic_envs.baselines.optimizers.layers import is_kronecker
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks.units import Unit

__all__ = ["EKFAC"]

Scale = Literal["intra", "running"]


class EKFAC(KroneckerFactors):
    """`(U_A (x) U_B) diag(s + d) (U_A (x) U_B)^T`, with the eigenvectors of KFAC's factors.

    The scales `s` are, with `scale="intra"`, the mean over this step's batch of the squares of its samples' gradients
    in the eigenbasis; it costs a gradient a sample at each step. With `"running"` they start as the products of the
    eigenvalues, and at each step go to `alpha s + (1 - alpha) * samples * g^2`, `g` the mean gradient there.
    Norms and convolutions in several groups have the diagonal `E[g^2] + d`; a layer without statistics the identity.

    Args:
        damping: `d`.
        decay: How much of the old factors stays at each sampling.
        every: Factors are sampled and their eigenvectors found at each `every`th step,
        first: and at the first so many.
        scale: Where the scales come from.
        alpha: How much of the old scales stays, with `"running"`.
        restart: Whether the running scales start anew with new eigenvectors, as in the authors' program.

    Example:
        >>> import torch
        >>> unit = Unit("fc", torch.nn.Linear(2, 1, bias=False), "linear", 0)
        >>> ekfac = EKFAC(damping=1.0)
        >>> ekfac.observe(unit, torch.eye(2), torch.ones(2, 1), torch.ones(1, 2))
        >>> ekfac.refresh(0)
        >>> ekfac.solve(unit, torch.tensor([[3.0, 6.0]]))  # the samples' gradients are (1, 0) and (0, 1): s = 1/2
        tensor([[2., 4.]])
    """

    def __init__(
        self,
        damping: float = 0.1,
        decay: float = 0.95,
        every: int = 10,
        first: int = 5,
        scale: Scale = "intra",
        alpha: float = 0.75,
        restart: bool = True,
    ) -> None:
        super().__init__(damping, decay, every, first)
        if scale not in ("intra", "running"):
            raise InvalidSettingError(f"scale is 'intra' or 'running', got {scale!r}")
        if not 0 <= alpha < 1:
            raise InvalidSettingError(f"alpha is in [0, 1), got {alpha!r}: pass alpha=0.75, for example")
        self.scale, self.alpha, self.restart = scale, alpha, restart
        self._notes: dict[str, list[tuple[Unit, Tensor, Tensor]]] = {}  # of this step, for the scales of its batch
        self._gradients: dict[str, tuple[Tensor, int, int]] = {}  # this step's sum, how many, of how many samples
        self._sizes: dict[str, int] = {}  # of the last batch that was seen
        self._bases: dict[str, tuple[Tensor, ...]] = {}  # U_A, U_B
        self._scales: dict[str, Tensor] = {}
        self._dampings: dict[str, float] = {}

    def wants(self, step: int) -> bool:
        return self.scale == "intra" or self.due(step)

    def observe(self, unit: Unit, a: Tensor | None, h: Tensor | None, gradient: Matrix) -> None:
        super().observe(unit, a, h, gradient)
        if unit.kind not in ("linear", "conv") or not is_kronecker(unit):
            return
        if h is not None:
            self._sizes[unit.name] = len(h)
        if self.scale == "running":
            total, count, samples = self._gradients.get(unit.name, (torch.zeros_like(gradient), 0, 0))
            samples += self._sizes.get(unit.name, 0)
            self._gradients[unit.name] = (total + gradient.detach(), count + 1, samples)
        elif a is not None and h is not None:
            notes = self._notes.get(unit.name, [])
            dtype = gradient.dtype
            self._notes[unit.name] = [*notes, (unit, a.detach().to(dtype), h.detach().to(dtype))]

    def refresh(self, step: int, damping: Mapping[str, float] | None = None) -> None:
        if not self.due(step):
            self._refused = {}
        super().refresh(step, damping)
        for name in self._means:
            self._dampings[name] = (damping or {}).get(name, self.damping)
        for name in (*self._notes, *self._gradients):
            if name in self._bases:
                old = self._scales[name]
                new = self._of_batch(name) if self.scale == "intra" else self._moved(name, old)
                self._scales[name], bad = keep_finite(new, old)
                self._refused[name] = bad | self._refused.get(name, torch.zeros_like(bad))
        self._forget_notes()

    def _make(self, name: str, damping: float) -> None:
        if len(self._means[name]) == 1:
            return
        A, B = self._means[name]
        try:
            (values_A, U_A), (values_B, U_B) = torch.linalg.eigh(A), torch.linalg.eigh(B)
        except torch.linalg.LinAlgError:
            self._refused[name] = torch.ones((), dtype=torch.bool)
            return
        self._bases[name] = (U_A, U_B)
        if self.restart or name not in self._scales:
            self._scales[name] = torch.outer(values_B.clamp(min=0), values_A.clamp(min=0))

    def _of_batch(self, name: str) -> Tensor:
        U_A, U_B = self._bases[name]
        total, samples = torch.zeros_like(self._scales[name]), 0
        for unit, a, h in self._notes[name]:
            samples += len(h)
            if unit.kind == "linear" and a.dim() == 2:
                inputs = a @ U_A[: a.shape[1]] + (U_A[-1] if unit.module.bias is not None else 0.0)
                total = total + (h @ U_B).square().mT @ inputs.square()
            else:
                total = total + (U_B.mT @ (sample_gradients(unit, a, h) @ U_A)).square_().sum(0)
        return total / samples

    def _moved(self, name: str, scales: Tensor) -> Tensor:
        (U_A, U_B), (total, count, samples) = self._bases[name], self._gradients[name]
        turned = U_B.mT @ (total / count) @ U_A
        return torch.lerp(samples * turned.square(), scales, self.alpha)

    def solve(self, unit: Unit, R: Matrix) -> Matrix:
        return self._through(unit, R, inverted=True)

    def apply(self, unit: Unit, X: Matrix) -> Matrix:
        return self._through(unit, X, inverted=False)

    def _through(self, unit: Unit, X: Matrix, inverted: bool) -> Matrix:
        means = self._means.get(unit.name)
        if means is None or (len(means) == 2 and unit.name not in self._bases):
            return X
        damping = self._dampings[unit.name]
        if len(means) == 1:
            return X / (means[0] + damping) if inverted else X * (means[0] + damping)
        U_A, U_B = self._bases[unit.name]
        scales, turned = self._scales[unit.name] + damping, U_B.mT @ X @ U_A
        return U_B @ (turned / scales if inverted else turned * scales) @ U_A.mT

    def factors(self, unit: Unit) -> tuple[Tensor, Tensor] | None:
        means = self._means.get(unit.name, ())
        return damp(means[0], means[1], self._dampings[unit.name]) if len(means) == 2 else None

    def discard(self) -> None:
        super().discard()
        self._forget_notes()

    def _forget_notes(self) -> None:
        self._notes, self._gradients = {}, {}

    def _export(self) -> dict[str, Any]:
        own = {"bases": self._bases, "scales": self._scales, "sizes": self._sizes, "dampings": self._dampings}
        return super()._export() | copied(own)

    def _import(self, layers: Mapping[str, Any]) -> None:
        super()._import(layers)
        own = copied({name: layers[name] for name in ("bases", "scales", "sizes", "dampings")})
        self._bases, self._scales = own["bases"], own["scales"]
        self._sizes, self._dampings = own["sizes"], own["dampings"]
