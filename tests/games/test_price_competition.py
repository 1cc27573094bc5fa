"""One period of price competition with continuous prices: what dynamics find, and exact and searched best responses."""

from __future__ import annotations

import pytest
import torch

import strategic_envs as se
from strategic_envs.agents.dynamics.cooperative import CooperativeGradient
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient
from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators import nash_conv
from strategic_envs.games.price_competition import PriceCompetition, price_competition
from strategic_envs.games.pricing import HomogeneousMarket, LogitMarket, pricing
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.testing import check_evaluator, check_game

OPTIONS = [{}, {"n": 3, "cost": (1.0, 0.5, 0.8), "mu": 0.1}, {"demand": "linear", "g": 0.9}, {"bounds": (0.5, 3.0)}]


@pytest.mark.parametrize("options", OPTIONS)
def test_contracts_hold(options):
    game = price_competition(**options)
    check_game(game)
    check_evaluator(game)


def test_the_catalogue_has_it():
    game = se.game("price_competition", n=3)
    assert isinstance(game, PriceCompetition) and game.dims == (1, 1, 1)
    env = se.make("continuous_game_v0", game="price_competition")
    env.reset(seed=0)
    assert env.action_space("player_0").low[0] == 1.0


@pytest.mark.parametrize("options", [{}, {"n": 3, "cost": (1.0, 0.5, 0.8)}, OPTIONS[2]])
def test_independent_gradients_find_the_nash_prices(options):
    """From between Nash and monopoly prices; far above them demand is flat at nothing, and no gradient leads back."""
    game = price_competition(**options)
    low, high = game.market.nash.prices, game.market.monopoly.prices
    u = torch.rand(5, game.n_players, generator=torch_stream(0, "starts"), dtype=torch.float64)
    starts = Profile((low + u * (high - low)).split(1, dim=-1))
    found = run(game, SimultaneousGradient(step_size=0.1), starts, 600, record=None).final
    assert float((found.flat() - low).abs().max()) < 1e-6


@pytest.mark.parametrize("options", [{}, {"n": 3}, OPTIONS[2]])
def test_climbing_joint_profits_finds_the_monopoly_prices(options):
    game = price_competition(**options)
    start = Profile(p.reshape(1) for p in game.market.nash.prices)
    found = run(game, CooperativeGradient(step_size=0.3), start, 400, record=None).final
    assert float((found.flat() - game.market.monopoly.prices).abs().max()) < 1e-6


def test_exploitability_is_exact():
    """At monopoly prices one firm gains the difference to its closed-form best reply; at Nash nobody gains."""
    game = price_competition()
    p = game.market.monopoly.prices[:1]
    gap = nash_conv(game, Independent.pure([p, p]))
    assert gap.value == pytest.approx(2 * (0.41169485 - 0.3374904595), abs=2e-8) and gap.exact
    nash = game.market.nash.prices[:1]
    assert nash_conv(game, Independent.pure([nash, nash])).value == pytest.approx(0.0, abs=1e-15)


def test_a_best_response_outside_the_bounds_is_the_nearer_end():
    game = price_competition(bounds=(1.7, 2.5))
    reply = game.best_response(0, Independent.pure([torch.tensor([2.0]), torch.tensor([1.7])]))
    assert reply.strategy.item() == 1.7 and reply.exact
    assert game.known().equilibria == () and not game.known().complete


def test_against_mixed_prices_the_search_finds_what_a_fine_grid_finds():
    game = price_competition()
    points = torch.tensor([[1.2], [1.9], [2.8]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    play = Independent((points[:1], points), (torch.ones(1, dtype=torch.float64), weights))
    reply = game.best_response(0, play)
    own = torch.linspace(1.0, 2.85, 20_001, dtype=torch.float64)
    joint = torch.stack(torch.broadcast_tensors(own.unsqueeze(-1), points.T), dim=-1)
    best = (game.market.profits(joint)[..., 0] @ weights).max()
    assert reply.value == pytest.approx(float(best), abs=1e-8) and not reply.exact
    together = Empirical(Profile([points, points]), weights)
    assert game.best_response(0, together).value == pytest.approx(reply.value, abs=1e-12)


def test_profits_are_those_of_the_repeated_game():
    game, grid = price_competition(), pricing(m=5)
    prices = grid.prices(torch.tensor([1, 3]))
    paid = game.utilities((prices[:1], prices[1:]))
    assert paid.tolist() == pytest.approx(grid.profits(torch.tensor([1, 3])).tolist(), abs=1e-15)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: price_competition(mu=0.0), "undercutting leaves no best reply: take mu > 0"),
        (lambda: PriceCompetition(HomogeneousMarket(cost=0.0, reservation=1.0, demand="linear")), "undercutting"),
        (lambda: price_competition(bounds=(2.0, 1.0)), r"got bounds=\(2.0, 1.0\), expected two prices low < high"),
        (lambda: price_competition(bounds=(1.0, float("inf"))), "expected two prices"),
        (lambda: price_competition(g=0.5), "do not go together"),
        (lambda: PriceCompetition(LogitMarket(), (1.0,)), "expected two prices"),
    ],
)
def test_what_makes_no_game_is_refused(make, message):
    with pytest.raises(InvalidGameError, match=message):
        make()
