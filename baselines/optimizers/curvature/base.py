"""What every curvature offers: it looks at the layers' statistics, and solves with the matrix it made of them.

One step of an optimizer is `observe` for every layer, then `refresh`, then `solve` for every layer. `observe` only
takes notes: a step that is given up is undone by `discard`, and nothing has changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks.units import Unit

__all__ = ["Curvature"]

Matrix = Float[Tensor, "out columns"]


class Curvature(ABC):
    """A positive definite matrix for each layer, kept by the layer's name.

    `solve` and `apply` are linear, symmetric in the inner product of matrices, and inverses of each other. A layer that
    was never seen, or of a kind that the curvature does not know, has the identity: a plain gradient step.

    Args:
        damping: What is added to the curvature; a layer may have its own in `refresh`.

    Attributes:
        refused: The layers whose statistics were not finite at the last refresh: they keep what they had.
        step: How many refreshes there were, which is the number of the step that the next notes belong to.
    """

    def __init__(self, damping: float = 0.0) -> None:
        if not damping >= 0:
            raise InvalidSettingError(f"a damping is at least 0, got {damping!r}: pass damping=0.01, for example")
        self.damping = damping
        self.step = 0
        self._refused: dict[str, Tensor] = {}

    def wants(self, step: int) -> bool:
        """Whether `observe` looks at `a` and `h` in this step; in other steps both may be None."""
        return False

    @abstractmethod
    def observe(
        self,
        unit: Unit,
        a: Shaped[Tensor, "samples ..."] | None,
        h: Float[Tensor, "samples ..."] | None,
        gradient: Matrix,
    ) -> None:
        """Takes notes about one layer in this step; called again in one step, batches are averaged by their samples.

        Args:
            unit: The layer.
            a: What it read. None is allowed where `wants` says no.
            h: The derivative of each sample's loss by what it wrote, not divided by the number of samples; or None.
            gradient: The gradient in matrix form: the mean over the batch, weight decay included.
        """

    @abstractmethod
    def refresh(self, step: int, damping: Mapping[str, float] | None = None) -> None:
        """Makes the matrices of this step from the notes. Statistics that are not finite are refused, without an error.

        Args:
            step: The number of this step, from 0.
            damping: The damping of layers, by name, where it is not `self.damping`.
        """

    @abstractmethod
    def solve(self, unit: Unit, R: Matrix) -> Matrix:
        """The inverse of the layer's matrix, applied to `R`."""

    @abstractmethod
    def apply(self, unit: Unit, X: Matrix) -> Matrix:
        """The layer's matrix, applied to `X`: undoes `solve`."""

    @abstractmethod
    def discard(self) -> None:
        """Forgets the notes of a step that is given up."""

    def factors(self, unit: Unit) -> tuple[Float[Tensor, "columns columns"], Float[Tensor, "out out"]] | None:
        """The damped factors `(A, B)` of the inputs and of the outputs, or None if the layer's matrix has none."""
        return None

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(name for name, bad in self._refused.items() if bool(bad))

    def snapshot(self) -> dict[str, Any]:
        """What `restore` takes to undo a step; cheap, as a refresh replaces tensors and never writes into them."""
        return {name: dict(value) if isinstance(value, dict) else value for name, value in vars(self).items()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Takes everything back to when `snapshot` was taken."""
        vars(self).update({name: dict(v) if isinstance(v, dict) else v for name, v in snapshot.items()})

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, layers by name; taken between steps."""
        return {"kind": type(self).__name__, "step": self.step, "layers": self._export()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave.

        Raises:
            CheckpointError: If it belongs to another curvature.
        """
        if state.get("kind") != type(self).__name__:
            raise CheckpointError(
                f"this state is of the curvature {state.get('kind')!r}, expected {type(self).__name__!r}: "
                "make the optimizer with the settings it was saved with"
            )
        self.discard()
        self.step = int(state["step"])
        self._import(state["layers"])

    @abstractmethod
    def _export(self) -> dict[str, Any]: ...

    @abstractmethod
    def _import(self, layers: Mapping[str, Any]) -> None: ...


def copied(tree: Any) -> Any:
    """A copy of nested dicts, lists and tuples of tensors, which a later step does not change."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: copied(value) for key, value in tree.items()}
    return type(tree)(copied(value) for value in tree) if isinstance(tree, list | tuple) else tree


def keep_finite(new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """`new` if all of it is finite, else `old`; and whether it was refused. Waits for no device."""
    good = torch.isfinite(new).all()
    return torch.where(good, new, old), ~good
