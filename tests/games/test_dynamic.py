"""Networks as games: fields, co-states and batches agree with torch's own modules and optimisers."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from strategic_envs.errors import DataError, InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.sequential import sequential_stages
from strategic_envs.games.kinds.stages import Chain, Stage
from strategic_envs.profile import Profile


def data(n: int = 12, features: int = 5, classes: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, features, generator=generator, dtype=torch.float64).to(dtype)
    return inputs, torch.randint(classes, (n,), generator=generator)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)).to(
            dtype
        )


def convolutional() -> tuple[nn.Sequential, Tensor, Tensor]:
    inputs, targets = data(6, 64, 4)
    layers = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 4),
    )
    return layers.double(), inputs, targets


def torch_gradient(module: nn.Module, inputs: Tensor, targets: Tensor, loss: Callable[..., Tensor]) -> list[Tensor]:
    module.zero_grad()
    loss(module(inputs), targets).backward()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def by_player(gradients: list[Tensor], game: DynamicGame) -> Profile:
    return Profile.from_flat(torch.cat([g.reshape(-1) for g in gradients]), game.dims)


def sum_of_slots(state: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (torch.relu(sum(outputs, start=torch.zeros(()))),)


def carry_input(state: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (torch.relu(outputs[0]), state[0])


def residual_stages() -> list[Stage]:
    """One residual block in the late alignment: the shortcut's player reads the slot that was carried."""
    return [
        Stage((nn.Linear(5, 4),), carry_input),
        Stage((nn.Linear(4, 6), nn.Linear(5, 6)), sum_of_slots, reads=(0, 1)),
        Stage((nn.Linear(6, 3),), Chain()),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_field_is_minus_the_gradient_that_autograd_gives(dtype: torch.dtype) -> None:
    net, (inputs, targets) = network(dtype), data(dtype=dtype)
    game = DynamicGame.from_sequential(net, inputs, targets)
    x = game.load(net)
    expected = by_player(torch_gradient(net, inputs, targets, functional.cross_entropy), game)
    assert torch.equal(game.field(x).flat(), -expected.flat())
    for i in range(game.n_players):
        (own,) = game.field(x, i)
        assert torch.equal(own, -expected[i])


def test_field_of_a_convolutional_network_is_minus_its_gradient() -> None:
    net, inputs, targets = convolutional()
    game = DynamicGame.from_sequential(net, inputs, targets)
    assert [len(s.players) for s in game.stages] == [0, 1, 1]
    expected = by_player(torch_gradient(net, inputs, targets, functional.cross_entropy), game)
    torch.testing.assert_close(game.field(game.load(net)).flat(), -expected.flat(), rtol=0, atol=1e-15)


def test_field_under_mean_squared_error_is_minus_its_gradient() -> None:
    net, (inputs, classes) = network(), data()
    for targets in (functional.one_hot(classes, 3).double(), classes):
        game = DynamicGame.from_sequential(net, inputs, targets, "mse")
        hot = functional.one_hot(classes, 3).double()
        expected = by_player(torch_gradient(net, inputs, hot, functional.mse_loss), game)
        torch.testing.assert_close(game.field(game.load(net)).flat(), -expected.flat(), rtol=0, atol=1e-15)


def test_utilities_are_minus_loss_and_own_weight_decay() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets, weight_decay=[0.0, 0.5, 0.1])
    x = game.load(net)
    loss = functional.cross_entropy(net(inputs), targets).detach()
    expected = [-float(loss) - w / 2 * float(t.square().sum()) for w, t in zip((0, 0.5, 0.1), x, strict=True)]
    assert game.utilities(x).tolist() == pytest.approx(expected, abs=1e-14)
    plain = DynamicGame.from_sequential(net, inputs, targets).field(x)
    decayed = Profile([plain[0], plain[1] - 0.5 * x[1], plain[2] - 0.1 * x[2]])
    torch.testing.assert_close(game.field(x).flat(), decayed.flat(), rtol=0, atol=1e-15)


