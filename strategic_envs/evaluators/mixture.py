"""How well samples cover a mixture of Gaussians: modes, high quality, and the histogram's divergence from uniform.

A sample is of high quality when it lies within 3 sigma of its nearest centre; a mode is covered when it has at least
one such sample (strictly: at least a fifth of its fair share M / K); the KL divergence is that of the histogram of
nearest modes, over all samples, from the uniform one. Samples of a plane mixture itself are of high quality with
probability `1 - exp(-4.5) = 0.98889`, and their KL is about `(K - 1) / (2 M)`. The usual M is 2500 (Srivastava et al.
2017; Metz et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError

__all__ = ["MixtureReport", "mixture_report"]


@dataclass(frozen=True, eq=False)
class MixtureReport:
    """How well samples cover a mixture, a number each `(*batch,)`.

    Args:
        modes_covered: Modes with at least one high-quality sample.
        modes_covered_strict: Modes with at least a fifth of M / K high-quality samples.
        high_quality: The share of samples within 3 sigma of their nearest centre.
        kl: `KL(histogram of nearest modes || uniform)`, in nats.
    """

    modes_covered: Int[Tensor, "*batch"]
    modes_covered_strict: Int[Tensor, "*batch"]
    high_quality: Float[Tensor, "*batch"]
    kl: Float[Tensor, "*batch"]


def mixture_report(samples: Float[Tensor, "*batch M d"], centres: Float[Tensor, "K d"], sigma: float) -> MixtureReport:
    """Measures samples against the modes of a mixture.

    Args:
        samples: The samples, M a row. One that is not finite is of low quality, and counts to the first mode.
        centres: The modes.
        sigma: The standard deviation of each coordinate around its mode.

    Raises:
        InvalidStrategyError: If there are no samples, or they are of another dimension than the centres.

    Example:
        >>> centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> report = mixture_report(torch.tensor([[0.0, 0.01], [0.1, 0.0], [0.4, 0.0], [1.0, 0.0]]), centres, 0.02)
        >>> int(report.modes_covered), float(report.high_quality), round(float(report.kl), 4)
        (2, 0.5, 0.1308)
    """
    if samples.ndim < 2 or samples.shape[-2] == 0 or samples.shape[-1] != centres.shape[-1]:
        raise InvalidStrategyError(
            f"got samples of shape {tuple(samples.shape)} and centres of shape {tuple(centres.shape)}, expected "
            "samples (*batch, M, d) with M >= 1 and centres (K, d)"
        )
    # distances in float64: sigma may be a hundredth of the radius
    points, modes = samples.double(), centres.to(samples.device).double()
    distance = (points.unsqueeze(-2) - modes).square().sum(-1).nan_to_num(torch.inf)
    nearest = distance.min(-1)
    one_hot = torch.nn.functional.one_hot(nearest.indices, len(modes)).double()
    good = nearest.values <= (3 * sigma) ** 2
    share = one_hot.mean(-2)
    covered = (one_hot * good.unsqueeze(-1)).sum(-2)
    fair = samples.shape[-2] / len(modes)
    return MixtureReport(
        modes_covered=(covered >= 1).sum(-1),
        modes_covered_strict=(covered >= 0.2 * fair).sum(-1),
        high_quality=good.double().mean(-1),
        kl=torch.xlogy(share, share * len(modes)).sum(-1),
    )
