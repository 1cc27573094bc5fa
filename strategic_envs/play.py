"""Play: how the players of a game act, as evaluators see it.

Three forms, from the least to the most structured: an `Empirical` joint distribution over profiles (what learning
leaves behind), `Independent` marginals (what a Nash equilibrium is), and `TabularPlay`, a policy table a player for
games with states. A tuple of functions `policy(observation) -> action probabilities` is play too: evaluators make
tables of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

__all__ = ["LARGEST_SUPPORT", "BestResponse", "Empirical", "Independent", "TabularPlay"]

LARGEST_SUPPORT = 2**20  # of a product that is written out; larger ones are drawn from
_WEIGHT_TOLERANCE = 1e-6


def _check_weights(weights: Tensor, count: int, who: str) -> None:
    if weights.shape != (count,):
        raise InvalidStrategyError(
            f"{who}: got weights of shape {tuple(weights.shape)} for {count} points, expected ({count},): one a point"
        )
    if count == 0:
        raise InvalidStrategyError(f"{who}: got no points, expected at least one")
    if not weights.is_floating_point() or not bool(weights.isfinite().all()) or bool((weights < 0).any()):
        raise InvalidStrategyError(f"{who}: got weights {weights[:6].tolist()}, expected finite numbers >= 0")
    total = float(weights.double().sum())
    if abs(total - 1) > _WEIGHT_TOLERANCE:
        raise InvalidStrategyError(f"{who}: got weights that sum to {total:.6g}, expected 1: divide them by their sum")


def _check_points(points: Tensor, who: str) -> None:
    if points.ndim != 2 or not points.is_floating_point():
        raise InvalidStrategyError(
            f"{who}: got points of shape {tuple(points.shape)} and dtype {points.dtype}, "
            "expected floating-point (points, dimension): flatten batch dimensions first"
        )
    if not bool(points.isfinite().all()):
        raise InvalidStrategyError(f"{who}: got a point that is NaN or infinite, expected finite coordinates")


@dataclass(frozen=True, eq=False)
class Empirical:
    """A joint distribution with finite support: profile t is played with probability `weights[t]`.

    Args:
        points: The support, tensors `(T, d_i)`, one a player.
        weights: Probabilities `(T,)`.

    Raises:
        InvalidStrategyError: If shapes do not fit, a number is not finite, or the weights are not a distribution.

    Example:
        >>> play = Empirical.uniform(Profile([torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [0.0]])]))
        >>> play.weights.tolist(), len(play)
        ([0.5, 0.5], 2)
    """

    points: Profile
    weights: Float[Tensor, " T"]

    def __post_init__(self) -> None:
        if not isinstance(self.points, Profile) or len(self.points) == 0:
            raise InvalidStrategyError(
                f"joint play: got points of type {type(self.points).__name__}, "
                "expected a Profile of tensors (T, d_i): wrap the tensors in Profile([...])"
            )
        for i, points in enumerate(self.points):
            _check_points(points, f"joint play, player_{i}")
            _check_weights(self.weights, len(points), f"joint play, player_{i}")

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def uniform(cls, points: Sequence[Tensor]) -> Empirical:
        """Every point equally often: the play of `T` iterates `(T, d_i)`."""
        profile = Profile(points)
        count = len(profile[0])
        return cls(profile, torch.full((count,), 1.0 / max(count, 1), dtype=torch.float64, device=profile[0].device))

    @classmethod
    def pure(cls, profile: Sequence[Tensor]) -> Empirical:
        """One profile, tensors `(d_i,)`, for certain."""
        return cls.uniform([t.unsqueeze(0) for t in profile])

    @classmethod
    def of_joint_actions(cls, probability: Float[Tensor, "*actions"]) -> Empirical:
        """A distribution over joint actions `(A_0, ..., A_{n-1})` of a finite game, as play of simplex vertices.

        Example:
            >>> Empirical.of_joint_actions(torch.tensor([[0.5, 0.0], [0.0, 0.5]])).points[0].tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        rows = probability.nonzero()
        one_hot = [
            torch.nn.functional.one_hot(rows[:, i], a).to(torch.float64) for i, a in enumerate(probability.shape)
        ]
        return cls(Profile(one_hot), probability[tuple(rows.T)].double())

    def marginals(self) -> Independent:
        """The same marginal distributions, drawn independently."""
        return Independent(tuple(self.points), tuple(self.weights for _ in self.points))

    def double(self) -> Empirical:
        """The same play in float64, weights rescaled to sum to one."""
        weights = self.weights.double()
        return Empirical(self.points.detach().to(torch.float64), weights / weights.sum())


