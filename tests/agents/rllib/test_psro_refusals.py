"""What PSRO cannot do is refused by name before anything is built, with what would help."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strategic_envs.agents.double_oracle.policy_space.machine import PSROState
from strategic_envs.agents.rllib import DoubleOracleConfig
from strategic_envs.errors import InvalidGameError, InvalidSettingError, OracleError, UnknownNameError
from strategic_envs.games.catalogue import game as named
from strategic_envs.games.kinds.normal_form import NormalFormGame


def config(environment: str, env: dict[str, Any] | None = None, **settings: Any) -> DoubleOracleConfig:
    made = DoubleOracleConfig().environment(environment, env_config=env or {})
    return made.training(**settings)


THREE = NormalFormGame(torch.zeros(3, 2, 2, 2))


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"oracle": "pop"}, UnknownNameError, "unknown oracle 'pop': did you mean 'ppo'"),
        ({"warm_start": "bes"}, UnknownNameError, "did you mean 'best'"),
        ({"oracle_steps": 0}, InvalidSettingError, "got oracle_steps=0, expected a whole number >= 1"),
        ({"units_per_iteration": 0}, InvalidSettingError, "got units_per_iteration=0"),
        ({"games_per_cell": True}, InvalidSettingError, "got games_per_cell=True"),
        ({"payoffs": "guessed"}, InvalidSettingError, "got payoffs='guessed', expected 'exact' or 'sampled'"),
        ({"tolerance": -1.0}, InvalidSettingError, "got tolerance=-1.0"),
        ({"entropy": 0.1}, InvalidSettingError, "replies ascend their own utility alone"),
        ({"step_size": -1.0}, InvalidSettingError, "step_size=-1.0"),
    ],
)
def test_settings_that_no_game_makes_sense_of(settings: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        DoubleOracleConfig().training(**settings)


@pytest.mark.parametrize(
    ("made", "error", "match"),
    [
        (
            lambda: config("larger_number_v0", {"n": 3}, meta_solver="nsh"),
            UnknownNameError,
            "unknown meta-solver 'nsh'",
        ),
        (
            lambda: config("larger_number_v0", {"n": 3}, meta_options={"temperature": 1}),
            InvalidSettingError,
            "nash: got settings",
        ),
        (
            lambda: config("duopoly_pricing_v0", meta_solver="nash"),
            InvalidGameError,
            "pricing: meta_solver='nash' is for two players .* use 'cce', 'alpha_rank'",
        ),
        (
            lambda: DoubleOracleConfig().training(game=THREE, meta_solver="nash"),
            InvalidGameError,
            "got 3 players: use 'cce'",
        ),
        (lambda: config("layers_v0"), InvalidGameError, "PSRO plays turn-based, Markov, normal-form and continuous"),
        (
            lambda: config("continuous_game_v0", {"game": "f1"}, payoffs="sampled"),
            InvalidSettingError,
            "strategies are points and payoffs are exact",
        ),
        (
            lambda: config("continuous_game_v0", {"game": "f1"}, oracle="dqn"),
            InvalidGameError,
            "oracle='dqn' got strategies that are coordinates, expected finitely many actions",
        ),
        (
            lambda: DoubleOracleConfig().training(game=named("f1"), oracle="ppo"),
            InvalidGameError,
            "learns in an environment, got a game",
        ),
        (
            lambda: config("tic_tac_toe_v0", oracle="ppo", tremble=0.1),
            InvalidSettingError,
            "got tremble=0.1 with oracle='ppo'",
        ),
        (lambda: config("tic_tac_toe_v0", oracle="exact", tremble=0.1), InvalidSettingError, "with oracle='exact'"),
        (
            lambda: config("tic_tac_toe_v0", oracle="ppo", strategy="logits"),
            InvalidSettingError,
            "learns networks: leave out strategy='logits'",
        ),
        (
            lambda: config("tic_tac_toe_v0", oracle="ppo", oracle_options={"learning_rate": 1}),
            InvalidSettingError,
            "oracle='ppo': got options .*learning_rate",
        ),
        (
            lambda: config("tic_tac_toe_v0", oracle="exact", oracle_options={"ties": "high"}),
            InvalidSettingError,
            "got settings",
        ),
        (
            lambda: config("tic_tac_toe_v0", dynamic="symplectic_gradient"),
            OracleError,
            "symplectic_gradient needs jvp and vjp",
        ),
        (lambda: DoubleOracleConfig(), InvalidGameError, "got env=None and no game"),
    ],
)
def test_what_does_not_fit_the_game(made: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        made().check()


def test_runners_that_would_have_nothing_to_play() -> None:
    for settings in ({"field": "exact"}, {"oracle": "exact"}, {"oracle": "ppo"}):
        made = config("tic_tac_toe_v0", **settings).env_runners(num_env_runners=2)
        with pytest.raises(InvalidSettingError, match="got num_env_runners=2, but nothing is played"):
            made.check()
    config("tic_tac_toe_v0", field="exact", payoffs="sampled").env_runners(num_env_runners=2).check()


def test_an_empty_population_is_refused_by_name() -> None:
    with pytest.raises(InvalidSettingError, match="player_1: got an empty population, expected at least one policy"):
        PSROState.start([[torch.zeros(1)], []])


def test_general_sum_games_have_a_default_meta_solver_too() -> None:
    made = config("duopoly_pricing_v0")
    assert made.make_meta_solver(made.task()).name == "projected_replicator"
    assert config("tic_tac_toe_v0").make_meta_solver(config("tic_tac_toe_v0").task()).name == "nash"
