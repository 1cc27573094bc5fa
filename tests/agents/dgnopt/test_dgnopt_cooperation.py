"""Players of real networks who cooperate: against dense solves of their joint curvature, made sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.cooperation import Cooperation
from strategic_envs.baselines.optimizers.curvature import KFAC, RMS, Curvature, Identity
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.games.networks import StagedNet, from_module, inception, initialise, residual_conv, residual_mlp
from strategic_envs.seeding import torch_stream

Batch = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]  # what was read, cotangents, gradients


def batch(net: StagedNet, shape: tuple[int, ...], seed: int = 0) -> Batch:
    """Everything of one batch, by hooks on the module: nothing of the engine."""
    random = torch_stream(seed, "batch")
    x = torch.randn(6, *shape, generator=random, dtype=torch.float64)
    targets = torch.randint(0, 3, (6,), generator=random)
    reads: dict[str, Tensor] = {}
    wrote: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            reads[name], wrote[name] = inputs[0].detach(), output

        return hook

    handles = [unit.module.register_forward_hook(keep(unit.name)) for unit in net.units]
    loss = nn.functional.cross_entropy(net.module(x), targets, reduction="sum")
    for handle in handles:
        handle.remove()
    h = dict(zip(wrote, torch.autograd.grad(loss, list(wrote.values())), strict=True))
    gradients = {u.name: wgrad(u, reads[u.name], h[u.name]) for u in net.units}
    return reads, h, gradients


def residual(alignment: str = "late") -> StagedNet:
    module = residual_mlp(inputs=4, widths=(3, 5), stem=4, classes=3)
    return from_module(initialise(module, seed=0).double(), alignment)


def images(alignment: str = "late") -> StagedNet:
    module = residual_conv(widths=(3, 4), strides=(1, 2), stem=2, classes=3)
    return from_module(initialise(module, seed=0).double(), alignment)


def observed(net: StagedNet, curvature: Curvature, data: Batch, mode: str = "exact", **options: int) -> Cooperation:
    coop = Cooperation(mode, curvature, net.units, **options)
    watch(net, curvature, coop, data, 0)
    return coop


def watch(net: StagedNet, curvature: Curvature, coop: Cooperation, data: Batch, step: int) -> None:
    reads, h, gradients = data
    for stage in reversed(net.stages):
        for unit in stage.units:
            curvature.observe(unit, reads[unit.name], h[unit.name], gradients[unit.name])
        names = [unit.name for unit in stage.units]
        coop.observe(stage, {n: reads[n] for n in names}, {n: h[n] for n in names})
    curvature.refresh(step)
    coop.refresh(step)


def stages_with(net: StagedNet, players: int) -> Iterator[list[str]]:
    for stage in net.stages:
        if len(stage.players) == players:
            yield [unit.name for unit in stage.units]


def rows(net: StagedNet, name: str, data: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What a layer's matrix is applied to, and the cotangents, a location at a time: (B, L, columns), (B, L, out)."""
    unit = next(u for u in net.units if u.name == name)
    a, h = data[0][name], data[1][name]
    if isinstance(unit.module, nn.Conv2d):
        m = unit.module
        assert not isinstance(m.padding, str)
        a = nn.functional.unfold(a, m.kernel_size, padding=m.padding, stride=m.stride).mT
        h = h.flatten(2).mT
    else:
        a, h = a[:, None], h[:, None]
    if unit.module.bias is not None:
        a = torch.cat([a, torch.ones(*a.shape[:2], 1, dtype=a.dtype)], dim=2)
    return a.numpy(), h.numpy()


def dense(net: StagedNet, names: list[str], data: Batch, own: list[np.ndarray]) -> np.ndarray:
    """The joint matrix: given own blocks, cross blocks from sums over samples and locations."""
    seen = [rows(net, name, data) for name in names]
    grid: list[list[np.ndarray]] = []
    for i, (a, h) in enumerate(seen):
        grid.append([])
        for j, (b, k) in enumerate(seen):
            left = np.einsum("blp,blq->pq", a, b) / len(a)
            right = np.einsum("blp,blq->pq", h, k) / (len(a) * a.shape[1])
            grid[i].append(own[i] if i == j else np.kron(left, right))
    return np.block(grid)


