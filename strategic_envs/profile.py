"""A profile: one tensor a player, with arithmetic.

The profile is a tuple of the players' tensors `(*batch, d_i)` and not one `(*batch, D)` tensor, because memory layout
decides the speed of compiled steps. `Profile.flat` and `Profile.from_flat` go between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Profile"]


class Profile(tuple[Tensor, ...]):
    """The players' strategies (or a vector of the same shape, such as a field), one tensor `(*batch, d_i)` a player.

    `+`, `-`, `*` and `/` act player by player; the other side is a profile, a number or a tensor that broadcasts
    against every `(*batch, d_i)`, such as a step size of shape `(*batch, 1)`.

    Example:
        >>> x = Profile([torch.tensor([1.0]), torch.tensor([2.0, 3.0])])
        >>> (x + 0.5 * x).flat()
        tensor([1.5000, 3.0000, 4.5000])
    """

    __slots__ = ()

    def __new__(cls, players: Iterable[Tensor]) -> Profile:
        return super().__new__(cls, tuple(players))

    @classmethod
    def from_flat(cls, flat: Float[Tensor, "*batch total"], dims: Sequence[int]) -> Profile:
        """Cuts a flat tensor into players of the given dimensions.

        Raises:
            ValueError: If the dimensions do not add up to the last axis.
        """
        if flat.shape[-1] != sum(dims):
            raise ValueError(
                f"a flat profile of {flat.shape[-1]} coordinates cannot be cut into players of dimensions "
                f"{list(dims)}: the last axis must be {sum(dims)}"
            )
        return cls(flat.split(list(dims), dim=-1))

    def flat(self) -> Float[Tensor, "*batch total"]:
        """All coordinates in one tensor, players in order."""
        return torch.cat(tuple(self), dim=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> Profile:
        """The profile of `function` applied to every player's tensor."""
        return Profile(function(t) for t in self)

    def replace(self, player: int, tensor: Tensor) -> Profile:
        """The same profile with one player's tensor exchanged."""
        return Profile(tensor if i == player else t for i, t in enumerate(self))

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimension of each player's strategy."""
        return tuple(t.shape[-1] for t in self)

    @property
    def batch_shape(self) -> torch.Size:
        """The leading dimensions, common to all players."""
        first, *others = [t.shape[:-1] for t in self]  # alike as a rule, and then broadcasting need not be asked
        return first if all(shape == first for shape in others) else torch.broadcast_shapes(first, *others)

    def dot(self, other: Profile) -> Float[Tensor, "*batch"]:
        """The inner product over all players' coordinates."""
        terms = [(a * b).sum(-1) for a, b in zip(self, other, strict=True)]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)

    def norm(self) -> Float[Tensor, "*batch"]:
        """The Euclidean norm over all players' coordinates."""
        return self.dot(self).sqrt()

    def isfinite(self) -> torch.Tensor:
        """Whether all coordinates are finite, shape `(*batch,)`."""
        flags = [t.isfinite().all(-1) for t in self]
        return torch.stack(torch.broadcast_tensors(*flags)).all(0)

    def detach(self) -> Profile:
        """The same values, without gradient history."""
        return self.map(Tensor.detach)

    def clone(self) -> Profile:
        """A copy that shares no memory."""
        return self.map(Tensor.clone)

    def to(self, *args: object, **kwargs: object) -> Profile:
        """Each tensor moved as by `torch.Tensor.to`."""
        return Profile(t.to(*args, **kwargs) for t in self)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def _with(self, other: object, function: Callable[[Tensor, Tensor | float], Tensor]) -> Profile:
        if isinstance(other, tuple):
            return Profile(function(a, b) for a, b in zip(self, other, strict=True))
        return Profile(function(a, other) for a in self)  # pyright: ignore[reportArgumentType]

    # A tuple's own + and * join and repeat; a profile is a vector.
    def __add__(self, other: object) -> Profile:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._with(other, torch.add)

    def __sub__(self, other: object) -> Profile:
        return self._with(other, torch.sub)

    def __mul__(self, other: object) -> Profile:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._with(other, torch.mul)

    def __rmul__(self, other: object) -> Profile:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._with(other, torch.mul)

    def __truediv__(self, other: object) -> Profile:
        return self._with(other, torch.div)

    def __neg__(self) -> Profile:
        return self.map(torch.neg)

    def __reduce__(self) -> tuple[object, ...]:
        return (Profile, (tuple(self),))
