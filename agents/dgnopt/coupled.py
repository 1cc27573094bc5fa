"""The value function of a whole batch, samples coupled: the Levenberg-Marquardt step as small dual systems.

The Gauss-Newton matrix of the batch is `G = U U'` with one column for each sample and each column of the loss's factor,
`B r` in all, fewer than there are weights. So `(G + D) d = -g`, with D the damping and the weight decay, needs only the
Gram matrix `U' D^-1 U`, `(B r) x (B r)`, which is a sum over layers of entrywise products of small matrices. Stage by
stage the partial sums of it are the value functions: those of the stages from t on are what stage t still commands.

With the state moved by dx, and `c = Z'dx` along the columns, the remaining stages solve

    (I + U'D^-1 U) x = U'D^-1 g + U'D^-1 U c        over the stages from t on
    d_t = -D_t^-1 (g_t + U_t (c - x))

which for linear dynamics is the same step as that of all stages at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dgnopt.quadratic import sample_gradients
from strategic_envs.agents.dgnopt.sweep import spread
from strategic_envs.baselines.optimizers.layers import is_kronecker, patches, wapply, wgrad
from strategic_envs.games.networks import State, Unit

__all__ = ["Coupled", "Layer", "add_gram"]


@dataclass(frozen=True, eq=False)
class Layer:
    """What the coupled system knows of a layer.

    Args:
        unit: The layer.
        inputs: What it read.
        columns: The cotangents of the factor's columns at what it wrote; none for a layer without matrix form.
        gradient: The gradient of the mean loss in matrix form, weight decay included.
        decay: Its weight decay, which is a part of the Hessian.
    """

    unit: Unit
    inputs: Tensor
    columns: tuple[Tensor, ...]
    gradient: Tensor
    decay: float = 0.0


def add_gram(total: Float[Tensor, "n n"], layer: Layer, limit: int = 1 << 24) -> None:
    """Adds the part of one layer to `U'U` in place: a row for each sample and, within it, each column.

    A linear layer on vectors: `(a a') o (h h') / B`. A convolution or a norm: from the gradients of single samples,
    some rows of the weights at a time, so that at most `limit` numbers are held.

    Example:
        >>> total, inputs = torch.zeros(1, 1), torch.tensor([[2.0]])
        >>> add_gram(total, Layer(Unit("w", torch.nn.Linear(1, 1), "linear"), inputs, (torch.ones(1, 1),), inputs))
        >>> total
        tensor([[5.]])
    """
    unit, a, columns = layer.unit, layer.inputs, layer.columns
    batch, rank = len(a), len(columns)
    if unit.kind == "linear" and a.dim() == 2:
        rows = patches(unit, a)[:, 0]
        h = torch.stack(columns, dim=1).flatten(0, 1)
        square = (batch, rank, batch, rank)
        total.view(square).addcmul_((h @ h.mT).view(square), (rows @ rows.mT)[:, None, :, None], value=1 / batch)
        return
    outs, width = layer.gradient.shape
    part = max(limit // (batch * rank * width), 1) if unit.kind == "conv" and is_kronecker(unit) else outs
    for start in range(0, outs, part):
        if part < outs:
            rows, places = patches(unit, a), slice(start, start + part)
            found = [torch.einsum("bol,bli->boi", z.flatten(2)[:, places], rows) for z in columns]
        else:
            found = [sample_gradients(unit, a, z) for z in columns]
        flat = torch.stack([m.flatten(1) for m in found], dim=1).flatten(0, 1)
        total.addmm_(flat, flat.mT, alpha=1 / batch)


@dataclass(eq=False)
class Coupled:
    """The dual systems of one batch; filled from the last stage to the first by `add`.

    Args:
        samples: B.
        rank: The columns of a sample, r.
        by_stage: Whether the sums of each stage are kept, for a rollout on the network; else only their total.
    """

    samples: int
    rank: int
    by_stage: bool = False
    _stages: list[list[Layer]] = field(default_factory=list)
    _sums: list[dict[float, tuple[Tensor, Tensor]]] = field(default_factory=list)

    def add(self, layers: Sequence[Layer]) -> None:
        """One stage more, before those that are there."""
        sums = self._sums[0] if self._sums else {}
        if self.by_stage:
            sums = {decay: (gram.clone(), felt.clone()) for decay, (gram, felt) in sums.items()}
        for layer in layers:
            if not layer.columns:
                continue
            if layer.decay not in sums:
                n = self.samples * self.rank
                sums[layer.decay] = layer.gradient.new_zeros(n, n), layer.gradient.new_zeros(n).double()
            gram, felt = sums[layer.decay]
            add_gram(gram, layer)
            felt += self.felt(layer, layer.gradient)
        self._stages.insert(0, list(layers))
        self._sums = [sums, *self._sums] if self.by_stage else [sums]

    def felt(self, layer: Layer, step: Tensor) -> Float[Tensor, " n"]:
        """`U' step` of one layer: how far its step goes along the columns, in double precision."""
        change = wapply(layer.unit, layer.inputs, step)
        along = torch.stack([(z * change).flatten(1).sum(1) for z in layer.columns], dim=1)
        return along.flatten().double() / self.samples**0.5

    def along(self, columns: Sequence[State], moved: State, nominal: State) -> Float[Tensor, " n"]:
        """`c = Z'dx`: how far the state went along the pulled-back columns."""
        rows = []
        for column in columns:
            slots = zip(column, moved, nominal, strict=True)
            rows.append(torch.stack([(z * (new - old)).flatten(1).sum(1) for z, new, old in slots]).sum(0))
        return torch.stack(rows, dim=1).flatten().double() / self.samples**0.5

    def steps(
        self, damping: float, t: int = 0, moved: Float[Tensor, " n"] | None = None, *, rest: bool = False
    ) -> dict[str, Tensor] | None:
        """The steps of the layers of stage t, or of all stages from t on.

        Args:
            damping: Lambda.
            t: The stage.
            moved: `c`, how far the state of stage t has gone; not at all by default.
            rest: The steps of the later stages too, as the linear dynamics would have them.

        Returns:
            Steps in matrix form by the layers' names, or None where the system is not positive definite in the
            precision at hand.
        """
        dual = self._dual(damping, t, moved)
        if dual is None:
            return None
        found = {}
        for layer in (layer for stage in self._stages[t : None if rest else t + 1] for layer in stage):
            total = layer.gradient
            if layer.columns and dual.numel():
                weights = dual.view(self.samples, self.rank).to(total.dtype) * self.samples**0.5
                cotangent = torch.stack([spread(weights[:, j], z) for j, z in enumerate(layer.columns)]).sum(0)
                total = total + wgrad(layer.unit, layer.inputs, cotangent)
            found[layer.unit.name] = total / -(damping + layer.decay)
        return found

    def predicted(self, steps: dict[str, Tensor]) -> Float[Tensor, ""]:
        """By how much the quadratic model of the batch falls with these steps of all layers."""
        layers = [layer for stage in self._stages for layer in stage]
        slope = _total((layer.gradient * steps[layer.unit.name]).sum() for layer in layers)
        decay = _total(layer.decay * steps[layer.unit.name].square().sum() for layer in layers)
        return -(slope + (2 * self.divergence(steps) + decay) / 2)

    def divergence(self, steps: dict[str, Tensor]) -> Float[Tensor, ""]:
        """`d'G d / 2`: for a softmax, and the whole factor, the Kullback-Leibler divergence of the step."""
        felt = [self.felt(layer, steps[layer.unit.name]) for stage in self._stages for layer in stage if layer.columns]
        return torch.stack(felt).sum(0).square().sum() / 2 if felt else torch.zeros((), dtype=torch.float64)

    def _dual(self, damping: float, t: int, moved: Tensor | None) -> Tensor | None:
        """`c - x`."""
        sums = self._sums[t]
        if not sums:
            return torch.zeros(0)
        gram = torch.stack([gram.double() / (damping + decay) for decay, (gram, _) in sums.items()]).sum(0)
        right = torch.stack([felt / (damping + decay) for decay, (_, felt) in sums.items()]).sum(0)
        if moved is not None:
            right = right + gram @ moved
        gram.diagonal().add_(1)
        lower, failed = torch.linalg.cholesky_ex(gram)
        if bool(failed):
            return None
        found = torch.cholesky_solve(right[:, None], lower)[:, 0]
        return -found if moved is None else moved - found


def _total(numbers: Iterable[Tensor]) -> Tensor:
    return torch.stack([x.double() for x in numbers]).sum()
