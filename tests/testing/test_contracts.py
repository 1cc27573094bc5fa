from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategic_envs import testing
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.catalogue import list_games
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.games.pricing import pricing
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.sets import Box
from strategic_envs.testing import check_evaluator, check_game

SQUARE = [Box(-1, 1), Box(-1, 1)]


@pytest.mark.parametrize("name", list_games(files=False))
def test_every_game_of_the_catalogue_keeps_the_contract(name: str) -> None:
    check_game(catalogue_game(name))


@pytest.mark.parametrize("name", list_games(files=False))
def test_gaps_of_every_game_of_the_catalogue_agree_with_each_other(name: str) -> None:
    check_evaluator(catalogue_game(name))


@pytest.mark.parametrize(
    "options",
    [
        {"n": None, "kind": "integers"},
        {"n": None, "kind": "reals"},
        {"n": 5.0, "kind": "reals"},
        {"n": 5.0, "kind": "reals", "smooth": 2.0},
    ],
)
def test_every_form_of_the_larger_number_keeps_the_contracts(options: dict[str, Any]) -> None:
    check_game(catalogue_game("larger_number", **options))
    check_evaluator(catalogue_game("larger_number", **options))


def test_pricing_keeps_the_contracts() -> None:
    check_game(pricing(m=6))
    check_evaluator(pricing(m=6))


def test_layers_of_a_network_keep_the_contracts() -> None:
    stream = torch.Generator().manual_seed(0)
    layers = [nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 3)]
    game = DynamicGame.from_sequential(layers, torch.randn(40, 6, generator=stream), torch.arange(40) % 3)
    check_game(game)
    check_evaluator(game)


def test_tic_tac_toe_keeps_the_contracts() -> None:
    check_game(TicTacToe())
    check_evaluator(TicTacToe())


def test_a_utility_that_mixes_rows_is_caught() -> None:
    def mixing(x: tuple[Tensor, ...]) -> Tensor:
        u = (x[0] * x[1].mean(0) if x[1].ndim > 1 else x[0] * x[1]).sum(-1)
        return torch.stack([u, -u], -1)

    with pytest.raises(AssertionError, match="other rows are left out"):
        check_game(Game(mixing, SQUARE, name="mixing"))


def test_a_field_that_is_not_the_gradient_is_caught() -> None:
    class Wrong(Game):
        def field(self, x, player=None):
            return 2 * super().field(x, player)

    with pytest.raises(AssertionError, match="differs from central differences"):
        check_game(Wrong(lambda x: torch.cat([x[0] * x[1], -x[0] * x[1]], -1), SQUARE, name="wrong"))


def test_a_false_equilibrium_is_caught() -> None:
    known = Known(equilibria=(Equilibrium.pure("nash", [1.0, 1.0]),))
    with pytest.raises(AssertionError, match="the known nash at"):
        check_game(Game.minmax(lambda x, y: (x * y).sum(-1), SQUARE, name="false", known=known))


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(AttributeError, match="check_game"):
        _ = testing.check_everything
