"""Two cooperating players in closed form, against dense inverses of Kronecker matrices made with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.cooperation.pair import PairSolver, Side, pair_solver

Sizes = tuple[int, int, int, int]  # u_in, v_in, u_out, v_out
SIZES: Sizes = (5, 3, 4, 2)


def moments(u: np.ndarray, v: np.ndarray, damping: float = 0.1) -> Side:
    """Own moments damped, cross moments not: of samples in rows."""
    n = len(u)
    own = [x.T @ x / n + damping * np.eye(x.shape[1]) for x in (u, v)]
    return Side(*(torch.from_numpy(m) for m in (*own, u.T @ v / n)))


def correlated(seed: int, left: int, right: int, common: float = 1.0) -> Side:
    random = np.random.default_rng(seed)
    shared = random.normal(size=(40, 2))
    u, v = (random.normal(size=(40, k)) + common * shared @ random.normal(size=(2, k)) for k in (left, right))
    return moments(u, v)


def sides(seed: int = 0, sizes: Sizes = SIZES, common: float = 1.0) -> tuple[Side, Side]:
    return correlated(seed, sizes[0], sizes[1], common), correlated(seed + 1, sizes[2], sizes[3], common)


def blocks(inputs: Side, outputs: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P_uu, P_uv, P_vv as Kronecker products A (x) B, for column-stacking vectors."""
    return (
        np.kron(inputs.u.numpy(), outputs.u.numpy()),
        np.kron(inputs.uv.numpy(), outputs.uv.numpy()),
        np.kron(inputs.v.numpy(), outputs.v.numpy()),
    )


def rights(sizes: Sizes = SIZES, seed: int = 9) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    u, v = (torch.from_numpy(random.normal(size=(sizes[2 + k], sizes[k]))) for k in (0, 1))
    return u, v


def vec(x: Tensor) -> np.ndarray:
    return x.numpy().ravel(order="F")


def made(inputs: Side, outputs: Side, mode: str = "exact") -> PairSolver:
    solver = pair_solver(inputs, outputs, mode)
    assert solver is not None
    return solver


