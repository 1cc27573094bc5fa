"""Gradient steps through a curvature, as an ordinary `torch.optim` optimizer: what KFAC and EKFAC have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.baselines.optimizers.curvature.base import Curvature
from strategic_envs.baselines.optimizers.layers import add_matrix_, gradient_matrix, parameters_matrix
from strategic_envs.baselines.optimizers.recording import Recorder, check_shared, units_of
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks.units import Unit

__all__ = ["Preconditioned"]


class Preconditioned(torch.optim.Optimizer):
    """`theta <- theta - lr M^-1 (gradient + weight_decay theta)`, `M` a curvature that watches the backward passes.

    Used like any optimizer: `optimizer.zero_grad(); loss(net(x), y).backward(); optimizer.step()`. A layer that the
    curvature does not know (embedding, transposed convolution, attention, a parameter outside of layers) takes plain
    gradient steps, and a warning names it. Every backward pass since the last `zero_grad` or `step` counts as a part of
    the batch.

    Args:
        module: The network. Hooks are put into it, and removed when the optimizer is no longer used.
        curvature: `M`.
        lr: The step size.
        damping: Added to the curvature.
        weight_decay: Times the parameters, added to their gradient.
        kl_clip: All steps are shortened by one factor so that `sum lr^2 <M^-1 g, g>` is at most this; None: never.
        params: Parameters or groups as for any optimizer, with their own `lr`, `damping` and `weight_decay`; all of
            the module's if None. The parameters of a layer are in one group.
        loss_reduction: Whether the loss of a step is the `mean` or the `sum` over its samples. With several backward
            passes before a step (gradient accumulation) this is said of all of them together.

    Attributes:
        last_outcome: `ok`, or `diverged` if the last step was refused because the loss, a gradient or an update was not
            finite. Then parameters and curvature are as they were before.
        steps: How many steps were taken.

    Raises:
        InvalidGameError: If layers share parameters, a layer runs twice in a pass, what a layer read is overwritten in
            place, or BatchNorm gets a batch of one.
        InvalidSettingError: If a setting makes no sense, or a group does not fit the module.
    """

    def __init__(
        self,
        module: nn.Module,
        curvature: Curvature,
        *,
        lr: float,
        damping: float,
        weight_decay: float,
        kl_clip: float | None,
        params: Iterable[Any] | None,
        loss_reduction: str,
    ) -> None:
        if loss_reduction not in ("mean", "sum"):
            raise InvalidSettingError(f"loss_reduction is 'mean' or 'sum', got {loss_reduction!r}")
        if kl_clip is not None and not kl_clip > 0:
            raise InvalidSettingError(f"kl_clip is positive, or None for no limit, got {kl_clip!r}")
        check_shared(module)
        self.module, self.curvature, self.steps, self.last_outcome = module, curvature, 0, "ok"
        self._kl_clip, self._mean, self._warned = kl_clip, loss_reduction == "mean", False
        self._units = units_of(module)
        everything = [p for p in module.parameters() if p.requires_grad]
        defaults = {"lr": lr, "damping": damping, "weight_decay": weight_decay}
        super().__init__(everything if params is None else params, defaults)
        self._recorder = Recorder(module, self._units, lambda: curvature.wants(curvature.step))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of the module's parameters, with its own `lr`, `damping` or `weight_decay`."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for name, least in (("lr", 0.0), ("damping", 0.0), ("weight_decay", 0.0)):
            if not (isinstance(group[name], int | float) and least <= group[name] < math.inf):
                raise InvalidSettingError(f"{name} is a number >= 0, got {group[name]!r}")
        own = set(self.module.parameters())
        strange = [tuple(p.shape) for p in group["params"] if p not in own]
        if strange:
            raise InvalidSettingError(f"the group holds parameters of shapes {strange} that are not the module's")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, and what was recorded beside them."""
        super().zero_grad(set_to_none)
        self._recorder.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on the gradients that the parameters hold.

        Args:
            closure: Computes the loss again and returns it, gradients included; rarely needed.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        grouped = self._groups()
        gradients = {unit: g for unit in grouped if (g := gradient_matrix(unit)) is not None}
        plain = self._plain(grouped)
        seen = [p.grad for p in plain if p.grad is not None] + ([loss] if isinstance(loss, Tensor) else [])
        if not _finite([*gradients.values(), *seen]):
            self._refuse()
            return loss
        snapshot = self.curvature.snapshot()
        updates = self._updates(gradients, grouped)
        factor = self._trust(updates, gradients, grouped, plain)
        if not _finite([*updates.values(), factor]):
            self.curvature.restore(snapshot)
            self._refuse()
            return loss
        for unit, update in updates.items():
            add_matrix_(unit, update.mul_(factor) if self._kl_clip else update, -grouped[unit]["lr"])
        for parameter, group in plain.items():
            if parameter.grad is not None:
                parameter.add_(self._decayed(parameter, group) * factor, alpha=-group["lr"])
        self.steps, self.last_outcome = self.steps + 1, "ok"
        self._recorder.clear()
        return loss

    def _updates(self, gradients: dict[Unit, Tensor], grouped: dict[Unit, dict[str, Any]]) -> dict[Unit, Tensor]:
        unseen, looked = [], self.curvature.wants(self.curvature.step)
        for unit, gradient in gradients.items():
            if grouped[unit]["weight_decay"] != 0:
                gradient.add_(parameters_matrix(unit), alpha=grouped[unit]["weight_decay"])
            if not self._recorder.observe(self.curvature, unit, gradient, self._mean) and looked:
                unseen.append(f"{unit.name} ({type(unit.module).__name__}, whose forward pass was not called)")
        self._warn(unseen)
        self.curvature.refresh(self.curvature.step, {unit.name: grouped[unit]["damping"] for unit in gradients})
        return {unit: self.curvature.solve(unit, gradient) for unit, gradient in gradients.items()}

    def _trust(
        self,
        updates: dict[Unit, Tensor],
        gradients: dict[Unit, Tensor],
        grouped: dict[Unit, dict[str, Any]],
        plain: dict[nn.Parameter, dict[str, Any]],
    ) -> Tensor:
        one = torch.ones((), device=next(self.module.parameters()).device)
        if self._kl_clip is None:
            return one
        total = one * 0
        for unit, update in updates.items():
            total = total + (update * gradients[unit]).sum() * grouped[unit]["lr"] ** 2
        for parameter, group in plain.items():
            if parameter.grad is not None:
                total = total + self._decayed(parameter, group).square().sum() * group["lr"] ** 2
        return torch.minimum(one, (self._kl_clip / total.clamp(min=torch.finfo(total.dtype).tiny)).sqrt())

    def _decayed(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        assert parameter.grad is not None
        return parameter.grad.add(parameter, alpha=group["weight_decay"])

    def _groups(self) -> dict[Unit, dict[str, Any]]:
        """The layers that are trained, each with its group."""
        place = {p: number for number, group in enumerate(self.param_groups) for p in group["params"]}
        found = {}
        for unit in self._units:
            numbers = {place.get(p) for p in unit.module.parameters() if p.requires_grad}
            if len(numbers) > 1:
                raise InvalidSettingError(
                    f"the parameters of the layer {unit.name!r} are in several groups, or partly in none: they move as "
                    "one matrix. Put them into one group"
                )
            number = next(iter(numbers), None)
            if number is not None:
                found[unit] = self.param_groups[number]
        return found

    def _plain(self, grouped: dict[Unit, dict[str, Any]]) -> dict[nn.Parameter, dict[str, Any]]:
        """The other parameters, each with its group."""
        known = {p for unit in grouped for p in unit.module.parameters()}
        rest = {p: group for group in self.param_groups for p in group["params"] if p not in known}
        owners = {
            p: f"{name or 'the module'} ({type(m).__name__})"
            for name, m in self.module.named_modules()
            for p in m.parameters(recurse=False)
        }
        if not self._warned and rest:
            self._warn(sorted({owners[p] for p in rest}))
        self._warned = True
        return rest

    def _warn(self, names: list[str]) -> None:
        if names:
            warnings.warn(f"no curvature is known of {', '.join(names)}: plain gradient steps are taken", stacklevel=4)

    def _refuse(self) -> None:
        self.last_outcome = "diverged"
        self.curvature.discard()
        self._recorder.clear()

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs beside the network, between two steps."""
        return super().state_dict() | {"curvature": self.curvature.state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken; the network is loaded apart.

        Raises:
            CheckpointError: If the state is of another kind of optimizer.
        """
        if "curvature" not in state_dict:
            raise CheckpointError("this state is of another optimizer, expected one with a curvature")
        super().load_state_dict(state_dict)
        self.curvature.load_state_dict(state_dict["curvature"])
        self.steps = int(state_dict["steps"])
        self._recorder.clear()


def _finite(tensors: list[Tensor]) -> bool:
    """Whether every number is finite, by waiting for the device once."""
    return not tensors or bool(torch.stack([torch.isfinite(t).all() for t in tensors]).all())