def test_one_backward_pass_equals_differentiating_every_players_utility() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets, weight_decay=0.1)
    x = [t.clone().requires_grad_() for t in game.load(net)]
    u = game.utilities(x)
    own = [torch.autograd.grad(u[i], x[i], retain_graph=True)[0] for i in range(3)]
    torch.testing.assert_close(game.field(x).flat(), torch.cat(own), rtol=0, atol=1e-15)
    torch.testing.assert_close(torch.cat(game._functional_field(tuple(x))).detach(), torch.cat(own), rtol=0, atol=1e-15)
    assert not game.field(x).flat().requires_grad
    loss, field = game.loss_and_field(x)
    torch.testing.assert_close(loss, game.loss(x).detach(), rtol=0, atol=1e-15)
    assert torch.equal(field.flat(), game.field(x).flat())


@pytest.mark.parametrize("kind", ["chain", "convolutional", "residual"])
def test_a_batch_of_profiles_equals_a_loop(kind: str) -> None:
    if kind == "convolutional":
        game = DynamicGame.from_sequential(*convolutional())
    elif kind == "chain":
        game = DynamicGame.from_sequential(network(), *data(), weight_decay=0.2)
    else:
        game = DynamicGame(residual_stages(), *data())
    x = game.sample((2, 3), generator=torch.Generator().manual_seed(2)) * 0.3
    u, v, a, p = game.utilities(x), game.field(x), game.accuracy(x), game.costates(x)
    assert u.shape == (2, 3, game.n_players) and a.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            one = x.map(lambda t, i=i, j=j: t[i, j])
            torch.testing.assert_close(u[i, j], game.utilities(one), rtol=0, atol=1e-13)
            torch.testing.assert_close(
                v.map(lambda t, i=i, j=j: t[i, j]).flat(), game.field(one).flat(), rtol=0, atol=1e-13
            )
            assert a[i, j] == game.accuracy(one)
            for many, single in zip(p, game.costates(one), strict=True):
                torch.testing.assert_close([s[i, j] for s in many], list(single), rtol=0, atol=1e-13)


def test_a_batch_in_chunks_equals_a_batch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    game = DynamicGame.from_sequential(network(), *data())
    x = game.sample((7,), generator=torch.Generator().manual_seed(2))
    whole = game.field(x)
    monkeypatch.setattr("strategic_envs.games.kinds.dynamic._CHUNK", 500)
    torch.testing.assert_close(game.field(x).flat(), whole.flat(), rtol=0, atol=1e-14)


def test_players_of_different_batch_shapes_broadcast() -> None:
    game = DynamicGame.from_sequential(network(), *data())
    x = game.initial(0)
    many = x.replace(1, torch.stack([x[1], 2 * x[1]]))
    expected = torch.stack([game.loss(x), game.loss(x.replace(1, 2 * x[1]))])
    torch.testing.assert_close(game.loss(many), expected, rtol=0, atol=1e-14)
    assert game.field(many).batch_shape == (2,)


def test_trace_is_the_networks_activations() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets)
    trace = game.trace(game.load(net))
    hidden = torch.tanh(net[0](inputs))
    expected = [inputs, hidden, torch.relu(net[2](hidden)), net(inputs)]
    assert [len(state) for state in trace] == [1, 1, 1, 1]
    for state, value in zip(trace, expected, strict=True):
        torch.testing.assert_close(state[0], value, rtol=0, atol=1e-15)
    assert torch.equal(game.outputs(game.load(net)), net(inputs))


def test_costates_are_the_losss_gradients_in_the_states() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets)
    x0 = inputs.clone().requires_grad_()
    x1 = torch.tanh(net[0](x0))
    x2 = torch.relu(net[2](x1))
    x3 = net[4](x2)
    expected = torch.autograd.grad(functional.cross_entropy(x3, targets), [x0, x1, x2, x3])
    costates = game.costates(game.load(net))
    for (p,), slope in zip(costates, expected, strict=True):
        torch.testing.assert_close(p, slope, rtol=0, atol=1e-15)


