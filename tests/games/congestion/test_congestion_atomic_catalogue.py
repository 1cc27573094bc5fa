"""The atomic games of the catalogue: what is known of them holds, and what takes finite games takes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from strategic_envs import evaluators
from strategic_envs.agents.double_oracle import double_oracle, erm_oracle, psro
from strategic_envs.agents.dynamics import Hedge, run
from strategic_envs.envs import continuous_game_v0
from strategic_envs.errors import InvalidGameError
from strategic_envs.games import catalogue
from strategic_envs.games.atomic_congestion import (
    GAMES,
    atomic_braess,
    atomic_pigou,
    four_player_routing,
    load_balancing,
    three_player_affine,
)
from strategic_envs.games.describe import describe_game
from strategic_envs.games.kinds.congestion import AtomicCongestionGame, PowerCosts
from strategic_envs.games.routing import Network
from strategic_envs.games.routing.atomic import atomic
from strategic_envs.play import Empirical
from strategic_envs.testing import check_env, check_game

MEASURES: dict[str, Callable[[AtomicCongestionGame], float]] = {
    "optimum": lambda game: game.optimum()[1],
    "worst_equilibrium": lambda game: float(game.total_cost(game.pure_equilibria().unbind(-1)).max()),
    "price_of_anarchy": lambda game: game.price_of_anarchy(),
    "price_of_stability": lambda game: game.price_of_stability(),
}
SIZES = [atomic_braess(n, road) for n in range(1, 8) for road in (True, False)]
SIZES += [load_balancing(n, m) for n, m in ((1, 1), (1, 3), (5, 2), (6, 3), (7, 3))]
SIZES += [atomic_pigou(n, power) for n in (1, 2, 5) for power in (0.0, 1.0, 2.0, 8.0)]


@pytest.mark.parametrize("name", sorted(GAMES))
def test_games_of_the_catalogue_keep_the_contracts(name: str) -> None:
    game = catalogue.game(name)
    check_game(game)
    assert describe_game(name).players == game.n_players


def test_the_environment_of_an_atomic_game_keeps_its_contracts() -> None:
    check_env(lambda **more: continuous_game_v0.parallel_env(game=four_player_routing(), **more))


@pytest.mark.parametrize("game", [factory() for factory in GAMES.values()] + SIZES, ids=lambda g: f"{g.name}{g.dims}")
def test_known_facts_are_what_looking_at_all_joint_actions_finds(game: AtomicCongestionGame) -> None:
    for name, value in game.known().values.items():
        assert MEASURES[name](game) == pytest.approx(value, rel=1e-12), name
    for equilibrium in game.known().equilibria:
        x = game.profile(*(p[0] for p in equilibrium.points))
        assert evaluators.nash_conv(game, x).value <= 1e-12


def test_the_worst_equilibrium_of_three_players_with_affine_costs_is_five_halves_of_the_optimum() -> None:
    game = three_player_affine()
    found = game.pure_equilibria()
    assert found.tolist() == [[0, 0, 0], [1, 1, 1]] and game.total_cost(found.unbind(-1)).tolist() == [6.0, 15.0]
    assert game.optimum()[1] == 6.0 and game.price_of_anarchy() == 2.5
    assert game.total_cost([0, 0, 0]) == 6.0 and game.payoffs[:, 1, 1, 1].tolist() == [-5.0] * 3


def test_four_drivers_between_three_towns_cost_four_or_ten() -> None:
    game = four_player_routing()
    found = game.pure_equilibria()
    assert game.total_cost(found.unbind(-1)).tolist() == [4.0, 10.0] and game.price_of_anarchy() == 2.5
    ends = {"uv": 1.0, "uw": 1.0, "vw": 1.0, "wv": 1.0, "vu": 0.0, "wu": 0.0}
    network = Network(
        [e[0] for e in ends], [e[1] for e in ends], PowerCosts.affine(list(ends.values()), [0.0] * len(ends))
    )
    trips = atomic(network, [("u", "v"), ("u", "w"), ("v", "w"), ("w", "v")], paths=2)
    assert [set(map(frozenset, own)) for own in trips.paths] == [set(map(frozenset, own)) for own in game.strategies]
    assert sorted(trips.total_cost(trips.pure_equilibria().unbind(-1)).tolist()) == [4.0, 10.0]
    assert trips.pairs[0] == ("u", "v") and trips.network is network


@pytest.mark.parametrize("game", [three_player_affine(), four_player_routing()], ids=lambda g: g.name)
def test_the_potential_changes_by_the_movers_cost_in_every_move(game: AtomicCongestionGame) -> None:
    potential = game.rosenthal_potential(torch.meshgrid(*map(torch.arange, game.n_actions), indexing="ij"))
    for i, paid in enumerate(game.payoffs):
        assert torch.equal(potential.diff(dim=i), -paid.diff(dim=i))


def test_trips_that_cannot_be_made_are_refused() -> None:
    network = Network([1, 2], [2, 3], PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
    with pytest.raises(InvalidGameError, match="player_1: no path leads from 3 to 1"):
        atomic(network, [(1, 3), (3, 1)])
    with pytest.raises(InvalidGameError, match=r"player_0: got \(1, 1\), expected two different nodes"):
        atomic(network, [(1, 1)])
    with pytest.raises(InvalidGameError, match="got paths=0"):
        atomic(network, [(1, 3)], paths=0)
    with pytest.raises(InvalidGameError, match="got the node 9"):
        atomic(network, [(1, 9)])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: atomic_braess(0), "needs a whole number n >= 1, got 0"),
        (lambda: atomic_pigou(2, power=-1.0), "got power=-1.0"),
        (lambda: load_balancing(2, True), "needs a whole number m >= 1, got True"),
        (lambda: load_balancing(2, 2, slopes=[1.0]), "got 1 slopes for 2 machines"),
    ],
)
def test_options_that_are_none_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        build()


def test_machines_of_unlike_speed_balance_what_a_job_waits() -> None:
    game = load_balancing(30, 3, slopes=[1.0, 2.0, 3.0])
    path = game.better_response(order="random", seed=1)
    load = game.loads(path.actions[-1].tolist())
    wait = load * torch.tensor([1.0, 2.0, 3.0])
    assert path.outcome == "converged" and float(wait.max()) <= float((wait + torch.tensor([1.0, 2.0, 3.0])).min())


# What takes finite games


def test_psro_and_the_double_oracle_solve_small_games() -> None:
    found = psro(three_player_affine(), "alpha_rank", start=[[1], [1], [1]])
    assert str(found.outcome) == "converged" and found.gap <= 1e-9
    assert psro(load_balancing(2, 2), "uniform", max_iterations=2).state.iteration >= 1
    with pytest.raises(InvalidGameError, match="expected a zero-sum game"):
        double_oracle(load_balancing(2, 2))


def test_what_needs_a_table_refuses_a_hundred_players() -> None:
    crowd = load_balancing(100, 20)
    with pytest.raises(InvalidGameError, match="100 populations, up to 1 policies each, too many for a table"):
        psro(crowd, "uniform")
    with pytest.raises(InvalidGameError, match="solves games of two"):
        double_oracle(crowd)
    with pytest.raises(InvalidGameError, match="100 players with up to 20 strategies would need a table"):
        erm_oracle(crowd, epsilon=0.1)


@pytest.mark.slow
def test_a_hundred_players_are_judged_played_and_learn() -> None:
    crowd = load_balancing(100, 20)
    x = crowd.sample(generator=torch.Generator().manual_seed(0))
    report = evaluators.evaluate(crowd, x)
    assert report["nash_conv"].exact and report["cce_gap"].value > 0 and len(report.utilities) == 100
    play = Empirical.uniform(crowd.sample((3,), generator=torch.Generator().manual_seed(1)))
    assert evaluators.cce_gap(crowd, play).exact and evaluators.ce_gap(crowd, play).exact
    env = continuous_game_v0.parallel_env(game=crowd)
    env.reset(seed=0)
    _, rewards, *_ = env.step({a: i % 20 for i, a in enumerate(env.agents)})
    assert set(rewards.values()) == {-5.0}
    learnt = run(crowd, Hedge(step_size=0.3), x, steps=10, record=None)
    assert evaluators.nash_conv(crowd, learnt.final).value < report["nash_conv"].value / 2
