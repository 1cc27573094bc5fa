"""Learning dynamics: update rules on a joint field, one file each, and the loop that runs them.

A file added to this folder with a subclass of `Dynamic` is discovered; no list need be edited.

Example:
    >>> dynamic("extragradient", step_size=0.1)
    Extragradient(step_size=0.1)
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any

from strategic_envs.agents.dynamics.adaptive_extragradient import AdaptiveExtragradient
from strategic_envs.agents.dynamics.alternating import AlternatingGradient
from strategic_envs.agents.dynamics.anchored import AnchoredExtragradient
from strategic_envs.agents.dynamics.base import Dynamic, State, state_from_dict, state_to_dict
from strategic_envs.agents.dynamics.consensus import ConsensusOptimization
from strategic_envs.agents.dynamics.cooperative import CooperativeGradient
from strategic_envs.agents.dynamics.curvature_eg_plus import CurvatureEGPlus
from strategic_envs.agents.dynamics.eg_plus import EGPlus
from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.follow_the_ridge import FollowTheRidge
from strategic_envs.agents.dynamics.hedge import Hedge
from strategic_envs.agents.dynamics.online import OnlineGradientDescent
from strategic_envs.agents.dynamics.optimistic import OptimisticGradient
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.agents.dynamics.regret_matching import RegretMatchingPlus
from strategic_envs.agents.dynamics.replicator import Replicator
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient
from strategic_envs.agents.dynamics.smith import Smith
from strategic_envs.agents.dynamics.symplectic import SymplecticGradient
from strategic_envs.agents.dynamics.trajectory import Trajectory
from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = [
    "AdaptiveExtragradient",
    "AlternatingGradient",
    "AnchoredExtragradient",
    "ConsensusOptimization",
    "CooperativeGradient",
    "CurvatureEGPlus",
    "Dynamic",
    "EGPlus",
    "Extragradient",
    "FollowTheRidge",
    "GameOracle",
    "Hedge",
    "OnlineGradientDescent",
    "OptimisticGradient",
    "Oracle",
    "Outcome",
    "RegretMatchingPlus",
    "Replicator",
    "SimultaneousGradient",
    "Smith",
    "State",
    "SymplecticGradient",
    "Trajectory",
    "dynamic",
    "dynamics",
    "run",
    "state_from_dict",
    "state_to_dict",
]


def dynamics() -> dict[str, type[Dynamic[Any]]]:
    """All dynamics of this folder by name.

    Example:
        >>> "extragradient" in dynamics()
        True
    """
    found: dict[str, type[Dynamic[Any]]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if not inspect.isclass(value) or value.__module__ != module.__name__ or inspect.isabstract(value):
                continue
            if issubclass(value, Dynamic):
                found[value.name] = value
    return dict(sorted(found.items()))


def dynamic(name: str, /, **settings: Any) -> Dynamic[Any]:
    """A dynamic by name.

    Args:
        name: One of `dynamics()`.
        **settings: Its hyper-parameters.

    Raises:
        UnknownNameError: If there is no such dynamic; the message offers the nearest names.
        InvalidSettingError: If a hyper-parameter is unknown, missing or makes no sense.
    """
    found = dynamics()
    if name not in found:
        raise UnknownNameError("dynamic", name, found)
    fields = {f.name: f for f in dataclasses.fields(found[name])}  # pyright: ignore[reportArgumentType]
    required = {k for k, f in fields.items() if f.default is dataclasses.MISSING}
    if not required <= set(settings) <= set(fields):
        raise InvalidSettingError(
            f"{name}: got settings {sorted(settings)}, expected {sorted(required)} and perhaps "
            f"{sorted(set(fields) - required)}"
        )
    return found[name](**settings)
