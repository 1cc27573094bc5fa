"""When low-rank factors and Kronecker products are exact, and the feedback of a convolution by weight gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt import CrossEntropy, SquaredError
from strategic_envs.agents.dgnopt.quadratic import Reaction, dense_gram, own_gram, sample_gradients
from strategic_envs.baselines.optimizers.curvature import KFAC
from strategic_envs.baselines.optimizers.layers import wapply, wgrad
from strategic_envs.games.networks import Unit
from strategic_envs.seeding import torch_stream

CLASSES = 4


def drawn(*shape: int, stream: str = "factors") -> Tensor:
    return torch.randn(*shape, generator=torch_stream(0, stream), dtype=torch.float64)


def linear() -> Unit:
    return Unit("fc", nn.Linear(3, 2).double(), "linear", 0)


def kronecker_error(a: Tensor, h: Tensor) -> float:
    """KFAC's matrix without damping against the second moment of the samples' gradients."""
    unit, kfac = linear(), KFAC(damping=0.0)
    kfac.observe(unit, a, h, wgrad(unit, a, h))
    kfac.refresh(0)
    ones = torch.ones(len(a), 1, dtype=a.dtype)
    rows = torch.einsum("bo,bi->boi", h, torch.cat([a, ones], 1)).flatten(1)
    moment = rows.mT @ rows / len(a)
    columns = [kfac.apply(unit, e.view(2, 4)).flatten() for e in torch.eye(8, dtype=a.dtype)]
    return float((torch.stack(columns, 1) - moment).abs().max())


def test_kronecker_factors_are_exact_for_one_sample_or_one_input_or_one_cotangent():
    a, h = drawn(5, 3), drawn(5, 2, stream="h")
    assert kronecker_error(a[:1], h[:1]) < 1e-9
    assert kronecker_error(a[:1].expand(5, 3), h) < 1e-9
    assert kronecker_error(a, h[:1].expand(5, 2)) < 1e-9
    assert kronecker_error(a, h) > 0.1


def test_kronecker_factors_are_exact_where_inputs_and_cotangents_are_independent_in_the_batch():
    a, h = drawn(5, 3), drawn(4, 2, stream="h")
    assert kronecker_error(a.repeat_interleave(4, 0), h.repeat(5, 1)) < 1e-9  # every pair once


def hessian(outputs: Tensor) -> Tensor:
    p = outputs.softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def outer(factors: list[Tensor]) -> Tensor:
    return sum(z[:, :, None] * z[:, None, :] for z in factors)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(("kind", "rank"), [("full", 1), ("topr", CLASSES), ("mixed", CLASSES + 1)])
def test_the_whole_factor_is_the_hessian_of_the_loss(kind: str, rank: int):
    outputs, targets = drawn(6, CLASSES), torch.arange(6) % CLASSES
    end = CrossEntropy(kind, rank)(outputs, targets, torch_stream(0, "terminal"))
    assert float((outer(end.factors) - hessian(outputs)).abs().max()) < 1e-9


def test_a_part_of_the_eigenvectors_is_the_best_matrix_of_its_rank():
    outputs, targets = drawn(6, CLASSES), torch.arange(6) % CLASSES
    end = CrossEntropy("topr", 2)(outputs, targets, torch_stream(0, "terminal"))
    gap = torch.linalg.matrix_norm(hessian(outputs) - outer(end.factors), 2)
    third = torch.linalg.eigvalsh(hessian(outputs))[:, -3]
    assert float((gap - third).abs().max()) < 1e-9


def test_the_drawn_factor_is_the_hessian_in_the_mean_over_labels():
    """Each of its columns is p - e_y with y drawn from p: the mean over all y, weighted by p, is exact."""
    outputs = drawn(1, CLASSES)
    p, many = outputs.softmax(1)[0], 200
    mean, seen = torch.zeros(CLASSES, CLASSES, dtype=torch.float64), set()
    end = CrossEntropy("mc", many)(outputs, torch.tensor([0]), torch_stream(0, "terminal"))
    for z in end.factors:
        column = z[0] * many**0.5
        label = int(column.argmin())
        assert float((column - (p - torch.eye(CLASSES, dtype=p.dtype)[label])).abs().max()) < 1e-9
        if label not in seen:
            seen.add(label)
            mean += p[label] * torch.outer(column, column)
    assert seen == set(range(CLASSES))
    assert float((mean - hessian(outputs)[0]).abs().max()) < 1e-9


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_mixed_factor_is_the_hessian_in_the_mean_over_signs(rank: int):
    outputs, targets = drawn(1, CLASSES), torch.tensor([0])
    many = outputs.expand(4000, CLASSES)
    end = CrossEntropy("mixed", rank)(many, targets.expand(4000), torch_stream(0, "terminal"))
    assert len(end.factors) == rank
    top = CrossEntropy("topr", max(rank - 1, 1))(outputs, targets, torch_stream(0, "terminal"))
    for z, known in zip(end.factors[: rank - 1], top.factors, strict=False):
        assert float((torch.outer(z[0], z[0]) - torch.outer(known[0], known[0])).abs().max()) < 1e-9
    signed = {tuple(row.round(decimals=9).tolist()) for row in end.factors[-1]}
    assert {tuple(-x for x in row) for row in signed} == signed and len(signed) <= 2 ** (
        CLASSES - rank + 1
    )  # every sign comes with its opposite
    assert float((outer(end.factors).mean(0) - hessian(outputs)[0]).abs().max()) < 0.02


@pytest.mark.parametrize("rank", [1, 2, CLASSES + 3])
def test_the_mixed_factor_of_squared_errors(rank: int):
    outputs = drawn(4000, CLASSES)
    end = SquaredError("mixed", rank)(outputs, outputs, torch_stream(0, "terminal"))
    assert len(end.factors) == min(rank, CLASSES)
    eye = torch.eye(CLASSES, dtype=outputs.dtype) * 2 / CLASSES
    assert float((outer(list(end.factors)).mean(0) - eye).abs().max()) < 0.02


def convolution() -> Unit:
    return Unit("conv", nn.Conv2d(2, 3, 3, stride=2, padding=1).double(), "conv", 0)


def test_feedback_of_a_convolution_is_one_weight_gradient_of_weighted_cotangents():
    """Q_thx dx = F_th' Z C Z'F_x dx by wgrad, by products with Jacobians, and with dense Jacobians."""
    unit, x, dx = convolution(), drawn(3, 2, 5, 5), drawn(3, 2, 5, 5, stream="dx")
    z = [drawn(3, 3, 3, 3, stream=f"z{j}") for j in range(2)]
    core = torch.stack([m @ m.mT for m in drawn(3, 2, 2, stream="core")])
    weight, bias = (p.detach() for p in unit.module.parameters())

    def layer(w: Tensor, b: Tensor, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, w, b, stride=2, padding=1).tanh()

    ds = 1 - layer(weight, bias, x).square()  # tanh'
    along = torch.stack(
        [((ds * m) * nn.functional.conv2d(dx, weight, stride=2, padding=1)).flatten(1).sum(1) for m in z], 1
    )
    c = torch.einsum("brs,bs->br", core, along)
    ours = wgrad(unit, x, sum(c[:, j, None, None, None] * ds * m for j, m in enumerate(z)))  # pyright: ignore[reportArgumentType]
    # dense, a sample at a time
    right = torch.zeros_like(ours)
    for i in range(3):
        one = x[i : i + 1]
        fx = torch.func.jacrev(layer, 2)(weight, bias, one).view(27, 50)
        fw, fb = torch.func.jacrev(layer, (0, 1))(weight, bias, one)
        fth = torch.cat([fw.view(27, 3, 18), fb.view(27, 3, 1)], 2).view(27, -1)
        Z = torch.stack([m[i].flatten() for m in z], 1)
        right += (fth.mT @ Z @ core[i] @ Z.mT @ fx @ dx[i].flatten()).view_as(right) / 3
    assert float((ours - right).abs().max()) < 1e-9
    # products with Jacobians only
    _, tangent = torch.autograd.functional.jvp(lambda v: layer(weight, bias, v), x, dx)
    pushed = torch.einsum("brs,bs->br", core, torch.stack([(m * tangent).flatten(1).sum(1) for m in z], 1))
    cotangent = sum(pushed[:, j, None, None, None] * m for j, m in enumerate(z))
    _, pull = torch.func.vjp(lambda w, b: layer(w, b, x), weight, bias)
    gw, gb = pull(cotangent)
    assert float((ours - torch.cat([gw.flatten(1), gb[:, None]], 1) / 3).abs().max()) < 1e-9


UNITS = {
    "linear": (lambda: linear(), (3,), (2,)),
    "conv": (lambda: convolution(), (2, 5, 5), (3, 3, 3)),
    "norm": (lambda: Unit("norm", nn.GroupNorm(1, 2).double(), "norm", 0), (2, 5, 5), (2, 5, 5)),
    "layer norm": (lambda: Unit("norm", nn.LayerNorm(3).double(), "norm", 0), (3,), (3,)),
    "other": (lambda: Unit("bi", Outer().double(), "other", 0), (2,), (2,)),
}


class Outer(nn.Module):
    """A layer that has no matrix form."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@pytest.mark.parametrize("kind", UNITS)
