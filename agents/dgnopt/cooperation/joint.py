"""The group rational solve: the players of one stage answer each other, not only the network.

In place of each player's own `M^-1 R` all players of a stage solve one system, whose blocks between two players are
Kronecker products of their cross moments (Liu, Chen and Theodorou, ICML 2021, equation (11) and section 4.2). Layers
that are met by nobody, norms and layers of other kinds keep their own solve; with no cross moments at all the result is
bitwise the non-cooperative one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from strategic_envs.agents.dgnopt.cooperation.pair import PairSolver, Side, pair_solver
from strategic_envs.agents.dgnopt.cooperation.players import conjugate_gradients
from strategic_envs.agents.dgnopt.cooperation.statistics import Moments, Pair
from strategic_envs.baselines.optimizers.curvature import KFAC, Curvature
from strategic_envs.baselines.optimizers.curvature.kronecker import KroneckerFactors
from strategic_envs.baselines.optimizers.layers import is_kronecker
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.networks import NetStage, Unit

__all__ = ["MODES", "Cooperation"]

MODES = ("exact", "prop5")
_LEAST = 1e-6, 0.1  # relative curvature of a direction, with KFAC and with others


class Cooperation:
    """The joint solve of the players of a stage, and the cross moments it needs.

    Two players with the curvature KFAC are solved in closed form (`cooperation.pair`); more players, and any other
    curvature, by conjugate gradients from zero with the players' own solves as the preconditioner. With a curvature
    other than KFAC's a direction that has less than a tenth of the players' own curvature is not followed: EKFAC's
    scales can be far below those that the cross moments belong to, and steps would be ten times too large and more.
    Only linear layers and convolutions of different players couple, and only those with the same grid of output
    locations.

    Args:
        mode: `exact`, or `prop5`, Proposition 5 of the paper: for pairs with KFAC; other groups are solved exactly.
        curvature: The players' own curvature; it is refreshed before this.
        units: All layers of the network.
        iterations: Of conjugate gradients.
        decay: How much of the old moments stays at each sampling; that of the curvature, if it has one.
        every: Moments are sampled at each `every`th step,
        first: and at the first so many; the curvature's own schedule, if it has one.

    Attributes:
        refused: The groups of layers whose joint matrix could not be factorised since the last refresh, with the
            reason: they step as if they ignored each other.

    Raises:
        UnknownNameError: If there is no such mode.
        InvalidSettingError: If there is not one iteration at least, or `prop5` is asked for without KFAC.
    """

    def __init__(
        self,
        mode: str,
        curvature: Curvature,
        units: Iterable[Unit],
        *,
        iterations: int = 5,
        decay: float = 0.95,
        every: int = 10,
        first: int = 5,
    ) -> None:
        if mode not in MODES:
            raise UnknownNameError("cooperation", mode, MODES)
        if iterations < 1:
            raise InvalidSettingError(f"got cg_iterations={iterations!r}, expected a whole number >= 1, such as 5")
        if mode == "prop5" and not isinstance(curvature, KFAC):
            raise InvalidSettingError(
                f"got cooperation='prop5' with the curvature {type(curvature).__name__}, expected KFAC: Proposition 5 "
                "needs Kronecker factors; pass curvature='kfac' or cooperation='exact'"
            )
        self.mode, self.curvature, self.iterations = mode, curvature, iterations
        self.refused: dict[tuple[str, ...], str] = {}
        own = isinstance(curvature, KroneckerFactors)
        self._schedule = (curvature.first, curvature.every) if own else (first, every)
        self._units = {unit.name: unit for unit in units}
        self._moments = Moments(curvature.decay if own else decay)
        self._groups: dict[tuple[str, ...], list[list[str]]] = {}
        self._solvers: dict[tuple[str, ...], PairSolver | None] = {}
        self._couplings: dict[Pair, tuple[Tensor, Tensor] | None] = {}

    def wants(self, step: int) -> bool:
        """Whether moments are sampled at this step, and `observe` should be called."""
        first, every = self._schedule
        return step < first or step % every == 0

    def observe(self, stage: NetStage, inputs: Mapping[str, Tensor], h: Mapping[str, Tensor]) -> None:
        """Takes notes of one stage of a batch.

        Args:
            stage: The stage.
            inputs: What its layers read, by name, samples first.
            h: The derivative of each sample's loss by what they wrote, not divided by the number of samples. A layer
                that is in neither is not observed.
        """
        units = [u for u in stage.units if u.player >= 0 and u.name in inputs and u.name in h and is_kronecker(u)]
        pairs = [(u.name, v.name) for i, u in enumerate(units) for v in units[i + 1 :] if u.player != v.player]
        self._moments.observe(units, inputs, h, pairs)

    def refresh(self, step: int) -> None:
        """Takes the notes into the running means; the solves that follow use them. Nothing happens without notes."""
        if self._moments.fold(step):
            self._forget()

    def discard(self) -> None:
        """Forgets the notes of a step that is given up."""
        self._moments.discard()

    def _forget(self) -> None:
        self._groups, self._solvers, self._couplings, self.refused = {}, {}, {}, {}

    def solve(self, right: Mapping[str, Float[Tensor, "out columns"]]) -> dict[str, Float[Tensor, "out columns"]]:
        """The players' steps for their right-hand sides, layers of one stage by name, in matrix form."""
        answer = {}
        for group in self._grouped(tuple(right)):
            answer.update(self._solve_group(group, right))
        return {name: answer[name] for name in right}

    def _solve_group(self, group: list[str], right: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if len(group) == 2 and isinstance(self.curvature, KFAC):
            solver = self._solver((group[0], group[1]))
            if solver is not None:
                return dict(zip(group, solver.solve(right[group[0]], right[group[1]]), strict=True))
        elif len(group) > 1:
            return self._iterate(group, right)
        return {name: self.curvature.solve(self._units[name], right[name]) for name in group}

    def _iterate(self, group: list[str], right: Mapping[str, Tensor]) -> dict[str, Tensor]:
        units = [self._units[name] for name in group]
        numbers = range(len(group))
        pairs = [(i, j) for i in numbers for j in numbers if i < j]
        blocks = [(i, j, c) for i, j in pairs if (c := self._coupling((group[i], group[j])))]

        def operator(x: Sequence[Tensor]) -> list[Tensor]:
            out = [self.curvature.apply(unit, one) for unit, one in zip(units, x, strict=True)]
            for i, j, (a, b) in blocks:
                out[i], out[j] = out[i] + b @ x[j] @ a.mT, out[j] + b.mT @ x[i] @ a
            return out

        def precondition(r: Sequence[Tensor]) -> list[Tensor]:
            return [self.curvature.solve(unit, one) for unit, one in zip(units, r, strict=True)]

        # beside KFAC the blocks are of different makes, and a nearly singular joint matrix means nothing
        least = _LEAST[not isinstance(self.curvature, KFAC)]
        answer, _ = conjugate_gradients(operator, precondition, [right[n] for n in group], self.iterations, least)
        return dict(zip(group, answer, strict=True))

    def _grouped(self, names: tuple[str, ...]) -> list[list[str]]:
        """The layers in groups that are coupled, directly or through others."""
        if names not in self._groups:
            groups: list[list[str]] = []
            for name in names:
                met = [g for g in groups if any(self._coupling((g_name, name)) for g_name in g)]
                groups = [g for g in groups if g not in met] + [[n for g in met for n in g] + [name]]
            self._groups[names] = groups
        return self._groups[names]

    def _coupling(self, pair: Pair) -> tuple[Tensor, Tensor] | None:
        """The cross moments of a pair, in this order of its layers; None if it has none, or one of them is zero."""
        if pair not in self._couplings:
            u, v = pair
            found = self._moments.means.get((u, v))
            if found is None and (turned := self._moments.means.get((v, u))) is not None:
                found = turned[0].mT, turned[1].mT
            if found is not None and not (bool(found[0].any()) and bool(found[1].any())):
                found = None
            self._couplings[pair] = found
        return self._couplings[pair]

    def _solver(self, pair: Pair) -> PairSolver | None:
        if pair not in self._solvers:
            u, v = (self.curvature.factors(self._units[name]) for name in pair)
            cross = self._coupling(pair)
            solver = None
            if u is not None and v is not None and cross is not None:
                sides = (Side(u[k], v[k], cross[k]) for k in (0, 1))
                solver = pair_solver(*sides, mode=self.mode)
            if solver is None:
                self.refused[pair] = "a factor is missing, not finite or not positive definite"
            self._solvers[pair] = solver
        return self._solvers[pair]

    def state_dict(self) -> dict[str, Any]:
        """The cross moments, by the layers' names; taken between steps."""
        return self._moments.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; the curvature is loaded apart."""
        self._moments.load_state_dict(state)
        self._forget()
