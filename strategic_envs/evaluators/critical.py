"""Critical cones: the directions in which first-order conditions leave a player undecided, and curvature there.

At a first-order equilibrium the gradient g points out of the player's set or vanishes. Directions along which it loses
at first order are strictly satisfied and drop out. What is left is the critical cone, here the span of `directions`
cut by half-spaces `faces @ d <= 0` (bounds that are touched with no push against them). On it the own Hessian decides,
less `bend` times the identity where the boundary itself is curved.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

__all__ = ["CriticalCone", "Verdict", "critical_cone", "judge"]

Verdict = bool | None
_MANY_FACES = 10


@dataclass(frozen=True, eq=False)
class CriticalCone:
    """A cone of directions.

    Args:
        directions: An orthonormal basis of its span `(d, m)`.
        faces: Half-spaces `faces @ d <= 0`, `(k, d)`.
        bend: What the curvature of the boundary takes off the own Hessian's eigenvalues.
    """

    directions: Tensor
    faces: Tensor
    bend: Tensor  # (d, d)


def critical_cone(strategies: StrategySet, x: Tensor, g: Tensor, tolerance: float) -> CriticalCone | None:
    """The critical cone of one player at x `(d,)` with own gradient g `(d,)`; None for sets it is not known of.

    Args:
        strategies: The player's set.
        x: Its strategy, inside.
        g: Its own-utility gradient, which satisfies the first-order condition up to the tolerance.
        tolerance: What counts as touching a bound, and as no push against it.

    Example:
        >>> corner, push = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([2.0, 0.0, 0.0])
        >>> cone = critical_cone(Box(-1, 1, dim=3), corner, push, 1e-9)  # the first coordinate is held strictly
        >>> cone.directions.shape[1], cone.faces.tolist()
        (2, [[0.0, 1.0, 0.0]])
    """
    d = strategies.dim
    unit, none, flat = torch.eye(d, dtype=x.dtype), x.new_zeros(0, d), x.new_zeros(d, d)
    if isinstance(strategies, Product):
        parts = zip(strategies.parts, strategies.split(x), strategies.split(g), strict=True)
        cones = [critical_cone(s, a, b, tolerance) for s, a, b in parts]
        known = [c for c in cones if c is not None]
        if len(known) < len(cones):
            return None
        joined = (torch.block_diag(*(getattr(c, name) for c in known)) for name in ("directions", "faces", "bend"))
        return CriticalCone(*joined)
    if strategies.periodic:
        return CriticalCone(unit, none, flat)
    if isinstance(strategies, Box):
        at_high, at_low = strategies.high.to(x) - x <= tolerance, x - strategies.low.to(x) <= tolerance
        held = (at_high & (g > tolerance)) | (at_low & (g < -tolerance)) | (at_high & at_low)
        faces = [unit[at_high & ~held], -unit[at_low & ~held]]
        return CriticalCone(unit[:, ~held], torch.cat(faces), flat)
    if isinstance(strategies, Simplex):
        used = x > tolerance
        price = g[used].max() if bool(used.any()) else g.max()
        held = ~used & (g < price - tolerance)
        return CriticalCone(
            _kernel(torch.cat([torch.ones_like(x).unsqueeze(0), unit[held]])), -unit[~used & ~held], flat
        )
    if isinstance(strategies, Ball):
        offset = x - strategies.centre_point.to(x)
        if float(offset.norm()) < strategies.radius - tolerance:
            return CriticalCone(unit, none, flat)
        outward = (offset / offset.norm()).unsqueeze(0)
        push = float(outward[0] @ g)
        if push <= tolerance:
            return CriticalCone(unit, outward, flat)
        return CriticalCone(_kernel(outward), none, push / strategies.radius * unit)
    if hasattr(strategies, "normals") and hasattr(strategies, "offsets"):
        return _on_polytope(strategies.normals.to(x), strategies.offsets.to(x), x, g, tolerance)  # pyright: ignore[reportAttributeAccessIssue]
    return None


def _on_polytope(normals: Tensor, offsets: Tensor, x: Tensor, g: Tensor, tolerance: float) -> CriticalCone:
    """Multipliers of the touched constraints say which are held strictly (those of a non-negative least squares)."""
    from scipy.optimize import nnls

    length = normals.norm(dim=-1)
    touched = (
        normals[(offsets - normals @ x) / length <= tolerance]
        / length[(offsets - normals @ x) / length <= tolerance, None]
    )
    flat = x.new_zeros(x.shape[0], x.shape[0])
    if not len(touched):
        return CriticalCone(torch.eye(len(x), dtype=x.dtype), touched, flat)
    push = torch.as_tensor(nnls(touched.mT.numpy(), g.numpy())[0]).to(x)
    held = push > tolerance
    return CriticalCone(
        _kernel(touched[held]) if bool(held.any()) else torch.eye(len(x), dtype=x.dtype), touched[~held], flat
    )


def _kernel(rows: Tensor) -> Tensor:
    """An orthonormal basis `(d, m)` of what is orthogonal to all rows."""
    _, size, basis = torch.linalg.svd(rows, full_matrices=True)
    rank = int((size > 1e-10).sum())
    return basis[rank:].mT


def judge(hessian: Tensor, cone: CriticalCone, tolerance: float) -> tuple[float, Verdict, Verdict]:
    """What the own Hessian `(d, d)` says on a cone.

    Returns:
        The largest curvature over the cone's span (`-inf` when nothing is left), whether `d' H d <= 0` for all d of the
        cone, and whether it is `< 0` for all of them but zero; None where that was not decided.

    Example:
        >>> free = critical_cone(Box(-1, 1), torch.tensor([0.0]), torch.tensor([0.0]), 1e-9)
        >>> judge(torch.tensor([[-10.0]]), free, 1e-9)
        (-10.0, True, True)
    """
    z = cone.directions
    if not z.shape[1]:
        return float("-inf"), True, True
    h = z.mT @ ((hessian + hessian.mT) / 2 - cone.bend) @ z
    small = tolerance * (1 + float(h.abs().max()))
    top = float(torch.linalg.eigvalsh(h)[-1])
    faces = cone.faces @ z
    faces = faces[faces.norm(dim=-1) > 1e-10]
    if not len(faces) or top < -small:
        return top, top <= small, top < -small
    free = _kernel(faces)
    inner = float(torch.linalg.eigvalsh(free.mT @ h @ free)[-1]) if free.shape[1] else float("-inf")
    if inner > small:
        return top, False, False
    if top <= small:
        return top, True, None if inner >= -small or not _independent(faces) else _copositive(h, faces, free, small)[1]
    if inner >= -small or not _independent(faces):
        return top, None, None
    return top, *_copositive(h, faces, free, small)


def _independent(faces: Tensor) -> bool:
    return len(faces) <= _MANY_FACES and int(torch.linalg.matrix_rank(faces)) == len(faces)


def _copositive(h: Tensor, faces: Tensor, free: Tensor, small: float) -> tuple[Verdict, Verdict]:
    """Directions are `-inverse @ s + free @ f` with s >= 0: f is maximised out, and s is searched face by face.

    A symmetric matrix is negative on the orthant exactly if no principal part has a positive eigenvector with a
    non-negative eigenvalue (Kaplan 2000).
    """
    inward = -torch.linalg.pinv(faces)
    m = inward.mT @ h @ inward
    if free.shape[1]:
        cross = free.mT @ h @ inward
        m = m - cross.mT @ torch.linalg.solve(free.mT @ h @ free, cross)
    weak = strict = True
    for size in range(1, len(m) + 1):
        for chosen in itertools.combinations(range(len(m)), size):
            values, vectors = torch.linalg.eigh(m[list(chosen)][:, list(chosen)])
            for value, vector in zip(values.tolist(), vectors.mT, strict=True):
                if bool((vector > 1e-9).all() or (vector < -1e-9).all()):
                    weak, strict = weak and value <= small, strict and value < -small
    return weak, strict
