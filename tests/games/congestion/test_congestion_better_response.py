from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.atomic_congestion import four_player_routing, load_balancing, three_player_affine
from strategic_envs.games.kinds.congestion import AtomicCongestionGame
from strategic_envs.games.kinds.congestion.better_response import ORDERS, REPLIES


def routes(seed: int) -> AtomicCongestionGame:
    stream = torch.Generator().manual_seed(seed)
    strategies = [
        [(torch.rand(6, generator=stream) < 0.5).nonzero().flatten().tolist() for _ in range(4)] for _ in range(5)
    ]
    return AtomicCongestionGame(strategies, torch.rand(6, 5, generator=stream, dtype=torch.float64).cumsum(-1))


@given(st.sampled_from(sorted(ORDERS)), st.sampled_from(REPLIES), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_potential_falls_by_the_movers_gain_down_to_a_pure_equilibrium(order: str, reply: str, seed: int) -> None:
    game = routes(seed)
    path = game.better_response(order=order, reply=reply, seed=seed)
    assert path.outcome == "converged" and bool((path.gains > 0).all()) and path.steps == len(path.actions) - 1
    torch.testing.assert_close(path.potential[:-1] - path.potential[1:], path.gains)
    changed = path.actions[1:] != path.actions[:-1]
    assert changed.sum(-1).tolist() == [1] * path.steps
    assert changed.long().argmax(-1).tolist() == path.movers.tolist()
    assert path.actions[-1].tolist() in game.pure_equilibria().tolist()
    torch.testing.assert_close(path.total_cost, -game.payoffs_of(path.actions.unbind(-1)).sum(-1))


def test_players_move_in_the_order_asked_for() -> None:
    crowd = load_balancing(6, 3)
    assert crowd.better_response().movers.tolist() == [0, 1, 2, 3]
    again = [crowd.better_response(order="random", reply="better", seed=3) for _ in range(2)]
    assert torch.equal(again[0].actions, again[1].actions)
    first = {int(crowd.better_response(order="random", seed=s).movers[0]) for s in range(20)}
    assert len(first) > 2
    uneven = AtomicCongestionGame([[[0], [1]], [[0], [2]]], [[5.0, 5.0], [4.0, 4.0], [1.0, 1.0]])
    path = uneven.better_response(order="largest_gain")
    assert path.movers.tolist() == [1, 0] and path.gains.tolist() == [4.0, 1.0]


@pytest.mark.parametrize("game", [three_player_affine(), four_player_routing()], ids=lambda g: g.name)
def test_equilibria_of_the_tight_examples_are_left_by_nobody(game: AtomicCongestionGame) -> None:
    for joint in game.pure_equilibria().tolist():
        path = game.better_response(joint)
        assert path.outcome == "converged" and path.steps == 0 and path.actions.tolist() == [joint]


def test_a_path_that_is_cut_says_so() -> None:
    crowd = load_balancing(100, 20)
    path = crowd.better_response(max_steps=10)
    assert path.outcome == "max_steps" and path.steps == 10
    rest = crowd.better_response(path.actions[-1])
    assert rest.outcome == "converged" and rest.steps == 85
    assert crowd.better_response(rest.actions[-1], max_steps=0).outcome == "converged"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": "sorted"}, UnknownNameError, "unknown order of better responses 'sorted'"),
        ({"reply": "worst"}, UnknownNameError, "unknown reply 'worst'"),
        ({"max_steps": -1}, InvalidSettingError, "got max_steps=-1"),
        ({"start": [0, 0]}, InvalidStrategyError, r"got start=\[0, 0\], expected a strategy's number for each of 3"),
        ({"start": [0, 0, 2]}, InvalidStrategyError, r"got start=\[0, 0, 2\]"),
    ],
)
def test_settings_that_are_none_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        three_player_affine().better_response(**options)
