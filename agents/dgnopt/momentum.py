"""Momentum on the total of gradient and feedback: before the solve as Adam has it, or after it as SGD has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Momentum"]


class Momentum:
    """Running sums of totals and of steps, by the layer's name. Both are off at 0, and then nothing is kept.

    Args:
        average: Adam's beta1: totals are averaged before the solve, with its correction of the start.
        heavy: SGD's momentum: steps are summed up after the solve.

    Example:
        >>> momentum = Momentum(heavy=0.5)
        >>> [float(momentum.after("w", torch.ones(()))) for _ in range(3)]
        [1.0, 1.5, 1.75]
    """

    def __init__(self, average: float = 0.0, heavy: float = 0.0) -> None:
        self.average, self.heavy = average, heavy
        self._totals: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._steps: dict[str, Tensor] = {}

    def before(self, name: str, total: Tensor) -> Tensor:
        """The total that is solved for."""
        if self.average == 0:
            return total
        old = self._totals.get(name)
        self._totals[name] = new = torch.lerp(torch.zeros_like(total) if old is None else old, total, 1 - self.average)
        self._counts[name] = count = self._counts.get(name, 0) + 1
        return new / (1 - self.average**count)

    def after(self, name: str, step: Tensor) -> Tensor:
        """The step that is taken."""
        if self.heavy == 0:
            return step
        old = self._steps.get(name)
        self._steps[name] = new = step if old is None else old * self.heavy + step
        return new

    def state_dict(self) -> dict[str, Any]:
        """All sums, copied."""
        return {
            "totals": {name: x.clone() for name, x in self._totals.items()},
            "counts": dict(self._counts),
            "steps": {name: x.clone() for name, x in self._steps.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self._totals = {name: x.clone() for name, x in state["totals"].items()}
        self._counts = dict(state["counts"])
        self._steps = {name: x.clone() for name, x in state["steps"].items()}
