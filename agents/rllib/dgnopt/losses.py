"""The ends of a policy network's game: minus what a player ascends, from coefficients, with a factor of its curvature.

Coefficients `c` are the derivatives of the objective, sampled or exact, as `sampling.Scores` holds them. DGNOpt
averages the losses of samples, so with R observations in a batch each counts R times: the mean is the objective.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from ray.rllib.utils.torch_utils import FLOAT_MIN
from torch import Tensor

from strategic_envs.agents.dgnopt.terminal import KINDS, CrossEntropy, TerminalFactors
from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = ["MeanLoss", "ScoreLoss"]


class ScoreLoss:
    """`-R sum_a c(o, a) log pi(a | o)` at each observation o: the policy gradient of a batch of scores.

    The factor is that of the Fisher matrix of the policy times the weight mass of the observation,
    `sqrt(R sum_a |c(o, a)|) (pi - e_a')` with `a'` drawn from pi (`mc`; `full` and `topr` are the exact ones of
    `diag(pi) - pi pi^T`). The second derivative of `-c log pi(a)` in the logits is `c (diag(pi) - pi pi^T)`; |c| in
    the place of c keeps the curvature positive. `gn1` is the gradient itself.

    Args:
        kind: Which factor of the second derivative: `mc`, `gn1`, `full` or `topr`.
        rank: How many columns (`mc`, `topr`).

    Raises:
        UnknownNameError: If there is no such factor.
        InvalidSettingError: If `rank` is below 1.

    Example:
        >>> c = torch.tensor([[0.5, -0.5]], dtype=torch.float64)
        >>> ScoreLoss()(torch.zeros(1, 2), (c, None), None).gradient
        tensor([[-0.5000,  0.5000]])
    """

    def __init__(self, kind: str = "mc", rank: int = 1) -> None:
        self.kind, self._softmax = kind, CrossEntropy(kind, rank)

    def __call__(
        self, outputs: Float[Tensor, "R A"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """See `Terminal`; `targets` is the pair of coefficients and legal actions, both `(R, A)`; None: all are."""
        coefficient, mask = targets  # pyright: ignore[reportGeneralTypeIssues]
        weight = (len(outputs) * coefficient).to(outputs)
        if mask is not None:
            outputs = outputs.masked_fill(~mask.bool(), FLOAT_MIN)
        logs = outputs.log_softmax(-1)
        policy = logs.exp()
        loss = -(weight * logs.masked_fill(weight == 0, 0.0)).sum(-1)
        gradient = policy * weight.sum(-1, keepdim=True) - weight
        if generator is None:
            return TerminalFactors(loss, gradient, [])
        if self.kind == "gn1":
            return TerminalFactors(loss, gradient, [gradient])
        mass = weight.abs().sum(-1, keepdim=True).sqrt()
        plain = self._softmax(outputs, policy, generator).factors
        return TerminalFactors(loss, gradient, [mass * z for z in plain])


class MeanLoss:
    """`-R <c, z>`: the outputs z are the mean of what is played, in a continuous game, and c the slope there.

    The factor is that of the Fisher matrix of a Gaussian around the mean with deviation 1, `z' - z` with z' drawn
    from it, which is the identity on average; `full` and `topr` have columns of the identity, `gn1` is the gradient
    itself. Coefficients in a set's own units have no weight mass, so it is not scaled.

    Args:
        kind: Which factor of the second derivative: `mc`, `gn1`, `full` or `topr`.
        rank: How many columns (`mc`, `topr`).

    Raises:
        UnknownNameError: If there is no such factor.
        InvalidSettingError: If `rank` is below 1, or, when called, above the number of outputs (`topr`).

    Example:
        >>> MeanLoss("full")(torch.zeros(1, 2), (torch.ones(1, 2), None), torch.Generator()).factors[0]
        tensor([[1., 0.]])
    """

    def __init__(self, kind: str = "mc", rank: int = 1) -> None:
        if kind not in KINDS:
            raise UnknownNameError("value Hessian", kind, KINDS)
        CrossEntropy(kind, rank)  # checks the rank
        self.kind, self.rank = kind, rank

    def __call__(
        self, outputs: Float[Tensor, "R d"], targets: object, generator: torch.Generator | None
    ) -> TerminalFactors:
        """See `Terminal`; `targets` is a pair whose first is the coefficients `(R, d)`."""
        weight = (len(outputs) * targets[0]).to(outputs)  # pyright: ignore[reportIndexIssue]
        factors = [] if generator is None else self._factors(outputs, -weight, generator)
        return TerminalFactors(-(weight * outputs).sum(-1), -weight, factors)

    def _factors(self, outputs: Tensor, gradient: Tensor, generator: torch.Generator) -> list[Tensor]:
        if self.kind == "gn1":
            return [gradient]
        if self.kind == "mc":
            shape = (self.rank, *outputs.shape)
            noise = torch.randn(shape, generator=generator, device=outputs.device, dtype=outputs.dtype)
            return list(noise / self.rank**0.5)
        d = outputs.shape[-1]
        if self.kind == "topr" and self.rank > d:
            raise InvalidSettingError(f"got rank={self.rank}, expected at most the {d} outputs: lower rank")
        columns = torch.eye(d, device=outputs.device, dtype=outputs.dtype)
        return [c.expand_as(outputs) for c in columns[: self.rank if self.kind == "topr" else d]]
