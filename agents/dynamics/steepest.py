"""Steepest ascent in a geometry for each player: along the gradient, or along its sign.

The direction of steepest ascent in a norm maximises `<g, d>` over its unit ball. For L-infinity it is sign(g), the step
of Goodfellow, Shlens and Szegedy (2015) and of the adversary of Madry et al. (2018); `euclidean` moves along g itself,
so that with one step size it is gradient play. Step sizes and geometries may differ between players, as they must where
one player's strategy is the weights of a network and another's the pixels it sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, check_step_size
from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.errors import InvalidSettingError
from strategic_envs.profile import Profile

__all__ = ["GEOMETRIES", "SteepestAscent", "check_geometry", "steepest"]

GEOMETRIES = ("euclidean", "sign")


@dataclass(frozen=True)
class SteepestAscent(Dynamic[State]):
    """Projected steepest ascent of all players, at once.

    A sign step keeps its length however small the gradient is, so near an interior equilibrium it rattles within the
    step size; at the faces of a box it rests.

    Args:
        step_size: eta > 0, one number or one a player.
        geometry: `sign` or `euclidean`, one for all or one a player.

    Example:
        >>> classifier_against_pixels = SteepestAscent((0.1, 0.02), ("euclidean", "sign"))
        >>> SteepestAscent(0.05).geometry
        'sign'
    """

    name: ClassVar[str] = "steepest_ascent"
    summary: ClassVar[str] = "all players at once along the sign of their gradient, or along it: a geometry a player"
    step_size: float | tuple[float, ...]
    geometry: str | tuple[str, ...] = "sign"

    def __post_init__(self) -> None:
        for eta in self.step_size if isinstance(self.step_size, tuple) else (self.step_size,):
            check_step_size(self, eta)
        for geometry in self.geometry if isinstance(self.geometry, tuple) else (self.geometry,):
            check_geometry(self, geometry)

    def init(self, x0: Profile, oracle: Oracle) -> State:
        for what in ("step_size", "geometry"):
            value = getattr(self, what)
            if isinstance(value, tuple) and len(value) != len(x0):
                raise InvalidSettingError(
                    f"{self.name}: got {what}={value} in {oracle.name} of {len(x0)} players, expected one a player"
                )
        return State(x0)

    def step(self, state: State, oracle: Oracle) -> State:
        x, field = state.x, oracle.field(state.x)
        etas = self.step_size if isinstance(self.step_size, tuple) else (self.step_size,) * len(x)
        norms = self.geometry if isinstance(self.geometry, tuple) else (self.geometry,) * len(x)
        rows = zip(x, field, etas, norms, strict=True)
        return State(oracle.project(Profile(t + eta * steepest(g, norm) for t, g, eta, norm in rows)))

    def rate(self, state: State) -> float:
        """The first player's step size."""
        return self.step_size[0] if isinstance(self.step_size, tuple) else self.step_size


def steepest(g: Tensor, geometry: str) -> Tensor:
    """The direction in which a player with gradient g moves.

    Example:
        >>> import torch
        >>> steepest(torch.tensor([-3.0, 0.0, 0.1]), "sign")
        tensor([-1.,  0.,  1.])
    """
    return g.sign() if geometry == "sign" else g


def check_geometry(dynamic: Dynamic[Any], value: object) -> None:
    """Refuses a geometry that is not known.

    Raises:
        InvalidSettingError: Naming the dynamic and the value.
    """
    if value not in GEOMETRIES:
        raise InvalidSettingError(f"{dynamic.name}: got geometry={value!r}, expected one of {', '.join(GEOMETRIES)}")
