"""Travellers on a network as an environment: loads, costs, observations, pictures and refusals."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import strategic_envs as se
from strategic_envs.envs import routing_v0
from strategic_envs.errors import (
    DataError,
    IllegalActionError,
    InvalidGameError,
    InvalidStrategyError,
    UnknownNameError,
)
from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.games.routing import Network, RoutingGame
from strategic_envs.games.routing.fleets import AtomicRoutingGame, SharedGame, shared_out
from strategic_envs.testing import check_env

with warnings.catch_warnings():  # importing PettingZoo's tests imports its deprecated way to make environments
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, state_test


def two_trips() -> Network:
    """A ring of four nodes with a link each way."""
    tails, heads = [1, 2, 3, 4, 2, 3, 4, 1], [2, 3, 4, 1, 1, 2, 3, 4]
    return Network(tails, heads, PowerCosts.affine([1.0] * 8, [0.5] * 8))


CASES: dict[str, dict[str, Any]] = {
    "braess": {},
    "one_population": {"network": "pigou", "number": 1},
    "three_populations": {"network": "braess_six", "number": 3, "observation": "actions"},
    "atomic": {"network": "braess_six", "players": "atomic", "number": 6},
    "atomic_actions": {"players": "atomic", "observation": "actions"},
    "links": {"network": "parallel_links"},
    "two_pairs": {"network": two_trips(), "demands": {(1, 3): 2.0, (2, 1): 1.0}},
    "two_pairs_atomic": {"network": two_trips(), "demands": {(1, 3): 2.0, (2, 1): 1.0}, "players": "atomic"},
}


def share(*shares: float) -> np.ndarray:
    return np.array(shares, dtype=np.float32)


@pytest.mark.parametrize("case", CASES)
def test_every_variant_keeps_the_contract_and_passes_pettingzoos_suites(case: str) -> None:
    options = {**CASES[case], "max_cycles": 3}
    check_env(lambda: routing_v0.parallel_env(**options))
    check_env(lambda: routing_v0.env(**options))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Agents have different")  # pairs may have different numbers of paths
        if "atomic" in case:  # the suite plays the zero vector, which is no share of a population
            api_test(routing_v0.env(**options), num_cycles=6)
        parallel_api_test(routing_v0.parallel_env(**options), num_cycles=6)
        parallel_seed_test(lambda: routing_v0.parallel_env(**options), num_cycles=6)
        state_test(routing_v0.env(**options), routing_v0.parallel_env(**options))


def test_braess_of_six_costs_552_at_the_equilibrium_and_498_at_the_optimum() -> None:
    env = routing_v0.parallel_env("braess_six", max_cycles=2)
    env.reset(seed=0)
    _, rewards, *_, infos = env.step({a: share(1 / 3, 1 / 3, 1 / 3) for a in env.agents})
    assert list(rewards.values()) == pytest.approx([-92, -92], abs=1e-4)
    assert infos["player_0"]["total_cost"] == pytest.approx(552, abs=1e-4)
    assert infos["player_0"]["excess"] == pytest.approx(0, abs=1e-4)
    assert infos["player_0"]["loads"].tolist() == pytest.approx([4, 2, 2, 2, 4], abs=1e-5)
    _, rewards, *_, infos = env.step({a: share(0.5, 0.5, 0.0) for a in env.agents})
    assert list(rewards.values()) == pytest.approx([-83, -83], abs=1e-4)
    assert infos["player_1"]["excess"] == pytest.approx(78, abs=1e-4)
    assert infos["player_1"]["regret"] == pytest.approx(13, abs=1e-4)


def test_six_atomic_players_pay_the_same_at_the_same_flow() -> None:
    env = routing_v0.parallel_env("braess_six", players="atomic", number=6)
    assert env.game.mass == 1.0 and env.game.name == "braess_six"
    env.reset(seed=0)
    _, rewards, *_, infos = env.step({a: i % 3 for i, a in enumerate(env.agents)})
    assert set(rewards.values()) == {-92.0}
    assert infos["player_0"]["loads"].tolist() == [4, 2, 2, 2, 4] and infos["player_0"]["total_cost"] == 552
    assert infos["player_0"]["excess"] == 0  # whoever moves pays more


def test_one_observes_ones_own_paths_and_everybody_the_links() -> None:
    env = routing_v0.parallel_env("pigou", max_cycles=2)
    first, infos = env.reset(seed=0)
    assert first["player_0"].tolist() == [0, 0, 0, 0, 1] and infos["player_0"] == {}
    assert env.state().tolist() == [0, 0, 0, 0, 1]
    seen, *_ = env.step({"player_0": share(1, 0), "player_1": share(0, 1)})
    assert seen["player_0"].tolist() == [1, 0, 1, 0.5, 0] and seen["player_1"].tolist() == [0, 1, 1, 0.5, 0]
    assert env.state().tolist() == [0.5, 0.5, 1.0, 0.5, 0]
    everything = routing_v0.parallel_env("pigou", observation="actions")
    everything.reset()
    seen, *_ = everything.step({"player_0": share(1, 0), "player_1": share(0, 1)})
    assert seen["player_0"].tolist() == [1, 0, 0, 1, 0] == seen["player_1"].tolist()


def test_an_atomic_player_sees_what_it_would_have_paid_elsewhere() -> None:
    env = routing_v0.parallel_env("pigou", players="atomic", number=4)
    env.reset(seed=0)
    seen, rewards, *_, infos = env.step(dict.fromkeys(env.agents, 1) | {"player_0": 0})
    assert seen["player_0"].tolist() == [1, 0, 1, 1, 0]  # with it the second road would cost 1 too
    assert seen["player_1"].tolist() == [0, 1, 1, 0.75, 0]
    assert rewards == {"player_0": -1.0, "player_1": -0.75, "player_2": -0.75, "player_3": -0.75}
    assert infos["player_0"]["excess"] == 0 and infos["player_0"]["total_cost"] == pytest.approx(3.25 / 4)


def test_a_pair_that_is_alone_is_divided_in_two_and_others_are_not() -> None:
    assert isinstance(routing_v0.game(), SharedGame) and routing_v0.game().n_players == 2
    pairs = routing_v0.game(two_trips(), demands={(1, 3): 2.0, (2, 1): 1.0})
    assert isinstance(pairs, RoutingGame) and pairs.n_players == 2
    assert routing_v0.game(pairs, number=3).n_players == 6
    atomic = routing_v0.game(pairs, players="atomic", number=5)
    assert isinstance(atomic, AtomicRoutingGame) and atomic.pairs == ((1, 3),) * 3 + ((2, 1),) * 2
    assert shared_out(pairs.masses, 1) == (1, 0)


def test_divided_populations_have_the_equilibria_of_the_whole() -> None:
    base = se.game("braess_six")
    game = SharedGame(base, 3)
    for solve, total in (("wardrop", 552), ("system_optimum", 498)):
        flow = getattr(game, solve)()
        x = game.profile_of(flow)
        assert float(game.total_cost(x)) == pytest.approx(total) == flow.total_cost
        np.testing.assert_allclose(game.loads(x), flow.loads, atol=1e-9)
    assert game.price_of_anarchy() == pytest.approx(92 / 83)
    assert float(game.excess(game.profile_of(game.wardrop()))) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(game.marginal().field(x)[1], base.marginal().field([x[0]])[0])


def test_a_congestion_game_without_a_network_is_played_too() -> None:
    game = CongestionGame([1.0, 2.0], [[[0], [1]], [[1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
    env = routing_v0.parallel_env(game, render_mode="ansi")
    env.reset(seed=0)
    env.step({"player_0": share(1, 0), "player_1": share(1)})
    assert "resource 1: load 2, cost 2" in env.render() and "player_1 pays 2" in env.render()
    with pytest.raises(InvalidGameError, match="there is no network to draw"):
        routing_v0.parallel_env(game, render_mode="rgb_array")


def test_frames_show_the_flow() -> None:
    pytest.importorskip("matplotlib.figure")
    env = routing_v0.parallel_env(render_mode="rgb_array", max_cycles=2)
    env.reset(seed=0)
    empty = env.render()
    env.step({a: share(0, 0, 1) for a in env.agents})
    frame = env.render()
    assert frame.shape == empty.shape == (480, 640, 3) and frame.dtype == np.uint8
    assert (frame != empty).any(-1).mean() > 0.01
    np.testing.assert_array_equal(env.render(), frame)


def test_a_window_shows_frames_and_stays_behind_when_the_environment_travels() -> None:
    pytest.importorskip("matplotlib.figure")
    pytest.importorskip("pygame")
    env = routing_v0.parallel_env("pigou", render_mode="human", max_cycles=2)
    env.reset(seed=0)
    env.step({a: share(0.5, 0.5) for a in env.agents})
    other = pickle.loads(pickle.dumps(copy.deepcopy(env)))
    assert other._window._screen is None is not env._window._screen
    env.close()
    env.close()


def test_gymnasium_has_one_traveller_among_random_ones() -> None:
    env = se.registry.single_agent("routing_v0", players="atomic", max_cycles=3)
    env.reset(seed=0)
    _, reward, ended, cut, info = env.step(2)
    assert reward < 0 and not ended and not cut and info["total_cost"] > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": "braes"}, UnknownNameError, "did you mean 'braess'"),
        ({"network": "Nowhere", "data_dir": "."}, DataError, "Nowhere"),
        ({"network": "matching_pennies"}, InvalidGameError, "no congestion game"),
        ({"power": 2.0}, UnknownNameError, "option of the game 'braess', 'power'"),
        ({"players": "cars"}, InvalidGameError, "players='cars', expected 'populations' or 'atomic'"),
        ({"number": 0}, InvalidGameError, "number=0, expected a whole number >= 1"),
        ({"number": True, "players": "atomic"}, InvalidGameError, "number=True"),
        ({"observation": "all"}, InvalidGameError, "observation='all', expected 'costs' or 'actions'"),
        ({"network": two_trips()}, InvalidGameError, "expected demands"),
        ({"network": se.game("pigou"), "paths": 2}, InvalidGameError, "got a game object"),
        ({"network": se.game("three_player_affine"), "number": 2}, InvalidGameError, "players are there"),
        ({"render_mode": "svg"}, InvalidGameError, "render_mode='svg'"),
        ({"max_cycles": 0}, InvalidGameError, "max_cycles=0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        routing_v0.parallel_env(**options)


def test_general_rates_have_no_atomic_form() -> None:
    game = CongestionGame([1.0], [[[0], [1]]], [[[2.0], [1.0]]], PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
    with pytest.raises(InvalidGameError, match="at other rates than 1"):
        routing_v0.game(game, players="atomic")


def test_bad_actions_are_refused() -> None:
    env = routing_v0.parallel_env("pigou")
    env.reset()
    with pytest.raises(InvalidStrategyError, match="lies outside Simplex"):
        env.step({"player_0": share(1, 1), "player_1": share(1, 0)})
    atomic = routing_v0.parallel_env("pigou", players="atomic")
    atomic.reset()
    with pytest.raises(IllegalActionError, match="expected a whole number from 0 to 1"):
        atomic.step(dict.fromkeys(atomic.agents, 2))
