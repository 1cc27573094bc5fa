"""Two Wasserstein GANs in closed form: a linear critic that learns a mean, a quadratic one that learns a covariance.

The generator (player 0) minimises f, the critic (player 1) maximises it.

Mean: data N(v, I), generator G(z) = z + theta, critic D(x) = <omega, x>: `f(theta, omega) = <omega, v - theta>`. The
solution is theta = v, omega = 0; a step of simultaneous gradient multiplies the distance to it by sqrt(1 + eta^2).

Covariance: data N(0, Sigma), G(z) = W z, D(x) = x^T Q x: `f(W, Q) = <Q, Sigma - W W^T>`. Solutions have W W^T = Sigma
and Q = 0 (up to an antisymmetric part of Q, which does nothing).

Each game is the expectation; its `draw` is the same game on finite batches of data and noise.

Daskalakis, Ilyas, Syrgkanis and Zeng, "Training GANs with Optimism", ICLR 2018, sections 3 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

__all__ = ["GAMES", "LinearWGAN", "QuadraticWGAN", "wgan_linear", "wgan_quadratic"]

_SOURCE = "Daskalakis, Ilyas, Syrgkanis and Zeng (2018)"


class LinearWGAN(Game):
    """`min_theta max_omega <omega, v - theta>`.

    Args:
        mean: v, `(d,)`.
        clip: The critic's weights lie in `[-clip, clip]`; None leaves them unbounded.
        batch: How many samples, and how many noises, a draw has.
        gap: What stands for v: in a draw the mean of its samples minus the mean of its noises, `(d,)`.

    Example:
        >>> game = LinearWGAN(torch.tensor([3.0, 4.0]))
        >>> game.field(game.profile([0.0, 0.0], [1.0, 0.0])).flat().tolist()
        [1.0, 0.0, 3.0, 4.0]
    """

    def __init__(self, mean: Tensor, *, clip: float | None = None, batch: int = 256, gap: Tensor | None = None) -> None:
        self.mean, self.clip, self.batch = mean, clip, batch
        self.gap = mean if gap is None else gap
        super().__init__(self._utilities_of, _sets(len(mean), clip), name="wgan_linear")

    def _utilities_of(self, x: tuple[Tensor, ...]) -> Tensor:
        theta, omega = x
        f = (omega * (self.gap.to(theta) - theta)).sum(-1)
        return torch.stack([-f, f], dim=-1)

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field in closed form: omega for the generator, v - theta for the critic."""
        theta, omega = (t.detach() for t in x)
        v = Profile([omega.expand_as(theta + omega).clone(), (self.gap.to(theta) - theta).expand_as(theta + omega)])
        return v if player is None else Profile([v[player]])

    def draw(self, generator: torch.Generator) -> LinearWGAN:
        """The same game on fresh samples of the data and of the noise.

        Args:
            generator: What they are drawn with.
        """
        data, noise = _normal(generator, 2, self.batch, len(self.mean)).mean(1)
        return LinearWGAN(self.mean, clip=self.clip, batch=self.batch, gap=self.mean + data - noise)

    def known(self) -> Known:
        """The solution of the expected game; a draw has its own mean in place of v."""
        solution = Equilibrium.pure("nash", [self.gap.tolist(), [0.0] * len(self.mean)])
        note = "A step of simultaneous gradient multiplies the distance to the solution by sqrt(1 + eta^2)."
        return Known((solution,), {"value": 0.0}, {"smoothness": 1.0}, complete=True, source=_SOURCE, note=note)


