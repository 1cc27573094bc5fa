"""CurvatureEG+ (Pethick, Latafat, Patrinos, Fercoq and Cevher, ICLR 2022): EG+ that measures how far it may look.

The look ahead is as long as the local Lipschitz constant allows, `gamma = nu / |DF(z)|`, halved while the field turns
too much on the way; the step back is as long as the weak Minty constant allows that this gamma can cope with. On
`<F(z), z - z*> >= rho |F(z)|^2` it converges for `rho > -gamma/2` at every z, close to -1/L, and it leaves limit cycles
that hold every method with fixed steps. In the notation of the paper, with F = -V:

    gamma = nu / |DF(z)|
    while gamma |F(w) - F(z)| > nu |w - z|, w = P(z - gamma F(z)): gamma <- tau gamma
    d     = (w - gamma F(w)) - (z - gamma F(z))
    alpha = sigma / gamma + <w - z, d> / |d|^2,  sigma = -0.99 gamma / 2
    z    <- z + lambda alpha d
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_share
from strategic_envs.agents.dynamics.eg_plus import OutsideState
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile

__all__ = ["CurvatureEGPlus", "CurvatureState"]

_BACKTRACKS = 60  # at most, in one step
_PESSIMISM = 0.99 / 2  # -sigma / gamma: the worst weak Minty constant that is planned for
_SMALL = 1e-12  # a slope below this is taken for this


@dataclass(frozen=True, eq=False)
class CurvatureState(OutsideState):
    """As for EG+, and the gamma of the last step, `(*batch,)`; NaN before the first."""

    gamma: Tensor


@dataclass(frozen=True)
class CurvatureEGPlus(Dynamic[CurvatureState]):
    """CurvatureEG+: two field calls and one Jacobian a step, and a field call for each backtracking.

    The iterate may leave the sets; what is played and judged is its projection. It needs no step size.

    Args:
        nu: The part of the local 1/L that is looked ahead, in (0, 1).
        tau: The factor of backtracking, in (0, 1).
        relaxation: lambda in (0, 2), the part of the way that is gone.
        power_iterations: If given, `|DF(z)|` is estimated by so many power iterations, with a JVP and a VJP each,
            instead of the Jacobian: for players with many coordinates. An estimate that is too low is mended by
            backtracking.

    Example:
        >>> CurvatureEGPlus().nu
        0.99
    """

    name: ClassVar[str] = "curvature_eg_plus"
    summary: ClassVar[str] = "EG+ with steps as long as the Jacobian allows: leaves limit cycles, needs no step size"
    needs: ClassVar[tuple[str, ...]] = ("field", "project", "jacobian")
    state_type: ClassVar[type[State]] = CurvatureState
    nu: float = 0.99
    tau: float = 0.5
    relaxation: float = 1.0
    power_iterations: int | None = None

    def __post_init__(self) -> None:
        check_share(self, "nu", self.nu)
        check_share(self, "tau", self.tau)
        if not 0 < self.relaxation < 2:
            raise InvalidSettingError(f"{self.name}: got relaxation={self.relaxation!r}, expected a number in (0, 2)")
        count = self.power_iterations
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidSettingError(
                f"{self.name}: got power_iterations={count!r}, expected a whole number >= 1, or None for the Jacobian"
            )

    def init(self, x0: Profile, oracle: Oracle) -> CurvatureState:
        return CurvatureState(x0, inside=x0, gamma=torch.full_like(x0[0][..., 0], torch.nan))

    def step(self, state: CurvatureState, oracle: Oracle) -> CurvatureState:
        z = state.x
        v = oracle.field(z)
        gamma = self.nu / self._slope(z, v, oracle).clamp(min=_SMALL)
        tries = 0
        while True:
            w = oracle.project(z + gamma.unsqueeze(-1) * v)
            u = oracle.field(w)
            accepted = gamma * (u - v).norm() <= self.nu * oracle.difference(z, w).norm()
            if tries == _BACKTRACKS or bool(accepted.all()):
                break
            gamma, tries = torch.where(accepted, gamma, self.tau * gamma), tries + 1
        looked = oracle.difference(z, w)
        d = looked + gamma.unsqueeze(-1) * (u - v)
        length = d.dot(d)
        alpha = torch.where(length > 0, looked.dot(d) / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)
        alpha = self.relaxation * (alpha - _PESSIMISM)
        z = z + alpha.unsqueeze(-1) * d
        return CurvatureState(z, inside=oracle.project(z), gamma=gamma)

    def _slope(self, z: Profile, v: Profile, oracle: Oracle) -> Tensor:
        """The spectral norm of the field's Jacobian, `(*batch,)`."""
        if self.power_iterations is None:
            jacobian = oracle.jacobian(z)
            finite = jacobian.isfinite().all(-1).all(-1)  # the singular values of anything else raise
            norms = torch.linalg.matrix_norm(torch.nan_to_num(jacobian, 0.0, 0.0, 0.0), 2)
            return torch.where(finite, norms, torch.nan)
        direction, slope = v, torch.zeros_like(v.norm())
        for _ in range(self.power_iterations):
            pushed = oracle.jvp(z, direction / direction.norm().clamp(min=_SMALL).unsqueeze(-1))
            slope, direction = pushed.norm(), oracle.vjp(z, pushed)
        return slope

    def point(self, state: CurvatureState) -> Profile:
        """The projection of the iterate."""
        return state.inside

    def rate(self, state: CurvatureState) -> Tensor:
        """The look ahead gamma of the step that led here, `(*batch,)`: the next one is not known before it is made."""
        return state.gamma