def own_blocks(net: StagedNet, names: list[str], curvature: Curvature, right: dict[str, Tensor]) -> list[np.ndarray]:
    """Each player's own matrix, a column at a time through `apply`."""
    out = []
    for name in names:
        unit = next(u for u in net.units if u.name == name)
        shape = right[name].shape
        units = [torch.from_numpy(e.reshape(shape, order="F")) for e in np.eye(right[name].numel())]
        out.append(np.stack([curvature.apply(unit, e).numpy().ravel(order="F") for e in units], axis=1))
    return out


def flat(named: dict[str, Tensor], names: list[str]) -> np.ndarray:
    return np.concatenate([named[name].numpy().ravel(order="F") for name in names])


def distance(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("alignment", ["late", "early"])
@pytest.mark.parametrize("make", [residual, images])
def test_pairs_solve_the_joint_system(make: type, alignment: str) -> None:
    net = make(alignment)
    data = batch(net, (4,) if make is residual else (1, 8, 8))
    kfac = KFAC(damping=1e-2)
    coop = observed(net, kfac, data)
    pairs = list(stages_with(net, 2))
    assert len(pairs) == 2
    for names in pairs:
        right = {name: data[2][name] for name in names}
        joint = dense(net, names, data, own_blocks(net, names, kfac, right))
        got = coop.solve(right)
        assert list(got) == names
        assert distance(flat(got, names), np.linalg.solve(joint, flat(right, names))) < 1e-9
        alone = {name: kfac.solve(next(u for u in net.units if u.name == name), right[name]) for name in names}
        assert distance(flat(got, names), flat(alone, names)) > 1e-3  # it is not nothing
    assert not coop.refused


def test_four_players_of_an_inception_block_solve_the_joint_system() -> None:
    net = from_module(initialise(inception(1), seed=0).double())
    data = batch(net, (1, 8, 8))
    kfac = KFAC(damping=1e-1)
    names = max(stages_with(net, 4), key=len)
    right = {name: data[2][name] for name in names}
    joint = dense(net, names, data, own_blocks(net, names, kfac_of(net, kfac, data), right))
    assert np.linalg.eigvalsh(joint).min() > 0
    expected = np.linalg.solve(joint, flat(right, names))
    errors = []
    for iterations in (1, 5, 60):
        fresh = KFAC(damping=1e-1)
        coop = observed(net, fresh, data, iterations=iterations)
        errors.append(distance(flat(coop.solve(right), names), expected))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-8


def kfac_of(net: StagedNet, kfac: KFAC, data: Batch) -> KFAC:
    for unit in net.units:
        kfac.observe(unit, data[0][unit.name], data[1][unit.name], data[2][unit.name])
    kfac.refresh(0)
    return kfac


def test_without_cross_moments_cooperation_is_none() -> None:
    """Theorem 6a, to the last bit: for every curvature, in a stage of two players."""
    net, zero = residual(), 0.0
    data = batch(net, (4,))
    quiet = (data[0], {name: zero * h for name, h in data[1].items()}, data[2])
    for curvature in (KFAC(), RMS(), Identity()):
        coop = observed(net, curvature, quiet)
        for names in stages_with(net, 2):
            right = {name: data[2][name] for name in names}
            got = coop.solve(right)
            for name in names:
                unit = next(u for u in net.units if u.name == name)
                assert got[name].equal(curvature.solve(unit, right[name]))


def test_other_curvatures_solve_the_joint_system_where_it_is_definite() -> None:
    net = residual()
    data = batch(net, (4,))
    rms = RMS(eps=5.0)
    coop = observed(net, rms, data, iterations=60)
    for names in stages_with(net, 2):
        right = {name: data[2][name] for name in names}
        joint = dense(net, names, data, own_blocks(net, names, rms, right))
        assert np.linalg.eigvalsh(joint).min() > 0
        assert distance(flat(coop.solve(right), names), np.linalg.solve(joint, flat(right, names))) < 1e-9


def test_an_indefinite_joint_matrix_still_gives_a_descent_direction() -> None:
    """The identity beside large cross moments: the iteration is cut off, the step stays finite and downhill."""
    net = residual()
    reads, h, gradients = batch(net, (4,))
    loud = ({k: 10 * v for k, v in reads.items()}, h, gradients)
    coop = observed(net, Identity(), loud, iterations=20)
    for names in stages_with(net, 2):
        right = {name: gradients[name] for name in names}
        joint = dense(net, names, loud, own_blocks(net, names, Identity(), right))
        assert np.linalg.eigvalsh(joint).min() < -1
        got = coop.solve(right)
        assert all(bool(x.isfinite().all()) for x in got.values())
        assert flat(got, names) @ flat(right, names) > 0


def test_norms_and_lone_layers_keep_their_own_solve() -> None:
    net = from_module(
        initialise(residual_conv(widths=(3,), strides=(1,), stem=2, classes=3, norm="batch"), seed=0).double()
    )
    data = batch(net, (1, 5, 5))
    kfac = KFAC()
    coop = observed(net, kfac, data)
    norms = 0
    for stage in net.stages:
        got = coop.solve({unit.name: data[2][unit.name] for unit in stage.units})
        for unit in stage.units:
            alone = kfac.solve(unit, data[2][unit.name])
            norms += unit.kind == "norm"
            assert got[unit.name].equal(alone) == (unit.kind == "norm" or len(stage.players) == 1)
    assert norms >= 2


class Mixed(nn.Module):
    """Parallel layers that cannot be paired: a linear layer, and convolutions on two grids."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.flat, self.head = nn.Linear(36, 2), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.fine(x).mean((2, 3)), self.coarse(x).mean((2, 3)), self.flat(x.flatten(1))]
        return self.head(torch.cat(parts, dim=1))


def test_layers_on_different_grids_are_taken_as_uncorrelated() -> None:
    net = from_module(initialise(Mixed(), seed=0).double(), {"fine": 0, "coarse": 0, "flat": 0, "head": 1})
    data = batch(net, (1, 6, 6))
    kfac = KFAC()
    coop = observed(net, kfac, data)
    got = coop.solve({unit.name: data[2][unit.name] for unit in net.stages[0].units})
    for unit in net.stages[0].units:
        assert got[unit.name].equal(kfac.solve(unit, data[2][unit.name]))


def test_moments_survive_a_change_of_alignment() -> None:
    """Once two layers met, their moments are taken at every sampling, also while they move in different stages."""
    late, early = residual("late"), residual("early")
    stayed, changed = KFAC(), KFAC()
    pair = next(stages_with(late, 2))
    fixed, free = Cooperation("exact", stayed, late.units), Cooperation("exact", changed, late.units)
    for step, net in enumerate([late, early, early, late]):
        data = batch(late, (4,), seed=step)
        watch(late, stayed, fixed, data, step)
        watch(net, changed, free, data, step)
    right = {name: data[2][name] for name in pair}
    for one, other in zip(fixed.solve(right).values(), free.solve(right).values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=0)


def test_moments_of_layers_that_met_late_fit_to_their_own() -> None:
    """The joint matrix of a pair that is new stays positive definite: its moments start from zero."""
    late, early = residual("late"), residual("early")
    kfac = KFAC(damping=1e-4)
    coop = Cooperation("exact", kfac, late.units)
    for step, net in enumerate([early, early, early, late]):
        data = batch(late, (4,), seed=step)
        watch(net, kfac, coop, data, step)
    names = next(n for n in stages_with(late, 2))
    right = {name: data[2][name] for name in names}
    units = [next(u for u in late.units if u.name == name) for name in names]
    (a, b), (c, d) = (kfac.factors(unit) or () for unit in units)
    cross = coop.state_dict()["means"][tuple(names)]
    for own, other, between in ((a, c, cross[0]), (b, d, cross[1])):
        joint = torch.cat([torch.cat([own, between], 1), torch.cat([between.mT, other], 1)])
        assert float(torch.linalg.eigvalsh(joint).min()) > 0
    assert all(bool(x.isfinite().all()) for x in coop.solve(right).values())


@pytest.mark.parametrize("by_stage", [True, False])
@pytest.mark.parametrize("later", ["late", "early"])
def test_parts_of_a_batch_add_up_to_the_batch(later: str, by_stage: bool) -> None:
    """In whatever order stages and parts come, with the two layers of a pair in one stage or in two."""
    net, after = residual("late"), residual(later)
    parts, whole = Cooperation("exact", KFAC(), net.units), Cooperation("exact", KFAC(), net.units)
    for step, staged in enumerate((net, after)):
        reads, h, _ = batch(net, (4,), seed=step)
        stages, cuts = list(reversed(staged.stages)), [slice(0, 2), slice(2, 6)]
        order = [(s, c) for s in stages for c in cuts] if by_stage else [(s, c) for c in cuts for s in stages]
        for coop, todo in ((parts, order), (whole, [(s, slice(0, 6)) for s in stages])):
            for k, (stage, part) in enumerate(todo):
                names = [unit.name for unit in stage.units]
                coop.observe(stage, {n: reads[n][part] for n in names}, {n: h[n][part] for n in names})
                if by_stage and coop is parts and k % 2 == 1:
                    coop.refresh(step)  # a value recursion asks for a stage's solve before the next is observed
            coop.refresh(step)
    means = parts.state_dict()["means"]
    for pair, expected in whole.state_dict()["means"].items():
        assert all(torch.allclose(x, y, rtol=1e-12) for x, y in zip(means[pair], expected, strict=True))


def test_a_step_that_is_given_up_leaves_no_trace() -> None:
    net = residual()
    data = batch(net, (4,))
    kfac = KFAC()
    coop = observed(net, kfac, data)
    names = next(stages_with(net, 2))
    right = {name: data[2][name] for name in names}
    before = coop.solve(right)
    bad = (data[0], {k: v * torch.nan for k, v in data[1].items()}, data[2])
    for stage in net.stages:
        coop.observe(
            stage, {u.name: bad[0][u.name] for u in stage.units}, {u.name: bad[1][u.name] for u in stage.units}
        )
    coop.discard()
    coop.refresh(1)
    assert all(x.equal(y) for x, y in zip(before.values(), coop.solve(right).values(), strict=True))
    for stage in net.stages:  # and what is not finite is left out if it gets so far
        coop.observe(
            stage, {u.name: bad[0][u.name] for u in stage.units}, {u.name: bad[1][u.name] for u in stage.units}
        )
    coop.refresh(2)
    assert all(bool(x.isfinite().all()) for x in coop.solve(right).values())


def test_a_saved_state_goes_on_exactly() -> None:
    net = residual()
    first, second = KFAC(), KFAC()
    coop = observed(net, first, batch(net, (4,)))
    other = Cooperation("exact", second, net.units)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(coop.state_dict())
    for step in (1, 2):
        data = batch(net, (4,), seed=step)
        watch(net, first, coop, data, step)
        watch(net, second, other, data, step)
        for names in stages_with(net, 2):
            right = {name: data[2][name] for name in names}
            assert all(x.equal(y) for x, y in zip(coop.solve(right).values(), other.solve(right).values(), strict=True))


def test_a_pair_that_cannot_be_factorised_is_named_and_stepped_alone() -> None:
    net = residual()
    data = batch(net, (4,))
    kfac = KFAC(damping=0.0)  # more columns than samples: not definite
    coop = observed(net, kfac, data)
    names = next(stages_with(net, 2))
    got = coop.solve({name: data[2][name] for name in names})
    assert tuple(names) in coop.refused
    for name in names:
        assert got[name].equal(kfac.solve(next(u for u in net.units if u.name == name), data[2][name]))


def test_the_schedule_is_that_of_the_curvature() -> None:
    units = residual().units
    assert [s for s in range(9) if Cooperation("exact", KFAC(every=3, first=2), units).wants(s)] == [0, 1, 3, 6]
    assert [s for s in range(30) if Cooperation("exact", Identity(), units).wants(s)] == [0, 1, 2, 3, 4, 10, 20]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        Cooperation("exacts", KFAC(), [])
    with pytest.raises(InvalidSettingError, match="expected KFAC"):
        Cooperation("prop5", Identity(), [])
    with pytest.raises(InvalidSettingError, match="cg_iterations=0"):
        Cooperation("exact", KFAC(), [], iterations=0)
