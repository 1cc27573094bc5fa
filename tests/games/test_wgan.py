from __future__ import annotations

import math
import pickle

import pytest
import torch

from strategic_envs.agents.dynamics import Extragradient, OptimisticGradient, SimultaneousGradient, run
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.wgan import LinearWGAN, QuadraticWGAN, wgan_linear, wgan_quadratic
from strategic_envs.profile import Profile
from strategic_envs.testing import check_game

GAMES = [
    wgan_linear(),
    wgan_linear(mean=[1.0, -2.0, 0.5], clip=0.5),
    wgan_quadratic(),
    wgan_quadratic(covariance=[[2.0]], clip=1.0),
]


@pytest.mark.parametrize("game", GAMES, ids=lambda g: f"{g.name}, clip={g.clip}")
def test_the_closed_forms_and_their_draws_keep_the_contract(game: LinearWGAN | QuadraticWGAN) -> None:
    check_game(game)
    check_game(game.draw(torch.Generator().manual_seed(0)))
    assert pickle.loads(pickle.dumps(game)).known().values == {"value": 0.0}


def distances(dynamic: object, steps: int) -> torch.Tensor:
    game = wgan_linear()
    start = game.profile([0.5, -0.5], [0.3, 0.2])
    solution = Profile([torch.tensor([3.0, 4.0]).double(), torch.zeros(2).double()])
    path = run(game, dynamic, start, steps).points  # pyright: ignore[reportArgumentType]
    return torch.stack([(path.map(lambda t, k=k: t[k]) - solution).norm() for k in range(steps + 1)])


def test_with_a_linear_critic_gradient_play_moves_away_by_sqrt_one_plus_eta_squared_every_step() -> None:
    far = distances(SimultaneousGradient(0.1), 200)
    expected = torch.full((200,), math.sqrt(1.01), dtype=torch.float64)
    torch.testing.assert_close(far[1:] / far[:-1], expected, rtol=1e-12, atol=0)


def test_with_a_linear_critic_extragradient_and_optimism_learn_the_mean() -> None:
    assert distances(Extragradient(0.5), 200)[-1] < 1e-2
    assert distances(OptimisticGradient(0.3), 200)[-1] < 1e-2


def test_with_a_quadratic_critic_extragradient_and_optimism_learn_the_covariance_and_gradient_play_does_not() -> None:
    game = wgan_quadratic()
    start = Profile(0.5 * t for t in game.sample((5,), generator=torch.Generator().manual_seed(0)))

    def error(dynamic: object, steps: int) -> torch.Tensor:
        end = run(game, dynamic, start, steps, record=None, divergence=1e3).final  # pyright: ignore[reportArgumentType]
        return torch.linalg.matrix_norm(game.generated(end) - game.covariance)

    assert error(Extragradient(0.2), 250).max() < 1e-2
    assert error(OptimisticGradient(0.1), 700).max() < 1e-2
    assert error(SimultaneousGradient(0.1), 250).min() > 0.1


@pytest.mark.parametrize("game", GAMES, ids=lambda g: f"{g.name}, clip={g.clip}")
def test_the_game_is_the_mean_of_its_draws(game: LinearWGAN | QuadraticWGAN) -> None:
    generator = torch.Generator().manual_seed(1)
    x = game.sample(generator=generator)
    fields = torch.stack([game.draw(generator).field(x).flat() for _ in range(500)])
    error = (fields.mean(0) - game.field(x).flat()).abs()
    assert bool((error <= 4 * fields.std(0) / math.sqrt(500) + 1e-12).all())


def test_the_closed_field_is_the_gradient() -> None:
    game = wgan_linear()
    x = game.sample((3,), generator=torch.Generator().manual_seed(2))
    assert game.field(x).flat().equal(Game.field(game, x).flat())


def test_on_finite_batches_extragradient_ends_within_the_noise_of_the_mean() -> None:
    game = wgan_linear(batch=1024)
    end = run(StochasticOracle(game, 0), Extragradient(0.2), game.profile([0.0, 0.0], [0.0, 0.0]), 200, record=None)
    assert float((end.final[0] - game.mean).norm()) < 0.2


def test_senseless_settings_are_refused_by_name() -> None:
    with pytest.raises(InvalidGameError, match=r"wgan_linear: got mean=\[\], expected a vector of finite numbers"):
        wgan_linear(mean=[])
    with pytest.raises(InvalidGameError, match="wgan_linear: got clip=0.0, expected a number > 0, or None"):
        wgan_linear(clip=0.0)
    with pytest.raises(InvalidGameError, match="wgan_quadratic: got batch=0, expected a whole number >= 1"):
        wgan_quadratic(batch=0)
    for covariance in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.4, 1.0]], [[1.0, 2.0]]):
        with pytest.raises(InvalidGameError, match="expected a symmetric positive definite matrix"):
            wgan_quadratic(covariance=covariance)
