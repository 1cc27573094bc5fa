"""The end of the game: the loss of every sample, its gradient, and a low-rank factor of its second derivative.

The value function starts as `V_T = phi`: per sample a gradient `V_x` and `V_xx = sum_j Z_j Z_j^T`, which is the
curvature that the feedback sees. Samples' losses are averaged; what is here is *per sample and not averaged*.

| name | factor of softmax cross-entropy | columns |
|---|---|---|
| `mc` | `p - e_y'` with `y'` drawn from p: unbiased for `diag(p) - p p^T` | `rank` draws over `sqrt(rank)` |
| `gn1` | `p - e_y`: the outer product of the gradient itself | 1 |
| `full` | `sqrt(p_k) (e_k - p)`: exact | one a class |
| `topr` | the `rank` largest eigenvectors of `diag(p) - p p^T` times the roots of their eigenvalues | `rank` |
| `mixed` | the `rank - 1` largest of these, and the sum of all others with random signs: unbiased | `rank` |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError

__all__ = ["KINDS", "CrossEntropy", "PolicyLoss", "SquaredError", "Terminal", "TerminalFactors", "terminal_named"]

KINDS = ("mc", "gn1", "full", "topr", "mixed")


@dataclass(frozen=True)
class TerminalFactors:
    """What a terminal gives for one batch.

    Args:
        loss: The loss of every sample.
        gradient: Its gradient with respect to the outputs.
        factors: The columns `Z_j` of a factor of its second derivative; none where no feedback was asked for.
    """

    loss: Float[Tensor, "B"]
    gradient: Float[Tensor, "B *out"]
    factors: Sequence[Float[Tensor, "B *out"]]


@runtime_checkable
class Terminal(Protocol):
    """A loss at the end of the network. Anything callable like this is one."""

    def __call__(
        self, outputs: Float[Tensor, "B *out"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """The factors of a batch; without a generator no factor is asked for."""
        ...


def _check_kind(kind: str, rank: int) -> None:
    if kind not in KINDS:
        raise UnknownNameError("value Hessian", kind, KINDS)
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise InvalidSettingError(f"got rank={rank!r}, expected a whole number of columns >= 1")


def _drawn(p: Tensor, rank: int, generator: torch.Generator) -> Tensor:
    """`rank` classes a sample, each drawn from its row of p: `(B, rank)`. A batch cut in pieces draws the same."""
    u = torch.rand(len(p), rank, 1, generator=generator, device=p.device, dtype=torch.float64)
    return (p.cumsum(1)[:, None, :-1] <= u).sum(2)  # the last class takes what rounding leaves


def _softmax_factors(p: Tensor, kind: str, rank: int, generator: torch.Generator) -> list[Tensor]:
    classes = p.shape[1]
    if kind == "mc":
        drawn = functional.one_hot(_drawn(p, rank, generator), classes)
        return [(p - drawn[:, j]) / math.sqrt(rank) for j in range(rank)]
    if kind == "full":
        eye = torch.eye(classes, dtype=p.dtype, device=p.device)
        return [p[:, k, None].sqrt() * (eye[k] - p) for k in range(classes)]
    if kind == "mixed":
        rank = min(rank, classes)
    if rank > classes:
        raise InvalidSettingError(f"got rank={rank}, expected at most the {classes} classes: lower rank")
    hessian = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    values, vectors = torch.linalg.eigh(hessian.nan_to_num())  # the loss says that it was not finite
    columns = vectors * values[:, None].clamp(min=0).sqrt()
    if kind == "topr":
        return list(columns[..., -rank:].unbind(2))
    rest, top = columns.split([classes - rank + 1, rank - 1], dim=2)
    return [*top.unbind(2), _signed(rest, generator)]


def _signed(columns: Tensor, generator: torch.Generator) -> Tensor:
    """The sum of columns `(B, K, n)` with random signs, whose outer product is theirs in the mean."""
    u = torch.rand(len(columns), columns.shape[2], generator=generator, device=columns.device)
    signs = torch.where(u < 0.5, -1.0, 1.0).to(columns.dtype)
    return torch.einsum("bkn,bn->bk", columns, signs)


class CrossEntropy:
    """Softmax cross-entropy with classes, or with probabilities of classes.

    Args:
        kind: Which factor of the second derivative; see the table of this module.
        rank: How many columns (`mc`, `topr`, `mixed`).

    Raises:
        UnknownNameError: If there is no such factor.
        InvalidSettingError: If `rank` is below 1 (or, for `topr`, above the number of classes).
        InvalidStrategyError: When called, if outputs and targets do not fit together.

    Example:
        >>> y = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> end = CrossEntropy("full")(y, torch.tensor([0, 1]), torch.Generator())
        >>> end.loss, len(end.factors)
        (tensor([0.1269, 0.6931]), 2)
    """

    def __init__(self, kind: str = "mc", rank: int = 1) -> None:
        _check_kind(kind, rank)
        self.kind, self.rank = kind, rank

    def __call__(
        self, outputs: Float[Tensor, "B K"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """See `Terminal`; `targets` are classes `(B,)` or probabilities `(B, K)`."""
        e = self._targets(outputs, targets)
        logs = outputs.log_softmax(1)
        p = logs.exp()
        gradient = p - e
        factors = []
        if generator is not None:
            factors = [gradient] if self.kind == "gn1" else _softmax_factors(p, self.kind, self.rank, generator)
        return TerminalFactors(-(e * logs).sum(1), gradient, factors)

    @staticmethod
    def _targets(outputs: Tensor, targets: object) -> Tensor:
        expected = "classes (B,) that are whole numbers, or probabilities of the output's shape"
        if outputs.ndim != 2 or not isinstance(targets, Tensor):
            got = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise InvalidStrategyError(
                f"got outputs {tuple(outputs.shape)} and targets {got}, expected outputs (B, K) and {expected}"
            )
        if targets.shape == outputs.shape and targets.is_floating_point():
            return targets.to(outputs.dtype)
        if targets.shape != outputs.shape[:1] or targets.is_floating_point() or targets.is_complex():
            raise InvalidStrategyError(
                f"got targets {tuple(targets.shape)} of {targets.dtype} for outputs {tuple(outputs.shape)}, "
                f"expected {expected}"
            )
        if (
            len(targets)
            and targets.device.type == "cpu"
            and not 0 <= int(targets.min()) <= int(targets.max()) < (outputs.shape[1])
        ):
            raise InvalidStrategyError(
                f"got classes from {int(targets.min())} to {int(targets.max())}, expected 0 to {outputs.shape[1] - 1}: "
                f"the network has {outputs.shape[1]} outputs"
            )
        return functional.one_hot(targets.long(), outputs.shape[1]).to(outputs.dtype)


class SquaredError:
    """The squared error, averaged over the outputs of a sample as `torch.nn.MSELoss` does.

    Its second derivative is `2/K` times the identity of K outputs. `mc`: random signs; `full`: all columns; `topr`: the
    first `rank` of them; `gn1`: the gradient itself.

    Args:
        kind: Which factor of the second derivative.
        rank: How many columns (`mc`, `topr`, `mixed`).

    Raises:
        UnknownNameError: If there is no such factor.
        InvalidSettingError: If `rank` is below 1 (or, for `topr`, above the number of outputs).
        InvalidStrategyError: When called, if outputs and targets do not fit together.

    Example:
        >>> end = SquaredError("full")(torch.zeros(1, 2), torch.ones(1, 2), torch.Generator())
        >>> end.loss, end.gradient, len(end.factors)
        (tensor([1.]), tensor([[-1., -1.]]), 2)
    """

    def __init__(self, kind: str = "mc", rank: int = 1) -> None:
        _check_kind(kind, rank)
        self.kind, self.rank = kind, rank

    def __call__(
        self, outputs: Float[Tensor, "B *out"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """See `Terminal`; `targets` have the outputs' shape, or are classes `(B,)` that become one-hot."""
        if isinstance(targets, Tensor) and outputs.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point():
            targets = CrossEntropy._targets(outputs, targets)
        if not isinstance(targets, Tensor) or targets.shape != outputs.shape:
            got = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise InvalidStrategyError(f"got targets {got}, expected the outputs' shape {tuple(outputs.shape)}")
        K = outputs[0].numel()
        error = outputs - targets.to(outputs.dtype)
        gradient = error * (2 / K)
        factors = [] if generator is None else self._factors(gradient, K, generator)
        return TerminalFactors(error.square().flatten(1).mean(1), gradient, factors)

    def _factors(self, gradient: Tensor, K: int, generator: torch.Generator) -> list[Tensor]:
        if self.kind == "gn1":
            return [gradient]
        scale = math.sqrt(2 / K)
        if self.kind == "mc":
            u = torch.rand(len(gradient), self.rank, K, generator=generator, device=gradient.device)
            signs = torch.where(u < 0.5, -1.0, 1.0).to(gradient.dtype) * (scale / math.sqrt(self.rank))
            return [signs[:, j].reshape(gradient.shape) for j in range(self.rank)]
        if self.kind == "topr" and self.rank > K:
            raise InvalidSettingError(f"got rank={self.rank}, expected at most the {K} outputs: lower rank")
        columns = scale * torch.eye(K, dtype=gradient.dtype, device=gradient.device)
        if self.kind == "mixed":
            known = min(self.rank, K) - 1
            rest = _signed(columns[known:].mT.expand(len(gradient), K, K - known), generator).view_as(gradient)
            return [*(column.reshape(gradient.shape[1:]).expand_as(gradient) for column in columns[:known]), rest]
        columns = columns[: self.rank] if self.kind == "topr" else columns
        return [column.reshape(gradient.shape[1:]).expand_as(gradient) for column in columns]


