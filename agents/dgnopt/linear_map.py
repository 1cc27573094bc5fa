"""The linear map `S_t` of a stage: a curvature's inverse, alone, or joined by cooperation, or of fictitious players.

One map serves the gradient, the feedback and their sum; that is why the information structures differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.cooperation import Cooperation, Fictitious
from strategic_envs.agents.dgnopt.records import StageRecord, plain, stacked
from strategic_envs.baselines.optimizers.curvature import Curvature
from strategic_envs.baselines.optimizers.curvature.diagonal import SquaredGradients
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks import NetStage, Unit

__all__ = ["StageMap"]

Group = Mapping[str, dict[str, Any]]


class StageMap:
    """The map of every stage, and the statistics it is made of.

    Args:
        curvature: The players' own curvature.
        units: All layers that can be trained.
        cooperation: `exact` or `prop5`; None if players ignore each other.
        cg_iterations: Of the joint solve, where it has no closed form.
        fictitious: The number of fictitious players a layer.
        statistic: `ef` or `gn`; see `DGNOpt`.

    Raises:
        UnknownNameError: If there is no such cooperation.
        InvalidSettingError: If fictitious players are to cooperate with the others, or a number makes no sense.
    """

    def __init__(
        self,
        curvature: Curvature,
        units: Iterable[Unit],
        *,
        cooperation: str | None,
        cg_iterations: int,
        fictitious: int,
        statistic: str,
    ) -> None:
        self.curvature, self.statistic = curvature, statistic
        self._units = {unit.name: unit for unit in units}
        self._parts: dict[str, Cooperation | Fictitious] = {}
        if cooperation is not None and fictitious > 1:
            raise InvalidSettingError(f"got fictitious={fictitious} with cooperation, expected info 'OLNE' or 'FNE'")
        if cooperation is not None:
            self._parts["joint"] = Cooperation(cooperation, curvature, units, iterations=cg_iterations)
        elif fictitious > 1:
            self._parts["fictitious"] = Fictitious(fictitious, curvature, self._units.values())

    @property
    def joint(self) -> bool:
        """Whether the units of a stage are tied."""
        return "joint" in self._parts

    @property
    def holders(self) -> list[object]:
        """The objects with a state that a step changes."""
        return [self.curvature, *self._parts.values()]

    def wants(self, step: int) -> bool:
        """Whether `observe` looks at what layers read and at the cotangents in this step."""
        return self.curvature.wants(step) or any(part.wants(step) for part in self._parts.values())

    def observe(self, step: int, stage: NetStage, records: list[StageRecord], gradients: Mapping[str, Tensor]) -> None:
        """Takes notes of one stage.

        Args:
            step: The number of this step.
            stage: The stage.
            records: The stage in every piece of the batch.
            gradients: `Q_th` of its trained units.
        """
        own, self.curvature.step = self.curvature.wants(step), step
        for record in records:
            inputs, h = (stacked if self.statistic == "gn" else plain)(record)
            for name, gradient in gradients.items():
                a, cotangent = (inputs.get(name), h.get(name)) if own else (None, None)
                self.curvature.observe(self._units[name], a, cotangent, gradient)
            for part in self._parts.values():
                if part.wants(step):
                    part.observe(stage, inputs, h)
            record.h = {}

    def refresh(self, step: int, group: Group) -> None:
        """Makes the maps of the layers that were observed since the last call; the others keep theirs."""
        damping = {name: settings["damping"] for name, settings in group.items() if settings["damping"] is not None}
        self.curvature.refresh(step, damping)
        for part in self._parts.values():
            part.refresh(step)

    def solve(self, right: dict[str, Tensor], group: Group) -> dict[str, Tensor]:
        """`S` of the right-hand sides of one stage's layers, `{name: R}` in matrix form; without learning rates."""
        for part in self._parts.values():
            if isinstance(part, Fictitious):
                return part.solve(right, {name: group[name]["lr"] for name in right})
            return part.solve(right)
        return {name: self.curvature.solve(self._units[name], r) for name, r in right.items()}

    def limited(self, feedback: dict[str, Tensor], cap: float) -> dict[str, Tensor]:
        """Feedback of at most `cap` times a coordinate's scale, where the curvature has one for every coordinate.

        A coordinate whose gradient has always been zero (a dead unit) has no scale but `eps`, and feedback divided by
        that would be a jump.
        """
        if not isinstance(self.curvature, SquaredGradients):
            return feedback
        limits = {
            name: self.curvature.apply(self._units[name], torch.full_like(f, cap)) for name, f in feedback.items()
        }
        return {name: f.clamp(-limits[name], limits[name]) for name, f in feedback.items()}

    def state_dict(self) -> dict[str, Any]:
        """All statistics; taken between steps."""
        return {"curvature": self.curvature.state_dict()} | {n: part.state_dict() for n, part in self._parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave.

        Raises:
            CheckpointError: If it belongs to another map.
        """
        if set(state) != {"curvature", *self._parts}:
            raise CheckpointError(
                f"got the state of a map with {sorted(state)}, expected {sorted(['curvature', *self._parts])}: make "
                "the optimizer with the `info` and `fictitious` that it was saved with"
            )
        self.curvature.load_state_dict(state["curvature"])
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
