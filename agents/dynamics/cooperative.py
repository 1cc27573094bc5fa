"""Group-rational ascent: all players climb the sum of their utilities, each allowing for how the others will move.

This is equation 11 of DGNOpt (Liu, Chen and Theodorou, ICML 2021) with one stage. There P is minus the curvature of the
joint objective, u one player and v the others; v's own best move is `l = P_vv^+ P_v`, and u takes
`(P_uu - P_uv P_vv^+ P_vu)^+ (P_u - P_uv l)`. Those are the blocks of `P^+ g`, with g the gradient of the sum by all
strategies: the joint Newton step. With P the identity, players do not see each other's moves and climb g itself.
It looks for what is best together and not for equilibria: in the prisoner's dilemma it cooperates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError, OracleError
from strategic_envs.profile import Profile
from strategic_envs.sets import StrategySet

__all__ = ["CooperativeGradient"]


@dataclass(frozen=True)
class CooperativeGradient(Dynamic[State]):
    """Projected ascent of the (weighted) sum of utilities: one call of its gradient a step.

    A rest point inside the sets is a first-order point of the sum, and as a rule no equilibrium: `Trajectory.verdicts`
    calls it `resting`. In a zero-sum game the sum is constant and nothing moves.

    Args:
        step_size: eta > 0; 1 is the whole Newton step with `curvature="joint"`.
        weights: One number a player for the sum; all one when not given.
        curvature: `"identity"`, or `"joint"` for the block preconditioner of all players together. Where the sum is not
            concave the Hessian's eigenvalues are taken in absolute value, so that the step still ascends. A projected
            preconditioned step may rest on the boundary without being optimal there.
        damping: The least eigenvalue that is divided by with `curvature="joint"`.

    Example:
        >>> CooperativeGradient(step_size=0.1).needs
        ('project', 'welfare_gradient')
    """

    name: ClassVar[str] = "cooperative_gradient"
    summary: ClassVar[str] = "all players climb the sum of their utilities together"
    needs: ClassVar[tuple[str, ...]] = ("project", "welfare_gradient")
    step_size: float
    weights: tuple[float, ...] | None = None
    curvature: str = "identity"
    damping: float = 1e-3

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)
        if self.weights is not None and not (self.weights and all(map(math.isfinite, self.weights))):
            raise InvalidSettingError(f"{self.name}: got weights={self.weights}, expected finite numbers, one a player")
        if self.curvature not in ("identity", "joint"):
            raise InvalidSettingError(f"{self.name}: got curvature={self.curvature!r}, expected 'identity' or 'joint'")
        if not 0 < self.damping < math.inf:
            raise InvalidSettingError(f"{self.name}: got damping={self.damping!r}, expected a finite number > 0")

    def suits(self, sets: Sequence[StrategySet]) -> str | None:
        if self.weights is None or len(self.weights) == len(sets):
            return None
        return f"got {len(self.weights)} weights, expected {len(sets)}, one a player"

    def init(self, x0: Profile, oracle: Oracle) -> State:
        if self.curvature == "joint" and not oracle.provides("welfare_hessian"):
            raise OracleError(
                f"{self.name} with curvature='joint' needs welfare_hessian, which the oracle of {oracle.name} does not "
                "give: use curvature='identity'"
            )
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x = state.x
        climb = oracle.welfare_gradient(x, self.weights)
        if self.curvature == "joint":
            climb = Profile.from_flat(self._solved(oracle.welfare_hessian(x, self.weights), climb.flat()), x.dims)
        return State(oracle.project(x + self.step_size * climb))

    def _solved(self, hessian: Tensor, gradient: Tensor) -> Tensor:
        """`|H|^(-1) g` for each row, with eigenvalues of at least the damping; NaN where H is not finite."""
        finite = hessian.isfinite().all(-1).all(-1)  # the eigenvalues of anything else raise
        values, vectors = torch.linalg.eigh(torch.nan_to_num(hessian, 0.0, 0.0, 0.0))
        coordinates = vectors.mT @ gradient.unsqueeze(-1) / values.abs().clamp(min=self.damping).unsqueeze(-1)
        return torch.where(finite.unsqueeze(-1), (vectors @ coordinates).squeeze(-1), torch.nan)