@dataclass(frozen=True, eq=False)
class Independent:
    """Players that mix independently, each over finitely many strategies.

    Args:
        points: For each player its support `(k_i, d_i)`.
        weights: For each player the probabilities `(k_i,)`.

    Raises:
        InvalidStrategyError: If shapes do not fit, a number is not finite, or weights are not a distribution.

    Example:
        >>> ends, half = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5, 0.5])
        >>> play = Independent((ends, torch.zeros(1, 1)), (half, torch.ones(1)))
        >>> len(play.joint()), play.mean().flat().tolist()
        (2, [0.0, 0.0])
    """

    points: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if len(self.points) != len(self.weights) or not self.points:
            raise InvalidStrategyError(
                f"independent play: got {len(self.points)} supports and {len(self.weights)} weight vectors, "
                "expected one of each a player"
            )
        for i, (points, weights) in enumerate(zip(self.points, self.weights, strict=True)):
            _check_points(points, f"independent play, player_{i}")
            _check_weights(weights, len(points), f"independent play, player_{i}")

    @classmethod
    def pure(cls, profile: Sequence[Tensor]) -> Independent:
        """One profile, tensors `(d_i,)`, for certain."""
        return Empirical.pure(profile).marginals()

    @property
    def size(self) -> int:
        """The number of points in the support of the product."""
        return math.prod(len(w) for w in self.weights)

    def mean(self) -> Profile:
        """Every player's mean strategy, tensors `(d_i,)`, float64."""
        return Profile(w.double() @ p.double() for p, w in zip(self.points, self.weights, strict=True))

    def joint(self, limit: int = LARGEST_SUPPORT, seed: int = 0) -> Empirical:
        """The product distribution as joint play.

        Args:
            limit: The largest support that is written out; a larger product is replaced by this many seeded draws.
            seed: The seed of the draws.
        """
        counts = [len(w) for w in self.weights]
        weights = [w.double() / w.double().sum() for w in self.weights]
        if self.size <= limit:
            rows = torch.cartesian_prod(*(torch.arange(k) for k in counts)).reshape(-1, len(counts)).unbind(-1)
            joint = torch.stack([w[r] for w, r in zip(weights, rows, strict=True)]).prod(0)
        else:
            stream = torch_stream(seed, "independent_play")
            rows = tuple(torch.multinomial(w.cpu(), limit, replacement=True, generator=stream) for w in weights)
            joint = torch.full((limit,), 1.0 / limit, dtype=torch.float64)
        return Empirical(Profile(p.double()[r] for p, r in zip(self.points, rows, strict=True)), joint / joint.sum())


@dataclass(frozen=True, eq=False)
class TabularPlay:
    """One policy table a player, for Markov and turn-based games.

    Args:
        policies: For each player the action probabilities in every state, `(S, A_i)`. In a turn-based game the states
            are the rows of its state graph, and only the mover's row counts.

    Raises:
        InvalidStrategyError: If there is no player or a table is not a floating-point matrix.
    """

    policies: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not self.policies:
            raise InvalidStrategyError("tabular play: got no policies, expected one table (states, actions) a player")
        for i, table in enumerate(self.policies):
            if not isinstance(table, Tensor) or table.ndim != 2 or not table.is_floating_point():
                got = tuple(table.shape) if isinstance(table, Tensor) else type(table).__name__
                raise InvalidStrategyError(
                    f"tabular play, player_{i}: got {got}, expected a floating-point table (states, actions)"
                )


@dataclass(frozen=True, eq=False)
class BestResponse:
    """The best that one player can do against the others' play.

    Args:
        strategy: The strategy found: a vector `(d_i,)`, or a policy table `(S, A)`.
        value: Its expected utility (Markov games: discounted sums times 1 - discount, from the initial states).
        lower: A utility that is certainly reached; `value`, or a proved bound of it.
        upper: A utility that no strategy exceeds; `inf` when nothing was proved.
        exact: Whether `value` is the best possible, up to rounding, or up to the tolerance that a proof was asked for.
        attained: Whether a best response exists and `strategy` is one; False when `value` is a supremum only
            approached, or when the set is not compact and nothing is proved.
        certified: Whether `lower` and `upper` were proved by enclosures of the utility; see docs/certificates.md.
        evaluations: How many cells and points the proof looked at.
        note: Why a proof that was asked for is missing, or did not reach its tolerance.
    """

    strategy: Tensor
    value: float
    lower: float
    upper: float
    exact: bool
    attained: bool
    certified: bool = False
    evaluations: int = 0
    note: str = ""
