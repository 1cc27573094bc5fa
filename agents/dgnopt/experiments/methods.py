"""Methods to train a network, by name: the baselines and the presets of DGNOpt, each with defaults and a tuning grid.

All grids have `TRIALS` settings, the likely ones first, so that every method can be tuned with the same number of
trials, also with fewer. A method makes a `Stepper`: one object that trains one module, a minibatch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = ["TRIALS", "Method", "Settings", "StepReport", "Stepper", "method", "methods"]

TRIALS = 6
"""How many settings every grid has."""

Settings = Mapping[str, Any]
"""Hyper-parameters by name, of JSON's types."""


@dataclass(frozen=True, eq=False)
class StepReport:
    """What a step says.

    Args:
        loss: The mean loss of the minibatch before the step, a detached scalar.
        outcome: `ok`, or `diverged` if the step was refused because a number was not finite.
    """

    loss: Tensor
    outcome: str = "ok"


@runtime_checkable
class Stepper(Protocol):
    """Trains the module it was made with, a minibatch at a time."""

    def step(self, inputs: Tensor, targets: Tensor) -> StepReport:
        """One update on a minibatch."""
        ...


@dataclass(frozen=True, eq=False)
class Method:
    """A way to train a network.

    Args:
        name: Its name, as in `methods()`.
        summary: One line.
        defaults: Settings that are safe on small residual networks.
        grid: `TRIALS` settings to try when it is tuned; each replaces the defaults that it names.
        make: `(module, seed, settings)` to a `Stepper`.
    """

    name: str
    summary: str
    defaults: Settings
    grid: tuple[Settings, ...]
    make: Callable[[nn.Module, int, Settings], Stepper]

    def stepper(self, module: nn.Module, *, seed: int = 0, settings: Settings | None = None) -> Stepper:
        """A trainer of `module`.

        Args:
            module: The network; it is trained in place.
            seed: The seed of what the method itself draws.
            settings: What replaces the defaults.

        Raises:
            InvalidSettingError: If a setting is unknown to the method, or out of its range.
        """
        wanted = {**self.defaults, **(settings or {})}
        try:
            return self.make(module, seed, wanted)
        except TypeError as error:
            raise InvalidSettingError(
                f"{self.name}: got the settings {', '.join(wanted)}, expected those that it has ({error})"
            ) from error


class _Backprop:
    """Steps of a `torch.optim` optimizer on the gradient of the mean cross-entropy."""

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._module, self._optimizer = module, optimizer

    def step(self, inputs: Tensor, targets: Tensor) -> StepReport:
        """One update on a minibatch."""
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._module(inputs), targets)
        loss.backward()
        self._optimizer.step()
        return StepReport(loss.detach())


class _Whole:
    """Steps of an optimizer that is given the minibatch, as `((inputs, targets))` or as two arguments."""

    def __init__(self, step: Callable[[Tensor, Tensor], Any]) -> None:
        self._step = step

    def step(self, inputs: Tensor, targets: Tensor) -> StepReport:
        """One update on a minibatch."""
        found = self._step(inputs, targets)
        loss = getattr(found, "loss", found)
        return StepReport(loss.detach(), getattr(found, "outcome", "ok"))


def _torch(kind: Callable[..., torch.optim.Optimizer]) -> Callable[[nn.Module, int, Settings], Stepper]:
    return lambda module, seed, settings: _Backprop(module, kind(module.parameters(), **settings))


def _kfac(module: nn.Module, seed: int, settings: Settings) -> Stepper:
    from strategic_envs.baselines.optimizers import KFAC

    return _Backprop(module, KFAC(module, **settings))


def _ekfac(module: nn.Module, seed: int, settings: Settings) -> Stepper:
    from strategic_envs.baselines.optimizers import EKFAC

    return _Backprop(module, EKFAC(module, **settings))


def _emsa(module: nn.Module, seed: int, settings: Settings) -> Stepper:
    from strategic_envs.baselines.optimizers import EMSA

    return _Whole(EMSA(module, **settings).step)


def _dgnopt(module: nn.Module, seed: int, settings: Settings) -> Stepper:
    from strategic_envs.agents.dgnopt.optimizer import DGNOpt

    optimizer = DGNOpt(module, seed=seed, **settings)
    return _Whole(lambda inputs, targets: optimizer.step((inputs, targets)))


def _lm(module: nn.Module, seed: int, settings: Settings) -> Stepper:
    from strategic_envs.agents.dgnopt.lm import AdaptiveLM

    optimizer = AdaptiveLM(module, seed=seed, **settings)
    return _Whole(lambda inputs, targets: optimizer.step((inputs, targets)))


def _rates(*rates: float) -> tuple[Settings, ...]:
    return tuple({"lr": rate} for rate in rates)


def _pairs(*pairs: tuple[float, float]) -> tuple[Settings, ...]:
    return tuple({"lr": rate, "damping": damping} for rate, damping in pairs)


