"""Every environment of this project under its id in RLlib's registry."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ray.tune.registry import register_env

from strategic_envs import registry
from strategic_envs.agents.rllib.wrappers import ParallelEnvForRLlib, TurnBasedEnvForRLlib, wrap

__all__ = ["make_for_rllib", "register"]


def make_for_rllib(environment: str, **options: Any) -> ParallelEnvForRLlib | TurnBasedEnvForRLlib:
    """Builds an environment and wraps it for RLlib: parallel when it has that face, turn-based otherwise.

    Args:
        environment: An id, such as `"tic_tac_toe_v0"`.
        **options: The environment's options; `mode="aec"` or `mode="parallel"` chooses the face.

    Raises:
        UnknownNameError: If there is no such environment or option.

    Example:
        >>> make_for_rllib("tic_tac_toe_v0").possible_agents
        ['player_0', 'player_1']
    """
    return wrap(registry.make(environment, **options))


def _create(environment: str, env_config: Mapping[str, Any]) -> ParallelEnvForRLlib | TurnBasedEnvForRLlib:
    return make_for_rllib(environment, **env_config)


def register() -> list[str]:
    """Registers all environments with RLlib, so that `config.environment("duopoly_pricing_v0", env_config=...)` works.

    It may be called any number of times. Ray passes the registry to workers that start later, so calling it in the
    driver is enough.

    Returns:
        The ids.

    Example:
        >>> "tic_tac_toe_v0" in register()
        True
    """
    ids = registry.list_environments()
    for environment in ids:
        register_env(environment, functools.partial(_create, environment))  # by reference: workers import it
    return ids
