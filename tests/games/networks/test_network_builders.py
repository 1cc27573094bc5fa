"""The networks to train: shapes, names, known sizes, what is refused; initial weights; torch.fx can trace them all."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.games.networks.inception import inception
from strategic_envs.games.networks.initialise import initialise
from strategic_envs.games.networks.plain import mlp
from strategic_envs.games.networks.residual import residual_conv, residual_mlp
from strategic_envs.games.networks.resnet import resnet18

FLAT, IMAGE = (64,), (1, 8, 8)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: mlp((64, 16, 10), "tanh"), FLAT),
    "linear": (lambda: mlp((64, 10)), FLAT),
    "residual_mlp": (residual_mlp, FLAT),
    "residual_mlp identity": (lambda: residual_mlp(64, (32, 32), 32, shortcut="identity"), FLAT),
    "residual_conv": (residual_conv, IMAGE),
    "residual_conv batch": (lambda: residual_conv(norm="batch", activation="gelu"), IMAGE),
    "residual_conv group": (lambda: residual_conv(widths=(6, 8, 8), norm="group"), IMAGE),
    "residual_conv identity": (
        lambda: residual_conv(1, (8, 8), (1, 1), 8, shortcut="identity", activation="identity"),
        IMAGE,
    ),
    "inception": (inception, IMAGE),
    "inception reduced": (lambda: inception(1, (3, 2, 3), stem=5, reduce=2, stride=2, activation="sigmoid"), IMAGE),
    "resnet18": (lambda: resnet18(10, width=4, channels_in=1), IMAGE),
}


def inputs(shape: tuple[int, ...], samples: int = 3) -> Tensor:
    return torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_ten_outputs_a_sample_and_is_traced_to_the_same(name: str) -> None:
    make, shape = NETWORKS[name]
    network = initialise(make(), seed=0).eval()
    x = inputs(shape)
    out = network(x)
    assert out.shape == (3, 10)
    assert out.isfinite().all()
    assert fx.symbolic_trace(network)(x).equal(out)
    assert pickle.loads(pickle.dumps(network))(x).equal(out)
    assert copy.deepcopy(network)(x).equal(out)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_operation_is_in_place(name: str) -> None:
    make, _ = NETWORKS[name]
    graph = fx.symbolic_trace(make()).graph
    called = [str(node.target) for node in graph.nodes if node.op in ("call_function", "call_method")]
    assert not [c for c in called if c.endswith("_") and not c.endswith("__")]
    assert not [m for m in make().modules() if getattr(m, "inplace", False)]


def test_the_layers_have_speaking_names() -> None:
    leaves = [name for name, m in residual_mlp(widths=(8,)).named_modules() if isinstance(m, nn.Linear)]
    assert leaves == ["stem", "blocks.0.first", "blocks.0.second", "blocks.0.shortcut", "head"]
    leaves = [name for name, m in inception(widths=(4,)).named_modules() if isinstance(m, nn.Conv2d)]
    branches = ["single", "reduce3", "conv3", "reduce5", "conv5", "pooled"]
    assert leaves == ["stem", *(f"blocks.0.{b}" for b in branches)]


def test_a_residual_block_is_what_its_formula_says() -> None:
    block = residual_mlp(4, (3,), 5, 2, activation="tanh").get_submodule("blocks.0")
    first, second, shortcut = (block.get_submodule(name) for name in ("first", "second", "shortcut"))
    z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert block(z).equal(torch.tanh(second(torch.tanh(first(z))) + shortcut(z)))


def test_resnet18_has_three_projections_and_the_known_number_of_weights() -> None:
    network = resnet18()
    projections = [name for name, _ in network.named_modules() if name.endswith("shortcut")]
    assert projections == ["blocks.2.shortcut", "blocks.4.shortcut", "blocks.6.shortcut"]
    assert sum(p.numel() for p in network.parameters()) == 11_173_962  # of the usual CIFAR variant
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_initial_weights_are_he_normal_and_decided_by_seed_and_name() -> None:
    drawn = initialise(mlp((400, 300, 10)), seed=3).state_dict()
    first, last = drawn["layer_0.weight"], drawn["layer_1.weight"]
    assert float(first.std()) == pytest.approx(0.8 * (2 / 400) ** 0.5, rel=0.01)
    assert float(first.mean()) == pytest.approx(0, abs=1e-3)
    assert drawn["layer_0.bias"].equal(torch.zeros(300))
    assert initialise(mlp((400, 300, 10)), seed=3).state_dict()["layer_1.weight"].equal(last)
    assert not initialise(mlp((400, 300, 10)), seed=4).state_dict()["layer_1.weight"].equal(last)
    deeper = initialise(mlp((400, 300, 10, 10)), seed=3)  # a layer more leaves the others where they were
    assert deeper.state_dict()["layer_1.weight"].equal(last)
    doubled = initialise(mlp((400, 300, 10)).double(), seed=3).state_dict()["layer_0.weight"]
    assert doubled.dtype == torch.float64
    assert doubled.float().equal(first)


def test_initialise_resets_norms_and_keeps_the_global_generator() -> None:
    network = residual_conv(norm="batch")
    network(inputs(IMAGE))
    before = torch.get_rng_state()
    state = initialise(network, seed=0).state_dict()
    assert torch.get_rng_state().equal(before)
    assert state["stem_norm.running_mean"].equal(torch.zeros(8))
    assert int(state["stem_norm.num_batches_tracked"]) == 0


def test_what_cannot_be_initialised_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.PReLU())
    before = [p.clone() for p in network.parameters()]
    with pytest.raises(InvalidGameError, match=r"layer 1 \(PReLU\).*initialise it yourself"):
        initialise(network, seed=0)
    assert all(p.equal(q) for p, q in zip(before, network.parameters(), strict=True))
    with pytest.raises(InvalidGameError, match="gain=nan"):
        initialise(nn.Linear(1, 1), seed=0, gain=float("nan"))


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: mlp((3,)), InvalidGameError, "two widths"),
    (lambda: mlp((3, 0)), InvalidGameError, "sizes"),
    (lambda: mlp((3, 2), "step"), UnknownNameError, "step"),
    (lambda: residual_mlp(widths=()), InvalidGameError, "widths"),
    (lambda: residual_mlp(shortcut="none"), UnknownNameError, "none"),
    (lambda: residual_mlp(activation="step"), UnknownNameError, "step"),
    (lambda: residual_mlp(shortcut="identity"), InvalidGameError, "block 1.*identity"),
    (lambda: residual_conv(strides=(1, 2)), InvalidGameError, "3 widths and 2 strides"),
    (lambda: residual_conv(shortcut="identity"), InvalidGameError, "block 1"),
    (lambda: residual_conv(norm="layer"), UnknownNameError, "layer"),
    (lambda: inception(widths=(4, 0)), InvalidGameError, "widths"),
    (lambda: inception(reduce=0), InvalidGameError, "reduce=0"),
    (lambda: inception(activation="step"), UnknownNameError, "step"),
    (lambda: resnet18(width=0), InvalidGameError, "width=0"),
    (lambda: resnet18(norm="layer"), UnknownNameError, "layer"),
]


@pytest.mark.parametrize(("make", "error", "says"), BAD)
def test_a_wrong_argument_is_refused(make: Callable[[], object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