def test_costate_of_a_carried_slot_counts_later_uses_only() -> None:
    inputs, targets = data()
    game = DynamicGame(residual_stages(), inputs, targets)
    x = game.initial(3)
    trace, costates = game.trace(x), game.costates(x)
    assert [len(s) for s in trace] == [1, 2, 1, 1]
    w = [w.split(list(sizes)) for w, sizes in zip(x, [(20, 4), (24, 6), (30, 6), (18, 3)], strict=True)]

    def from_stage_one(a: Tensor, carried: Tensor) -> Tensor:
        out = torch.relu(a @ w[1][0].view(6, 4).T + w[1][1] + carried @ w[2][0].view(6, 5).T + w[2][1])
        return functional.cross_entropy(out @ w[3][0].view(3, 6).T + w[3][1], targets)

    slots = [s.clone().requires_grad_() for s in trace[1]]
    expected = torch.autograd.grad(from_stage_one(*slots), slots)
    torch.testing.assert_close(list(costates[1]), list(expected), rtol=0, atol=1e-15)
    start = inputs.clone().requires_grad_()
    whole = from_stage_one(torch.relu(start @ w[0][0].view(4, 5).T + w[0][1]), start)
    torch.testing.assert_close(costates[0][0], torch.autograd.grad(whole, start)[0], rtol=0, atol=1e-15)


def test_a_stage_may_have_several_players_and_the_module_runs_them() -> None:
    inputs, targets = data()
    game = DynamicGame(residual_stages(), inputs, targets)
    assert game.players == ((0, 0), (1, 0), (1, 1), (2, 0))
    x = game.initial(0)
    module = game.module(x)
    torch.testing.assert_close(functional.cross_entropy(module(inputs), targets), game.loss(x), rtol=0, atol=1e-15)
    expected = by_player(torch_gradient(module, inputs, targets, functional.cross_entropy), game)
    torch.testing.assert_close(game.field(x).flat(), -expected.flat(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_independent_gradient_on_layers_is_torch_sgd_after_20_steps(weight_decay: float) -> None:
    net, (inputs, targets) = network(torch.float32), data(64, dtype=torch.float32)
    game = DynamicGame.from_sequential(net, inputs, targets, weight_decay=weight_decay)
    x = game.load(net)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.3, weight_decay=weight_decay)
    for step in range(20):
        batch = game.minibatch(step, size=16, seed=5)
        x = x + 0.3 * batch.field(x)
        optimiser.zero_grad()
        functional.cross_entropy(net(batch.inputs), batch.targets).backward()
        optimiser.step()
    moved = (game.load(net) - game.load(network(torch.float32))).norm()
    assert moved > 0.1
    torch.testing.assert_close(x.flat(), game.load(net).flat(), rtol=0, atol=1e-6)


def test_simultaneous_gradient_dynamic_is_torch_sgd_after_20_steps() -> None:
    from strategic_envs.agents.dynamics.oracle import GameOracle
    from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient

    net, (inputs, targets) = network(), data(64)
    game = DynamicGame.from_sequential(net, inputs, targets)
    dynamic, oracle = SimultaneousGradient(step_size=0.3), GameOracle(game)
    state = dynamic.init(game.load(net), oracle)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.3)
    for _ in range(20):
        state = dynamic.step(state, oracle)
        optimiser.zero_grad()
        functional.cross_entropy(net(inputs), targets).backward()
        optimiser.step()
    torch.testing.assert_close(dynamic.point(state).flat(), game.load(net).flat(), rtol=0, atol=1e-6)


def test_hessian_and_jacobian_agree_with_autograd() -> None:
    layers = [nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)]
    inputs, targets = data(5, 2, 2)
    game = DynamicGame.from_sequential(layers, inputs, targets)
    x = game.initial(0)
    full = torch.autograd.functional.hessian(lambda w: -game.loss(Profile.from_flat(w, game.dims)), x.flat())
    jacobian = game.jacobian(x)
    torch.testing.assert_close(jacobian, full, rtol=0, atol=1e-14)
    torch.testing.assert_close(game.hessian(x, 0, 1), jacobian[:6, 6:], rtol=0, atol=1e-14)
    v = game.sample(generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(game.jvp(x, v).flat(), jacobian @ v.flat(), rtol=0, atol=1e-13)
    torch.testing.assert_close(game.vjp(x, v).flat(), jacobian.T @ v.flat(), rtol=0, atol=1e-13)


def test_loss_at_zero_weights_is_the_logarithm_of_the_number_of_classes() -> None:
    game = DynamicGame.from_sequential(network(), *data())
    zero = game.initial(0) * 0
    assert float(game.loss(zero)) == pytest.approx(math.log(3), abs=1e-15)
    assert game.known().constants["loss_at_zero"] == math.log(3)
    assert "loss_at_zero" not in DynamicGame.from_sequential([nn.Linear(5, 3), nn.Sigmoid()], *data()).known().constants


def test_accuracy_is_the_share_of_largest_outputs() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets)
    expected = (net(inputs).argmax(-1) == targets).double().mean()
    assert float(game.accuracy(game.load(net))) == float(expected)
    with pytest.raises(InvalidGameError, match="accuracy has no meaning"):
        DynamicGame.from_sequential(net, inputs, torch.zeros(12, 3), "mse").accuracy(game.load(net))


