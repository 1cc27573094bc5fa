"""The matrix form of every layer, each function beside what autograd and a dense definition say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.baselines.optimizers import layers
from strategic_envs.baselines.optimizers.curvature.statistics import input_gram, output_gram, sample_gradients
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.units import Unit

EXACT = 1e-12


def linear(*shape: int, bias: bool = True) -> tuple[Unit, Tensor]:
    return Unit("fc", nn.Linear(shape[-1], 3, bias=bias), "linear", 0), torch.randn(*shape)


def conv(cls: type, shape: tuple[int, ...], kernel: object, **options: object) -> tuple[Unit, Tensor]:
    return Unit("conv", cls(shape[1], 4, kernel, **options), "conv", 0), torch.randn(shape)


def norm(module: nn.Module, *shape: int, evaluating: bool = False) -> tuple[Unit, Tensor]:
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    if evaluating:
        module.eval()
        module.get_buffer("running_mean").normal_()
    return Unit("norm", module, "norm", 0), torch.randn(*shape)


pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

CASES = {
    "linear": lambda: linear(5, 7),
    "linear without bias": lambda: linear(5, 7, bias=False),
    "linear over a sequence": lambda: linear(5, 4, 2, 7),
    "conv1d": lambda: conv(nn.Conv1d, (5, 3, 9), 3, padding=1),
    "conv2d": lambda: conv(nn.Conv2d, (5, 3, 8, 7), 3),
    "conv2d strided": lambda: conv(nn.Conv2d, (5, 3, 8, 7), (3, 2), stride=(2, 1), padding=(1, 0)),
    "conv2d dilated": lambda: conv(nn.Conv2d, (5, 3, 9, 9), 3, dilation=2, padding=2, bias=False),
    "conv2d same": lambda: conv(nn.Conv2d, (5, 3, 8, 7), (4, 3), padding="same"),
    "conv2d valid": lambda: conv(nn.Conv2d, (5, 3, 8, 7), 2, padding="valid"),
    "conv2d reflecting": lambda: conv(nn.Conv2d, (5, 3, 8, 7), 3, padding=1, padding_mode="reflect"),
    "conv2d circular same": lambda: conv(nn.Conv2d, (5, 3, 8, 7), 4, padding="same", padding_mode="circular"),
    "conv2d 1x1 stride 2": lambda: conv(nn.Conv2d, (5, 3, 8, 7), 1, stride=2),
    "conv2d groups": lambda: conv(nn.Conv2d, (5, 6, 8, 7), 3, groups=2),
    "conv2d depthwise": lambda: conv(nn.Conv2d, (5, 4, 8, 7), 3, groups=4, bias=False),
    "conv3d": lambda: conv(nn.Conv3d, (2, 3, 4, 5, 6), 2, stride=(1, 2, 2), padding=1),
    "batch norm": lambda: norm(nn.BatchNorm1d(4), 5, 4),
    "batch norm of images": lambda: norm(nn.BatchNorm2d(4), 5, 4, 3, 2),
    "batch norm evaluating": lambda: norm(nn.BatchNorm2d(4), 5, 4, 3, 2, evaluating=True),
    "layer norm": lambda: norm(nn.LayerNorm(6), 5, 6),
    "layer norm without bias": lambda: norm(nn.LayerNorm(6, bias=False), 5, 3, 6),
    "layer norm of two dimensions": lambda: norm(nn.LayerNorm((3, 2)), 5, 4, 3, 2),
    "group norm": lambda: norm(nn.GroupNorm(2, 4), 5, 4, 3),
    "instance norm": lambda: norm(nn.InstanceNorm1d(4, affine=True), 5, 4, 6),
    "instance norm evaluating": lambda: norm(
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True), 5, 4, 3, 2, evaluating=True
    ),
    "rms norm": lambda: norm(nn.RMSNorm(6), 5, 2, 6),
}
KRONECKER = [n for n in CASES if n.startswith(("linear", "conv")) and "groups" not in n and "depth" not in n]


@pytest.fixture(autouse=True)
def double() -> object:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", CASES)
def test_wgrad_is_the_gradient_that_autograd_gives(name: str) -> None:
    unit, a = CASES[name]()
    out = unit.module(a)
    h = torch.randn_like(out)
    (out * h).sum().div(len(a)).backward()
    expected = layers.gradient_matrix(unit)
    assert torch.allclose(layers.wgrad(unit, a, h), expected, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_adding_a_matrix_changes_the_output_by_wapply(name: str) -> None:
    unit, a = CASES[name]()
    before, delta = unit.module(a), torch.randn_like(layers.parameters_matrix(unit))
    expected = layers.parameters_matrix(unit) + 0.5 * delta
    layers.add_matrix_(unit, delta, alpha=0.5)
    assert torch.allclose(layers.parameters_matrix(unit), expected, atol=EXACT)
    assert torch.allclose(unit.module(a), before + 0.5 * layers.wapply(unit, a, delta), atol=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_samples_average_to_wgrad_and_are_those_of_one_sample_at_a_time(name: str) -> None:
    unit, a = CASES[name]()
    h = torch.randn_like(unit.module(a))
    each = sample_gradients(unit, a, h)
    assert torch.allclose(each.mean(0), layers.wgrad(unit, a, h), atol=EXACT)
    if not isinstance(unit.module, nn.modules.batchnorm._BatchNorm):  # there samples are no strangers to each other
        alone = torch.stack([layers.wgrad(unit, a[i : i + 1], h[i : i + 1]) for i in range(len(a))])
        assert torch.allclose(each, alone, atol=EXACT)


@pytest.mark.parametrize("name", KRONECKER)
def test_a_layer_is_its_matrix_applied_to_patches(name: str) -> None:
    unit, a = CASES[name]()
    out = unit.module(a)
    patches = layers.patches(unit, a)
    assert torch.allclose(layers.locations(unit, out), patches @ layers.parameters_matrix(unit).mT, atol=EXACT)
    h = torch.randn_like(out)
    rows = layers.locations(unit, h)
    assert torch.allclose(torch.einsum("blo,bli->oi", rows, patches) / len(a), layers.wgrad(unit, a, h), atol=EXACT)
    assert torch.allclose(input_gram(unit, a), torch.einsum("bli,blj->ij", patches, patches), atol=1e-10)
    assert torch.allclose(output_gram(unit, h), torch.einsum("blo,blp->op", rows, rows) / rows.shape[1], atol=EXACT)


def test_patches_of_a_convolution_are_those_of_unfold() -> None:
    unit, a = CASES["conv2d strided"]()
    conv = unit.module
    expected = nn.functional.unfold(a, conv.kernel_size, padding=conv.padding, stride=conv.stride)
    assert torch.equal(layers.columns_of(conv, a), expected)
    assert torch.equal(layers.columns_of(conv, a, samples_last=True), expected.transpose(0, 1).flatten(1))


def test_batch_norm_keeps_its_running_statistics() -> None:
    unit, a = CASES["batch norm of images"]()
    before = {name: buffer.clone() for name, buffer in unit.module.named_buffers()}
    layers.wgrad(unit, a, torch.randn_like(a))
    assert all(torch.equal(buffer, before[name]) for name, buffer in unit.module.named_buffers())


@pytest.mark.parametrize("module", [nn.ConvTranspose2d(3, 4, 3), nn.Bilinear(3, 3, 2)], ids=["transposed", "bilinear"])
def test_any_other_layer_has_a_single_row(module: nn.Module) -> None:
    unit = Unit("other", module, "other", 0)
    row = layers.parameters_matrix(unit)
    assert row.shape == (1, sum(p.numel() for p in module.parameters()))
    layers.add_matrix_(unit, torch.ones_like(row))
    assert torch.allclose(layers.parameters_matrix(unit), row + 1)


def test_any_other_layer_has_a_gradient_and_a_derivative() -> None:
    module = nn.ConvTranspose2d(3, 4, 3)
    unit, a = Unit("up", module, "other", 0), torch.randn(2, 3, 4, 4)
    before = module(a)
    h, delta = torch.randn_like(before), torch.randn_like(layers.parameters_matrix(unit))
    (before * h).sum().div(2).backward()
    assert torch.allclose(layers.wgrad(unit, a, h), layers.gradient_matrix(unit), atol=EXACT)
    layers.add_matrix_(unit, delta)
    assert torch.allclose(module(a) - before, layers.wapply(unit, a, delta), atol=EXACT)


def test_a_layer_without_gradients_has_none_and_half_of_one_counts_as_zero() -> None:
    layer = nn.Linear(2, 1)
    unit = Unit("fc", layer, "linear", 0)
    assert layers.gradient_matrix(unit) is None
    layer.bias.grad = torch.tensor([3.0])
    assert layers.gradient_matrix(unit).tolist() == [[0, 0, 3]]


@pytest.mark.parametrize(
    ("call", "unit"),
    [
        (layers.patches, Unit("bn", nn.BatchNorm2d(3), "norm", 0)),
        (layers.locations, Unit("split", nn.Conv2d(4, 4, 3, groups=2), "conv", 0)),
        (layers.wgrad, Unit("up", nn.ConvTranspose2d(3, 3, 3), "conv", 0)),
        (layers.normalised, Unit("fc", nn.Linear(3, 3), "norm", 0)),
    ],
    ids=["norm", "groups", "transposed", "no norm"],
)
def test_a_layer_of_the_wrong_kind_is_refused_by_name(call: object, unit: Unit) -> None:
    with pytest.raises(InvalidGameError, match=f"layer '{unit.name}' \\({type(unit.module).__name__}"):
        call(unit, torch.ones(2, 3, 3, 3), *[torch.ones(2, 3, 3, 3)] * (call is layers.wgrad))
