"""Our factors, and the matrix that they stand for, beside those of curvlinops 3.0.1, which shares no code with ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from strategic_envs.baselines.optimizers import KFAC, curvature
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.baselines.optimizers.recording import units_of

curvlinops = pytest.importorskip("curvlinops")

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

SAMPLES = 12
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)), (5,)),
    "convolutions": (
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 2, stride=2, bias=False)),
            *(nn.Flatten(), nn.Linear(8, 3)),
        ),
        (1, 4, 4),
    ),
}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def setting(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    make, shape = NETS[name]
    return make(), torch.randn(SAMPLES, *shape), torch.randint(3, (SAMPLES,))


def dense(operator: object, size: int) -> Tensor:
    return operator @ torch.eye(size)  # pyright: ignore[reportOperatorIssue]


def permutation(net: nn.Module) -> Tensor:
    """Where each entry of our matrices, units one after another, is among the parameters one after another."""
    places, start = {}, 0
    for parameter in net.parameters():
        places[parameter] = torch.arange(start, start + parameter.numel()).reshape(parameter.shape)
        start += parameter.numel()
    rows = []
    for unit in units_of(net):
        weight, bias = unit.module.weight, unit.module.bias
        parts = [places[weight].flatten(1)] + ([] if bias is None else [places[bias].unsqueeze(1)])
        rows.append(torch.cat(parts, 1).flatten())
    return torch.cat(rows)


def ours(net: nn.Module, x: Tensor, y: Tensor, seen: curvature.KFAC | curvature.EKFAC) -> Tensor:
    """The block-diagonal matrix of a curvature that has seen this batch, in the order of our matrices."""
    records: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(unit: object) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            out.register_hook(lambda h: records.__setitem__(unit.name, (args[0].detach(), h.detach())))

        return hook

    handles = [unit.module.register_forward_hook(keep(unit)) for unit in units_of(net)]
    F.cross_entropy(net(x), y, reduction="sum").backward()
    for handle in handles:
        handle.remove()
    blocks = []
    for unit in units_of(net):
        a, h = records[unit.name]
        g = wgrad(unit, a, h)
        seen.observe(unit, a, h, g)
    seen.refresh(0)
    for unit in units_of(net):
        a, h = records[unit.name]
        basis = torch.eye(wgrad(unit, a, h).numel()).reshape(-1, *wgrad(unit, a, h).shape)
        blocks.append(torch.stack([seen.apply(unit, e).flatten() for e in basis]))
    return torch.block_diag(*blocks)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kind", ["KFAC", "EKFAC"])
def test_the_empirical_fisher_matrix_is_theirs(name: str, kind: str) -> None:
    net, x, y = setting(name)
    operator = getattr(curvlinops, f"{kind}LinearOperator")(
        net,
        nn.CrossEntropyLoss(),
        [p for p in net.parameters() if p.requires_grad],
        [(x, y)],
        fisher_type="empirical",
        kfac_approx="expand",
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    chosen = curvature.KFAC(damping=0.0) if kind == "KFAC" else curvature.EKFAC(damping=0.0)
    mine, order = ours(net, x, y, chosen), permutation(net)
    theirs = dense(operator, len(order))[order][:, order]
    assert torch.allclose(mine, theirs, atol=1e-9), float((mine - theirs).abs().max())


def test_a_factorial_batch_of_one_layer_has_the_gauss_newton_matrix() -> None:
    """Inputs and derivatives that are independent: the product of their factors is the whole Fisher matrix."""
    net = nn.Sequential(nn.Linear(3, 4))
    with torch.no_grad():
        net[0].weight.zero_()  # all samples have the same output, so that inputs and derivatives are independent
    x = torch.randn(6, 3)
    operator = curvlinops.GGNLinearOperator(
        net, nn.CrossEntropyLoss(), list(net.parameters()), [(x, torch.zeros(6, dtype=torch.long))]
    )
    order = permutation(net)
    theirs = dense(operator, len(order))[order][:, order]
    p = torch.softmax(net(x)[0], 0).detach()
    H = torch.diag(p) - torch.outer(p, p)
    values, vectors = torch.linalg.eigh(H)
    kfac = curvature.KFAC(damping=0.0)
    (unit,) = units_of(net)
    for value, vector in zip(values.clamp(min=0), vectors.mT, strict=True):  # sum of outer products: the exact factor
        h = (4 * value).sqrt() * vector.expand(6, 4)
        kfac.observe(unit, x, h, wgrad(unit, x, h))
    kfac.refresh(0)
    basis = torch.eye(len(order)).reshape(-1, 4, 4)
    mine = torch.stack([kfac.apply(unit, e).flatten() for e in basis])
    assert torch.allclose(mine, theirs, atol=1e-12)


def test_a_step_of_the_optimizer_is_their_inverse_applied_to_the_gradient() -> None:
    net, x, y = setting("perceptron")
    parameters = list(net.parameters())
    before = torch.cat([p.detach().flatten() for p in parameters])
    operator = curvlinops.KFACLinearOperator(
        net,
        nn.CrossEntropyLoss(),
        parameters,
        [(x, y)],
        fisher_type="empirical",
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    F.cross_entropy(net(x), y).backward()
    gradient = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    inverse = curvlinops.KFACInverseLinearOperator(operator, damping=0.01, use_heuristic_damping=True)
    expected = inverse @ gradient  # before our hooks are there: they would record the passes of the operator as well
    optimizer = KFAC(net, lr=1.0, damping=0.01)
    optimizer.zero_grad()
    F.cross_entropy(net(x), y).backward()
    optimizer.step()
    after = torch.cat([p.detach().flatten() for p in parameters])
    assert torch.allclose(before - after, expected, atol=1e-9)
