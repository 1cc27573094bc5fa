"""Environments by name, here and in the registries of PettingZoo and Gymnasium."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import pettingzoo
import pytest
from pettingzoo import AECEnv, ParallelEnv

import strategic_envs as se
from strategic_envs import registry
from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.catalogue import game

ALL = [
    "bertrand_pricing_v0",
    "continuous_game_v0",
    "duopoly_pricing_v0",
    "larger_number_v0",
    "layers_v0",
    "routing_v0",
    "sequential_pricing_v0",
    "tic_tac_toe_v0",
]
TURN_BASED = ("sequential_pricing_v0", "tic_tac_toe_v0")


def test_all_environments_are_listed() -> None:
    assert se.list_environments() == ALL


@pytest.mark.parametrize("name", ALL)
def test_source_and_module_say_the_same_of_an_environment(name: str) -> None:
    module, description = registry.environment_module(name), registry.describe(name)
    assert (description.summary, description.modes) == (module.SUMMARY, module.MODES)
    assert "\n" not in description.summary
    assert hasattr(module, "parallel_env") == ("parallel" in description.modes)


@pytest.mark.parametrize("name", ALL)
def test_make_gives_the_mode_that_was_asked_for(name: str) -> None:
    for mode, kind in (("aec", AECEnv), ("parallel", ParallelEnv)):
        if mode in registry.describe(name).modes:
            assert isinstance(se.make(name, mode=mode), kind)
    assert isinstance(se.make(name), AECEnv if name in TURN_BASED else ParallelEnv)


def test_options_reach_the_game() -> None:
    env = se.make("duopoly_pricing_v0", n=3, m=4, max_cycles=7)
    assert env.game.n_states == 64 and env.max_cycles == 7
    assert se.make("continuous_game_v0", game=game("squared_difference")).game.n_players == 2


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("duopoly_pricing",), {}, r"unknown environment 'duopoly_pricing': did you mean 'duopoly_pricing_v0' or"),
        (("tictactoe_v3",), {}, r"did you mean 'tic_tac_toe_v0'\?"),
        (("zzz",), {}, r"There are: bertrand_pricing_v0, continuous_game_v0, duopoly_pricing_v0, larger_number_v0"),
        (("single_agent",), {}, "unknown environment"),
        ((3,), {}, "unknown environment 3"),
        (("duopoly_pricing_v0",), {"mode": "paralel"}, r"unknown mode of duopoly_pricing_v0, 'paralel': did you mean"),
        (("duopoly_pricing_v0",), {"memroy": 2}, r"option of duopoly_pricing_v0, 'memroy': did you mean 'memory'\?"),
        (("tic_tac_toe_v0",), {"max_cycles": 2}, r"'max_cycles': There are: render_mode"),
        (("larger_number_v0",), {"N": 3}, "option of larger_number_v0, 'N'"),
        (("continuous_game_v0",), {"game": "f1", "bix": 3.0}, r"'bix': did you mean 'box'\?"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_unknown_names_are_refused_with_the_nearest(arguments: Any, keywords: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        se.make(*arguments, **keywords)


def test_a_turn_based_environment_has_no_parallel_mode() -> None:
    with pytest.raises(InvalidGameError, match=r"turn-based only: got mode='parallel', expected mode='aec'"):
        se.make("tic_tac_toe_v0", mode="parallel")


def test_options_of_every_environment_are_told_with_their_defaults() -> None:
    assert registry.options("duopoly_pricing_v0")["delta"] == 0.95
    assert registry.options("larger_number_v0")["n"] == 10
    assert registry.options("continuous_game_v0") is None  # each game has its own


@pytest.mark.parametrize("name", ALL)
def test_pettingzoo_knows_every_environment(name: str) -> None:
    key = f"strategic_envs/{name}"
    for mode, kind in (("aec", AECEnv), ("parallel", ParallelEnv)):
        if mode in registry.describe(name).modes:
            assert isinstance(pettingzoo.make(mode, key), kind)
        else:
            with pytest.raises(Exception, match="not found"):
                pettingzoo.make(mode, key)
    if name not in TURN_BASED:
        assert pettingzoo.make("parallel", key, max_cycles=7).max_cycles == 7


@pytest.mark.parametrize("name", ALL)
def test_gymnasium_knows_every_environment(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spaces without bounds
        env = gymnasium.make(registry.gymnasium_id(name))
    assert env.spec is not None and env.spec.id == registry.gymnasium_id(name)


def test_registering_again_changes_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.register_all()
        registry.register_all()
    assert len([key for key in gymnasium.registry if key.startswith("strategic_envs/")]) == len(ALL)


def test_gymnasium_says_what_there_is_for_a_wrong_version() -> None:
    with pytest.raises(gymnasium.error.VersionNotFound):
        gymnasium.make("strategic_envs/duopoly_pricing-v7")


def test_importing_and_listing_load_neither_torch_nor_ray_and_register_everything() -> None:
    code = (
        "import sys, strategic_envs as se; se.list_environments(); import gymnasium, pettingzoo\n"
        "assert 'strategic_envs/tic_tac_toe-v0' in gymnasium.registry\n"
        "assert 'strategic_envs/tic_tac_toe-v0' in pettingzoo.aec_registry\n"
        "from strategic_envs.registry import describe\n"
        "[describe(n) for n in se.list_environments()]\n"
        "print([m for m in ('torch', 'ray', 'scipy', 'numba') if m in sys.modules])"
    )
    root = Path(se.__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert answer.stdout.strip() == "[]"
