"""Fictitious players: every layer's parameters as the sum of N players' actions, who cooperate.

All N players of a layer read and write the same, so any two of them have the layer's own Kronecker curvature C between
them. With the own block M / lr of an ordinary optimizer, the sum of their cooperative steps is

    lr * N (M + (N - 1) lr C)^-1 R

(Liu, Chen and Theodorou, ICML 2021, equation (16), solved by symmetry). So no parameter is ever copied: this is a
preconditioner. In flat directions it is N times the learning rate; in a direction of curvature c (relative to M) the
rate never exceeds N / ((N - 1) c). A comparison should include the same optimizer at N times the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dgnopt.cooperation.players import conjugate_gradients
from strategic_envs.agents.dgnopt.cooperation.statistics import Moments
from strategic_envs.baselines.optimizers.curvature import KFAC, Curvature, Identity
from strategic_envs.baselines.optimizers.curvature.kronecker import KroneckerFactors
from strategic_envs.baselines.optimizers.layers import is_kronecker
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks import NetStage, Unit

__all__ = ["Fictitious"]

_Basis = tuple[Tensor, Tensor, Tensor]  # of the outputs and of the inputs, and what C is there


class Fictitious:
    """The solve of N fictitious players a layer: `N (M + (N - 1) lr C)^-1`.

    In closed form where M is the identity or KFAC's; by conjugate gradients, with the curvature's own solve as the
    preconditioner, elsewhere. Norms and layers of other kinds have no C: N times their own step. One player is the
    curvature itself, to the last bit.

    Args:
        players: N.
        curvature: M; it is refreshed before this.
        units: All layers of the network.
        iterations: Of conjugate gradients, where they are needed.
        decay: How much of the old factors of C stays at each sampling; that of the curvature, if it has one.
        every: C is sampled at each `every`th step,
        first: and at the first so many; the curvature's own schedule, if it has one.

    Attributes:
        refused: The layers whose matrices could not be factorised since the last refresh; they are solved iteratively.

    Raises:
        InvalidSettingError: If there is not one player, or one iteration, at least.

    Example:
        >>> unit = Unit("fc", torch.nn.Linear(1, 1, bias=False), "linear", 0)
        >>> four = Fictitious(4, Identity(), [unit])
        >>> four.solve({"fc": torch.ones(1, 1)}, lr=0.1)  # nothing is known of C: four times the step
        {'fc': tensor([[4.]])}
    """

    def __init__(
        self,
        players: int,
        curvature: Curvature,
        units: Iterable[Unit],
        *,
        iterations: int = 10,
        decay: float = 0.95,
        every: int = 10,
        first: int = 5,
    ) -> None:
        if type(players) is not int or players < 1:
            raise InvalidSettingError(f"got fictitious={players!r}, expected a number of players from 1, such as 2")
        if iterations < 1:
            raise InvalidSettingError(f"got cg_iterations={iterations!r}, expected a whole number >= 1, such as 10")
        self.players, self.curvature, self.iterations = players, curvature, iterations
        self.refused: dict[str, str] = {}
        own = isinstance(curvature, KroneckerFactors)
        self._schedule = (curvature.first, curvature.every) if own else (first, every)
        self._units = {unit.name: unit for unit in units}
        self._moments = Moments(curvature.decay if own else decay)
        self._bases: dict[str, _Basis | None] = {}

    def wants(self, step: int) -> bool:
        """Whether C is sampled at this step, and `observe` should be called."""
        first, every = self._schedule
        return self.players > 1 and (step < first or step % every == 0)

    def observe(self, stage: NetStage, inputs: Mapping[str, Tensor], h: Mapping[str, Tensor]) -> None:
        """Takes notes of one stage of a batch; the arguments are those of `Cooperation.observe`."""
        units = [u for u in stage.units if u.player >= 0 and u.name in inputs and u.name in h and is_kronecker(u)]
        self._moments.observe(units, inputs, h, [(u.name, u.name) for u in units])

    def refresh(self, step: int) -> None:
        """Takes the notes into the running means; the solves that follow use them. Nothing happens without notes."""
        if self._moments.fold(step):
            self._bases, self.refused = {}, {}

    def discard(self) -> None:
        """Forgets the notes of a step that is given up."""
        self._moments.discard()

    def solve(
        self, right: Mapping[str, Float[Tensor, "out columns"]], lr: float | Mapping[str, float]
    ) -> dict[str, Float[Tensor, "out columns"]]:
        """The sum of the players' steps, to be multiplied by the learning rate, for each layer.

        Args:
            right: The right-hand sides, by the layers' names, in matrix form.
            lr: The learning rate, one for all or one for each layer: where a direction counts as sharp depends on it.
        """
        rates = lr if isinstance(lr, Mapping) else dict.fromkeys(right, lr)
        return {name: self._solve_one(name, r, (self.players - 1) * rates[name]) for name, r in right.items()}

    def _solve_one(self, name: str, right: Tensor, weight: float) -> Tensor:
        unit, moments = self._units[name], self._moments.means.get((name, name))
        if self.players == 1 or moments is None:
            step = self.curvature.solve(unit, right)
            return step if self.players == 1 else self.players * step
        basis = self._basis(name)
        if basis is not None:
            out, into, c = basis
            return out @ ((out.mT @ right @ into) * (self.players / (1 + weight * c))) @ into.mT
        a, b = moments

        def operator(x: Sequence[Tensor]) -> list[Tensor]:
            return [self.curvature.apply(unit, x[0]) + weight * (b @ x[0] @ a)]

        def precondition(r: Sequence[Tensor]) -> list[Tensor]:
            return [self.curvature.solve(unit, r[0])]

        answer, _ = conjugate_gradients(operator, precondition, [right], self.iterations)
        return self.players * answer[0]

    def _basis(self, name: str) -> _Basis | None:
        """Bases in which M is the identity and C diagonal; None where M is no Kronecker product."""
        if name not in self._bases:
            a, b = self._moments.means[name, name]
            own = self.curvature.factors(self._units[name]) if isinstance(self.curvature, KFAC) else None
            if own is None and not isinstance(self.curvature, Identity):
                self._bases[name] = None
                return None
            into, out = _relative(a, own and own[0]), _relative(b, own and own[1])
            if into is None or out is None:
                self._bases[name], self.refused[name] = None, "a factor is not finite or not positive definite"
            else:
                self._bases[name] = out[0], into[0], out[1][:, None] * into[1]
        return self._bases[name]

    def state_dict(self) -> dict[str, Any]:
        """The factors of C, by the layers' names; taken between steps."""
        return self._moments.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; the curvature is loaded apart."""
        self._moments.load_state_dict(state)
        self._bases, self.refused = {}, {}


def _relative(factor: Tensor, metric: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """A basis that makes `metric` (or the identity) the identity and `factor` diagonal, and that diagonal."""
    root = None
    if metric is not None:
        root, failed = torch.linalg.cholesky_ex(metric)
        if bool(failed):
            return None
        half = torch.linalg.solve_triangular(root, factor, upper=False)
        factor = torch.linalg.solve_triangular(root, half.mT, upper=False)
    if not bool(factor.isfinite().all()):
        return None
    values, vectors = torch.linalg.eigh(factor)
    basis = vectors if root is None else torch.linalg.solve_triangular(root.mT, vectors, upper=True)
    return basis, values.clamp(min=0.0)