class QuadraticWGAN(Game):
    """`min_W max_Q <Q, Sigma - W W^T>`; strategies are the rows of W and of Q, one after another.

    Args:
        covariance: Sigma, `(d, d)`.
        clip: The critic's weights lie in `[-clip, clip]`; None leaves them unbounded.
        batch: How many samples, and how many noises, a draw has.
        moments: What stands for Sigma and for the identity `E z z^T`: in a draw the second moments of its samples and
            of its noises, two matrices `(d, d)`.

    Example:
        >>> game = QuadraticWGAN(torch.eye(2))
        >>> float(game.generated(game.profile([1.0, 0.0, 0.0, 1.0], [0.0] * 4)).trace())
        2.0
    """

    def __init__(
        self,
        covariance: Tensor,
        *,
        clip: float | None = None,
        batch: int = 256,
        moments: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.covariance, self.clip, self.batch = covariance, clip, batch
        self.size = len(covariance)
        self.moments = (covariance, torch.eye(self.size, dtype=covariance.dtype)) if moments is None else moments
        super().__init__(self._utilities_of, _sets(self.size**2, clip), name="wgan_quadratic")

    def _matrices(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(t.unflatten(-1, (self.size, self.size)) for t in x)

    def _utilities_of(self, x: tuple[Tensor, ...]) -> Tensor:
        W, Q = self._matrices(x)
        data, noise = (m.to(W) for m in self.moments)
        f = (Q * (data - W @ noise @ W.mT)).sum((-2, -1))
        return torch.stack([-f, f], dim=-1)

    def generated(self, x: Sequence[Tensor]) -> Tensor:
        """The covariance W W^T of what the generator makes, `(*batch, d, d)`."""
        W = self._matrices(x)[0]
        return W @ W.mT

    def draw(self, generator: torch.Generator) -> QuadraticWGAN:
        """The same game on fresh samples of the data and of the noise.

        Args:
            generator: What they are drawn with.
        """
        data, noise = _normal(generator, 2, self.batch, self.size)
        data = data @ torch.linalg.cholesky(self.covariance).mT
        moments = (data.mT @ data / self.batch, noise.mT @ noise / self.batch)
        return QuadraticWGAN(self.covariance, clip=self.clip, batch=self.batch, moments=moments)

    def known(self) -> Known:
        """One solution, W the Cholesky factor; W R is another for every rotation R."""
        data, noise = (torch.linalg.cholesky(m) for m in self.moments)
        W = data @ torch.linalg.inv(noise)
        solution = Equilibrium.pure("nash", [W.reshape(-1).tolist(), [0.0] * self.size**2], tolerance=1e-9)
        return Known((solution,), {"value": 0.0}, source=_SOURCE, note="Every W with W W^T = Sigma solves the game.")


def _sets(size: int, clip: float | None) -> list[Box]:
    bound = math.inf if clip is None else clip
    return [Box(-math.inf, math.inf, dim=size), Box(-bound, bound, dim=size)]


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)


def _check(name: str, clip: float | None, batch: int) -> None:
    if clip is not None and not (math.isfinite(clip) and clip > 0):
        raise InvalidGameError(f"{name}: got clip={clip}, expected a number > 0, or None for a critic without bounds")
    if not isinstance(batch, int) or batch < 1:
        raise InvalidGameError(f"{name}: got batch={batch!r}, expected a whole number >= 1")


def wgan_linear(mean: Sequence[float] = (3.0, 4.0), clip: float | None = None, batch: int = 256) -> LinearWGAN:
    """The WGAN with a linear critic, which learns the mean of a Gaussian.

    Args:
        mean: v, the mean of the data.
        clip: The critic's weights lie in `[-clip, clip]`; None leaves them unbounded.
        batch: How many samples a `draw` has.

    Raises:
        InvalidGameError: If the mean is not a vector of finite numbers, or clip or batch make no sense.

    Example:
        >>> wgan_linear().known().equilibria[0].points[0].tolist()
        [[3.0, 4.0]]
    """
    _check("wgan_linear", clip, batch)
    v = torch.as_tensor(mean, dtype=torch.float64)
    if v.ndim != 1 or len(v) == 0 or not bool(v.isfinite().all()):
        raise InvalidGameError(f"wgan_linear: got mean={mean}, expected a vector of finite numbers, such as (3.0, 4.0)")
    return LinearWGAN(v, clip=clip, batch=batch)


def wgan_quadratic(
    covariance: Sequence[Sequence[float]] = ((1.0, 0.5), (0.5, 0.8)), clip: float | None = None, batch: int = 256
) -> QuadraticWGAN:
    """The WGAN with a quadratic critic, which learns the covariance of a Gaussian of mean zero.

    Args:
        covariance: Sigma, symmetric and positive definite.
        clip: The critic's weights lie in `[-clip, clip]`; None leaves them unbounded.
        batch: How many samples a `draw` has, at least as many as dimensions.

    Raises:
        InvalidGameError: If Sigma is no covariance matrix, or clip or batch make no sense.

    Example:
        >>> wgan_quadratic(covariance=[[4.0]]).known().equilibria[0].points[0].tolist()
        [[2.0]]
    """
    _check("wgan_quadratic", clip, batch)
    sigma = torch.as_tensor(covariance, dtype=torch.float64)
    square = sigma.ndim == 2 and sigma.shape[0] == sigma.shape[1] and bool(sigma.isfinite().all())
    if not square or not sigma.equal(sigma.mT) or float(torch.linalg.eigvalsh(sigma).min()) <= 0:
        raise InvalidGameError(
            f"wgan_quadratic: got covariance={covariance}, expected a symmetric positive definite matrix"
        )
    return QuadraticWGAN(sigma, clip=clip, batch=batch)


GAMES = {"wgan_linear": wgan_linear, "wgan_quadratic": wgan_quadratic}