_SGD = _rates(0.4, 0.2, 0.1, 0.8, 0.05, 1.6)
_ADAPTIVE = _rates(1e-3, 3e-3, 3e-4, 1e-2, 1e-4, 3e-2)
_KRONECKER = _pairs((0.1, 0.03), (0.03, 0.03), (0.1, 0.1), (0.03, 0.01), (0.01, 0.01), (0.3, 0.3))
_EIGEN = _pairs((0.03, 0.01), (0.1, 0.1), (0.03, 0.1), (0.01, 0.01), (0.003, 0.01), (0.1, 0.01))
_TRUST = {"kl_clip": 0.1}  # the trust region that DGNOpt has by itself, for the peers too
_SAFE = {"lr": 0.03, "damping": 0.03, **_TRUST}
_OWN = {"lr": 0.1, "damping": 0.03, **_TRUST}  # what DGNOpt has by itself

_TABLE: tuple[tuple[str, str, Settings, tuple[Settings, ...], Callable[[nn.Module, int, Settings], Stepper]], ...] = (
    ("sgd", "SGD without momentum", {"lr": 0.2}, _SGD, _torch(torch.optim.SGD)),
    ("rmsprop", "RMSprop", {"lr": 1e-3}, _ADAPTIVE, _torch(torch.optim.RMSprop)),
    ("adam", "Adam", {"lr": 1e-3}, _ADAPTIVE, _torch(torch.optim.Adam)),
    ("kfac", "KFAC", _SAFE, _KRONECKER, _kfac),
    (
        "ekfac",
        "EKFAC, scales of this minibatch",
        {"lr": 0.1, "damping": 0.1, **_TRUST, "scale": "intra"},
        _EIGEN,
        _ekfac,
    ),
    (
        "ekfac-running",
        "EKFAC, running average of the scales",
        {"lr": 0.1, "damping": 0.1, **_TRUST, "scale": "running"},
        _EIGEN,
        _ekfac,
    ),
    (
        "emsa",
        "EMSA, L-BFGS in every layer",
        {"rho": 0.03},
        tuple({"rho": rho, "reg": reg} for reg in (1e-3, 1e-4) for rho in (0.03, 0.1, 0.3)),
        _emsa,
    ),
    ("olne", "DGNOpt without feedback or cooperation: KFAC", {**_OWN, "info": "OLNE"}, _KRONECKER, _dgnopt),
    ("fne", "DGNOpt, feedback on KFAC", {**_OWN, "info": "FNE"}, _KRONECKER, _dgnopt),
    (
        "fne-uncapped",
        "DGNOpt, feedback on KFAC without cap or trust region",
        {**_OWN, "info": "FNE", "cap": float("inf"), "kl_clip": None},
        _KRONECKER,
        _dgnopt,
    ),
    ("gr", "DGNOpt, feedback and exact cooperation on KFAC", {**_OWN, "info": "GR"}, _KRONECKER, _dgnopt),
    (
        "gr-prop5",
        "DGNOpt, feedback and the cooperation of Prop. 5 on KFAC",
        {**_SAFE, "info": "GR", "cooperation": "prop5"},
        _KRONECKER,
        _dgnopt,
    ),
    ("o-cg", "DGNOpt, exact cooperation on KFAC, no feedback", {**_OWN, "info": "O-CG"}, _KRONECKER, _dgnopt),
    (
        "fne-identity",
        "DGNOpt, feedback on SGD",
        {"lr": 0.4, "info": "FNE", "curvature": "identity"},
        _SGD,
        _dgnopt,
    ),
    (
        "fne-identity-uncapped",
        "DGNOpt, feedback on SGD without a cap",
        {"lr": 0.1, "info": "FNE", "curvature": "identity", "cap": float("inf")},
        _SGD,
        _dgnopt,
    ),
    (
        "fne-ekfac",
        "DGNOpt, feedback on EKFAC",
        {"lr": 0.1, "damping": 0.1, "info": "FNE", "curvature": "ekfac"},
        _EIGEN,
        _dgnopt,
    ),
    (
        "gr-ekfac",
        "DGNOpt, feedback and cooperation on EKFAC",
        {"lr": 0.1, "damping": 0.1, "info": "GR", "curvature": "ekfac"},
        _EIGEN,
        _dgnopt,
    ),
    (
        "fne-adam",
        "DGNOpt, feedback on Adam's scales",
        {"lr": 1e-3, "info": "FNE", "curvature": "adam"},
        _ADAPTIVE,
        _dgnopt,
    ),
    (
        "lm",
        "DGNOpt, Levenberg-Marquardt with adaptive damping",
        {},
        tuple({"damping": damping} for damping in (1.0, 3.0, 0.3, 10.0, 0.1, 30.0)),
        _lm,
    ),
)


def methods() -> dict[str, Method]:
    """All methods by name.

    Example:
        >>> all(len(method.grid) == TRIALS for method in methods().values())
        True
        >>> sorted(methods())[:3]
        ['adam', 'ekfac', 'ekfac-running']
    """
    return {row[0]: Method(*row) for row in _TABLE}


def method(name: str) -> Method:
    """A method by its name.

    Raises:
        UnknownNameError: If there is none of this name.

    Example:
        >>> method("adam").defaults
        {'lr': 0.001}
    """
    there = methods()
    if name not in there:
        raise UnknownNameError("method", name, there)
    return there[name]
