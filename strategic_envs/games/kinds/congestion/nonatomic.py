"""Nonatomic congestion games: populations of negligible members choose strategies that share resources.

Population k has mass `d_k` and strategies `P_k`; strategy p uses resource e at the rate `a_pe >= 0`. Of the flows `f_p`
the loads are `x_e = sum_p a_pe f_p`, and a member who takes p pays `C_p = sum_e a_pe c_e(x_e)`. At a Wardrop
equilibrium (Wardrop 1952; with rates: Roughgarden and Tardos 2004) every strategy in use is a cheapest one.

As a `Game` a player is a population and its strategy is the shares of its strategies. Its utility is minus the mean
cost of its members. Its part of the field is minus the path costs: what a *member* gains by a strategy, as in a
population game (Sandholm 2010), for a member does not move the loads. That is not the gradient of the utility. With
masses d the field is the gradient of minus the Beckmann potential, coordinate by coordinate divided by the mass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.flow import Flow
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.populations import Strategies, checked_masses, checked_strategies
from strategic_envs.games.kinds.congestion.solve import solve
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.profile import Profile
from strategic_envs.sets import Simplex

__all__ = ["CongestionGame"]


class CongestionGame(Game):
    """A nonatomic congestion game.

    Args:
        masses: The mass of each population, each above 0.
        strategies: For each population its strategies: a list of lists of resources `0..E-1`, or a matrix `(P_k, E)`
            of rates, or an `Incidence`. A strategy that uses nothing is a row of zeros of a matrix.
        rates: For strategies that are lists, the rates in the same lists; 1 where not given.
        costs: The cost functions of the E resources.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.

    Raises:
        InvalidGameError: If a mass is not above 0, a strategy or rate is none, or a cost decreases, is not finite or
            negative where it says it is not.

    Example:
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([0.0, 1.0], [1.0, 0.0]), name="pigou")
        >>> x = pigou.profile([0.5, 0.5])
        >>> pigou.field(x)[0].tolist(), float(pigou.potential(x)), float(pigou.excess(x))
        ([-1.0, -0.5], 0.625, 0.25)
    """

    def __init__(
        self,
        masses: Tensor | np.ndarray | Sequence[float],
        strategies: Sequence[Strategies],
        rates: Sequence[Sequence[Sequence[float]] | None] | None = None,
        costs: Costs | None = None,
        *,
        name: str = "congestion",
        known: Known | None = None,
    ) -> None:
        if not isinstance(costs, Costs):
            raise InvalidGameError(f"{name}: got costs of type {type(costs).__name__}, expected a Costs object")
        self.masses: Float[Tensor, " n"] = checked_masses(masses, len(strategies), name)
        parts = checked_strategies(strategies, rates, costs, name)
        self.costs = costs
        self.incidence = Incidence.stacked(parts, dense=costs.finite)
        self._counts = tuple(part.count for part in parts)
        self._owner = torch.repeat_interleave(torch.tensor(self._counts))
        self._mass_of_strategy = self.masses[self._owner]
        self._largest_loads = torch.stack([m * part.most() for m, part in zip(self.masses, parts, strict=True)]).sum(0)
        costs.check(self._largest_loads, name)
        super().__init__(self._mean_utilities, [Simplex(n) for n in self._counts], name=name, known=known)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name!r}, {self.n_players} populations, {sum(self._counts)} strategies, "
            f"{self.costs.size} resources)"
        )

    def flows(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch P"]:
        """The flows `d_k x_k` of all populations in one tensor."""
        shares = _joined(x)
        return shares * self._mass_of_strategy.to(shares)

    def loads(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch E"]:
        """What every resource carries."""
        return self.incidence.loads(self.flows(x))

    def path_costs(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What a member pays for each strategy, `(*batch, P_k)` a population."""
        return self.split(self._path_costs(x))

    def _path_costs(self, x: Sequence[Tensor]) -> Tensor:
        return self.incidence.path_costs(self.costs.value(self.loads(x)))

    def split(self, values: Float[Tensor, "*batch P"]) -> tuple[Tensor, ...]:
        """A tensor over all strategies, cut into the populations' parts."""
        return values.split(list(self._counts), dim=-1)

    def potential(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """The Beckmann potential, the sum of the integrals of the costs. Its minima are the Wardrop equilibria."""
        return self.costs.integral(self.loads(x)).sum(-1)

    def total_cost(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """What all members pay together."""
        load = self.loads(x)
        return _product(load, self.costs.value(load)).sum(-1)

    def excess(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """What all members could save together, each alone at present costs: 0 exactly at a Wardrop equilibrium.

        It bounds the potential: `0 <= potential(x) - least potential <= excess(x)`.
        """
        costs = self.costs.value(self.loads(x))
        paid, owner = self.incidence.path_costs(costs), self._owner.to(costs.device)
        return _product(self.flows(x), paid - self.least_costs(costs)[..., owner]).sum(-1)

    def least_costs(self, costs: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch n"]:
        """What each population's cheapest strategy costs where the resources cost this."""
        paid = self.incidence.path_costs(costs)
        owner = self._owner.to(paid.device).expand(paid.shape)
        least = paid.new_zeros(*paid.shape[:-1], self.n_players)
        return least.scatter_reduce(-1, owner, paid, "amin", include_self=False)

    def _mean_utilities(self, x: tuple[Tensor, ...]) -> Tensor:
        paid = _product(_joined(x), self._path_costs(x))
        return -paid.new_zeros(*paid.shape[:-1], self.n_players).index_add(-1, self._owner.to(paid.device), paid)

    def deviation_payoffs(self, x: Sequence[Tensor], player: int) -> Float[Tensor, "*batch P_k"]:
        """Minus what a member of the population pays for each strategy: its part of the field."""
        return -self.path_costs(x)[player]

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field: minus the path costs of each population. It is not the gradient of the utilities.

        Args:
            x: A profile, tensors `(*batch, P_k)`.
            player: If given, only this population's part.
        """
        v = self._functional_field(tuple(x))
        return Profile(v if player is None else [v[player]]).detach()

    def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(-c for c in self.path_costs(x))

    def jvp(self, x: Sequence[Tensor], v: Sequence[Tensor]) -> Profile:
        """The directional derivative of the field: minus what the change of loads adds to the path costs."""
        change = _product(self.loads(v), self.costs.derivative(self.loads(x)))
        return Profile(-t for t in self.split(self.incidence.path_costs(change))).detach()

    def vjp(self, x: Sequence[Tensor], w: Sequence[Tensor]) -> Profile:
        """The transposed product. Multiplied by the masses, row by row, the Jacobian is symmetric."""
        mass = self.masses.to(w[0])
        product = self.jvp(x, [t / m for t, m in zip(w, mass, strict=True)])
        return Profile(t * m for t, m in zip(product, mass, strict=True))

    def jacobian(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch total total"]:
        """The matrix of the field's derivatives, `-A diag(c') A^T D` with D the masses."""
        slope = self.costs.derivative(self.loads(x))
        a = self.incidence.matrix.to(slope)
        return -(_product(a, slope.unsqueeze(-2)) @ a.T) * self._mass_of_strategy.to(slope)

    def hessian(self, x: Sequence[Tensor], i: int, j: int | None = None) -> Float[Tensor, "*batch di dj"]:
        """The block `d V_i / d x_j` of the field's Jacobian. It stands where a `Game` has its utilities' Hessian."""
        j = i if j is None else j
        ends = np.cumsum([0, *self._counts])
        return self.jacobian(x)[..., ends[i] : ends[i + 1], ends[j] : ends[j + 1]]

    def _welfare(self, weights: Sequence[float] | None, x: tuple[Tensor, ...]) -> Tensor:
        """Minus the total cost, unless populations are weighed in another way than by their masses."""
        return super()._welfare(self.masses.tolist() if weights is None else weights, x)

    def profile_of(self, flow: Flow) -> Profile:
        """The shares of a solver's flows."""
        if tuple(len(f) for f in flow.flows) != self._counts:
            raise InvalidStrategyError(
                f"{self.name}: got flows of {[len(f) for f in flow.flows][:6]} strategies, expected {self._counts[:6]}"
            )
        return Profile((f / f.sum()).clone() for f in flow.flows)

    def wardrop(
        self,
        tol: float = 1e-12,
        method: str = "gp",
        max_steps: int | None = None,
        start: Sequence[Tensor] | None = None,
    ) -> Flow:
        """A Wardrop equilibrium, with a certificate.

        Args:
            tol: The relative gap to reach; where costs may be negative, the average excess in units of the largest
                cost in use, or of 1 if that is more.
            method: `"gp"`, path-based gradient projection, or `"fw"`, Frank-Wolfe, which is for rough tolerances.
            max_steps: The most passes or steps; when not given, 10,000.
            start: Shares to start from; even shares when not given.

        Returns:
            The flow, its gaps and how the method ended. What was not reached is said there and is no error.

        Raises:
            InvalidSettingError: If the tolerance or the number of steps is negative.
            UnknownNameError: If there is no such method.
            InvalidStrategyError: If the start is no profile of the game, or leaves a resource empty that costs minus
                infinity then.

        Example:
            >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
            >>> costs = PowerCosts.affine([0.0, 1.0], [1.0, 0.0])
            >>> pigou = CongestionGame([1.0], [[[0], [1]]], costs=costs, name="pigou")
            >>> pigou.wardrop().loads.tolist(), pigou.system_optimum().loads.tolist(), pigou.price_of_anarchy()
            ([0.0, 1.0], [0.5, 0.5], 1.3333333333333333)
        """
        return solve(self, tol=tol, method=method, max_steps=max_steps, start=start)

    def system_optimum(
        self,
        tol: float = 1e-12,
        method: str = "gp",
        max_steps: int | None = None,
        start: Sequence[Tensor] | None = None,
    ) -> Flow:
        """Flows of least total cost: a Wardrop equilibrium under marginal costs. Arguments as of `wardrop`.

        Returns:
            Flows with the costs that members pay; the potential is the total cost, and the gaps are those under
            marginal costs, so `excess` bounds how far the total cost is above the least.

        Raises:
            InvalidGameError: If marginal costs decrease: then the total cost is not convex.
        """
        flow = self.marginal().wardrop(tol, method, max_steps, start)
        costs = self.costs.value(flow.loads)
        paths = self.split(self.incidence.path_costs(costs))
        total = float(_product(flow.loads, costs).sum())
        return replace(flow, costs=costs, path_costs=paths, total_cost=total)

    def price_of_anarchy(self, tol: float = 1e-12) -> float:
        """The total cost of a Wardrop equilibrium over the least total cost. All equilibria cost the same.

        Raises:
            InvalidGameError: If costs may be negative: a ratio of them says nothing.
        """
        if not self.costs.nonnegative:
            raise InvalidGameError(
                f"{self.name}: got costs that may be negative, and a ratio of such costs says nothing: compare the "
                "total costs of wardrop() and system_optimum()"
            )
        worst, least = self.wardrop(tol).total_cost, self.system_optimum(tol).total_cost
        return worst / least if least > 0 else 1.0 if worst == 0 else math.inf

    def marginal(self) -> CongestionGame:
        """The same game under marginal costs: its Wardrop equilibria are this game's system optima."""
        return self._with_costs(self.costs.marginal(), f"{self.name}, marginal costs")

    def _with_costs(self, costs: Costs, name: str) -> CongestionGame:
        other = CongestionGame.__new__(CongestionGame)
        for attribute in ("masses", "incidence", "_counts", "_owner", "_mass_of_strategy", "_largest_loads"):
            setattr(other, attribute, getattr(self, attribute))
        costs.check(self._largest_loads, name)
        other.costs = costs
        Game.__init__(other, other._mean_utilities, self.sets, name=name)
        return other


def _joined(x: Sequence[Tensor]) -> Tensor:
    """The shares of all populations in one tensor."""
    batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
    return torch.cat([t if t.shape[:-1] == batch else t.expand(*batch, -1) for t in x], -1)


def _product(amount: Tensor, price: Tensor) -> Tensor:
    """`amount * price`, and nothing where the amount is zero and the price infinite."""
    return amount * torch.where((amount == 0) & ~price.isfinite(), 0.0, price)
