"""Fixed players: their play, their policies, and the gaps of a learner frozen there."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from strategic_envs.baselines.fixed import (
    ConstantPolicy,
    UniformPolicy,
    constant_play,
    local_gaps,
    parameterisation,
    uniform_play,
)
from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.expectation import initial_utilities
from strategic_envs.evaluators.gaps import cce_gap, nash_conv
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.layers import layers
from strategic_envs.games.pricing import pricing
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.sets import Box, Simplex

PENNIES = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
PRISONERS = NormalFormGame([[[-1.0, -3.0], [0.0, -2.0]], [[-1.0, 0.0], [-3.0, -2.0]]])


def test_uniform_play_of_tic_tac_toe_has_nash_conv_116101_over_60480() -> None:
    game = TicTacToe()
    assert nash_conv(game, uniform_play(game)).value == pytest.approx(116101 / 60480, abs=1e-12)


def test_a_uniform_policy_function_is_the_uniform_table() -> None:
    game = TicTacToe()
    functions = (UniformPolicy(9), UniformPolicy(9))
    assert nash_conv(game, functions).value == pytest.approx(116101 / 60480, abs=1e-6)  # functions answer in float32


def test_constant_prices_are_played_in_every_state() -> None:
    game = pricing()
    play = constant_play(game, [3, 7])
    assert isinstance(play, TabularPlay)
    assert [int(t.argmax(-1).unique()) for t in play.policies] == [3, 7]


def test_a_constant_policy_takes_the_lowest_legal_action_where_its_own_is_illegal() -> None:
    game = TicTacToe()
    tables = constant_play(game, [4, 4]).policies
    graph = game.state_graph()
    live = ~graph.terminal
    taken = tables[0].argmax(-1)
    assert (taken[live & graph.legal[:, 4]] == 4).all()
    rest = live & ~graph.legal[:, 4]
    assert (taken[rest] == graph.legal[rest].to(torch.uint8).argmax(-1)).all()


def test_the_gap_of_frozen_uniform_play_is_the_norm_of_its_gradient_in_the_logits() -> None:
    for game in (PENNIES, PRISONERS):
        norms = []
        for i in range(2):
            logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
            x = [torch.full((2,), 0.5, dtype=torch.float64) for _ in range(2)]
            x[i] = logits.softmax(-1)
            (g,) = torch.autograd.grad(game.utilities(x)[i], logits)
            norms.append(float(g.norm()))
        gaps = local_gaps(game, uniform_play(game))
        assert gaps["local_cce_gap"].per_player == pytest.approx(norms, abs=1e-12)
        assert gaps["local_nash_gap"] == gaps["local_cce_gap"]


def test_the_gap_of_frozen_uniform_prices_is_the_norm_of_its_gradient_in_the_logits() -> None:
    game = pricing(m=3)
    play = uniform_play(game)
    logits = torch.zeros(game.n_states, 3, dtype=torch.float64, requires_grad=True)
    value = initial_utilities(game, (logits.softmax(-1), play.policies[1]))[0]
    (g,) = torch.autograd.grad(value, logits)
    assert local_gaps(game, play)["local_cce_gap"].per_player[0] == pytest.approx(float(g.norm()), abs=1e-12)


def test_uniform_play_on_a_square_is_nearly_an_equilibrium_of_the_bilinear_game() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
    play = uniform_play(game)
    assert nash_conv(game, play).value < 0.3  # only the mean of finitely many draws is off
    gaps = local_gaps(game, play)
    assert gaps["local_cce_gap"].value == pytest.approx(cce_gap(game, play).value, abs=1e-6)  # utilities are linear


def test_uniform_draws_depend_on_the_seed_alone() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
    assert uniform_play(game, seed=1).points[0].equal(uniform_play(game, seed=1).points[0])
    assert not uniform_play(game, seed=1).points[0].equal(uniform_play(game, seed=2).points[0])


def test_frozen_layers_have_the_norm_of_their_loss_gradient() -> None:
    game = layers(samples=64)
    play = uniform_play(game, seed=3)
    norms = [float(g.norm()) for g in game.field(game.initial(3))]
    assert local_gaps(game, play)["local_cce_gap"].per_player == pytest.approx(norms, rel=1e-5)


def test_parameterisations_are_named() -> None:
    assert parameterisation(TicTacToe()) == parameterisation(PENNIES) == "tabular softmax"
    assert parameterisation(layers(samples=8)) == "weights"
    assert parameterisation(Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1)] * 2)) == "coordinates"


def test_there_is_no_uniform_distribution_on_an_unbounded_set() -> None:
    game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-math.inf, math.inf), Box(-1, 1)], name="open")
    with pytest.raises(InvalidGameError, match="open, player_0: there is no uniform distribution"):
        uniform_play(game)
    assert constant_play(game, [2.0, [0.5]]).points[0].tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (IllegalActionError, "action 3, expected 0..2", lambda: ConstantPolicy(3, 3)),
        (IllegalActionError, "action 9, expected 0..1", lambda: constant_play(PENNIES, [0, 9])),
        (IllegalActionError, "expected an action number", lambda: constant_play(PENNIES, [0, 0.5])),
        (
            InvalidStrategyError,
            "outside",
            lambda: constant_play(Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1)] * 2), [2.0, 0.0]),
        ),
        (InvalidGameError, "got a Simplex", lambda: uniform_play(Simplex(2))),
        (InvalidGameError, "got a Simplex", lambda: constant_play(Simplex(2), [0])),
        (InvalidGameError, "local gaps of fixed play", lambda: local_gaps(TicTacToe(), uniform_play(PENNIES))),
    ],
)
def test_bad_input_is_named(error: type[Exception], message: str, make: Callable[[], object]) -> None:
    with pytest.raises(error, match=message):
        make()
