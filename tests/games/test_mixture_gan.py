from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import run
from strategic_envs.agents.dynamics.adam import AdamGradient
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games import catalogue
from strategic_envs.games.gan import NeuralGAN
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.mixture_gan import gan_grid, gan_ring
from strategic_envs.games.mixtures import GaussianMixture
from strategic_envs.games.perceptron import ACTIVATIONS, Perceptron
from strategic_envs.profile import Profile
from strategic_envs.testing import check_game

SMALL: dict[str, Any] = {"hidden": (6, 5), "latent": 3, "batch": 32}
VARIANTS = [
    (loss, penalty) for loss in ("minimax", "non_saturating", "wasserstein") for penalty in ("none", "r1", "gp")
]


@pytest.mark.parametrize("scale", [3, 60])  # at 60 the critic is sure of what it sees
@pytest.mark.parametrize(("loss", "penalty"), VARIANTS)
def test_one_pass_gives_the_field_that_the_utilities_define(loss: Any, penalty: Any, scale: float) -> None:
    game = gan_ring(**SMALL, activation="tanh", loss=loss, penalty=penalty)
    x = scale * game.initial([0, 1, 2], dtype=torch.float64)
    plain = Game.field(game, x)
    torch.testing.assert_close(game.field(x).flat(), plain.flat(), rtol=1e-12, atol=1e-15)
    functional = Profile(game._functional_field(tuple(x)))
    torch.testing.assert_close(functional.flat(), plain.flat(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("factory", [gan_ring, gan_grid])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_games_keep_the_contract_and_pickle(factory: Any, activation: str) -> None:
    game = factory(**SMALL, activation=activation)
    check_game(game, samples=2)
    x = game.initial(4)
    assert pickle.loads(pickle.dumps(game)).field(x).flat().equal(game.field(x).flat())


def test_the_catalogue_lists_them() -> None:
    assert {"gan_ring", "gan_grid", "wgan_linear", "wgan_quadratic"} <= set(catalogue.list_games())
    assert catalogue.game("gan_ring", radius=1.0, sigma=0.01).target.sigma == 0.01


def test_the_utilities_are_their_formulas() -> None:
    game = gan_ring(**SMALL, activation="tanh", loss="wasserstein", penalty="gp", weight=10.0)
    theta, omega = x = game.initial(3, dtype=torch.float64)
    real, noise, place = (t.double() for t in (game._data.real, game._data.noise, game._data.place))
    fake = game.generator(theta, noise)
    between = (fake + place * (real - fake)).requires_grad_()
    (slope,) = torch.autograd.grad(game.critic(omega, between).sum(), between)
    difference = (game.critic(omega, real) - game.critic(omega, fake)).mean()
    expected = torch.stack([-difference, difference - 10 * ((slope.norm(dim=-1) - 1) ** 2).mean()])
    torch.testing.assert_close(game.utilities(x), expected, rtol=1e-9, atol=0)
    plain = gan_ring(**SMALL, activation="tanh", loss="non_saturating", penalty="none")
    sigmoid = torch.nn.functional.logsigmoid
    good, bad = plain.critic(omega, real), plain.critic(omega, plain.generator(theta, noise))
    expected = torch.stack([sigmoid(bad).mean(), sigmoid(good).mean() + sigmoid(-bad).mean()])
    torch.testing.assert_close(plain.utilities(x), expected, rtol=1e-9, atol=0)


def test_the_minimax_loss_is_zero_sum_at_an_equilibrium_of_value_two_log_two() -> None:
    """A generator that makes the data, against a critic that cannot tell."""
    game = gan_ring(**SMALL, loss="minimax", penalty="none")
    x = game.initial(0, dtype=torch.float64)
    assert game.utilities(x).sum().abs() < 1e-12
    blind = x.replace(1, torch.zeros_like(x[1]))
    assert float(game.utilities(blind)[0]) == pytest.approx(2 * 0.6931471805599453)


def test_five_seeds_as_one_batch_are_five_runs() -> None:
    game = gan_ring(**SMALL, rows=5)
    x = game.initial([0, 1, 2, 3, 4], dtype=torch.float64)
    together = run(StochasticOracle(game, 7), AdamGradient(1e-2), x, 20, record=None).final
    assert {t.shape[0] for t in together} == {5}
    data = StochasticOracle(game, 7)
    state = x.map(lambda t: t[2:3])
    alone = gan_ring(**SMALL, rows=1)

    class Third(NeuralGAN):
        def draw(self, generator: torch.Generator) -> NeuralGAN:
            drawn, other = game.draw(generator), copy.copy(self)
            parts = {name: getattr(drawn._data, name)[2:3] for name in ("real", "noise", "place")}
            other._data = type(drawn._data)(**parts)
            return other

    alone.__class__ = Third
    single = run(StochasticOracle(alone, data.seed), AdamGradient(1e-2), state, 20, record=None).final
    torch.testing.assert_close(single.flat()[0], together.flat()[2], rtol=1e-9, atol=1e-12)


def test_draws_differ_by_their_generator_alone_and_the_game_itself_never_changes() -> None:
    game = gan_grid(**SMALL)
    x = game.initial(0)
    before = game.field(x).flat()
    first, again = (game.draw(torch.Generator().manual_seed(1)).field(x).flat() for _ in range(2))
    assert first.equal(again) and not first.equal(before)
    assert game.field(x).flat().equal(before) and gan_grid(**SMALL).field(x).flat().equal(before)


def test_training_stays_in_float32_and_moves_samples_towards_the_ring() -> None:
    game = gan_ring(hidden=(16,), latent=4, batch=64, rows=2)
    x = game.initial([0, 1])
    end = run(StochasticOracle(game, 0), AdamGradient(1e-2, beta1=0.5), x, 300, record=None).final
    assert {t.dtype for t in end} == {torch.float32}

    def off(y: Profile) -> Tensor:
        return (game.samples(y, 500, torch.Generator().manual_seed(0)).norm(dim=-1) - 2).abs().mean(-1)

    assert (off(end) < 0.5 * off(x)).all()


def test_slopes_are_the_gradients_of_the_score() -> None:
    for activation in ACTIVATIONS:
        network = Perceptron((2, 7, 5, 1), activation)
        weights = torch.stack([network.initial(torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1)])
        points = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
        outputs, slopes = network.with_slopes(weights, points, slice(3, None))
        (expected,) = torch.autograd.grad(outputs.sum(), points)
        torch.testing.assert_close(slopes, expected[:, 3:])
        torch.testing.assert_close(outputs, network(weights, points))


def test_a_perceptron_is_torch_s_network() -> None:
    network = Perceptron((3, 4, 2), "tanh")
    weights = network.initial(torch.Generator().manual_seed(0))
    first, last = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
    with torch.no_grad():
        for (W, b), layer in zip(network.layers(weights), (first, last), strict=True):
            layer.weight.copy_(W.mT)
            layer.bias.copy_(b[0])
        inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(network(weights, inputs), last(first(inputs).tanh()))
        assert weights[: 4 * 4].abs().max() <= 3**-0.5


def test_senseless_games_and_profiles_are_refused_by_name() -> None:
    ring = GaussianMixture.ring()
    with pytest.raises(InvalidGameError, match=r"neural_gan: got a generator of widths \(3, 4\) .* ends in 2, and a"):
        NeuralGAN(ring, Perceptron((3, 4)), Perceptron((2, 1)))
    with pytest.raises(InvalidGameError, match=r"gan_ring: got weight=-1.0, batch=256 and rows=None"):
        gan_ring(weight=-1.0)
    with pytest.raises(InvalidGameError, match=r"got widths \(16, 0, 2\), expected at least two whole numbers >= 1"):
        gan_ring(hidden=(0,))
    with pytest.raises(InvalidGameError, match="got activation='sine', expected one of leaky_relu, relu"):
        gan_ring(activation="sine")
    game = gan_ring(**SMALL, rows=5)
    with pytest.raises(InvalidStrategyError, match=r"gan_ring: got a profile of batch shape \(3,\), expected \(5,\)"):
        game.field(game.initial([0, 1, 2]))


@pytest.mark.usefixtures("unchecked")
def test_unknown_losses_are_refused_with_their_names() -> None:
    wrong: Any = "hinge"
    with pytest.raises(InvalidGameError, match=r"got loss='hinge' and penalty='r1', expected one of \('minimax'"):
        gan_ring(loss=wrong)


@pytest.mark.gpu
def test_a_step_on_a_gpu_is_the_step_on_the_cpu() -> None:
    game = gan_ring(rows=3)
    x = game.initial([0, 1, 2])
    here = run(StochasticOracle(game, 0), AdamGradient(1e-3), x, 3, record=None).final
    there = run(StochasticOracle(game, 0), AdamGradient(1e-3), x.to("cuda"), 3, record=None).final
    assert {t.device.type for t in there} == {"cuda"}
    torch.testing.assert_close(there.to("cpu").flat(), here.flat(), rtol=0, atol=2e-3)
    v, w = game.field(x.to("cuda", torch.float64)).to("cpu"), game.field(x.to(torch.float64))
    torch.testing.assert_close(v.flat(), w.flat(), rtol=1e-8, atol=1e-11)
