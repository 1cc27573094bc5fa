"""RLlib: the one folder of this project that imports ray.

Two paths over one set of environments and RLModules. *Compatibility*: stock algorithms of RLlib through our PettingZoo
wrappers (`register()` puts every environment in RLlib's registry). *Speed*: `GameDynamicsConfig` and its two named
forms `IndependentGDConfig` and `ExtragradientConfig`, whose algorithm runs a learning dynamic of this project on an
oracle that loads a profile into the modules, plays thousands of games in one call and returns raw policy gradients.
`DoubleOracleConfig` is PSRO on the same runners: populations that grow by replies to a mixture of themselves.
`DGNOptConfig` trains networks, of policies or of data, by the optimizer whose players are their layers.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from strategic_envs.agents.rllib.session import gpu_count, session
from strategic_envs.errors import require

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.algorithm import GameDynamics
    from strategic_envs.agents.rllib.config import ExtragradientConfig, GameDynamicsConfig, IndependentGDConfig
    from strategic_envs.agents.rllib.dgnopt.algorithm import DGNOptAlgorithm
    from strategic_envs.agents.rllib.dgnopt.config import DGNOptConfig
    from strategic_envs.agents.rllib.psro.algorithm import DoubleOracle
    from strategic_envs.agents.rllib.psro.config import DoubleOracleConfig

__all__ = [
    "DGNOptAlgorithm",
    "DGNOptConfig",
    "DoubleOracle",
    "DoubleOracleConfig",
    "ExtragradientConfig",
    "GameDynamics",
    "GameDynamicsConfig",
    "IndependentGDConfig",
    "gpu_count",
    "register",
    "session",
]

if find_spec("ray") is None:
    require("ray", "rllib", "strategic_envs.agents.rllib")

_HOME = {
    "DGNOptAlgorithm": "dgnopt.algorithm",
    "DGNOptConfig": "dgnopt.config",
    "DoubleOracle": "psro.algorithm",
    "DoubleOracleConfig": "psro.config",
    "ExtragradientConfig": "config",
    "GameDynamics": "algorithm",
    "GameDynamicsConfig": "config",
    "IndependentGDConfig": "config",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def register() -> list[str]:
    """Registers all environments with RLlib, so that `config.environment("duopoly_pricing_v0")` works everywhere.

    Returns:
        The ids.
    """
    return importlib.import_module(f"{__name__}.register").register()


class _Package(ModuleType):
    """Keeps the function `register` when the module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "register" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