class PolicyLoss:
    """A policy-gradient loss: `-w_i log pi(a_i)` for the sample i, with `pi` the softmax of the outputs.

    The factor is that of the Fisher matrix of the policy, `pi - e_a'` with `a'` drawn from pi (`mc`), times
    `sqrt(|w_i|)` where `weighted` is true: then samples with a large weight bend the value function more. `gn1` takes
    the gradient `w_i (pi - e_a)` itself. An entropy bonus or a clipped ratio enters through the weights.

    Args:
        kind: Which factor; see the table of this module.
        rank: How many columns (`mc`, `topr`, `mixed`).
        weighted: Whether the factor is scaled by `sqrt(|w_i|)`.

    Raises:
        UnknownNameError: If there is no such factor.
        InvalidSettingError: If `rank` is below 1.
        InvalidStrategyError: When called, if the actions or weights have the wrong shape.

    Example:
        >>> actions, weights = torch.tensor([1]), torch.tensor([2.0])
        >>> PolicyLoss()(torch.zeros(1, 2), (actions, weights), None).gradient
        tensor([[ 1., -1.]])
    """

    def __init__(self, kind: str = "mc", rank: int = 1, weighted: bool = True) -> None:
        _check_kind(kind, rank)
        self.kind, self.rank, self.weighted = kind, rank, weighted

    def __call__(
        self, outputs: Float[Tensor, "B K"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """See `Terminal`; `targets` is the pair of actions `(B,)` and weights `(B,)`."""
        if not isinstance(targets, tuple) or len(targets) != 2:
            raise InvalidStrategyError(f"got targets {type(targets).__name__}, expected a pair (actions, weights)")
        actions, weights = targets
        plain = CrossEntropy(self.kind, self.rank)(outputs, actions, generator)
        if not isinstance(weights, Tensor) or weights.shape != plain.loss.shape:
            raise InvalidStrategyError(f"expected one weight an action, {tuple(plain.loss.shape)}, got {weights!r}")
        w = weights.to(outputs.dtype)
        gradient = w[:, None] * plain.gradient
        if self.kind == "gn1":
            factors = [gradient for _ in plain.factors]
        else:
            factors = [w.abs().sqrt()[:, None] * z if self.weighted else z for z in plain.factors]
        return TerminalFactors(w * plain.loss, gradient, factors)


def terminal_named(loss: str | Terminal, kind: str, rank: int) -> Terminal:
    """The terminal called `loss`, or the terminal itself that was given.

    Raises:
        UnknownNameError: If there is no such loss or factor.
        InvalidSettingError: If `rank` is below 1.

    Example:
        >>> type(terminal_named("mse", "mc", 1)).__name__
        'SquaredError'
    """
    _check_kind(kind, rank)
    losses = {"cross_entropy": CrossEntropy, "mse": SquaredError}
    if not isinstance(loss, str):
        if not callable(loss):
            raise InvalidSettingError(f"got loss={loss!r}, expected a name ({', '.join(losses)}) or a Terminal")
        return loss
    if loss not in losses:
        raise UnknownNameError("loss", loss, losses)
    return losses[loss](kind, rank)
