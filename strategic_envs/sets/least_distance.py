"""Nearest points and extreme points of `{y : A y <= b}` for one A and many x and b at once.

The nearest point of x has the form `y = x - A_S^T lambda`, where the inequalities in a set S hold with equality. With
few inequalities all S with independent normals are tried at once: with `r = A x - b`, `lambda = (A_S A_S^T)^{-1} r_S`
is linear in r, and the one S with `lambda >= 0` and `A y <= b` is right (the conditions of Karush, Kuhn and Tucker).
With many inequalities each point is a non-negative least-squares problem (Lawson and Hanson 1974, chapter 23).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog, nnls
from torch import Tensor

__all__ = ["Inequalities"]

_SETS = 1024  # sets S that are tried at once; above, every point is a problem of its own
_NUMBERS = 2**22  # held at once while sets are tried


class Inequalities:
    """The normals A of `A y <= b`, scaled to length 1, and what can be prepared before x and b are known.

    Args:
        normals: A, float64 `(m, d)`, no row of which is zero.

    Example:
        >>> square = Inequalities(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]).double())
        >>> square.nearest(torch.tensor([3.0, 0.5]), torch.ones(4)).tolist()
        [1.0, 0.5]
    """

    def __init__(self, normals: Float[Tensor, "m d"]) -> None:
        self.normals = normals
        m, d = normals.shape
        self.few = sum(math.comb(m, s) for s in range(min(m, d) + 1)) <= _SETS
        self._multipliers = self._tried() if self.few else normals.new_zeros(0, m, m)  # (K, m, m): r to lambda
        self._corners = self._bases() if self.few else normals.new_zeros(0, d, m)  # (K', d, m): b to a corner

    def _independent(self, size: int) -> tuple[Tensor, Tensor]:
        """The sets of so many independent normals, `(k, size)`, and their inverse Gram matrices."""
        m = len(self.normals)
        sets = torch.tensor(list(itertools.combinations(range(m), size)), dtype=torch.int64).reshape(-1, size)
        gram = self.normals[sets] @ self.normals[sets].mT
        independent = torch.linalg.eigvalsh(gram)[:, 0] > 1e-10 if size else torch.ones(1, dtype=torch.bool)
        return sets[independent], torch.linalg.inv(gram[independent])

    def _tried(self) -> Tensor:
        m, d = self.normals.shape
        found = [torch.zeros(1, m, m, dtype=torch.float64)]
        for size in range(1, min(m, d) + 1):
            sets, inverse = self._independent(size)
            full = torch.zeros(len(sets), m, m, dtype=torch.float64)
            full[torch.arange(len(sets)).reshape(-1, 1, 1), sets.unsqueeze(-1), sets.unsqueeze(-2)] = inverse
            found.append(full)
        return torch.cat(found)

    def _bases(self) -> Tensor:
        m, d = self.normals.shape
        if m < d:
            return torch.zeros(0, d, m, dtype=torch.float64)
        sets, _ = self._independent(d)
        full = torch.zeros(len(sets), d, m, dtype=torch.float64)
        inverse = torch.linalg.inv(self.normals[sets])  # (k, d, d)
        return full.scatter_(-1, sets.unsqueeze(1).expand(-1, d, -1), inverse)

    def nearest(self, x: Float[Tensor, "*batch d"], b: Float[Tensor, "*#batch m"]) -> Float[Tensor, "*batch d"]:
        """The nearest point of `{y : A y <= b}`, where b may differ from row to row; x itself where it lies inside.

        Where no y meets all inequalities the result breaks some of them: test it.
        """
        a, d = self.normals.to(x), x.shape[-1]
        rows = x.reshape(-1, d)
        bounds = b.to(x).expand(*x.shape[:-1], len(a)).reshape(-1, len(a))
        outside = ((rows @ a.T - bounds).amax(-1) > 0).nonzero().squeeze(-1)
        if not len(outside):
            return x
        pairs = (rows[outside], bounds[outside])
        moved = self._try_all(*pairs) if self.few else self._one_by_one(*pairs)
        return rows.index_copy(0, outside, moved).reshape(x.shape)

    def _try_all(self, x: Tensor, b: Tensor) -> Tensor:
        a, maps = self.normals.to(x), self._multipliers.to(x)
        k, m, _ = maps.shape
        if len(x) * k * m > _NUMBERS and len(x) > 1:
            size = max(1, _NUMBERS // (k * m))
            parts = zip(x.split(size), b.split(size), strict=True)
            return torch.cat([self._try_all(*part) for part in parts])
        r = x @ a.T - b
        multipliers = torch.einsum("kij,bj->bki", maps, r)
        left = r.unsqueeze(1) - multipliers @ (a @ a.T)
        violation = torch.maximum(left.amax(-1), (-multipliers).amax(-1))  # (rows, K)
        right = violation.argmin(-1)
        return x - multipliers[torch.arange(len(x), device=x.device), right] @ a

    def _one_by_one(self, x: Tensor, b: Tensor) -> Tensor:
        a = self.normals.numpy()
        points, bounds = x.detach().cpu().double().numpy(), b.detach().cpu().double().numpy()
        nearest = [_least_distance(a, row, bound) for row, bound in zip(points, bounds, strict=True)]
        return torch.from_numpy(np.stack(nearest)).to(x)

    def furthest(
        self, g: Float[Tensor, "*batch d"], b: Float[Tensor, "*#batch m"], slack: float
    ) -> Float[Tensor, "*batch d"]:
        """A point of `{y : A y <= b}` that maximises `<g, y>`, a corner; NaN where no corner is within `slack`."""
        a, d = self.normals.to(g), g.shape[-1]
        rows = g.reshape(-1, d)
        bounds = b.to(g).expand(*g.shape[:-1], len(a)).reshape(-1, len(a))
        if not self.few:
            found = [_linear(a.cpu().double(), row, bound) for row, bound in zip(rows, bounds, strict=True)]
            return torch.stack(found).to(g).reshape(g.shape)
        corners = torch.einsum("kdm,bm->bkd", self._corners.to(g), bounds)
        feasible = (corners @ a.T - bounds.unsqueeze(1)).amax(-1) <= slack
        value = torch.where(feasible, (corners @ rows.unsqueeze(-1)).squeeze(-1), -torch.inf)
        best = corners[torch.arange(len(rows), device=g.device), value.argmax(-1)]
        return torch.where(feasible.any(-1, keepdim=True), best, torch.nan).reshape(g.shape)


def _least_distance(a: np.ndarray, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The nearest point of x, by least-distance programming and a last exact solve on the inequalities that hold."""
    r = b - a @ x  # the move z is the shortest with -a z >= -r
    problem = np.vstack([-a.T, -r])
    target = np.zeros(len(x) + 1)
    target[-1] = 1.0
    multipliers, _ = nnls(problem, target, maxiter=30 * len(a))
    active = multipliers > 0
    if not active.any():
        return x
    held = a[active]
    return x + np.linalg.lstsq(held, r[active], rcond=None)[0]


def _linear(a: Tensor, g: Tensor, b: Tensor) -> Tensor:
    found = linprog(
        -g.detach().cpu().double().numpy(), A_ub=a.numpy(), b_ub=b.cpu().double().numpy(), bounds=(None, None)
    )
    return torch.full((a.shape[1],), torch.nan) if found.x is None else torch.from_numpy(np.asarray(found.x))
