"""A flow: how much of every population takes which strategy, what that costs, and how far it is from equilibrium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from strategic_envs.games.kinds.congestion.costs import Costs

__all__ = ["Flow", "Gaps", "flow_gaps"]

USED = 1e-8  # the share of a population's mass above which a strategy counts as used


@dataclass(frozen=True)
class Gaps:
    """How far a flow is from a Wardrop equilibrium, in the units of the costs.

    With `m_k` the cost of population k's cheapest strategy:

    Args:
        excess: `E = sum_p f_p (C_p - m_k)`: what all members together could save, each alone at present costs. It is
            the Frank-Wolfe gap, so where costs do not decrease `0 <= potential - least potential <= E`.
        relative: E as a share of the total cost; None where costs may be zero or less and a share says nothing.
        average: E divided by the total mass.
        used: The largest `C_p - m_k` of a strategy that more than 1e-8 of the population uses.
    """

    excess: float
    relative: float | None
    average: float
    used: float


@dataclass(frozen=True, eq=False)
class Flow:
    """The answer of a solver, and what is known of its quality.

    Loads, costs and potential of an equilibrium are unique where costs increase; the flows on strategies are not, so
    compare loads.

    Args:
        flows: For each population how much of its mass takes each strategy, `(P_k,)`.
        loads: What each resource carries, `(E,)`.
        costs: What a user of each resource pays, `(E,)`.
        path_costs: What a member who takes each strategy pays, `(P_k,)` a population.
        total_cost: `sum_e x_e c_e(x_e)`, what all members pay together.
        excess: See `Gaps`: a certificate, for it bounds how far the potential is above its minimum.
        relative_gap: See `Gaps.relative`.
        average_excess: See `Gaps.average`.
        used_gap: See `Gaps.used`.
        potential: The Beckmann potential. Of a system optimum: the total cost, and the gaps are those under marginal
            costs, so that `excess` bounds how far the total cost is above its minimum.
        outcome: `converged`, `max_steps`, `stalled` (no step changes the flows any more) or `nonfinite`.
        iterations: How many passes or steps were taken.
        history: Potential and excess before each of them and at the end, `(iterations + 1, 2)`.
    """

    flows: tuple[Tensor, ...]
    loads: Float[Tensor, " E"]
    costs: Float[Tensor, " E"]
    path_costs: tuple[Tensor, ...]
    total_cost: float
    excess: float
    relative_gap: float | None
    average_excess: float
    used_gap: float
    potential: float
    outcome: str
    iterations: int
    history: Float[Tensor, "steps 2"]

    @classmethod
    def judged(
        cls,
        costs: Costs,
        loads: Float[Tensor, " E"],
        flows: Sequence[Tensor],
        path_costs: Sequence[Tensor],
        outcome: str,
        history: Float[Tensor, "steps 2"],
    ) -> Flow:
        """A flow with its costs and gaps, from what a solver found; the arguments as of the class."""
        value, gaps = costs.value(loads), flow_gaps(costs, flows, path_costs)
        return cls(
            flows=tuple(flows),
            loads=loads,
            costs=value,
            path_costs=tuple(path_costs),
            total_cost=float((loads * value)[loads > 0].sum()),
            excess=gaps.excess,
            relative_gap=gaps.relative,
            average_excess=gaps.average,
            used_gap=gaps.used,
            potential=float(costs.integral(loads).sum()),
            outcome=outcome,
            iterations=len(history) - 1,
            history=history,
        )

    @property
    def converged(self) -> bool:
        """Whether the gap asked for was reached."""
        return self.outcome == "converged"

    def __repr__(self) -> str:
        gap = f"relative_gap={self.relative_gap:.3g}" if self.relative_gap is not None else f"excess={self.excess:.3g}"
        return (
            f"Flow(total_cost={self.total_cost:.10g}, potential={self.potential:.10g}, {gap}, "
            f"outcome={self.outcome!r}, iterations={self.iterations})"
        )


def flow_gaps(costs: Costs, flows: Sequence[Tensor], path_costs: Sequence[Tensor]) -> Gaps:
    """The gaps of flows, one tensor `(P_k,)` a population, at given path costs.

    Args:
        costs: The cost functions, which say whether a relative gap is meaningful.
        flows: How much of each population takes each strategy.
        path_costs: What each strategy costs.

    Example:
        >>> import torch
        >>> from strategic_envs.games.kinds.congestion.costs import PowerCosts
        >>> flow, cost = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 0.5]).double()
        >>> flow_gaps(PowerCosts.affine([0.0, 1.0], [1.0, 0.0]), [flow], [cost])
        Gaps(excess=0.25, relative=0.3333333333333333, average=0.25, used=0.5)
    """
    excess = total = used = mass = 0.0
    for f, c in zip(flows, path_costs, strict=True):
        above, taken = c - c.min(), f > 0
        excess += float((f[taken] * above[taken]).sum())
        total += float((f[taken] * c[taken]).sum())
        part = float(f.sum())
        mass += part
        often = f > USED * part
        used = max(used, float(above[often].max()) if bool(often.any()) else 0.0)
    relative = None
    if costs.nonnegative:
        relative = excess / total if total > 0 else 0.0  # everybody pays nothing: nothing can be saved
    return Gaps(excess, relative, excess / mass, used)
