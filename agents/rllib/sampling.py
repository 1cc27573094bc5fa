"""Drawing actions and summing up scores: the arithmetic that all roll-outs share.

A policy gradient from samples is `sum_k w_k grad log pi(a_k | o_k)`. It depends on the samples only through the sum of
the weights at each pair of observation and action, the *coefficients*. A roll-out returns these; the learner then
differentiates `sum_(o,a) c(o, a) log pi(a | o)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Scores",
    "action_cdf",
    "cumulative",
    "draw_actions",
    "leave_one_out",
    "score_objective",
    "softmax_slope",
    "sum_by",
    "sum_scores",
]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a player's policy gradient needs of a batch of games.

    Args:
        obs: Observations `(R, obs)`.
        mask: Legal actions `(R, A)`, or None where all are legal.
        coefficient: The sums of weights `(R, A)`, float64; already divided by the number of games.
    """

    obs: Tensor
    mask: Tensor | None
    coefficient: Tensor

    def _map(self, function: Callable[[Tensor], Any]) -> Scores:
        mask = None if self.mask is None else function(self.mask)
        return Scores(function(self.obs), mask, function(self.coefficient))

    def numpy(self) -> Scores:
        """The same with NumPy arrays."""
        return self._map(lambda t: t.cpu().numpy())

    def to(self, device: torch.device | str) -> Scores:
        """The same with tensors on a device; arrays, which arrive read-only, are copied."""
        return self._map(lambda t: t.to(device) if isinstance(t, Tensor) else torch.tensor(t, device=device))

    def share(self, index: int, count: int) -> Scores:
        """Every `count`-th row from row `index` on."""
        return self._map(lambda t: t[index::count])

    @classmethod
    def mean(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of several batches of equally many games, as of one batch."""
        tensors = [p.to("cpu") for p in parts]
        mask = None if tensors[0].mask is None else torch.cat([p.mask for p in tensors if p.mask is not None])
        obs, coefficient = torch.cat([p.obs for p in tensors]), torch.cat([p.coefficient for p in tensors])
        return cls(obs, mask, coefficient / len(parts))


def action_cdf(logits: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
    """The cumulative distribution of a softmax, in float64; its last entry is exactly one.

    Example:
        >>> action_cdf(torch.zeros(2)).tolist()
        [0.5, 1.0]
    """
    return cumulative(logits.double().softmax(-1))


def cumulative(probability: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
    """The cumulative distribution; its last entry is exactly one."""
    cdf = probability.cumsum(-1)
    return cdf / cdf[..., -1:]


def draw_actions(cdf: Float[Tensor, "*batch A"], generator: torch.Generator) -> Int[Tensor, "*batch"]:
    """One action a row, by inversion; an action of probability zero is never drawn."""
    uniform = torch.rand((*cdf.shape[:-1], 1), generator=generator, dtype=cdf.dtype, device=cdf.device)
    return (cdf <= uniform).sum(-1)


def leave_one_out(returns: Float[Tensor, "*batch games"]) -> Float[Tensor, "*batch games"]:
    """Each game's return minus the mean return of the *other* games.

    The baseline of a game does not depend on its own actions, so the gradient stays unbiased. One game alone has
    baseline zero.

    Example:
        >>> leave_one_out(torch.tensor([0.0, 3.0, 3.0])).tolist()
        [-3.0, 1.5, 1.5]
    """
    games = returns.shape[-1]
    if games == 1:
        return returns
    return (returns - returns.mean(-1, keepdim=True)) * (games / (games - 1))


def sum_by(group: Int[Tensor, " N"], weights: Float[Tensor, " N"], groups: int) -> Float[Tensor, " groups"]:
    """The sum of weights of each group, in float64 and in a fixed order.

    Example:
        >>> sum_by(torch.tensor([2, 0, 2]), torch.tensor([1.0, 5.0, 3.0]), 3).tolist()
        [5.0, 0.0, 4.0]
    """
    weights = weights.double()
    if group.device.type == "cpu":
        return torch.bincount(group, weights, minlength=groups)
    total = torch.zeros(groups, dtype=torch.float64, device=group.device)
    return total.index_put_((group,), weights, accumulate=True)


def sum_scores(
    rows: Int[Tensor, " N"], actions: Int[Tensor, " N"], weights: Float[Tensor, " N"], shape: tuple[int, int]
) -> Float[Tensor, "R A"]:
    """The sum of weights at each pair of row and action, in float64 and in a fixed order."""
    return sum_by(rows * shape[1] + actions, weights, shape[0] * shape[1]).view(shape)


def score_objective(logits: Float[Tensor, "R A"], coefficient: Float[Tensor, "R A"]) -> Float[Tensor, ""]:
    """`sum c log softmax(logits)`: its gradient is the policy gradient. Pairs that never occurred do not count."""
    log_probability = logits.log_softmax(-1).masked_fill(coefficient == 0, 0.0)
    return (coefficient.to(logits.dtype) * log_probability).sum()


def softmax_slope(policy: Float[Tensor, "R A"], slope: Float[Tensor, "R A"]) -> Float[Tensor, "R A"]:
    """The derivative in the logits of what has this slope in the probabilities: `p (s - <p, s>)`.

    Its rows sum to zero, so as the coefficients of scores it has itself as gradient in the logits.

    Example:
        >>> softmax_slope(torch.tensor([[0.5, 0.5]]), torch.tensor([[2.0, 0.0]]))
        tensor([[ 0.5000, -0.5000]])
    """
    return policy * (slope - (policy * slope).sum(-1, keepdim=True))
