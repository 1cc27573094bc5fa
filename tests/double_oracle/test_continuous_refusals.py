"""What a continuous double oracle refuses, and what it says then."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle
from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.catalogue import game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.sets import Box


def _general_sum(x: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([x[0].squeeze(-1), x[1].squeeze(-1)], -1)


def test_unbounded_sets_are_refused_by_player() -> None:
    with pytest.raises(InvalidGameError, match="player_0 of larger_number has the unbounded set"):
        continuous_double_oracle(game("larger_number", n=None))


def test_a_game_that_is_not_zero_sum_is_refused_with_a_profile() -> None:
    with pytest.raises(InvalidGameError, match=r"gift is not zero-sum: at \[\[.*sum to.*'cce'"):
        continuous_double_oracle(Game(_general_sum, [Box(0, 1)] * 2, name="gift"))


def test_utilities_that_are_not_finite_are_refused() -> None:
    def logarithms(x: tuple[Tensor, ...]) -> Tensor:
        u = (x[0] - x[1]).squeeze(-1).log()
        return torch.stack([u, -u], -1)

    with pytest.raises(InvalidGameError, match="nan"):
        continuous_double_oracle(Game(logarithms, [Box(0, 1)] * 2))


def test_a_payoff_that_becomes_infinite_names_its_place() -> None:
    def pole(x: tuple[Tensor, ...]) -> Tensor:
        u = 1 / (x[0] - x[1]).squeeze(-1).abs()
        return torch.stack([u, -u], -1)

    with pytest.raises(InvalidGameError, match=r"utility of inf at \[\[0.5\], \[0.5\]\]"):
        continuous_double_oracle(Game(pole, [Box(0, 1)] * 2, name="pole"))


def test_three_players_are_refused() -> None:
    with pytest.raises(InvalidGameError, match="has 3 players, expected 2"):
        continuous_double_oracle(game("three_player_polynomial"))


def test_a_joint_set_is_refused() -> None:
    with pytest.raises(InvalidGameError, match="joint set"):
        continuous_double_oracle(game("shared_segment"))


def test_other_kinds_of_game_are_refused(unchecked: None) -> None:
    with pytest.raises(InvalidGameError, match=r"got a TicTacToe, expected a Game .* psro"):
        continuous_double_oracle(TicTacToe())  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidGameError, match="got a list"):
        continuous_double_oracle([[1.0]])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([[2.0], [0.0]], r"squared_difference, player_0: got \[2.0\], which lies outside"),
        ([[0.0], [math.nan]], "player_1: got a value that is NaN"),
        ([[0.0], [0.0, 0.0]], r"player_1: got shape \(2,\)"),
        ([[0.0]], "got 1 strategies, expected 2"),
        ([[[[0.0]]], [0.0]], r"player_0: got a start of shape \(1, 1, 1\)"),
        ([torch.zeros(0, 1).tolist() or torch.zeros(0, 1), [0.0]], r"player_0: got a start of shape \(0, 1\)"),
    ],
)
def test_a_start_that_is_none_names_the_player(start: list, message: str) -> None:
    tensors = [t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64) for t in start]
    with pytest.raises(InvalidStrategyError, match=message):
        continuous_double_oracle(game("squared_difference"), start=tensors)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"tolerance": 0.0}, "tolerance=0.0, expected a number > 0"),
        ({"tolerance": math.nan}, "tolerance=nan"),
        ({"max_iterations": 0}, "max_iterations=0"),
        ({"max_iterations": 2.5}, "max_iterations=2.5"),
        ({"merge": -1.0}, "merge=-1.0"),
    ],
)
def test_settings_that_make_no_sense(setting: dict, message: str, unchecked: None) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        continuous_double_oracle(game("squared_difference"), **setting)


def test_a_proof_that_cannot_be_had_is_noted() -> None:
    def five(x: tuple[Tensor, ...]) -> Tensor:
        u = (x[0] * x[1]).sum(-1)
        return torch.stack([u, -u], -1)

    result = continuous_double_oracle(Game(five, [Box(-1, 1, dim=5)] * 2), certify=True)
    assert not result.exact
    assert "5 own dimensions" in result.reason
