"""What the layers of a network read, and the derivatives by what they write, taken down during a backward pass.

`Recorder` hooks itself into a module. The hooks sit on the tensors that layers write, so that an activation that works
in place on them afterwards does no harm: the derivative is the one by what the layer wrote.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.baselines.optimizers.curvature.base import Curvature
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.units import Unit, kind_of

__all__ = ["Recorder", "check_shared", "units_of"]


def units_of(module: nn.Module) -> list[Unit]:
    """The layers whose parameters have a matrix form: linear, convolutions, norms; in the order of `named_modules`.

    Example:
        >>> [unit.kind for unit in units_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.PReLU(), nn.LayerNorm(2)))]
        ['linear', 'norm']
    """
    layers = ((name, part, kind_of(part)) for name, part in module.named_modules() if not list(part.children()))
    return [
        Unit(name or type(part).__name__, part, kind)
        for name, part, kind in layers
        if kind in ("linear", "conv", "norm") and any(p.requires_grad for p in part.parameters())
    ]


def check_shared(module: nn.Module) -> None:
    """Refuses a module in which two layers own one parameter.

    Raises:
        InvalidGameError: Naming both.

    Example:
        >>> check_shared(nn.Linear(2, 2))
    """
    seen: dict[nn.Parameter, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if parameter in seen:
            raise InvalidGameError(
                f"the parameter {name} is also {seen[parameter]}: a layer's curvature is of its own parameters alone. "
                "Give each layer its own, or train this network with torch.optim"
            )
        seen[parameter] = name


class Recorder:
    """Hooks that keep, for each layer and backward pass, what it read and the derivative by what it wrote.

    Args:
        module: The network. Its hooks are removed when the recorder is no longer used.
        units: The layers to watch.
        wanted: Asked at each forward pass whether to record.
    """

    def __init__(self, module: nn.Module, units: list[Unit], wanted: Callable[[], bool]) -> None:
        self.wanted = wanted
        self._modules = {module, *(unit.module for unit in units)}
        self._records: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._running: set[str] | None = None  # the layers that this pass of the whole module has run so far
        me: weakref.ref[Recorder] = weakref.ref(self)
        handles = [
            module.register_forward_pre_hook(partial(_begin, me)),
            module.register_forward_hook(partial(_end, me), always_call=True),
        ]
        handles += [unit.module.register_forward_hook(partial(_forward, me, unit)) for unit in units]
        handles += [
            unit.module.register_forward_pre_hook(partial(_refuse_one, me, unit))
            for unit in units
            if isinstance(unit.module, nn.modules.batchnorm._BatchNorm)
        ]
        weakref.finalize(self, _remove, handles)

    def observe(self, curvature: Curvature, unit: Unit, gradient: Tensor, mean: bool) -> bool:
        """Shows a curvature what was recorded of a layer, every derivative per sample; says whether there was anything.

        Args:
            curvature: Takes the notes.
            unit: The layer.
            gradient: Its gradient in matrix form.
            mean: Whether the loss was the mean over all samples of the step, else their sum.
        """
        records = self._records.get(unit.name, [])
        scale = sum(len(h) for _, h in records) if mean else 1
        for a, h in records:
            curvature.observe(unit, a, h * scale, gradient)
        if not records:
            curvature.observe(unit, None, None, gradient)
        return bool(records)

    def watches(self, module: nn.Module) -> bool:
        """Whether the module is one of the own network, and not of a copy, which has copies of the hooks."""
        return module in self._modules

    def clear(self) -> None:
        """Forgets all that was recorded."""
        self._records = {}

    def whole(self, begins: bool) -> None:
        """A forward pass of the whole module begins or ends."""
        self._running = set() if begins else None

    def forward(self, unit: Unit, a: Tensor, out: Tensor) -> None:
        """A layer read `a` and wrote `out`."""
        if not (torch.is_grad_enabled() and out.requires_grad and self.wanted()):
            return
        if self._running is not None and unit.name in self._running:
            raise InvalidGameError(
                f"layer {unit.name!r} ({type(unit.module).__name__}) runs twice in one pass: its curvature is of one "
                "run. Make two layers of it, or train this network with torch.optim"
            )
        if self._running is not None:
            self._running.add(unit.name)
        out.register_hook(partial(self._backward, unit, a.detach(), a._version))

    def _backward(self, unit: Unit, a: Tensor, version: int, h: Tensor) -> None:
        if a._version != version:
            raise InvalidGameError(
                f"what the layer {unit.name!r} ({type(unit.module).__name__}) read was overwritten before the backward "
                "pass: something works in place on it. Make it out of place: x = x + y for x += y, no inplace=True"
            )
        self._records.setdefault(unit.name, []).append((a, h.detach()))


def _begin(me: weakref.ref[Recorder], module: nn.Module, args: Any) -> None:
    recorder = me()
    if recorder is not None and recorder.watches(module):
        recorder.whole(begins=True)


def _end(me: weakref.ref[Recorder], module: nn.Module, args: Any, out: Any) -> None:
    recorder = me()
    if recorder is not None and recorder.watches(module):
        recorder.whole(begins=False)


def _forward(me: weakref.ref[Recorder], unit: Unit, module: nn.Module, args: Any, out: Any) -> None:
    recorder = me()
    if recorder is not None and args and isinstance(out, Tensor) and recorder.watches(module):
        recorder.forward(unit, args[0], out)


def _refuse_one(me: weakref.ref[Recorder], unit: Unit, module: nn.Module, args: Any) -> None:
    if me() is not None and module.training and torch.is_grad_enabled() and args and len(args[0]) == 1:
        raise InvalidGameError(
            f"layer {unit.name!r} ({type(module).__name__}) got a batch of one sample, and would subtract that "
            "sample's own mean: give at least two samples, or call module.eval()"
        )


def _remove(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()