def test_initial_weights_are_reproducible_and_distributed_as_torchs() -> None:
    game = DynamicGame.from_sequential([nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 3)], *data(4, 100))
    x, again, other = game.initial(0), game.initial(0), game.initial(1)
    assert torch.equal(x.flat(), again.flat()) and not torch.equal(x.flat(), other.flat())
    assert float(x[0].abs().max()) == pytest.approx(0.1, rel=0.01)
    assert float(x[0].std()) == pytest.approx(0.1 / math.sqrt(3), rel=0.03)
    single = DynamicGame.from_sequential([nn.Linear(100, 3)], *data(4, 100, dtype=torch.float32)).initial(0)
    assert single[0].dtype == torch.float32


def test_on_other_data_is_the_same_network_on_that_data() -> None:
    net, (inputs, targets) = network(), data()
    game = DynamicGame.from_sequential(net, inputs, targets)
    part = game.on(inputs[:4], targets[:4])
    x = game.load(net)
    assert torch.equal(part.loss(x), functional.cross_entropy(net(inputs[:4]), targets[:4]))
    assert torch.equal(game.loss(x), functional.cross_entropy(net(inputs), targets))
    assert len(part.inputs) == 4 and len(game.inputs) == 12


def test_minibatches_of_an_epoch_average_to_the_full_loss() -> None:
    game = DynamicGame.from_sequential(network(), *data())
    x = game.initial(0)
    losses = [game.minibatch(t, size=3, seed=1).loss(x) for t in range(4)]
    torch.testing.assert_close(torch.stack(losses).mean(), game.loss(x), rtol=0, atol=1e-14)
    with pytest.raises(DataError, match="minibatch size of 13"):
        game.minibatch(0, size=13)


def test_pickled_and_copied_games_are_the_same_game() -> None:
    game = DynamicGame.from_sequential(network(), *data(), weight_decay=0.1)
    x = game.initial(0)
    for other in (pickle.loads(pickle.dumps(game)), copy.deepcopy(game)):
        assert torch.equal(other.utilities(x), game.utilities(x))


def test_the_users_layers_are_neither_changed_nor_kept() -> None:
    net, (inputs, targets) = network(), data()
    before = [p.detach().clone() for p in net.parameters()]
    game = DynamicGame.from_sequential(net, inputs, targets)
    x = game.load(net)
    module = game.module(x)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert torch.equal(x.flat(), game.load(net).flat())


def test_nested_sequentials_are_flattened_and_named() -> None:
    nested = nn.Sequential(nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.Sequential(nn.Linear(4, 3)))
    stages = sequential_stages(nested)
    assert [s.names for s in stages] == [("0.0: Linear",), ("1.0: Linear",)]
    game = DynamicGame(stages, *data(dtype=torch.float32))
    inputs = game.inputs
    torch.testing.assert_close(game.outputs(game.load(nested)), nested(inputs))


def test_functional_call_on_a_pooled_player_equals_the_module() -> None:
    player = nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(2, 3, 1)).double()
    stage = Stage((player,), Chain((nn.Flatten(),)))
    inputs = torch.randn(4, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    game = DynamicGame([stage], inputs, torch.tensor([0, 1, 2, 8]))
    weights = game.load(player)
    expected = functional_call(player, dict(player.named_parameters()), (inputs,)).flatten(1)
    torch.testing.assert_close(game.outputs(weights), expected)
    assert game.shapes == ({"1.weight": torch.Size([3, 2, 1]), "1.bias": torch.Size([3])},)


@pytest.mark.gpu
def test_the_field_on_a_gpu_is_the_field_on_the_cpu() -> None:
    game = DynamicGame.from_sequential(network(), *data())
    x = game.initial(0)
    torch.testing.assert_close(game.field(x.to("cuda")).to("cpu").flat(), game.field(x).flat())
