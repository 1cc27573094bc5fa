"""The layers of any torch module as a game: its field is the module's gradient, in every alignment and batch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import GameStage
from strategic_envs.games.networks import (
    from_module,
    inception,
    initialise,
    mlp,
    network_game,
    residual_conv,
    residual_mlp,
    resnet18,
)
from strategic_envs.profile import Profile

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: mlp([6, 5, 4, 3]), (6,)),
    "residual": (lambda: residual_mlp(6, (5, 4), stem=7, classes=3), (6,)),
    "identity": (lambda: residual_mlp(6, (5, 5), stem=5, classes=3, shortcut="identity"), (6,)),
    "batch": (lambda: residual_conv(1, (3, 4), (1, 2), stem=2, classes=3, norm="batch"), (1, 8, 8)),
    "group": (lambda: residual_conv(1, (4, 4), (1, 2), stem=4, classes=3, norm="group"), (1, 8, 8)),
    "inception": (lambda: inception(1, (2, 2), classes=3), (1, 8, 8)),
    "resnet": (lambda: resnet18(classes=3, width=2), (3, 8, 8)),
}
CASES = [(name, alignment) for name in NETWORKS for alignment in ("late", "early")]


def case(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    make, shape = NETWORKS[name]
    module = initialise(make(), 1).double()
    draw = torch.Generator().manual_seed(0)
    return module, torch.randn(6, *shape, generator=draw, dtype=torch.float64), torch.randint(3, (6,), generator=draw)


def gradient(module: nn.Module, alignment: str, inputs: Tensor, targets: Tensor) -> Tensor:
    """Torch's own gradient of the loss, player after player."""
    staged = from_module(copy.deepcopy(module), alignment)
    functional.cross_entropy(staged.module(inputs), targets).backward()
    slopes = [p.grad for player in staged.players for unit in player.units for p in unit.module.parameters()]
    return torch.cat([g.reshape(-1) for g in slopes if g is not None])


@pytest.mark.parametrize(("name", "alignment"), CASES)
def test_loss_and_field_are_the_modules_own(name: str, alignment: str) -> None:
    module, inputs, targets = case(name)
    game = network_game(module, inputs, targets, alignment=alignment)
    x = game.load(module)
    assert torch.equal(game.loss(x), functional.cross_entropy(copy.deepcopy(module)(inputs), targets))
    torch.testing.assert_close(-game.field(x).flat(), gradient(module, alignment, inputs, targets), rtol=0, atol=1e-14)
    assert game.players == tuple((p.stage, p.number) for p in from_module(module, alignment).players)


@pytest.mark.parametrize(("name", "alignment"), CASES)
def test_the_hamiltonians_slopes_are_the_gradient(name: str, alignment: str) -> None:
    """H_t = <p_{t+1}, F_t(x_t, theta_t)>, with the co-states of Pontryagin's principle."""
    module, inputs, targets = case(name)
    game = network_game(module, inputs, targets, alignment=alignment)
    x = game.load(module)
    trace, costates, start, slopes = game.trace(x), game.costates(x), 0, []
    for stage, state, after in zip(game.stages, trace, costates[1:], strict=False):
        assert isinstance(stage, GameStage)
        own = [w.clone().requires_grad_() for w in x[start : start + len(stage.players)]]
        start += len(own)
        hamiltonian = sum((p * s).sum() for p, s in zip(after, stage(state, own), strict=True))
        slopes += torch.autograd.grad(hamiltonian, own)
    torch.testing.assert_close(torch.cat(slopes), gradient(module, alignment, inputs, targets), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_profiles_is_a_loop_over_profiles(name: str) -> None:
    module, inputs, targets = case(name)
    game = network_game(module, inputs, targets, weight_decay=0.1)
    x = game.load(module)
    several = x.map(lambda w: torch.stack([w, 1.1 * w, 0.7 * w]))
    loss, field = game.loss_and_field(several)
    for i in range(3):
        one = several.map(lambda w, i=i: w[i])
        torch.testing.assert_close(loss[i], game.loss(one), rtol=0, atol=1e-12)
        torch.testing.assert_close(field.map(lambda w, i=i: w[i]).flat(), game.field(one).flat(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["residual", "batch", "inception"])
def test_alignments_are_one_game_with_other_stages(name: str) -> None:
    module, inputs, targets = case(name)
    late, early = (network_game(module, inputs, targets, alignment=a) for a in ("late", "early"))
    x, y = late.load(module), early.load(module)
    torch.testing.assert_close(late.loss(x), early.loss(y), rtol=0, atol=1e-15)
    names = [[n for stage in game.stages for n in stage.names] for game in (late, early)]
    assert sorted(names[0]) == sorted(names[1])
    for i, player in enumerate(names[0]):
        torch.testing.assert_close(late.field(x)[i], early.field(y)[names[1].index(player)], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["residual", "batch", "group"])
def test_the_games_module_is_the_network(name: str) -> None:
    module, inputs, targets = case(name)
    game = network_game(module, inputs, targets)
    x = game.initial(seed=3)
    assert x[0].dtype == torch.float64 and torch.equal(x.flat(), game.initial(seed=3).flat())
    made = game.module(x)
    torch.testing.assert_close(functional.cross_entropy(made(inputs), targets), game.loss(x), rtol=0, atol=1e-14)
    assert torch.equal(game.load(made).flat(), x.flat())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1.0)
    assert torch.equal(x.flat(), game.initial(seed=3).flat())


def test_initial_weights_of_norms_are_one_and_zero() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm((4,)), nn.Linear(4, 3))
    _, inputs, targets = case("mlp")
    game = network_game(module.double(), inputs, targets)
    assert list(game.shapes[0].values()) == [(4, 6), (4,), (4,), (4,)]
    assert game.initial(0)[0][-8:].tolist() == [1.0] * 4 + [0.0] * 4


