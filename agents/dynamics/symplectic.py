"""Symplectic gradient adjustment, SGA (Balduzzi et al. 2018; Letcher et al. 2019): gradient play, its rotation undone.

With F = -V, J = DF and its antisymmetric part A = (J - J^T)/2: `x <- P(x - eta (F + l A^T F))`. The adjustment turns
the field towards the place it rotates about. The sign `l = sign(<F, J^T F> <A^T F, J^T F> / d + 1/10)`, over all d
coordinates, lets it attract towards stable rest points and repel from unstable ones (Letcher et al., section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.profile import Profile

__all__ = ["SymplecticGradient"]

_TIE = 0.1  # adjust towards the centre where the alignment says nothing


@dataclass(frozen=True)
class SymplecticGradient(Dynamic[State]):
    """Projected symplectic gradient adjustment: a field call, a JVP and a VJP a step.

    It is a method for the whole space. On a bounded set it has *spurious rest points* on the boundary, where the
    adjusted field points outwards and the field does not: on f_1 over [-1, 1] nearly every start ends in one
    (`Trajectory.verdicts` calls such rows `resting`).

    Args:
        step_size: eta > 0; about a tenth of 1/L for a field with Lipschitz constant L.
        aligned: Whether the sign of the adjustment is chosen by alignment; otherwise it is always plus.

    Example:
        >>> SymplecticGradient(step_size=0.05).needs
        ('field', 'project', 'jvp', 'vjp')
    """

    name: ClassVar[str] = "symplectic_gradient"
    summary: ClassVar[str] = "gradient play turned towards the centre of its rotation"
    needs: ClassVar[tuple[str, ...]] = ("field", "project", "jvp", "vjp")
    step_size: float
    aligned: bool = True

    def __post_init__(self) -> None:
        check_step_size(self, self.step_size)

    def init(self, x0: Profile, oracle: Oracle) -> State:
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x, v = state.x, oracle.field(state.x)
        pulled = oracle.vjp(x, v)  # J^T F: the gradient of |F|^2 / 2
        turned = 0.5 * (pulled - oracle.jvp(x, v))  # A^T F
        if self.aligned:
            alignment = -v.dot(pulled) * turned.dot(pulled) / sum(x.dims) + _TIE
            turned = torch.sign(alignment).unsqueeze(-1) * turned
        return State(oracle.project(x + self.step_size * (v - turned)))
