"""Every suite of `pettingzoo.test` on every environment; `conftest.py` prints the matrix of what ran."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pettingzoo
import pytest

from strategic_envs.registry import describe, environment_module, list_environments

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
        state_test,
    )
    from pettingzoo.test.state_test import test_state_space as state_space_test

MASKED = (  # said of every environment with masks that is not on PettingZoo's own list of such environments
    "Observation is not a NumPy array",
    "Observation space for each agent probably should be",
    "Action mask numpy array is all zeros",  # nobody may move when the game is over
)
EXPECTED = {
    # weights and losses have no bounds, and their spaces say so
    "layers_v0": ("Agent's m..imum observation space value is", "Environment's m..imum state space value is"),
    # firms without memory see nothing: the constant 1
    "bertrand_pricing_v0": ("Observation is a single number", "State is a single number"),
}
CYCLES = 30
# The suite plays the zero vector, which is no share of a population.
WITHOUT_ZERO: dict[str, dict[str, Any]] = {"routing_v0": {"players": "atomic"}}


def state_suite(module: Any) -> None:
    """`state_test`; where samples need a mask, which that suite does not know, its checks with legal play."""
    if hasattr(module, "parallel_env"):
        return state_test(module.env(), module.parallel_env())
    env = module.env()
    state_space_test(env)
    env.reset(seed=0)
    for agent in env.agent_iter():
        seen, _, ended, cut, _ = env.last()
        mask = seen["action_mask"] if isinstance(seen, dict) else None
        env.step(None if ended or cut else env.action_space(agent).sample(mask))
        assert env.state_space.contains(env.state())


SUITES: dict[str, Callable[[Any], None]] = {
    "api_test": lambda m: api_test(m.env(**WITHOUT_ZERO.get(m.__name__.split(".")[-1], {})), num_cycles=CYCLES),
    "seed_test": lambda m: seed_test(m.env, num_cycles=CYCLES),
    "state_test": state_suite,
    "render_test": lambda m: render_test(m.env),
    "parallel_api_test": lambda m: parallel_api_test(m.parallel_env(), num_cycles=CYCLES),
    "parallel_seed_test": lambda m: parallel_seed_test(m.parallel_env, num_cycles=CYCLES),
    "max_cycles_test": max_cycles_test,
}
NOT_APPLICABLE = {
    "bombardment_test": "asks step() for an observation, which no AECEnv returns",
    "test_save_obs": "saves observations that are images",
    "manual_control_test": "types on a keyboard",
    "performance_benchmark": "prints a speed and asserts nothing",
}


def applies(suite: str, environment: str) -> bool:
    return not suite.startswith(("parallel", "max_cycles")) or "parallel" in describe(environment).modes


CELLS = [(suite, environment) for suite in SUITES for environment in list_environments() if applies(suite, environment)]


@pytest.mark.parametrize(("suite", "environment"), CELLS)
def test_suite_passes_without_a_warning(
    suite: str, environment: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("matrix", (suite, environment))
    module, modes = environment_module(environment), describe(environment).modes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in (*(MASKED if modes == ("aec",) else ()), *EXPECTED.get(environment, ())):
            warnings.filterwarnings("ignore", message=message)
        SUITES[suite](module)


def test_every_suite_of_pettingzoo_is_in_the_matrix() -> None:
    there = {name for name, value in vars(pettingzoo.test).items() if inspect.isfunction(value)}
    there.discard("collect_render_results")  # a part of render_test
    assert there == set(SUITES) | set(NOT_APPLICABLE)
