"""The streaming accumulator: three weighted sums from which the local CCE gap of a whole run follows.

For play that visits profiles x^t with own-utility gradients g^t and weights w_t, the linearised gap of player i is
`h_i(E g_i) - E <g_i, x_i>`, where h_i is the support function of its set (or the norm of E g_i when the set is
unbounded). So `sum w`, `sum w g` and `sum w <g, x>` are all that a run must keep, however long it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import CheckpointError, InvalidStrategyError
from strategic_envs.evaluators.gap import Gap
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["FieldAccumulator", "interpolation_gap"]


class FieldAccumulator:
    """Weighted sums of fields over a run, in float64, for a batch of runs at once.

    Example:
        >>> from strategic_envs.sets import Box
        >>> run = FieldAccumulator()
        >>> run.update(Profile([torch.tensor([1.0])]), Profile([torch.tensor([2.0])]))
        >>> run.update(Profile([torch.tensor([0.0])]), Profile([torch.tensor([-1.0])]))
        >>> run.gap([Box(-1, 1)]).value  # h(1/2) - 1
        -0.5
    """

    def __init__(self) -> None:
        self.weight: Tensor | None = None  # (*batch,)
        self.field: tuple[Tensor, ...] = ()  # (*batch, d_i), one a player
        self.product: tuple[Tensor, ...] = ()  # (*batch,), one a player

    def __repr__(self) -> str:
        shape = None if self.weight is None else tuple(self.weight.shape)
        return f"FieldAccumulator(batch_shape={shape}, players={len(self.field)})"

    def update(self, x: Profile, g: Profile, weight: float | Tensor = 1.0) -> None:
        """Adds profiles and their fields.

        Args:
            x: Profiles, tensors `(*batch, d_i)`.
            g: Own-utility gradients at x, of the same shapes.
            weight: How much this point counts: a number, or `(*batch,)`.

        Raises:
            InvalidStrategyError: If shapes differ or a gradient is not finite; nothing has been added then.
        """
        if [t.shape for t in x] != [t.shape for t in g]:
            raise InvalidStrategyError(
                f"the accumulator got fields of shapes {[tuple(t.shape) for t in g]} for strategies of shapes "
                f"{[tuple(t.shape) for t in x]}, expected the same"
            )
        weights = torch.as_tensor(weight, dtype=torch.float64, device=x[0].device).expand(x[0].shape[:-1])
        w = weights.unsqueeze(-1)
        fields = [torch.where(w > 0, w * t.detach().double(), 0.0) for t in g]
        products = [torch.where(w > 0, f * t.detach().double(), 0.0).sum(-1) for f, t in zip(fields, x, strict=True)]
        for i, (f, p) in enumerate(zip(fields, products, strict=True)):
            if not bool(f.isfinite().all() & p.isfinite().all()):
                raise InvalidStrategyError(
                    f"the accumulator got a field or strategy of player_{i} that is NaN or infinite; "
                    "give such rows weight 0"
                )
        if self.weight is None:
            self.weight, self.field, self.product = weights.clone(), tuple(fields), tuple(products)
            return
        if [t.shape for t in self.field] != [t.shape for t in fields]:
            raise InvalidStrategyError(
                f"the accumulator got fields of shapes {[tuple(t.shape) for t in fields]}, expected "
                f"{[tuple(t.shape) for t in self.field]} as in its first update"
            )
        self.weight = self.weight + weights
        self.field = tuple(a + b for a, b in zip(self.field, fields, strict=True))
        self.product = tuple(a + b for a, b in zip(self.product, products, strict=True))

    @classmethod
    def stacked(cls, runs: Sequence[FieldAccumulator], batch: Sequence[int]) -> FieldAccumulator | None:
        """The sums of runs without batch dimensions as those of one batch; None when there are none."""
        if not runs:
            return None
        joined = cls()
        joined.weight = torch.stack([run._weight() for run in runs]).reshape(*batch)
        joined.field = tuple(torch.stack(f).reshape(*batch, -1) for f in zip(*(r.field for r in runs), strict=True))
        joined.product = tuple(torch.stack(p).reshape(*batch) for p in zip(*(r.product for r in runs), strict=True))
        return joined

    def mean_field(self) -> Profile:
        """The weighted mean field, tensors `(*batch, d_i)`."""
        weight = self._weight().unsqueeze(-1)
        return Profile(f / weight for f in self.field)

    def gaps(self, sets: Sequence[StrategySet]) -> Float[Tensor, "*batch n"]:
        """Every player's local CCE gap, for the whole batch."""
        weight = self._weight()
        if len(sets) != len(self.field):
            raise InvalidStrategyError(f"got {len(sets)} sets for {len(self.field)} players, expected one a player")
        return torch.stack(
            [
                interpolation_gap(s, g, p / weight)
                for s, g, p in zip(sets, self.mean_field(), self.product, strict=True)
            ],
            dim=-1,
        )

    def gap(self, sets: Sequence[StrategySet]) -> Gap:
        """The local CCE gap of the run: the largest over players.

        Raises:
            InvalidStrategyError: If this accumulates a batch of runs (use `gaps`) or nothing was added.
        """
        gaps = self.gaps(sets)
        if gaps.ndim != 1:
            raise InvalidStrategyError(
                f"this accumulates a batch of runs of shape {tuple(gaps.shape[:-1])}: use gaps(sets) to get all of them"
            )
        return Gap.largest(gaps.tolist())

    def _weight(self) -> Tensor:
        if self.weight is None or bool((self.weight <= 0).any()):
            raise InvalidStrategyError("nothing was accumulated: call update(x, g) with a positive weight first")
        return self.weight

    def state_dict(self) -> dict[str, Tensor]:
        """All sums, as a flat dictionary of tensors."""
        if self.weight is None:
            return {}
        state = {"weight": self.weight.clone()}
        for i, (f, p) in enumerate(zip(self.field, self.product, strict=True)):
            state[f"field.{i}"], state[f"product.{i}"] = f.clone(), p.clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continues from `state_dict()`, bit by bit.

        Raises:
            CheckpointError: If keys are missing; the accumulator is unchanged then.
        """
        n = sum(k.startswith("field.") for k in state)
        expected = {"weight"} | {f"{k}.{i}" for k in ("field", "product") for i in range(n)} if state else set()
        if set(state) != expected:
            raise CheckpointError(
                f"got accumulator state with keys {sorted(state)}, expected weight, field.0, product.0, field.1, ...: "
                "it was written by something else or is damaged"
            )
        if not state:
            self.weight, self.field, self.product = None, (), ()
            return
        self.weight = state["weight"].clone()
        self.field = tuple(state[f"field.{i}"].clone() for i in range(n))
        self.product = tuple(state[f"product.{i}"].clone() for i in range(n))


def interpolation_gap(
    strategies: StrategySet, mean_field: Float[Tensor, "*batch dim"], mean_product: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """One player's linearised gap: `h(E g) - E <g, x>` on a compact set, `|E g|` on an unbounded one or a torus.

    On a compact set this is the largest gain rate over the interpolations `x -> (1 - s) x + s y` towards a fixed y
    (Cai, Daskalakis, Luo, Wei and Zheng 2024); on an unbounded one over the displacements `x -> x + v`, `|v| <= 1`,
    exact when the set is the whole space or a torus, and an upper bound when it is not.

    Example:
        >>> from strategic_envs.sets import Box
        >>> interpolation_gap(Box(-1, 1), torch.tensor([2.0]), torch.tensor(0.5)).item()
        1.5
    """
    if not strategies.bounded or strategies.periodic:
        return mean_field.norm(dim=-1)
    return strategies.support(mean_field).value - mean_product
