"""The arbitrage equilibrium of statistical teleodynamics, which is a Wardrop equilibrium.

Members of one population (in the literature: a layer's connections) choose among bins of a size w. Bin k is worth

    h_k(x) = alpha ln w_k - beta (ln w_k)^2 - gamma ln x_k        (a benefit, a cost, crowding; gamma = 1 in the source)

to each of the share x_k who are there. At the arbitrage equilibrium all bins are worth the same, h*: nobody gains by
moving. With costs -h_k this is a congestion game in which a strategy is one resource, the equilibrium is its Wardrop
equilibrium, and the potential phi of teleodynamics (by Stirling's formula) is minus the Beckmann potential, less gamma.
It is unique: `x_k` in proportion to `exp((alpha ln w_k - beta (ln w_k)^2) / gamma)`, so ln w is Gaussian, w lognormal:

    bins of equal width in ln w:  mean alpha / (2 beta),            variance gamma / (2 beta)
    bins of equal width in w:     mean (alpha + gamma) / (2 beta),  variance gamma / (2 beta)

State the binning with any alpha. Of every x, `h* - mean h = gamma KL(x || x*)`. None of this is evidence that a network
is in such an equilibrium: any density is one for some utility.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.congestion import CongestionGame, LogCosts
from strategic_envs.games.kinds.known import Equilibrium, Known

__all__ = ["GAMES", "Arbitrage"]


class Arbitrage(CongestionGame):
    """One population over bins of a size w, each worth `alpha ln w - beta (ln w)^2 - gamma ln x`.

    Utilities are infinite at empty bins, so dynamics must start where every bin has a share.

    Args:
        bins: How many bins, at least 2.
        alpha: The benefit of a larger ln w.
        beta: The cost of its square, > 0: otherwise any uniform density would do.
        binning: Whether bins have equal width in ln w ("log") or in w ("linear").
        crowding: gamma > 0.
        reach: The bins end so many standard deviations from the mean of ln w; those of equal width in w begin at zero.

    Attributes:
        positions: ln w of the bins, `(bins,)`.
        mu: The mean of ln w at the equilibrium, of infinitely many bins.
        sigma: Its standard deviation.

    Raises:
        InvalidGameError: If an argument is none of these.

    Example:
        >>> game = Arbitrage()
        >>> mean, deviation = game.moments(game.equilibrium)
        >>> round(float(mean), 6), round(float(deviation), 6)
        (-4.0, 0.999995)
        >>> even = torch.full((61,), 1 / 61, dtype=torch.float64)
        >>> round(float(game.spread(even)), 6)  # max h - min h: nothing is settled yet
        12.5

    References:
        Venkatasubramanian et al., arXiv 2405.10955 (the potential; its form as a congestion game is ours).
        Beckmann, McGuire and Winsten, Studies in the Economics of Transportation (1956).
    """

    def __init__(
        self,
        bins: int = 61,
        alpha: float = -4.0,
        beta: float = 0.5,
        *,
        binning: str = "log",
        crowding: float = 1.0,
        reach: float = 5.0,
    ) -> None:
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 2:
            raise InvalidGameError(f"arbitrage: got bins={bins!r}, expected a whole number from 2")
        if binning not in ("log", "linear"):
            raise InvalidGameError(f"arbitrage: got binning={binning!r}, expected 'log' (widths in ln w) or 'linear'")
        for name, value in (("beta", beta), ("crowding", crowding), ("reach", reach)):
            if not 0 < value < math.inf:
                raise InvalidGameError(f"arbitrage: got {name}={value!r}, expected a finite number above 0")
        if not math.isfinite(alpha):
            raise InvalidGameError(f"arbitrage: got alpha={alpha!r}, expected a finite number")
        self.alpha, self.beta, self.crowding, self.binning = float(alpha), float(beta), float(crowding), binning
        self.mu = (alpha + (crowding if binning == "linear" else 0.0)) / (2 * beta)
        self.sigma = math.sqrt(crowding / (2 * beta))
        low, high = self.mu - reach * self.sigma, self.mu + reach * self.sigma
        if binning == "log":
            self.positions = torch.linspace(low, high, bins, dtype=torch.float64)
        else:
            self.positions = ((torch.arange(bins, dtype=torch.float64) + 0.5) / bins).log() + high
        self.worth = self.alpha * self.positions - self.beta * self.positions**2
        self.equilibrium: Float[Tensor, " bins"] = (self.worth / self.crowding).softmax(-1)
        costs = LogCosts(-self.worth, self.crowding)
        super().__init__([1.0], [[[k] for k in range(bins)]], costs=costs, name="arbitrage")
        self._known = self._facts()

    def _facts(self) -> Known:
        level = self.crowding * float((self.worth / self.crowding).logsumexp(-1))  # h*
        return Known(
            equilibria=(Equilibrium.pure("nash", [self.equilibrium.tolist()]),),
            values={
                "mu": self.mu,
                "sigma2": self.sigma**2,
                "utility": level,
                "potential": -level - self.crowding,
            },
            complete=True,
            source="alpha L - beta L^2 - gamma ln x = h* for all bins, L = ln w; derived",
            note="mu and sigma2 are those of infinitely many bins; the equilibrium is that of these bins, exactly.",
        )

    def utilities_of_bins(self, x: Float[Tensor, "*batch bins"]) -> Float[Tensor, "*batch bins"]:
        """h, what every bin is worth to those who are there."""
        return -self.path_costs((x,))[0]

    def spread(self, x: Float[Tensor, "*batch bins"]) -> Float[Tensor, "*batch"]:
        """`max h - min h`, zero exactly at the equilibrium."""
        h = self.utilities_of_bins(x)
        return h.amax(-1) - h.amin(-1)

    def phi(self, x: Float[Tensor, "*batch bins"]) -> Float[Tensor, "*batch"]:
        """The potential of teleodynamics, `sum_k x_k (alpha L_k - beta L_k^2) - gamma sum_k x_k ln x_k`.

        Example:
            >>> game = Arbitrage(crowding=2.0)
            >>> x = game.equilibrium
            >>> abs(float(game.phi(x) + game.potential((x,)) + 2.0)) < 1e-12
            True
        """
        return (x * self.worth.to(x)).sum(-1) - self.crowding * torch.xlogy(x, x).sum(-1)

    def divergence(self, x: Float[Tensor, "*batch bins"]) -> Float[Tensor, "*batch"]:
        """`KL(x || x*)`, which is `(h* - mean h) / gamma`: how far the mean member is from the equilibrium's worth."""
        log_equilibrium = (self.worth / self.crowding).log_softmax(-1)
        return (torch.xlogy(x, x) - x * log_equilibrium.to(x)).sum(-1)

    def moments(self, x: Float[Tensor, "*batch bins"]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of ln w, `(*batch,)` each."""
        positions = self.positions.to(x)
        mean = (x * positions).sum(-1)
        return mean, (x * (positions - mean.unsqueeze(-1)) ** 2).sum(-1).sqrt()


GAMES = {"arbitrage": Arbitrage}
