"""Every curvature: a symmetric linear map and its inverse, exact resume, and statistics that are not finite."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from strategic_envs.baselines.optimizers.curvature import EKFAC, KFAC, RMS, Adam, Curvature, Identity
from strategic_envs.baselines.optimizers.curvature.kfac import damp, inverse
from strategic_envs.baselines.optimizers.layers import locations, patches, wgrad
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks.units import Unit

MAKERS: dict[str, Callable[[], Curvature]] = {
    "identity": Identity,
    "rms": lambda: RMS(eps=1e-3),
    "adam": lambda: Adam(eps=1e-3),
    "kfac": lambda: KFAC(damping=0.1, every=3, first=2),
    "ekfac": lambda: EKFAC(damping=0.1, every=3, first=2),
    "ekfac running": lambda: EKFAC(damping=0.1, every=3, first=2, scale="running"),
    "ekfac running on": lambda: EKFAC(damping=0.1, every=3, first=2, scale="running", restart=False),
}
SHAPES: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(4, 3), "linear", (4,)),
    "conv": (lambda: nn.Conv2d(2, 3, 3, padding=1), "conv", (2, 4, 4)),
    "grouped": (lambda: nn.Conv2d(2, 4, 3, groups=2), "conv", (2, 4, 4)),
    "norm": (lambda: nn.BatchNorm2d(2), "norm", (2, 4, 4)),
    "other": (lambda: nn.ConvTranspose2d(2, 3, 2), "other", (2, 4, 4)),
}


def layer(kind: str, seed: int = 0) -> Unit:
    torch.manual_seed(seed)
    make, name, _ = SHAPES[kind]
    return Unit(kind, make().double(), name, 0)


def batch(unit: Unit, seed: int, samples: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(samples, *SHAPES[unit.name][2], generator=generator, dtype=torch.float64)
    h = torch.randn(unit.module(a).shape, generator=generator, dtype=torch.float64)
    return a, h, wgrad(unit, a, h)


def run(curvature: Curvature, unit: Unit, steps: range, seed: int = 0) -> None:
    for step in steps:
        a, h, g = batch(unit, 100 * seed + step)
        curvature.observe(unit, a, h, g)
        curvature.refresh(step)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_solve_and_apply_are_symmetric_positive_inverses_of_each_other(name: str, kind: str, seed: int) -> None:
    unit, curvature = layer(kind), MAKERS[name]()
    run(curvature, unit, range(seed % 4 + 1), seed)
    g = batch(unit, seed)[2]
    x, y = torch.randn(2, *g.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.allclose(curvature.apply(unit, curvature.solve(unit, x)), x, atol=1e-9)
    assert torch.allclose(curvature.solve(unit, curvature.apply(unit, x)), x, atol=1e-9)
    assert torch.allclose(curvature.solve(unit, x + 2 * y), curvature.solve(unit, x) + 2 * curvature.solve(unit, y))
    assert torch.allclose((x * curvature.solve(unit, y)).sum(), (y * curvature.solve(unit, x)).sum())
    assert (x * curvature.solve(unit, x)).sum() > 0


@pytest.mark.parametrize("name", ["rms", "adam"])
def test_denominators_are_those_of_torch(name: str) -> None:
    weight = nn.Parameter(torch.randn(3, 5, dtype=torch.float64))
    unit, curvature = Unit("fc", nn.Linear(4, 3), "linear", 0), (RMS() if name == "rms" else Adam())
    mine = weight.detach().clone()
    theirs = (
        torch.optim.RMSprop([weight], lr=0.01)
        if name == "rms"
        else torch.optim.Adam([weight], lr=0.01, betas=(0.0, 0.999))
    )
    for step in range(6):
        weight.grad = torch.randn_like(weight)
        curvature.observe(unit, None, None, weight.grad)
        curvature.refresh(step)
        mine -= 0.01 * curvature.solve(unit, weight.grad)
        theirs.step()
        assert torch.allclose(mine, weight, atol=1e-13)


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_kfac_solves_the_dense_kronecker_product(kind: str) -> None:
    unit, kfac = layer(kind), KFAC(damping=0.3)
    a, h, g = batch(unit, 1)
    kfac.observe(unit, a, h, g)
    kfac.refresh(0)
    p, q = patches(unit, a), locations(unit, h)
    A = torch.einsum("bli,blj->ij", p, p) / len(p)
    B = torch.einsum("bli,blj->ij", q, q) / len(q) / q.shape[1]
    pi = ((A.trace() / len(A)) / (B.trace() / len(B))).sqrt()
    A, B = A + pi * 0.3**0.5 * torch.eye(len(A)), B + 0.3**0.5 / pi * torch.eye(len(B))
    dense = torch.kron(B, A)  # of the rows of the matrix, one after another
    assert torch.allclose(kfac.solve(unit, g).flatten(), torch.linalg.solve(dense, g.flatten()), atol=1e-11)
    for ours, expected in zip(kfac.factors(unit) or (), (A, B), strict=True):
        assert torch.allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize(("case", "equal"), [("one sample", True), ("factorial", True), ("any", False)])
def test_the_kronecker_product_is_the_fisher_matrix_where_inputs_and_gradients_are_independent(
    case: str, equal: bool
) -> None:
    unit, kfac = layer("linear"), KFAC(damping=0.0, first=1)
    a, h, _ = batch(unit, 0, samples=1 if case == "one sample" else 6)
    if case == "factorial":
        a, h = a.repeat_interleave(len(h), 0), h.repeat(len(a), 1)
    kfac.observe(unit, a, h, wgrad(unit, a, h))
    kfac.refresh(0)
    A, B = kfac._means["linear"]
    g = torch.einsum("bo,bi->boi", h, patches(unit, a)[:, 0]).flatten(1)
    fisher = g.mT @ g / len(g)
    assert bool((torch.kron(B, A) - fisher).norm() < 1e-12 * fisher.norm()) == equal


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_ekfac_measures_the_scales_of_this_batch_along_the_eigenvectors(kind: str) -> None:
    unit, ekfac = layer(kind), EKFAC(damping=0.3, every=3, first=1)
    run(ekfac, unit, range(2))  # the second batch only has its scales measured, along the eigenvectors of the first
    (a, h, _), (b, k, g) = batch(unit, 0), batch(unit, 1)
    p, q = patches(unit, a), locations(unit, h)
    U_A = torch.linalg.eigh(torch.einsum("bli,blj->ij", p, p) / len(p))[1]
    U_B = torch.linalg.eigh(torch.einsum("bli,blj->ij", q, q) / len(q))[1]
    basis = torch.kron(U_B, U_A)
    each = torch.stack([wgrad(unit, b[i : i + 1], k[i : i + 1]).flatten() for i in range(len(b))])
    scales = (each @ basis).square().mean(0) + 0.3
    assert torch.allclose(ekfac.solve(unit, g).flatten(), basis @ ((basis.mT @ g.flatten()) / scales), atol=1e-10)


@pytest.mark.parametrize("restart", [True, False])
def test_ekfac_runs_its_scales_by_the_mean_gradient(restart: bool) -> None:
    unit, ekfac = layer("conv"), EKFAC(damping=0.3, every=2, first=1, scale="running", restart=restart)
    scales, basis = None, torch.empty(0)
    for step in range(4):
        a, h, g = batch(unit, step)
        ekfac.observe(unit, *((a, h) if ekfac.wants(step) else (None, None)), g)
        ekfac.refresh(step)
        if step % 2 == 0:
            (values_A, U_A), (values_B, U_B) = (torch.linalg.eigh(factor) for factor in ekfac._means["conv"])
            basis = torch.kron(U_B, U_A)
            scales = torch.kron(values_B, values_A) if restart or scales is None else scales
        scales = 0.75 * scales + 0.25 * len(a) * (basis.mT @ g.flatten()) ** 2
        solved = basis @ ((basis.mT @ g.flatten()) / (scales + 0.3))
        assert torch.allclose(ekfac.solve(unit, g).flatten(), solved, atol=1e-10)


def test_ekfac_with_the_products_of_eigenvalues_is_kfac_without_its_damping() -> None:
    unit, ekfac, kfac = layer("linear"), EKFAC(damping=0.0, scale="running", alpha=0.999999999), KFAC(damping=0.0)
    a, h, g = batch(unit, 0)
    for curvature in (ekfac, kfac):
        curvature.observe(unit, a, h, g)
        curvature.refresh(0)
    assert torch.allclose(ekfac.solve(unit, g), kfac.solve(unit, g), rtol=1e-5)


def test_a_norm_and_a_grouped_convolution_have_the_squares_of_their_samples() -> None:
    for kind in ("norm", "grouped"):
        unit, kfac = layer(kind), KFAC(damping=0.5)
        a, h, g = batch(unit, 3)
        kfac.observe(unit, a, h, g)
        kfac.refresh(0)
        if kind == "grouped":
            squares = torch.stack([wgrad(unit, a[i : i + 1], h[i : i + 1]) ** 2 for i in range(len(a))]).mean(0)
            assert torch.allclose(kfac.apply(unit, g), g * (squares + 0.5), atol=1e-12)
        assert kfac.factors(unit) is None


def test_kfac_samples_in_the_first_steps_and_then_at_each_tenth() -> None:
    kfac = KFAC()
    assert [step for step in range(35) if kfac.wants(step)] == [0, 1, 2, 3, 4, 10, 20, 30]
    unit = layer("linear")
    run(kfac, unit, range(6))
    before = kfac.factors(unit)
    a, h, g = batch(unit, 99)
    kfac.observe(unit, a, h, g)  # not asked for: not looked at
    kfac.refresh(6)
    assert before is not None and all(x is y for x, y in zip(before, kfac.factors(unit) or (), strict=True))


def test_the_running_mean_is_at_first_the_plain_mean() -> None:
    unit, kfac = layer("linear"), KFAC()
    run(kfac, unit, range(3))
    p = torch.stack([patches(unit, batch(unit, step)[0])[:, 0] for step in range(3)])
    assert torch.allclose(kfac._means["linear"][0], torch.einsum("sbi,sbj->ij", p, p) / p.shape[0] / p.shape[1])


@pytest.mark.parametrize("name", MAKERS)
def test_two_batches_in_one_step_count_as_one_batch(name: str) -> None:
    unit, once, twice = layer("conv"), MAKERS[name](), MAKERS[name]()
    a, h, g = batch(unit, 0)
    once.observe(unit, a, h, g)
    for part in (slice(0, 3), slice(3, 6)):
        twice.observe(unit, a[part], h[part], wgrad(unit, a[part], h[part]))
    once.refresh(0)
    twice.refresh(0)
    assert torch.allclose(once.solve(unit, g), twice.solve(unit, g), atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "norm"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_state_resumes_exactly(name: str, kind: str) -> None:
    unit, curvature, other = layer(kind), MAKERS[name](), MAKERS[name]()
    run(curvature, unit, range(3))
    state = curvature.state_dict()
    run(curvature, unit, range(3, 6))
    other.load_state_dict(state)
    run(other, unit, range(3, 6))
    g = batch(unit, 7)[2]
    assert torch.equal(curvature.solve(unit, g), other.solve(unit, g))
    assert other.step == 6


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["rms", "adam", "kfac", "ekfac", "ekfac running"])
def test_statistics_that_are_not_finite_are_refused_and_the_old_ones_stay(name: str, bad: float) -> None:
    unit, curvature = layer("linear"), MAKERS[name]()
    g = batch(unit, 7)[2]
    broken = [torch.full_like(t, bad) for t in batch(unit, 0)]
    curvature.observe(unit, *broken)
    curvature.refresh(0)
    assert curvature.refused == ("linear",)
    assert torch.isfinite(curvature.solve(unit, g)).all()
    run(curvature, unit, range(1, 3))
    assert curvature.refused == ()
    before = curvature.solve(unit, g)
    curvature.observe(unit, *broken)
    curvature.refresh(3)
    assert curvature.refused == ("linear",)
    assert torch.allclose(curvature.solve(unit, g), before, rtol=1e-3 if name == "adam" else 1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_that_is_given_up_leaves_nothing(name: str) -> None:
    unit, curvature = layer("linear"), MAKERS[name]()
    run(curvature, unit, range(2))
    g = batch(unit, 7)[2]
    before, snapshot = curvature.solve(unit, g), curvature.snapshot()
    curvature.observe(unit, *batch(unit, 55))
    curvature.discard()
    assert torch.equal(curvature.solve(unit, g), before)
    run(curvature, unit, range(2, 6))
    curvature.restore(snapshot)
    assert torch.equal(curvature.solve(unit, g), before) and curvature.step == 2


def test_damping_may_differ_from_layer_to_layer() -> None:
    unit, kfac = layer("linear"), KFAC(damping=0.1)
    kfac.observe(unit, *batch(unit, 0))
    kfac.refresh(0, {"linear": 5.0})
    other = KFAC(damping=5.0)
    other.observe(unit, *batch(unit, 0))
    other.refresh(0)
    g = batch(unit, 1)[2]
    assert torch.equal(kfac.solve(unit, g), other.solve(unit, g))


@pytest.mark.parametrize("scale", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1e30, 1e-30)])
def test_the_damping_is_shared_out_sensibly_where_a_factor_vanishes_or_explodes(scale: tuple[float, float]) -> None:
    A, B = damp(torch.eye(3) * scale[0], torch.eye(2) * scale[1], 0.01)
    assert torch.isfinite(A).all() and torch.isfinite(B).all()
    assert A.diagonal().min() > 0 and B.diagonal().min() > 0
    if 0.0 in scale:
        dampings = (A[0, 0] - scale[0]) * (B[0, 0] - scale[1])
        assert dampings.item() == pytest.approx(0.01, rel=1e-4)


def test_a_matrix_that_rounding_made_indefinite_is_lifted() -> None:
    v = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    lifted = inverse(v @ v.mT - 1e-18 * torch.eye(2, dtype=torch.float64))
    assert lifted is not None and torch.isfinite(lifted).all()
    assert torch.linalg.eigvalsh(lifted).min() > 0


@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"a damping is at least 0, got -1"):
        KFAC(damping=-1)
    with pytest.raises(InvalidSettingError, match=r"decay is in \[0, 1\), got 1.0"):
        KFAC(decay=1.0)
    with pytest.raises(InvalidSettingError, match=r"every is at least 1 and first at least 0, got every=0"):
        KFAC(every=0)
    with pytest.raises(InvalidSettingError, match="alpha"):
        RMS(alpha=1.5)
    with pytest.raises(InvalidSettingError, match="alpha is in"):
        EKFAC(alpha=-0.5)
    with pytest.raises(InvalidSettingError, match="'intra' or 'running', got 'both'"):
        EKFAC(scale="both")  # pyright: ignore[reportArgumentType]


def test_a_state_of_another_curvature_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"of the curvature 'RMS', expected 'Adam'"):
        Adam().load_state_dict(RMS().state_dict())