def test_weights_are_loaded_in_the_modules_order_whatever_the_alignment() -> None:
    class Block(nn.Module):
        """Its parameters are in another order than its players."""

        def __init__(self) -> None:
            super().__init__()
            self.head, self.shortcut = nn.Linear(4, 3), nn.Linear(6, 4)
            self.second, self.first = nn.Linear(5, 4), nn.Linear(6, 5)

        def forward(self, x):
            return self.head(torch.tanh(self.shortcut(x) + self.second(torch.tanh(self.first(x)))))

    _, inputs, targets = case("mlp")
    module = Block().double()
    for alignment in ("late", "early"):
        game = network_game(module, inputs, targets, alignment=alignment)
        assert torch.equal(game.outputs(game.load(module)), module(inputs))
    with pytest.raises(InvalidStrategyError, match="got a module with parameters of shapes"):
        game.load(nn.Linear(6, 4))


def test_batch_norms_are_played_as_the_module_is() -> None:
    module, inputs, targets = case("batch")
    module(inputs)  # running statistics that are not the initial ones
    before = [b.clone() for b in module.buffers()]
    training = network_game(module.train(), inputs, targets)
    x = training.load(module)
    assert torch.equal(training.outputs(x), copy.deepcopy(module)(inputs))
    part = training.minibatch(0, size=3)
    assert torch.equal(part.outputs(x), copy.deepcopy(module)(part.inputs))
    evaluating = network_game(module.eval(), inputs, targets)
    assert torch.equal(evaluating.outputs(x), module(inputs))
    assert not torch.allclose(evaluating.outputs(x), training.outputs(x))
    assert torch.equal(evaluating.minibatch(0, size=1).outputs(x), module(evaluating.minibatch(0, size=1).inputs))
    for b, was in zip(module.buffers(), before, strict=True):
        assert torch.equal(b, was)
    assert torch.equal(training.field(x).flat(), training.field(x).flat())  # a second look changes nothing


def test_the_field_of_a_game_with_running_statistics_is_the_modules() -> None:
    module, inputs, targets = case("batch")
    module(inputs)
    module.eval()
    game = network_game(module, inputs, targets)
    torch.testing.assert_close(
        -game.field(game.load(module)).flat(), gradient(module, "late", inputs, targets), rtol=0, atol=1e-14
    )


