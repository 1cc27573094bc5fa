"""Adversarial training as a game: its field, its sets, its minibatches, and who refuses what."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.agents.dynamics.leader_follower import GradientVsBestResponse
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.data import digits
from strategic_envs.errors import InvalidGameError, InvalidStrategyError, UnknownNameError
from strategic_envs.evaluators.robustness import pgd_accuracy
from strategic_envs.games.adversarial import AdversarialGame, adversarial_digits
from strategic_envs.profile import Profile
from strategic_envs.testing import check_game


def small(**options: object) -> tuple[AdversarialGame, nn.Sequential, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    inputs = torch.rand(12, 3, generator=stream, dtype=torch.float64)
    targets = torch.arange(12) % 2
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=stream, dtype=torch.float64))
    return AdversarialGame(network, inputs, targets, **({"radius": 0.1} | options)), network, inputs, targets  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_the_value_is_the_networks_loss_on_the_perturbed_samples_plus_the_decay() -> None:
    game, network, inputs, targets = small(weight_decay=0.3)
    x = game.load(network)
    delta = game.sets[1].sample(generator=torch.Generator().manual_seed(1))
    loss = functional.cross_entropy(network(inputs + delta.reshape(12, 3)), targets)
    expected = loss + 0.15 * sum(p.square().sum() for p in network.parameters())
    u = game.utilities(x.replace(1, delta))
    torch.testing.assert_close(u, torch.stack([-expected, expected]).detach())


def test_the_game_keeps_the_contract_with_every_option() -> None:
    check_game(small(weight_decay=0.1)[0])
    check_game(small(radius=0.0)[0])
    check_game(small(low=-1.0, high=2.0)[0])
    check_game(small(batch_size=5)[0].draw(torch.Generator().manual_seed(0)))


def test_the_adversarys_set_is_the_ball_cut_by_the_range_of_inputs() -> None:
    game, _, inputs, _ = small(radius=0.2)
    for corner in (1.0, -1.0):
        furthest = game.sets[1].support(torch.full((36,), corner, dtype=torch.float64)).argmax
        seen = game.perturbed(Profile([game.start(0)[0], furthest]))
        torch.testing.assert_close(seen, (inputs + corner * 0.2).clamp(0, 1))
    assert game.sets[1].contains(torch.zeros(36, dtype=torch.float64))


def test_a_convolutional_network_of_a_user_plays_and_is_read_back() -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    game = adversarial_digits(samples=6, network=network)
    x = game.load(network)
    data = game.inputs
    torch.testing.assert_close(game.module(x)(data), network(data))
    assert game.dims == (sum(p.numel() for p in network.parameters()), 6 * 64)


def test_a_residual_module_that_is_no_chain_plays_too() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, value: Tensor) -> Tensor:
            return self.outer(value + self.inner(value).tanh())

    network, (_, _, inputs, targets) = Residual().double(), small()
    game = AdversarialGame(network, inputs, targets, radius=0.1)
    expected = functional.cross_entropy(network(inputs), targets)
    torch.testing.assert_close(game.value(game.load(network)), expected.detach())


def test_a_draw_is_the_mean_over_its_samples_and_moves_no_other_perturbation() -> None:
    game = small(batch_size=4)[0]
    x = game.sample((3,), generator=torch.Generator().manual_seed(2))
    drawn = game.draw(torch.Generator().manual_seed(3))
    moved = drawn.field(x)[1].reshape(3, 12, 3).abs().sum(-1) > 0
    assert moved.sum(-1).tolist() == [4, 4, 4] and bool((moved == moved[0]).all())
    assert drawn.sets is game.sets and drawn.dims == game.dims
    draws = [game.draw(torch.Generator().manual_seed(k)).value(x) for k in range(600)]
    torch.testing.assert_close(torch.stack(draws).mean(0), game.value(x), rtol=0.05, atol=0.02)


def test_without_a_batch_size_a_draw_is_the_game_and_seeds_decide_draws() -> None:
    whole, _, _, _ = small()
    assert whole.draw(torch.Generator().manual_seed(0)) is whole
    game = small(batch_size=4)[0]
    x = game.sample(generator=torch.Generator().manual_seed(2))
    first, again, other = (game.draw(torch.Generator().manual_seed(k)).value(x) for k in (0, 0, 1))
    assert first == again != other


def test_against_nobody_the_leaders_gradient_is_stochastic_gradient_descent_of_torch() -> None:
    game, network, inputs, targets = small(radius=0.0, batch_size=4, weight_decay=0.1)
    end = run(StochasticOracle(game, seed=5), GradientVsBestResponse(0.2, inner_steps=0), game.load(network), 15).final
    optimiser, oracle = torch.optim.SGD(network.parameters(), lr=0.2, weight_decay=0.1), StochasticOracle(game, seed=5)
    for number in range(15):
        rows = oracle._draw(number)._rows  # pyright: ignore[reportAttributeAccessIssue]
        optimiser.zero_grad()
        functional.cross_entropy(network(inputs[rows]), targets[rows]).backward()
        optimiser.step()
    torch.testing.assert_close(end[0], game.load(network)[0])


def test_a_batch_of_profiles_is_each_by_itself_and_copies_pickle() -> None:
    game = small()[0]
    x = game.sample((2, 3), generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(game.value(x)[1, 2], game.value(x.map(lambda t: t[1, 2])))
    torch.testing.assert_close(pickle.loads(pickle.dumps(game)).value(x), game.value(x), rtol=0, atol=0)


def test_the_catalogue_game_is_small_and_takes_all_samples_when_asked() -> None:
    assert adversarial_digits().dims == (1210, 1024)
    everything = adversarial_digits((8,), samples=None)
    assert len(everything) == 1437 and torch.equal(everything.inputs, digits().flatten().inputs)
    assert everything.on(everything.inputs[:5], everything.targets[:5], radius=0.3).radius == 0.3
    assert everything.known().constants["samples"] == 1437


@pytest.mark.data
def test_mnist_is_the_same_game_on_other_data() -> None:
    game = adversarial_digits((8,), samples=10, data="mnist")
    assert game.dims == (784 * 8 + 8 + 90, 10 * 784)
    field = game.field(game.start(0))
    assert all(bool(part.isfinite().all()) for part in field)


@pytest.mark.slow
def test_the_game_trained_classifier_resists_where_the_naive_one_falls() -> None:
    """Radius 0.15, PGD-40 with 10 restarts: naive under 20%, at least 30 points above, clean at most 5 below."""
    game = adversarial_digits((128, 128), 0.15, samples=None, batch_size=128)
    held_out = adversarial_digits(samples=None, split="test")
    none = game.on(game.inputs, game.targets, radius=0.0)
    reports = []
    for played, dynamic in (
        (none, GradientVsBestResponse(0.3, inner_steps=0)),
        (game, GradientVsBestResponse(0.3, 5, 0.06, "sign")),
    ):
        x = run(StochasticOracle(played, seed=0), dynamic, game.start(0), 1500, record=None).final
        network = game.module(x)
        reports.append(pgd_accuracy(network, held_out.inputs, held_out.targets, radius=0.15))
        assert pgd_accuracy(network, held_out.inputs, held_out.targets, radius=0.5, restarts=2).robust < 0.05
    naive, trained = reports
    assert naive.robust < 0.2
    assert trained.robust >= naive.robust + 0.3
    assert trained.clean >= naive.clean - 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -0.1}, r"got radius=-0\.1, expected a finite number >= 0"),
        ({"radius": float("nan")}, "got radius=nan"),
        ({"low": 1.0, "high": 0.0}, r"got the range \[1\.0, 0\.0\]"),
        ({"low": 0.5}, r"got inputs from 0\.\d+ to 0\.\d+, expected them in \[0\.5, 1\]"),
        ({"batch_size": 0}, r"got batch_size=0, expected a whole number in 1\.\.12"),
        ({"batch_size": 13}, "got batch_size=13"),
        ({"weight_decay": -1.0}, "got weight_decay=-1.0"),
    ],
)
def test_bad_numbers_say_what_was_got_and_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        small(**options)


@pytest.mark.usefixtures("unchecked")
def test_networks_and_data_that_do_not_fit_are_refused() -> None:
    inputs, targets = torch.rand(4, 3), torch.arange(4) % 2
    line = nn.Linear(3, 2)
    for network, message in [
        (nn.ReLU(), r"got ReLU\(\) as the classifier"),
        ("a network", "expected a torch.nn.Module with parameters"),
        (nn.Sequential(line, nn.BatchNorm1d(2)), r"with the buffers 1\.running_mean"),
        (nn.Sequential(line, nn.Dropout(0.5)), "with dropout"),
        (nn.Linear(5, 2), "which it cannot read"),
        (nn.Linear(3, 1), "from 0 to 1 for outputs of shape"),
    ]:
        with pytest.raises(InvalidGameError, match=message):
            AdversarialGame(network, inputs, targets, radius=0.1)  # pyright: ignore[reportArgumentType]
    for wrong, message in [
        (torch.tensor([0, 1, 2, 0]), "from 0 to 2"),
        (torch.rand(4, 2), "targets of torch.float32"),
        (torch.arange(3), "4 inputs and 3 targets"),
    ]:
        with pytest.raises(InvalidGameError, match=message):
            AdversarialGame(line, inputs, wrong, radius=0.1)
    with pytest.raises(InvalidGameError, match="finite floating-point numbers"):
        AdversarialGame(line, inputs * float("nan"), targets, radius=0.1)


def test_profiles_and_options_that_do_not_fit_are_refused() -> None:
    game = small()[0]
    x = game.start(0)
    with pytest.raises(InvalidStrategyError, match=r"adversarial, player_1: got .* outside Box\(low from"):
        game.validate(x.replace(1, x[1] + 1.0))
    with pytest.raises(InvalidStrategyError, match="parameters of shapes"):
        game.load(nn.Linear(3, 2))
    with pytest.raises(InvalidGameError, match="widths that are whole numbers"):
        adversarial_digits(hidden=(0,))
    with pytest.raises(UnknownNameError, match="unknown data set 'digit': did you mean 'digits'"):
        adversarial_digits(data="digit")
