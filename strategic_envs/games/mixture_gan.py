"""GANs on mixtures of Gaussians in the plane: the ring of 8 and the grid of 25, small and hard.

The setting of Metz, Poole, Pfau and Sohl-Dickstein (2017): a small generator and a small critic, noise of many
dimensions, modes much narrower than the gaps between them. Count them with
`strategic_envs.evaluators.mixture.mixture_report`. Defaults are those that trained best with Adam.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategic_envs.games.gan import Loss, NeuralGAN, Penalty
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.games.perceptron import Perceptron

__all__ = ["GAMES", "gan_grid", "gan_ring"]


def _mixture_gan(
    mixture: GaussianMixture,
    name: str,
    hidden: Sequence[int],
    latent: int,
    activation: str,
    loss: Loss,
    penalty: Penalty,
    weight: float,
    batch: int,
    rows: int | None,
) -> NeuralGAN:
    plane = mixture.dim
    return NeuralGAN(
        mixture,
        Perceptron((latent, *hidden, plane), activation),
        Perceptron((plane, *hidden, 1), activation),
        loss=loss,
        penalty=penalty,
        weight=weight,
        batch=batch,
        rows=rows,
        name=name,
    )


def gan_ring(
    modes: int = 8,
    radius: float = 2.0,
    sigma: float = 0.02,
    *,
    hidden: Sequence[int] = (64, 64),
    latent: int = 16,
    activation: str = "tanh",
    loss: Loss = "non_saturating",
    penalty: Penalty = "r1",
    weight: float = 0.03,
    batch: int = 256,
    rows: int | None = None,
) -> NeuralGAN:
    """A GAN on a ring of Gaussians, 8 of radius 2 and sigma 0.02 by default.

    Args:
        modes: How many Gaussians.
        radius: The radius of the ring; papers have 2 or 1.
        sigma: Their standard deviation; papers have 0.02 or 0.01.
        hidden: The widths of the hidden layers of both networks.
        latent: The dimension of the generator's noise.
        activation: That of both networks, one of `strategic_envs.games.perceptron.ACTIVATIONS`.
        loss: See `NeuralGAN`, as for the rest.
        penalty: On the slopes of the critic.
        weight: The weight of the penalty.
        batch: How many samples a draw has.
        rows: Whether each row of a profile has data of its own.

    Raises:
        InvalidGameError: If a setting makes no sense.

    Example:
        >>> gan_ring(hidden=(8,), latent=2).dims
        (42, 33)
    """
    mixture = GaussianMixture.ring(modes, radius, sigma)
    return _mixture_gan(mixture, "gan_ring", hidden, latent, activation, loss, penalty, weight, batch, rows)


def gan_grid(
    side: int = 5,
    spacing: float = 2.0,
    sigma: float = 0.05,
    *,
    hidden: Sequence[int] = (64, 64),
    latent: int = 16,
    activation: str = "tanh",
    loss: Loss = "non_saturating",
    penalty: Penalty = "r1",
    weight: float = 0.1,
    batch: int = 256,
    rows: int | None = None,
) -> NeuralGAN:
    """A GAN on a square grid of Gaussians, 25 at {-4, -2, 0, 2, 4}^2 with sigma 0.05 by default.

    Args:
        side: How many Gaussians a side.
        spacing: How far neighbours are apart.
        sigma: Their standard deviation.
        hidden: The widths of the hidden layers of both networks.
        latent: The dimension of the generator's noise.
        activation: That of both networks, one of `strategic_envs.games.perceptron.ACTIVATIONS`.
        loss: See `NeuralGAN`, as for the rest.
        penalty: On the slopes of the critic.
        weight: The weight of the penalty.
        batch: How many samples a draw has.
        rows: Whether each row of a profile has data of its own.

    Raises:
        InvalidGameError: If a setting makes no sense.

    Example:
        >>> gan_grid().target.modes
        25
    """
    mixture = GaussianMixture.grid(side, spacing, sigma)
    return _mixture_gan(mixture, "gan_grid", hidden, latent, activation, loss, penalty, weight, batch, rows)


GAMES = {"gan_grid": gan_grid, "gan_ring": gan_ring}
