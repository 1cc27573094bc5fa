"""One step of the game on one batch, or on a batch in pieces: the lines of the algorithm, on a state of their own.

Liu, Chen and Theodorou (2021), Algorithm 1: nominal pass; value functions backwards; updates forwards, where every
stage sees how the new parameters of earlier stages moved its state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.feedback import Displaced, capped, displacements, joint, reaction
from strategic_envs.agents.dgnopt.linear_map import StageMap
from strategic_envs.agents.dgnopt.momentum import Momentum
from strategic_envs.agents.dgnopt.norm import Switch
from strategic_envs.agents.dgnopt.quadratic import Factors, Reaction
from strategic_envs.agents.dgnopt.records import Seats, StageRecord, Trace, matrix_form
from strategic_envs.agents.dgnopt.sweep import pull_back, pull_through, run_again
from strategic_envs.agents.dgnopt.terminal import TerminalFactors
from strategic_envs.agents.dgnopt.value import Value, substitute, sweeps
from strategic_envs.baselines.optimizers.layers import add_matrix_, parameters_matrix
from strategic_envs.games.networks import NetStage, StagedNet, State

__all__ = ["Rules", "Turn"]


@dataclass(frozen=True, eq=False)
class Rules:
    """What the optimizer lends to a turn.

    Args:
        seats: Who is trained in each stage.
        group: The parameter group of every trained unit, by name: `lr`, `weight_decay`, `cap`, `damping`.
        map: The linear maps of the stages.
        step: The number of this step.
        momentum: What totals and steps are averaged with.
        value: The value recursion.
        switch: What BatchNorm is asked in the backward passes.
        autocast: Makes the context of the forward passes.
    """

    seats: Mapping[NetStage, Seats]
    group: Mapping[str, dict[str, Any]]
    map: StageMap
    step: int
    momentum: Momentum
    value: str
    switch: Switch
    autocast: Callable[[], Any]


@dataclass(eq=False)
class Turn:
    """One step under way.

    Args:
        net: The network, in the alignment that is played.
        rules: What the optimizer lends.
        samples: How many samples the whole batch has.
        gradients: `Q_th` of every unit, in matrix form, weight decay included, as soon as its stage is closed.
        norms: Their norms.
        moves: The steps, before the learning rate,
        sizes: the norms of the players' feedback before the cap,
        factors: what the cap multiplied it with, and
        bounds: the norms of the same players' gradients.
    """

    net: StagedNet
    rules: Rules
    samples: int
    gradients: dict[str, Tensor] = field(default_factory=dict)
    norms: dict[str, Tensor] = field(default_factory=dict)
    moves: list[Tensor] = field(default_factory=list)
    sizes: list[Tensor] = field(default_factory=list)
    factors: list[Tensor] = field(default_factory=list)
    bounds: list[Tensor] = field(default_factory=list)
    _traces: list[Trace] = field(default_factory=list)
    _sums: dict[str, list[Tensor]] = field(default_factory=dict)
    _solved: dict[NetStage, dict[str, Tensor]] = field(default_factory=dict)
    _displaced: list[Displaced] = field(default_factory=list)

    def largest(self) -> Tensor | float:
        """The largest ratio of a player's feedback, after the cap, to its gradient."""
        if not self.sizes:
            return 0.0
        size, factor, gradient = (torch.stack(x) for x in (self.sizes, self.factors, self.bounds))
        return (size * factor / gradient.clamp(min=torch.finfo(gradient.dtype).tiny)).max()

    # Backwards

    def backward(self, trace: Trace, end: TerminalFactors) -> None:
        """The value functions of one piece of the batch, from the terminal to the first stage."""
        self._traces.append(trace)
        rules = self.rules
        kind = trace.records[-1].outputs[0].dtype
        columns = tuple((z.to(kind),) for z in end.factors)
        core = torch.eye(len(columns), device=end.loss.device, dtype=end.loss.dtype).expand(trace.samples, -1, -1)
        wants = rules.map.wants(rules.step)
        end_value = Value((end.gradient.to(kind),), columns, core)
        first, seen = wants and rules.map.statistic == "gn", wants and rules.map.statistic == "ef"
        if rules.value == "none":
            self._add(pull_through(trace.records, end_value, rules.seats, seen, rules.switch, first=first))
            return
        values = [end_value] * sweeps(rules.value, max(len(stage.players) for stage in self.net.stages))
        for t, record in reversed(list(enumerate(trace.records))):
            seats = rules.seats[record.stage]
            self._add(pull_back(record, values, seats, seen, rules.switch, columns=t > 0 or first))
            self.close(t)
            self.refresh()
            values = [self._substituted(record, n) for n in range(len(values))] if t else []

    def _add(self, found: dict[str, list[Tensor]]) -> None:
        """Adds up the gradients of the pieces."""
        for name, parts in found.items():
            old = self._sums.get(name)
            self._sums[name] = parts if old is None else list(torch._foreach_add(old, parts))

    def close(self, t: int) -> None:
        """Ends the backward sweep of one stage: its gradients are complete, its statistics are taken."""
        stage = self.net.stages[t]
        found = {unit.name: matrix_form(unit, self._sums.pop(unit.name)) for unit in self.rules.seats[stage].units}
        if found:
            torch._foreach_div_(list(found.values()), self.samples)
        for unit in self.rules.seats[stage].units:
            if decay := self.rules.group[unit.name]["weight_decay"]:
                found[unit.name].add_(parameters_matrix(unit), alpha=decay)
        self.gradients.update(found)
        self.rules.map.observe(self.rules.step, stage, [trace.records[t] for trace in self._traces], found)

    def close_all(self) -> None:
        """Ends the backward sweep: of all stages, where the value recursion did not need it before."""
        if self.rules.value == "none":
            for t in reversed(range(len(self.net.stages))):
                self.close(t)
        self.norms = dict(zip(self.gradients, torch._foreach_norm(list(self.gradients.values())), strict=True))

    def refresh(self) -> None:
        """Makes the linear maps of the stages that were closed."""
        self.rules.map.refresh(self.rules.step, self.rules.group)

    def solve(self, right: dict[str, Tensor]) -> dict[str, Tensor]:
        """A stage's linear map, without its learning rates."""
        return self.rules.map.solve(right, self.rules.group)

    def _substituted(self, record: StageRecord, n: int) -> Value:
        """The value function at a stage: pulled back, and after its players' reaction if there is a recursion."""
        pulled, rules = record.pulled[n], self.rules
        if rules.value == "none" or not pulled.columns:
            return pulled
        seats = rules.seats[record.stage]
        wishes = []
        for unit in seats.units if len(record.pulled) == 1 else seats.of(n).units:
            if unit.name not in record.hz:
                continue
            group, factors = rules.group[unit.name], rules.map.curvature.factors(unit)
            wishes.append(
                Reaction(
                    unit,
                    record.inputs[unit.name],
                    record.hz[unit.name],
                    self.gradients[unit.name],
                    group["weight_decay"],
                    Factors(*factors, group["lr"]) if factors is not None else None,
                )
            )
        return substitute(pulled, wishes, self._gains, joint=rules.map.joint)

    def _gains(self, right: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: x * self.rules.group[name]["lr"] for name, x in self.solve(right).items()}

    # Forwards

    def trust(self, kl_clip: float) -> Tensor:
        """The factor of the learning rates that keeps `sum lr^2 <S Q_th, Q_th>` below `kl_clip`; at most 1."""
        total: list[Tensor] = []
        for stage in self.net.stages:
            right = {name: self.gradients[name] for name in self.rules.seats[stage].names}
            self._solved[stage] = found = self.solve(right) if right else {}
            total += [(x * right[name]).sum() * self.rules.group[name]["lr"] ** 2 for name, x in found.items()]
        quadratic = torch.stack(total).sum()
        return (kl_clip / quadratic.clamp(min=torch.finfo(quadratic.dtype).tiny)).sqrt().clamp(max=1.0)

    def forward(self, *, feedback: bool, scale: Tensor | None) -> None:
        """Moves the parameters stage by stage, and the state after them.

        Args:
            feedback: Whether the players react to where the state went.
            scale: A factor of all learning rates, or None.
        """
        moved: list[State] | None = None  # None: as in the nominal pass
        last = len(self.net.stages) - 1
        for t, stage in enumerate(self.net.stages):
            seats = self.rules.seats[stage]
            records = [trace.records[t] for trace in self._traces]
            if seats.units:
                totals = {name: self.gradients[name] for name in seats.names}
                if feedback and moved is not None:
                    totals |= self._feedback(seats, records, moved)
                self._move(stage, seats, totals, scale)
            if feedback and t < last and (seats.units or moved is not None):
                moved = self._follow(records, moved)
            for record in records:
                record.pulled, record.hz, record.h, record.inputs = [], {}, {}, {}

    def _feedback(self, seats: Seats, records: list[StageRecord], moved: list[State]) -> dict[str, Tensor]:
        """`Q_th + cap(Q_thx dx)` of the units that react."""
        feedback: dict[str, Tensor] = {}
        last = self._displaced or [{} for _ in records]
        self._displaced = [displacements(new, r.state, d) for new, r, d in zip(moved, records, last, strict=True)]
        for record, state, dx, trace in zip(records, moved, self._displaced, self._traces, strict=True):
            for name, f in reaction(record, seats, state, dx, plain=self.rules.value == "none").items():
                f = f if trace.samples == self.samples else f * (trace.samples / self.samples)
                feedback[name] = feedback[name] + f if name in feedback else f
        totals = {}
        for names in seats.players:
            names = [name for name in names if name in feedback]
            cap = self.rules.group[names[0]]["cap"] if names else 0.0
            if cap == 0:
                continue
            size = joint(torch._foreach_norm([feedback[name] for name in names]))
            gradient = joint([self.norms[name] for name in names])
            self.sizes.append(size)
            if cap < math.inf:
                factor = capped(size, gradient, cap)
                limited = self.rules.map.limited({name: feedback[name] for name in names}, cap)
                totals |= {name: torch.addcmul(self.gradients[name], f, factor) for name, f in limited.items()}
                self.factors.append(factor)
            else:
                totals |= {name: self.gradients[name] + feedback[name] for name in names}
                self.factors.append(torch.ones_like(size))
            self.bounds.append(gradient)
        return totals

    def _move(self, stage: NetStage, seats: Seats, totals: dict[str, Tensor], scale: Tensor | None) -> None:
        """`theta <- theta - lr S (total)`."""
        momentum = self.rules.momentum
        right = {name: momentum.before(name, total) for name, total in totals.items()}
        plain = stage in self._solved and all(right[name] is self.gradients[name] for name in right)
        steps = self._solved[stage] if plain else self.solve(right)
        for unit in seats.units:
            step = momentum.after(unit.name, steps[unit.name])
            self.moves.append(step)
            step = step if scale is None else step * scale
            add_matrix_(unit, step, alpha=-self.rules.group[unit.name]["lr"])

    def _follow(self, records: list[StageRecord], moved: list[State] | None) -> list[State]:
        """The next states, with the parameters as they are now."""
        before = moved or [record.state for record in records]
        with self.rules.autocast():
            return [
                run_again(record, state, trace.masks, self.rules.switch)
                for record, state, trace in zip(records, before, self._traces, strict=True)
            ]
