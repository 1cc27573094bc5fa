"""The public contract on every environment, and environments that break it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strategic_envs.envs import duopoly_pricing_v0, tic_tac_toe_v0
from strategic_envs.envs.duopoly_pricing_v0 import DuopolyPricingEnv
from strategic_envs.envs.tic_tac_toe_v0 import TicTacToeEnv
from strategic_envs.games.pricing import pricing
from strategic_envs.registry import describe, list_environments, make
from strategic_envs.testing import check_env

CASES = [(name, mode) for name in list_environments() for mode in describe(name).modes]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_every_environment_keeps_the_contract(name: str, mode: str) -> None:
    check_env(lambda: make(name, mode))


@pytest.mark.parametrize(("name", "mode"), [case for case in CASES if case[0] != "tic_tac_toe_v0"])
def test_short_episodes_keep_the_contract(name: str, mode: str) -> None:
    check_env(lambda: make(name, mode, max_cycles=3), seed=7)


@pytest.mark.parametrize("options", [{"n": 3, "m": 4}, {"memory": 2, "m": 3}, {"memory": 0}, {"n": 3, "memory": 2}])
def test_larger_markets_and_memories_keep_the_contract(options: dict[str, Any]) -> None:
    check_env(lambda: duopoly_pricing_v0.parallel_env(max_cycles=5, **options))


def test_raw_environments_keep_the_contract() -> None:
    check_env(duopoly_pricing_v0.raw_env)
    check_env(tic_tac_toe_v0.raw_env)


class Forgetful(DuopolyPricingEnv):
    """Its seed decides nothing."""

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(None, options)


class Lax(DuopolyPricingEnv):
    """It rounds whatever it gets."""

    def check_action(self, agent: str, action: object) -> int:
        try:
            return int(np.clip(int(action), 0, 14))  # type: ignore[call-overload]
        except (TypeError, ValueError):
            return 0


class Rich(DuopolyPricingEnv):
    """Its rewards are not finite."""

    def step(self, actions: Any) -> Any:
        seen, rewards, *rest = super().step(actions)
        return seen, dict.fromkeys(rewards, float("nan")), *rest


class Endless(DuopolyPricingEnv):
    """It goes on one period too long."""

    def step(self, actions: Any) -> Any:
        self.max_cycles += 1
        try:
            return super().step(actions)
        finally:
            self.max_cycles -= 1


class Careless(TicTacToeEnv):
    """An illegal move is an error, but the board has changed."""

    def step(self, action: Any) -> None:
        try:
            super().step(action)
        except ValueError:
            self._state |= 1 << 17
            raise


class Nameless(TicTacToeEnv):
    """Its name has no version."""

    metadata = {**TicTacToeEnv.metadata, "name": "tic_tac_toe"}  # noqa: RUF012


@pytest.mark.parametrize(
    ("make_env", "message"),
    [
        (lambda: Forgetful(pricing(), max_cycles=4), "same seed"),
        (lambda: Lax(pricing(), max_cycles=4), "were accepted"),
        (lambda: Rich(pricing(), max_cycles=4), "expected a finite number"),
        (lambda: Endless(pricing(), max_cycles=4), "max_cycles"),
        (Careless, "refused actions"),
        (Nameless, "name_v0"),
        (dict, "expected a PettingZoo environment"),
    ],
)
def test_environments_that_break_the_contract_are_caught(make_env: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_env(make_env)
