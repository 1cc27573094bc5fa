"""GANs: a neural generator and a neural critic are the two players of a game.

A strategy is a network's flat weights. With real samples x, noise z, fakes G(z) and the critic's score s = D(.):

- `minimax`: the critic has `u_1 = -mean softplus(-s(x)) - mean softplus(s(G(z)))`, the generator `u_0 = -u_1`
  (Goodfellow et al. 2014);
- `non_saturating`: the generator has `u_0 = -mean softplus(-s(G(z)))` instead: a general-sum game;
- `wasserstein`: `u_1 = mean s(x) - mean s(G(z)) = -u_0` (Arjovsky, Chintala and Bottou 2017).

A penalty is a part of the critic's utility. `r1` subtracts `(weight / 2) mean |grad s(x)|^2` at real samples
(Mescheder, Geiger and Nowozin 2018), `gp` subtracts `weight * mean (|grad s| - 1)^2` between real and fake samples
(Gulrajani et al. 2017).

The game holds one fixed draw of its data, on which it is as deterministic as any game; `draw` gives it fresh data.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.games.perceptron import Perceptron
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box

__all__ = ["Loss", "NeuralGAN", "Penalty", "Target"]

Loss = Literal["minimax", "non_saturating", "wasserstein"]
Penalty = Literal["none", "r1", "gp"]
_LOSSES, _PENALTIES = ("minimax", "non_saturating", "wasserstein"), ("none", "r1", "gp")
_FAR = 80.0  # beyond this score exp overflows in float32, or nearly


@runtime_checkable
class Target(Protocol):
    """What a generator is to learn: points of dimension `dim` that can be drawn."""

    @property
    def dim(self) -> int:
        """The dimension of a sample."""
        ...

    def sample(self, shape: Sequence[int], generator: torch.Generator, *, dtype: torch.dtype) -> Tensor:
        """Draws, `(*shape, dim)`."""
        ...


@dataclass(frozen=True, eq=False)
class _Data:
    """What a draw draws: real samples `(*rows, N, d)`, noise `(*rows, N, latent)`, places between `(*rows, N, 1)`."""

    real: Tensor
    noise: Tensor
    place: Tensor


class NeuralGAN(Game):
    """A generator (player 0) and a critic (player 1) that play for a distribution.

    Args:
        target: What the generator is to learn, such as a `GaussianMixture`.
        generator: From noise to samples.
        critic: From samples to a score.
        loss: `minimax`, `non_saturating` or `wasserstein`.
        penalty: `none`, `r1` or `gp`, on the slopes of the critic.
        weight: The weight of the penalty.
        batch: How many samples and how many noises a draw has.
        rows: None: all rows of a profile see the same data. R: profiles have the batch shape `(R,)`, and each row sees
            data of its own, as R runs with different seeds would.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: If networks and target do not fit together, or a setting makes no sense.

    Example:
        >>> from strategic_envs.games.mixtures import GaussianMixture
        >>> game = NeuralGAN(GaussianMixture.ring(), Perceptron((2, 8, 2)), Perceptron((2, 8, 1)), batch=16)
        >>> x = game.initial([0, 1, 2])
        >>> game.utilities(x).shape, game.samples(x, 100, torch.Generator().manual_seed(0)).shape
        (torch.Size([3, 2]), torch.Size([3, 100, 2]))
    """

    def __init__(
        self,
        target: Target,
        generator: Perceptron,
        critic: Perceptron,
        *,
        loss: Loss = "non_saturating",
        penalty: Penalty = "r1",
        weight: float = 1.0,
        batch: int = 256,
        rows: int | None = None,
        name: str = "neural_gan",
    ) -> None:
        if generator.widths[-1] != target.dim or critic.widths[0] != target.dim or critic.widths[-1] != 1:
            raise InvalidGameError(
                f"{name}: got a generator of widths {generator.widths} and a critic of widths {critic.widths}, "
                f"expected a generator that ends in {target.dim}, and a critic from {target.dim} to 1"
            )
        if loss not in _LOSSES or penalty not in _PENALTIES:
            raise InvalidGameError(
                f"{name}: got loss={loss!r} and penalty={penalty!r}, expected one of {_LOSSES} and one of {_PENALTIES}"
            )
        if not 0 <= weight < math.inf or batch < 1 or (rows is not None and rows < 1):
            raise InvalidGameError(
                f"{name}: got weight={weight}, batch={batch} and rows={rows}, expected weight >= 0, batch >= 1 and "
                "rows >= 1 or None"
            )
        # not Game.__init__: the utilities are a method here, so that a draw does not keep the first one's data
        sets = [Box(-math.inf, math.inf, dim=network.dim) for network in (generator, critic)]
        VIGame.__init__(self, None, sets, name=name)
        self.target, self.generator, self.critic = target, generator, critic
        self.loss, self.penalty, self.weight, self.batch, self.rows = loss, penalty, weight, batch, rows
        self._data = self._drawn(torch_stream(0, "gan", "evaluation"))

    def draw(self, generator: torch.Generator) -> NeuralGAN:
        """The same game on fresh samples and noise.

        Args:
            generator: What they are drawn with.
        """
        other = copy.copy(self)
        other._data = self._drawn(generator)
        return other

    def _drawn(self, generator: torch.Generator) -> _Data:
        shape = (self.batch,) if self.rows is None else (self.rows, self.batch)
        kind = {"generator": generator, "dtype": torch.float32, "device": generator.device}
        return _Data(
            real=self.target.sample(shape, generator, dtype=torch.float32),
            noise=torch.randn((*shape, self.generator.widths[0]), **kind),
            place=torch.rand((*shape, 1), **kind),
        )

    def initial(self, seeds: int | Sequence[int] = 0, *, dtype: torch.dtype = torch.float32) -> Profile:
        """Weights to start from.

        Args:
            seeds: One seed, or one a row.
            dtype: float32 is meant for training.

        Returns:
            Weights `(d_i,)` for one seed, `(len(seeds), d_i)` for several.
        """
        if isinstance(seeds, int):
            networks = {"generator": self.generator, "critic": self.critic}
            return Profile(n.initial(torch_stream(seeds, "initial", k), dtype=dtype) for k, n in networks.items())
        return Profile(torch.stack(t) for t in zip(*(self.initial(s, dtype=dtype) for s in seeds), strict=True))

    def samples(self, x: Sequence[Tensor], n: int, generator: torch.Generator) -> Float[Tensor, "*batch n d"]:
        """What the generator makes of fresh noise.

        Args:
            x: A profile; only the generator's weights are looked at.
            n: How many samples a row.
            generator: What the noise is drawn with.
        """
        size = (*x[0].shape[:-1], n, self.generator.widths[0])
        noise = torch.randn(size, generator=generator, dtype=torch.float32, device=generator.device)
        with torch.no_grad():
            return self.generator(x[0], noise.to(x[0]))

    def utilities(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch 2"]:
        """Both players' utilities on the data that this game holds."""
        theta, omega = self._checked(x)
        fake = self.generator(theta, self._data.noise.to(theta))
        real, made, penalty = self._scores(omega, fake, fake)
        return torch.stack([self._generator_utility(real, made), self._critic_utility(real, made) - penalty], dim=-1)

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field: both players' gradients by one forward and one backward pass through the critic.

        A sample's slope of the generator's utility is the critic's times a known factor, the ratio of the derivatives
        of both utilities in the score.
        """
        if player is not None:
            return super().field(x, player)
        theta, omega = (t.detach().clone().requires_grad_() for t in self._checked(x))
        with torch.enable_grad():
            fake = self.generator(theta, self._data.noise.to(theta))
            seen = fake.detach().requires_grad_()
            real, made, penalty = self._scores(omega, seen, fake.detach())
            if self.loss == "non_saturating" and bool((made < -_FAR).any()):
                return super().field(x)  # the critic's slope underflows there, and the generator's does not
            own = self._critic_utility(real, made) - penalty
            slope, ascent = torch.autograd.grad(own.sum(), [seen, omega])
            # the ratio of the derivatives in the score, sigmoid(-s) / -sigmoid(s) where the losses differ
            ratio = (-made.detach()).exp() if self.loss == "non_saturating" else torch.ones_like(made)
            slope = -ratio.unsqueeze(-1) * slope
            (climb,) = torch.autograd.grad(fake, theta, slope)
        return Profile([climb, ascent])

    def _checked(self, x: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
        if self.rows is not None and batch != (self.rows,):
            raise InvalidStrategyError(
                f"{self.name}: got a profile of batch shape {tuple(batch)}, expected ({self.rows},): each row has data "
                "of its own; make the game with rows=None for rows that share their data"
            )
        return x[0].expand(*batch, x[0].shape[-1]), x[1].expand(*batch, x[1].shape[-1])

    def _scores(self, omega: Tensor, fake: Tensor, between: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The scores of real and fake samples `(*batch, N)`, and the penalty `(*batch,)`.

        `between` are the fakes of the penalty: its own tensor, so that no gradient need flow through them.
        """
        real = self._data.real.to(omega).expand(*fake.shape)
        points, rows = [real, fake], slice(0, self.batch)
        if self.penalty == "gp":
            points.append(between + self._data.place.to(omega) * (real - between))
            rows = slice(2 * self.batch, None)
        if self.penalty == "none":
            scores, penalty = self.critic(omega, torch.cat(points, -2)), omega.new_zeros(omega.shape[:-1])
        else:
            scores, slopes = self.critic.with_slopes(omega, torch.cat(points, -2), rows)
            squares = (slopes**2).sum(-1)
            off = squares / 2 if self.penalty == "r1" else ((squares + 1e-12).sqrt() - 1) ** 2
            penalty = self.weight * off.mean(-1)
        return scores[..., : self.batch, 0], scores[..., self.batch : 2 * self.batch, 0], penalty

    def _critic_utility(self, real: Tensor, made: Tensor) -> Tensor:
        if self.loss == "wasserstein":
            return real.mean(-1) - made.mean(-1)
        return -softplus(-real).mean(-1) - softplus(made).mean(-1)

    def _generator_utility(self, real: Tensor, made: Tensor) -> Tensor:
        if self.loss == "non_saturating":
            return -softplus(-made).mean(-1)
        return -self._critic_utility(real, made)