def test_gradients_of_single_samples_are_weight_gradients_of_single_samples(kind: str):
    make, inputs, outputs = UNITS[kind]
    unit, a, h = make(), drawn(4, *inputs), drawn(4, *outputs, stream="h")
    found = sample_gradients(unit, a, h)
    right = torch.stack([wgrad(unit, a[i : i + 1], h[i : i + 1]) for i in range(4)])
    assert float((found - right).abs().max()) < 1e-9
    assert float((sample_gradients(unit, a, h, slice(1, 3)) - right[1:3]).abs().max()) < 1e-9
    step = drawn(*right.shape[1:], stream="step")
    if kind != "other":
        felt = (wapply(unit, a, step) * h).flatten(1).sum(1)
        assert float((felt - (right * step).flatten(1).sum(1)).abs().max()) < 1e-9


def test_own_blocks_do_not_depend_on_the_parts_they_are_taken_in():
    unit, a, h = convolution(), drawn(4, 2, 5, 5), drawn(4, 3, 3, 3, stream="h")
    one = Reaction(unit, a, (h, h.square()), wgrad(unit, a, h), decay=0.3)
    whole, damped = dense_gram([one], lambda r: {name: 2 * m for name, m in r.items()})
    for limit in (1, 500, 10**9):
        own, squares = own_gram([one], lambda r: {name: 2 * m for name, m in r.items()}, limit)
        assert float((own - torch.diagonal(whole, dim1=0, dim2=2).permute(2, 0, 1)).abs().max()) < 1e-9
        assert float((squares - damped).abs().max()) < 1e-9
