"""Levenberg-Marquardt on batches, with a damping that adapts itself: cooperation of all layers over all stages.

The coupled value function of a batch (`strategic_envs.agents.dgnopt.coupled`) gives the exact damped Gauss-Newton step
of the whole network, which is what group-rational players with exact curvature do. What keeps it stable is that it does
not trust its own model: every step is tried, the loss that it reaches is compared with the one that was predicted, and
a step that raises the loss is taken back and tried again with more damping.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.batches import pieces
from strategic_envs.agents.dgnopt.coupled import Coupled, Layer
from strategic_envs.agents.dgnopt.damping import Damping
from strategic_envs.agents.dgnopt.norm import Switch
from strategic_envs.agents.dgnopt.numbers import full_precision, nominal, not_finite
from strategic_envs.agents.dgnopt.records import Seats, StageRecord, Trace, matrix_form
from strategic_envs.agents.dgnopt.result import StepResult
from strategic_envs.agents.dgnopt.sweep import forward_trace, pull_back, run_again
from strategic_envs.agents.dgnopt.terminal import Terminal, TerminalFactors, terminal_named
from strategic_envs.agents.dgnopt.undo import Undo
from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.baselines.optimizers.layers import add_matrix_, parameters_matrix
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks import StagedNet, State, from_module
from strategic_envs.seeding import torch_stream

__all__ = ["AdaptiveLM", "LMResult"]

Batch = tuple[Tensor, Any]


@dataclass(frozen=True)
class LMResult(StepResult):
    """The outcome of one step.

    Args:
        outcome: `ok`, `diverged`, or `rejected`: no try lowered the loss, and the network is as it was; the next step
            starts with more damping.
        ratio: The gain ratio of the last try: the fall of the loss over the predicted one.
        damping: The damping of the last try.
        tries: How often the step was tried.

    Example:
        >>> LMResult(torch.tensor(0.5), ratio=0.9).ok
        True
    """

    ratio: float = 0.0
    damping: float = 0.0
    tries: int = 0


class AdaptiveLM(torch.optim.Optimizer):
    """Trains a network with damped Gauss-Newton steps of each whole batch: `optimizer.step((inputs, targets))`.

    One step costs a backward pass for each column of the factor, a matrix of `(B r)^2` numbers, `O((B r)^2 width)`
    operations a linear layer and `O((B r)^3)` for one dual system (one a stage with `rollout="network"`). A step
    on batches of 128 with `rank=3` takes some six times as long as one of KFAC on small perceptrons.
    Convolutions and norms need the gradients of single samples: `B r` times the memory of the layer, in parts.
    BatchNorm's batch statistics count as constants in the columns, as in the other methods. No autocast.

    Args:
        net: A torch module, or a staged network.
        lr: What a step is multiplied by; the damping is the better handle.
        damping: The damping of the first step.
        bounds: Between which the damping stays.
        factor: How fast it changes; see `Damping`.
        weight_decay: Decay, a part of the loss and of its Hessian.
        loss: `cross_entropy`, `mse`, or a `Terminal`.
        value_hessian: The factor of the loss's second derivative. `mixed` is nearly as good as `full` for a fraction of
            the cost; `topr` sees too little while the predictions are flat, `mc` is noisy at the end.
        rank: Its columns, where that is free.
        rollout: `linear` takes the exact damped Gauss-Newton step; `network` lets each stage react to how far the
            network itself has moved its state, as in Algorithm 1.
        retries: How often a step that raises the loss is tried again in the same call, on the same systems.
        kl_clip: Steps of the linear rollout are shortened until `d'G d / 2`, the divergence of the predictions that the
            model expects, is at most this. None switches it off.
        alignment: `late`, `early`, or stages by name; matters with `rollout="network"` only.
        seed: Of everything that is drawn.
        params: Parameters or groups to train, as for any optimizer; all by default.
        unsupported: As in `from_module`; layers without a matrix form take gradient steps of size 1 / damping.

    Raises:
        UnknownNameError: If one of the names does not exist.
        InvalidSettingError: If a number makes no sense.
        InvalidGameError: If the network cannot be staged.

    Source:
        Levenberg (1944), Marquardt (1963); the dual form and the rollout on the network are ours.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> optimizer = AdaptiveLM(net)
        >>> results = [optimizer.step((x, (x[:, 0] > 0).long())) for _ in range(10)]
        >>> results[-1].outcome, bool(results[-1].loss < 0.3 * results[0].loss)
        ('ok', True)
    """

    def __init__(
        self,
        net: nn.Module | StagedNet,
        *,
        lr: float = 1.0,
        damping: float = 0.3,
        bounds: tuple[float, float] = (0.1, 1e6),
        factor: float = 1.5,
        weight_decay: float = 0.0,
        loss: str | Terminal = "cross_entropy",
        value_hessian: str = "mixed",
        rank: int = 3,
        rollout: str = "linear",
        retries: int = 3,
        kl_clip: float | None = None,
        alignment: str | Mapping[str, int] | None = None,
        seed: int = 0,
        params: Iterable[Any] | None = None,
        unsupported: str = "refuse",
    ) -> None:
        if rollout not in ("linear", "network"):
            raise InvalidSettingError(f"got rollout={rollout!r}, expected 'linear' or 'network'")
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise InvalidSettingError(f"got retries={retries!r}, expected a whole number >= 0")
        for name, number in (("lr", lr), ("kl_clip", 1.0 if kl_clip is None else kl_clip)):
            if not 0 < number < math.inf:
                raise InvalidSettingError(f"got {name}={number!r}, expected a number > 0")
        if not 0 <= weight_decay < math.inf:
            raise InvalidSettingError(f"got weight_decay={weight_decay!r}, expected a number >= 0")
        self.damping = Damping(damping, *bounds, factor)
        self.loss = terminal_named(loss, value_hessian, rank)
        if isinstance(net, StagedNet):
            self.net = net if alignment is None else net.realign(alignment)
        else:
            self.net = from_module(net, alignment or "late", unsupported=unsupported)
        self._rollout, self._retries, self._kl_clip = rollout, retries, kl_clip
        self._units = {unit.name: unit for unit in self.net.units if unit.player >= 0}
        everything = (p for unit in self._units.values() for p in unit.module.parameters())
        super().__init__(everything if params is None else params, {"lr": lr, "weight_decay": weight_decay})
        device = self.param_groups[0]["params"][0].device
        self._random = {name: torch_stream(seed, "lm", name, device=device) for name in ("terminal", "dropout")}
        self._switch = Switch()
        self.steps = 0
        """How many steps were taken; refused and rejected ones do not count."""

    @torch.no_grad()
    def step(self, batch: Any, check: Any = None) -> LMResult:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on a batch.

        Args:
            batch: `(inputs, targets)`; of a list of such pairs all samples are taken together.
            check: Another batch, on which the damping is judged too: a step that raises its loss by more than the fall
                that was predicted is rejected, and the damping falls only if its loss falls as well.

        Returns:
            The loss before the step, and what became of it. If anything was not finite the network, its buffers and the
            optimizer are as they were before; if no try lowered the loss, only the damping is not.

        Raises:
            InvalidStrategyError: If the batch, the inputs or the targets have the wrong form.
            InvalidGameError: If there is one sample only and the network has BatchNorm layers in training mode.
        """
        inputs, targets = _together(pieces(self.net, batch))
        other = None if check is None else _together(pieces(self.net, check))
        parameters = [p for group in self.param_groups for p in group["params"]]
        undo = Undo([*parameters, *self.net.module.buffers()], self._random.values(), [self.damping])
        try:
            with full_precision(inputs.device):
                result = self._play(inputs, targets, other, parameters)
        except BaseException:
            undo()
            raise
        if result.outcome == "diverged":
            undo()
        self.steps += result.ok
        return result

    def _play(self, inputs: Tensor, targets: Any, other: Batch | None, parameters: list[Tensor]) -> LMResult:
        def run(x: Tensor) -> Trace:
            return forward_trace(self.net, x, self._switch, self._random["dropout"])

        trace = nominal(run, inputs, contextlib.nullcontext)
        end = self.loss(trace.output, targets, self._random["terminal"])
        loss = end.loss.mean()
        coupled, gradients = self._backward(trace, end)
        reason = not_finite({"the loss": [loss], "a gradient": gradients})
        if reason is not None:
            return LMResult(loss, "diverged", reason)
        before = float(loss.double() + self._decay())
        check = None if other is None else self._judge(other)
        nominals = [p.clone() for p in parameters]
        result = LMResult(loss, "rejected")
        for tried in range(1, self._retries + 2):
            damping, ratio = self.damping.value, -math.inf
            found = self._move(coupled, trace, damping)
            if found is not None:
                steps, output = found
                after = float(self.loss(output, targets, None).loss.double().mean() + self._decay())
                promised = float(coupled.predicted(steps))
                ratio = (before - after) / promised if promised > 0 and math.isfinite(after) else -math.inf
                if ratio > 0 and check is not None and other is not None:
                    ratio = min(ratio, _seen(check - self._judge(other), promised, self.damping))
            result = LMResult(loss, "ok" if ratio > 0 else "rejected", ratio=ratio, damping=damping, tries=tried)
            if result.ok:
                self.damping.accepted(ratio)
                break
            self.damping.rejected()
            for p, old in zip(parameters, nominals, strict=True):
                p.copy_(old)
        return result

    def _backward(self, trace: Trace, end: TerminalFactors) -> tuple[Coupled, list[Tensor]]:
        """The coupled systems of the batch, from the last stage to the first; the gradients of its layers."""
        network = self._rollout == "network"
        coupled, gradients = Coupled(trace.samples, len(end.factors), by_stage=network), []
        groups = self._groups()
        core = end.loss.new_zeros(trace.samples, len(end.factors), len(end.factors))  # the coupling is in `coupled`
        value = Value((end.gradient,), tuple((z,) for z in end.factors), core)
        for record in reversed(trace.records):
            seats = Seats(record.stage, groups)
            found = pull_back(record, [value], seats, False, self._switch)
            layers = []
            for unit in seats.units:
                decay = groups[unit.name]["weight_decay"]
                gradient = matrix_form(unit, found[unit.name]) / trace.samples + decay * parameters_matrix(unit)
                gradients.append(gradient)
                layers.append(Layer(unit, record.inputs[unit.name], record.hz.get(unit.name, ()), gradient, decay))
            coupled.add(layers)
            value = record.pulled[0]
            record.h, record.hz = {}, {}
            if not network:
                record.pulled = []
        return coupled, gradients

    def _move(self, coupled: Coupled, trace: Trace, damping: float) -> tuple[dict[str, Tensor], Tensor] | None:
        """Tries a step: moves the parameters, and gives the steps and the network's new output."""
        groups = self._groups()
        steps: dict[str, Tensor] = {}
        if self._rollout == "linear":
            found = coupled.steps(damping, rest=True)
            if found is None:
                return None
            shortened = 1.0
            if self._kl_clip is not None:
                shortened = min(1.0, math.sqrt(self._kl_clip / max(float(coupled.divergence(found)), 1e-300)))
            steps = {name: x * (groups[name]["lr"] * shortened) for name, x in found.items()}
            for name, x in steps.items():
                add_matrix_(self._units[name], x)
        state: State = trace.records[0].state
        for t, record in enumerate(trace.records):
            if self._rollout == "network":
                moved = coupled.along(record.pulled[0].columns, state, record.state) if t else None
                found = coupled.steps(damping, t, moved)
                if found is None:
                    return None
                own = {name: x * groups[name]["lr"] for name, x in found.items()}
                for name, x in own.items():
                    add_matrix_(self._units[name], x)
                steps |= own
            state = run_again(record, state, trace.masks, self._switch)
        return steps, state[0]

    def _groups(self) -> dict[str, dict[str, Any]]:
        """The parameter group of each layer that is trained."""
        place = {p: group for group in self.param_groups for p in group["params"]}
        found = {}
        for name, unit in self._units.items():
            groups = [place.get(p) for p in unit.module.parameters()]
            if any(group is not groups[0] for group in groups):
                raise InvalidSettingError(
                    f"the parameters of the layer {name} are in several groups (or some in none), expected one group "
                    "for each layer: give all of its parameters to one"
                )
            if groups[0] is not None:
                found[name] = groups[0]
        return found

    def _decay(self) -> Tensor:
        """The weight decay's part of the loss."""
        sums = [g["weight_decay"] / 2 * p.double().square().sum() for g in self.param_groups for p in g["params"]]
        return torch.stack(sums).sum()

    def _judge(self, batch: Batch) -> float:
        """The loss of another batch: no dropout, no running statistics moved."""
        inputs, targets = batch
        state: State = (inputs,)
        for stage in self.net.stages:
            masks: dict[str, Tensor | None] = {unit.name: None for unit in stage.units if unit.kind == "dropout"}
            state = run_again(StageRecord(stage, state), state, masks, self._switch)
        return float(self.loss(state[0], targets, None).loss.double().mean() + self._decay())

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs beside the network: the damping, the generators."""
        random = {name: generator.get_state() for name, generator in self._random.items()}
        damping = (self.damping.value, self.damping.growth)
        return super().state_dict() | {"lm": {"steps": self.steps, "damping": damping, "random": random}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken; the network is loaded apart.

        Raises:
            CheckpointError: If the state is of another optimizer.
        """
        if "lm" not in state_dict:
            raise CheckpointError("got the state of another kind of optimizer, expected that of an AdaptiveLM")
        own = state_dict["lm"]
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lm"})
        self.steps = own["steps"]
        self.damping.value, self.damping.growth = own["damping"]
        for name, generator in self._random.items():
            generator.set_state(own["random"][name].cpu())


def _together(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return torch.cat([inputs for inputs, _ in parts]), torch.cat([targets for _, targets in parts])


def _seen(fall: float, promised: float, damping: Damping) -> float:
    """The gain ratio as another batch sees it: worse than useless below -1, no reason to lower the damping below 0."""
    if not math.isfinite(fall) or fall < -promised:
        return -math.inf
    return math.inf if fall > 0 else (damping.low + damping.high) / 2
