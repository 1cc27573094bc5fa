"""What is known of a game analytically: the facts that its tests consume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Equilibrium", "EquilibriumKind", "Known"]

EquilibriumKind = Literal["nash", "first_order_nash", "local_minimax"]


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """One equilibrium: a finite distribution for each player.

    Args:
        kind: `nash` is global (pure or mixed); `first_order_nash` satisfies first-order conditions only;
            `local_minimax` is the Stackelberg notion of Jin, Netrapalli and Jordan (2020).
        points: For each player the support, `(k_i, d_i)`.
        weights: For each player the probabilities, `(k_i,)`.
        tolerance: How precisely the coordinates are known.
    """

    kind: EquilibriumKind
    points: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    tolerance: float = 1e-12

    @classmethod
    def pure(
        cls, kind: EquilibriumKind, profile: Sequence[Sequence[float] | float], *, tolerance: float = 1e-12
    ) -> Equilibrium:
        """A pure profile, one vector (or number) a player.

        Example:
            >>> Equilibrium.pure("nash", [0.0, [0.5, 0.5]]).points[1].shape
            torch.Size([1, 2])
        """
        points = tuple(torch.as_tensor(x, dtype=torch.float64).reshape(1, -1) for x in profile)
        return cls(kind, points, tuple(torch.ones(1, dtype=torch.float64) for _ in points), tolerance)

    @classmethod
    def mixed(
        cls, kind: EquilibriumKind, marginals: Sequence[Mapping[float, float]], *, tolerance: float = 1e-12
    ) -> Equilibrium:
        """One-dimensional players, each a mapping from point to probability.

        Example:
            >>> Equilibrium.mixed("nash", [{-1.0: 0.5, 1.0: 0.5}, {0.0: 1.0}]).points[0].tolist()
            [[-1.0], [1.0]]
        """
        points = tuple(torch.tensor([[k] for k in m], dtype=torch.float64) for m in marginals)
        weights = tuple(torch.tensor(list(m.values()), dtype=torch.float64) for m in marginals)
        return cls(kind, points, weights, tolerance)

    @property
    def is_pure(self) -> bool:
        """Whether every player plays one point."""
        return all(len(w) == 1 for w in self.weights)


@dataclass(frozen=True, eq=False)
class Known:
    """The analytic facts of a game.

    Args:
        equilibria: The equilibria that are known; `complete` says whether these are all of their kinds.
        values: Named numbers, such as the value of a zero-sum game to its first player, or of f in a game `min_x
            max_y f` (`"value"`).
        constants: Named constants of the game, such as a Lipschitz constant.
        complete: Whether every equilibrium of each listed kind is listed.
        source: The paper or derivation the facts come from.
        note: A sentence a reader should see beside them.
    """

    equilibria: tuple[Equilibrium, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    complete: bool = False
    source: str = ""
    note: str = ""
