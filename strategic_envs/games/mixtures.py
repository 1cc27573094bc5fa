"""Mixtures of Gaussians in the plane: what a GAN is asked to learn, and where its modes can be counted.

The ring of 8 and the grid of 25 of Metz, Poole, Pfau and Sohl-Dickstein, "Unrolled Generative Adversarial Networks",
ICLR 2017, and of Srivastava et al., "VEEGAN", NeurIPS 2017. Papers differ in radius and width; here they are options.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError

__all__ = ["GaussianMixture"]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Equally likely round Gaussians.

    Args:
        centres: The modes, `(K, d)`.
        sigma: The standard deviation of every coordinate around its mode.
        name: What tables call it.

    Raises:
        InvalidGameError: If the centres are no finite matrix, or sigma is not above zero.

    Example:
        >>> ring = GaussianMixture.ring()
        >>> ring.centres.shape, ring.sample((3,), torch.Generator().manual_seed(0)).shape
        (torch.Size([8, 2]), torch.Size([3, 2]))
    """

    centres: Tensor
    sigma: float
    name: str = "mixture"

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or 0 in self.centres.shape or not bool(self.centres.isfinite().all()):
            raise InvalidGameError(
                f"{self.name}: got centres of shape {tuple(self.centres.shape)}, expected finite numbers (K, d)"
            )
        if not 0 < self.sigma < math.inf:
            raise InvalidGameError(f"{self.name}: got sigma={self.sigma}, expected a number > 0")

    @classmethod
    def ring(cls, modes: int = 8, radius: float = 2.0, sigma: float = 0.02) -> GaussianMixture:
        """Modes at equal angles on a circle."""
        if modes < 1 or not 0 < radius < math.inf:
            raise InvalidGameError(f"ring: got modes={modes} and radius={radius}, expected modes >= 1 and radius > 0")
        angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
        return cls(radius * torch.stack([angle.cos(), angle.sin()], dim=-1), sigma, f"ring of {modes}")

    @classmethod
    def grid(cls, side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> GaussianMixture:
        """Modes on a square grid around zero: by default {-4, -2, 0, 2, 4}^2."""
        if side < 1 or not 0 < spacing < math.inf:
            raise InvalidGameError(f"grid: got side={side} and spacing={spacing}, expected side >= 1 and spacing > 0")
        axis = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
        return cls(torch.cartesian_prod(axis, axis).reshape(-1, 2), sigma, f"grid of {side**2}")

    @property
    def modes(self) -> int:
        """K, the number of modes."""
        return len(self.centres)

    @property
    def dim(self) -> int:
        """The dimension of a sample."""
        return self.centres.shape[1]

    def sample(
        self, shape: Sequence[int], generator: torch.Generator, *, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "*shape d"]:
        """Draws of the mixture.

        Args:
            shape: How many.
            generator: What they are drawn with.
            dtype: Their type.
        """
        device = generator.device
        mode = torch.randint(self.modes, tuple(shape), generator=generator, device=device)
        size = (*shape, self.centres.shape[1])
        noise = torch.randn(size, generator=generator, dtype=dtype, device=device)
        return self.centres.to(device, dtype)[mode] + self.sigma * noise