def test_instance_norms_with_statistics_are_played_too() -> None:
    norm = nn.InstanceNorm2d(2, affine=True, track_running_stats=True)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), norm, nn.Flatten(), nn.Linear(72, 3)).double()
    _, inputs, targets = case("batch")
    module(inputs)
    for training in (True, False):
        game = network_game(module.train(training), inputs, targets)
        x = game.load(module)
        torch.testing.assert_close(game.outputs(x), copy.deepcopy(module)(inputs), rtol=0, atol=1e-14)
        several = x.map(lambda w: torch.stack([w, 2 * w]))
        torch.testing.assert_close(game.outputs(several)[0], game.outputs(x), rtol=0, atol=1e-12)


def test_frozen_layers_keep_their_numbers_in_any_precision() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
    module[0].requires_grad_(False)
    _, inputs, targets = case("mlp")
    game = network_game(module, inputs, targets)
    assert game.dims == (10, 18)
    x = game.load(module)
    assert torch.equal(game.outputs(x), copy.deepcopy(module)(inputs))
    single = game.outputs(x.map(lambda w: w.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), game.outputs(x), rtol=0, atol=1e-5)
    torch.testing.assert_close(game.module(x)(inputs), game.outputs(x), rtol=0, atol=1e-14)


def test_buffers_and_kept_layers_work_in_batches() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.slope, self.head = nn.Linear(6, 4), nn.PReLU(), nn.Linear(4, 3)
            self.register_buffer("shift", torch.arange(4.0))

        def forward(self, x):
            return self.head(self.slope(self.layer(x) + self.shift))

    _, inputs, targets = case("mlp")
    module = Shifted()
    with pytest.warns(UserWarning, match=r"slope \(PReLU\)"):
        game = network_game(module, inputs.float(), targets, unsupported="gradient")
    x = game.load(module)
    several = x.map(lambda w: torch.stack([w, 2 * w]).double())
    wide = copy.deepcopy(module).double()
    torch.testing.assert_close(game.outputs(several)[0], wide(inputs.float().double()), rtol=0, atol=1e-12)


def test_sequential_networks_are_the_same_game_by_either_way() -> None:
    module, inputs, targets = case("mlp")
    one = DynamicGame.from_sequential(module, inputs, targets, weight_decay=0.1)
    two = network_game(module, inputs, targets, weight_decay=0.1)
    x = one.load(module)
    assert one.dims == two.dims and one.shapes == two.shapes and one.players == two.players
    assert torch.equal(x.flat(), two.load(module).flat()) and torch.equal(one.field(x).flat(), two.field(x).flat())
    assert torch.equal(one.initial(2).flat(), two.initial(2).flat())
    assert one.known().constants == two.known().constants
    for mine, theirs in zip(one.costates(x), two.costates(x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_pickled_and_copied_games_are_the_same_game() -> None:
    module, inputs, targets = case("batch")
    game = network_game(module, inputs, targets, alignment="early")
    x = game.load(module)
    for other in (pickle.loads(pickle.dumps(game)), copy.deepcopy(game)):
        assert torch.equal(other.field(x).flat(), game.field(x).flat()) and other.players == game.players


def test_the_users_module_is_neither_changed_nor_kept() -> None:
    module, inputs, targets = case("batch")
    before = copy.deepcopy(module.state_dict())
    game = network_game(module, inputs, targets)
    x = game.load(module)
    first = game.loss(x)
    assert all(torch.equal(v, module.state_dict()[k]) for k, v in before.items())
    with torch.no_grad():
        for value in module.state_dict().values():
            value.zero_()
    assert torch.equal(game.loss(x), first)


def test_gradient_ascent_on_a_residual_game_is_sgd_on_the_module() -> None:
    module, inputs, targets = case("residual")
    game = network_game(module, inputs, targets, alignment="early", weight_decay=0.01)
    x: Profile = game.load(module)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.3, weight_decay=0.01)
    for _ in range(5):
        x = x + 0.3 * game.field(x)
        optimiser.zero_grad()
        functional.cross_entropy(module(inputs), targets).backward()
        optimiser.step()
    torch.testing.assert_close(x.flat(), game.load(module).flat(), rtol=0, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["residual", "batch"])
def test_the_field_on_a_gpu_is_the_field_on_the_cpu(name: str) -> None:
    module, inputs, targets = case(name)
    game = network_game(module, inputs, targets)
    x = game.load(module)
    torch.testing.assert_close(game.field(x.to("cuda")).to("cpu").flat(), game.field(x).flat())