def relative(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("sizes", [SIZES, (3, 5, 2, 4), (4, 4, 4, 4), (6, 1, 1, 3)])
def test_exact_pair_is_the_inverse_of_the_joint_matrix(sizes: Sizes) -> None:
    """Equation (11): both players hold exactly the blocks of the joint inverse."""
    inputs, outputs = sides(sizes=sizes)
    uu, uv, vv = blocks(inputs, outputs)
    u, v = rights(sizes)
    expected = np.linalg.solve(np.block([[uu, uv], [uv.T, vv]]), np.concatenate([vec(u), vec(v)]))
    got = np.concatenate([vec(x) for x in made(inputs, outputs).solve(u, v)])
    assert relative(got, expected) < 1e-12


def test_exact_pair_is_the_schur_complement_of_equation_11() -> None:
    inputs, outputs = sides()
    uu, uv, vv = blocks(inputs, outputs)
    u, v = rights()
    complement = uu - uv @ np.linalg.inv(vv) @ uv.T
    expected = np.linalg.solve(complement, vec(u) - uv @ np.linalg.solve(vv, vec(v)))
    got_u, _ = made(inputs, outputs).solve(u, v)
    assert relative(vec(got_u), expected) < 1e-12
    alone, _ = made(inputs, outputs).solve(u, torch.zeros_like(v))
    assert relative(vec(alone), np.linalg.solve(complement, vec(u))) < 1e-12


def prop5_by_the_paper(inputs: Side, outputs: Side, u: Tensor, v: Tensor) -> np.ndarray:
    """Equations (14) and (15), player u."""
    a, av, auv = inputs.u.numpy(), inputs.v.numpy(), inputs.uv.numpy()
    b, bv, buv = outputs.u.numpy(), outputs.v.numpy(), outputs.uv.numpy()
    left = a - auv @ np.linalg.inv(av) @ auv.T
    right = b - buv @ np.linalg.inv(bv) @ buv.T
    own = np.linalg.inv(bv) @ v.numpy() @ np.linalg.inv(av)
    return np.linalg.inv(right) @ (u.numpy() - buv @ own @ auv.T) @ np.linalg.inv(left).T


def test_prop5_is_equations_14_and_15() -> None:
    inputs, outputs = sides()
    u, v = rights()
    got_u, got_v = made(inputs, outputs, "prop5").solve(u, v)
    assert relative(got_u.numpy(), prop5_by_the_paper(inputs, outputs, u, v)) < 1e-12
    turned = [Side(s.v, s.u, s.uv.mT) for s in (inputs, outputs)]
    assert relative(got_v.numpy(), prop5_by_the_paper(turned[0], turned[1], v, u)) < 1e-12


def schur_error(inputs: Side, outputs: Side) -> float:
    """How far the factorised complement of Proposition 5 is from the true one, in the Frobenius norm."""
    uu, uv, vv = blocks(inputs, outputs)
    true = uu - uv @ np.linalg.inv(vv) @ uv.T
    halves = [s.u.numpy() - s.uv.numpy() @ np.linalg.inv(s.v.numpy()) @ s.uv.numpy().T for s in (inputs, outputs)]
    return relative(np.kron(*halves), true)


def test_prop5_is_right_only_for_uncorrelated_players() -> None:
    inputs, outputs = sides()
    none_in, none_out = (Side(s.u, s.v, torch.zeros_like(s.uv)) for s in (inputs, outputs))
    assert schur_error(none_in, none_out) < 1e-14
    assert schur_error(inputs, outputs) > 0.1
    assert schur_error(none_in, outputs) > 0.01  # one side is not enough
    assert schur_error(inputs, none_out) > 0.01
    u, v = rights()
    for one, other in zip(
        made(none_in, none_out).solve(u, v), made(none_in, none_out, "prop5").solve(u, v), strict=True
    ):
        assert bool(one.equal(other))


@pytest.mark.parametrize("which", ["shared input", "sum of outputs"])
def test_prop5_degenerates_where_players_share_a_side(which: str) -> None:
    """With a side in common its complement is of the size of the damping: the error is one, the step is damping's."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 4))
    inputs, outputs = sides(sizes=(4, 4, 4, 4))
    shared = moments(x, x, damping=1e-9)
    pair = (shared, outputs) if which == "shared input" else (inputs, shared)
    assert abs(schur_error(*pair) - 1) < 1e-6
    u, v = rights((4, 4, 4, 4))
    exact, _ = made(*pair).solve(u, v)
    factorised, _ = made(*pair, "prop5").solve(u, v)
    assert factorised.norm() > 1e3 * exact.norm()


def test_sum_of_outputs_is_the_concatenated_layer() -> None:
    """W_u z_u + W_v z_v is one layer [W_u W_v] that reads [z_u, z_v]: the pair is KFAC on it."""
    random = np.random.default_rng(1)
    z_u, z_v = random.normal(size=(50, 5)), random.normal(size=(50, 3))
    g = random.normal(size=(50, 4))
    damping = 1e-3
    inputs = moments(z_u, z_v, damping)
    own = torch.from_numpy(g.T @ g / 50 + damping * np.eye(4))
    z = np.concatenate([z_u, z_v], axis=1)
    a = z.T @ z / 50 + damping * np.eye(8)
    u, v = rights((5, 3, 4, 4))
    expected = np.linalg.inv(own.numpy()) @ np.concatenate([u.numpy(), v.numpy()], axis=1) @ np.linalg.inv(a)
    got = made(inputs, Side(own, own, own)).solve(u, v)
    assert relative(torch.cat(got, dim=1).numpy(), expected) < 1e-11


def test_amplification_is_larger_in_prop5_in_every_direction() -> None:
    exact, prop5 = (made(*sides(common=3.0), mode) for mode in ("exact", "prop5"))
    for ours, theirs in zip(exact.scales, prop5.scales, strict=True):
        assert bool((theirs >= ours).all())
        assert float((theirs / ours).max()) > 1.5


def test_solve_is_linear() -> None:
    solver = made(*sides())
    (u, v), (s, t) = rights(), rights(seed=10)
    both = solver.solve(2 * u + s, 2 * v + t)
    apart = [2 * x + y for x, y in zip(solver.solve(u, v), solver.solve(s, t), strict=True)]
    for x, y in zip(both, apart, strict=True):
        assert torch.allclose(x, y, atol=1e-12)


def test_players_that_say_the_same_are_bounded_by_the_clamp() -> None:
    """Cross moments beyond what is possible (moments of other samples) are cut to full correlation."""
    eye = torch.eye(2, dtype=torch.float64)
    solver = made(Side(eye, eye, 3 * eye), Side(eye, eye, 3 * eye))
    assert float(solver.scales[0].max()) == pytest.approx(1e6)
    assert float(solver.coupling.max()) == 1


def test_factors_that_cannot_be_factorised_give_none() -> None:
    eye, zero = torch.eye(2), torch.zeros(2, 2)
    good = Side(eye, eye, zero)
    assert pair_solver(good, good) is not None
    for bad in (Side(-eye, eye, zero), Side(eye, eye, eye * torch.nan), Side(eye * torch.inf, eye, zero)):
        assert pair_solver(bad, good) is None
        assert pair_solver(good, bad) is None


@pytest.mark.gpu
def test_pair_on_a_gpu() -> None:
    (inputs, outputs), (u, v) = sides(), rights()
    moved = [Side(s.u.cuda(), s.v.cuda(), s.uv.cuda()) for s in (inputs, outputs)]
    here, there = made(inputs, outputs).solve(u, v), made(moved[0], moved[1]).solve(u.cuda(), v.cuda())
    for x, y in zip(here, there, strict=True):
        assert torch.allclose(x, y.cpu(), atol=1e-10)
