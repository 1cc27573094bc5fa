"""Two players who cooperate, in closed form: the inverse of their joint curvature, with Kronecker blocks.

Their joint system is `B_uu X_u A_uu + B_uv X_v A_uv' = R_u` and its mirror image, where `A` are second moments of what
the two layers read and `B` of the gradients of what they write. Whiten each side by Cholesky and take singular values:
`s` of the inputs' cross moments, `t` of the outputs', the canonical correlations of the two players. In these bases the
system falls apart into two equations for two numbers,

    y_u + c y_v = r_u,   c y_u + y_v = r_v,   c = t_i s_j,

so one solve costs as much as two of KFAC's. Eliminating `y_v` gives the Schur complement of equation (11) of Liu, Chen
and Theodorou (ICML 2021), whose factor is `1 / (1 - t_i^2 s_j^2)`. Their Proposition 5, equations (14) and (15), takes
`1 / ((1 - t_i^2)(1 - s_j^2))` in its place: always more, and as good as dividing by the damping alone where the players
read the same input (s = 1) or write into one sum (t = 1). Both are here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PairSolver", "Side", "pair_solver"]

_LEAST = 1e-6  # of 1 - c^2, and of each factor of Proposition 5


@dataclass(frozen=True, eq=False)
class Side:
    """A Kronecker factor of two players: of their inputs (A) or of the gradients of their outputs (B).

    Args:
        u: The first player's own second moments, damped, positive definite.
        v: The second player's.
        uv: The moments between them, never damped.
    """

    u: Float[Tensor, "u u"]
    v: Float[Tensor, "v v"]
    uv: Float[Tensor, "u v"]


@dataclass(frozen=True, eq=False)
class PairSolver:
    """The factorised joint curvature of two players; `pair_solver` makes it."""

    input_bases: tuple[Float[Tensor, "u_in u_in"], Float[Tensor, "v_in v_in"]]
    output_bases: tuple[Float[Tensor, "u_out u_out"], Float[Tensor, "v_out v_out"]]
    coupling: Float[Tensor, "out in"]
    scales: tuple[Float[Tensor, "u_out u_in"], Float[Tensor, "v_out v_in"]]

    def solve(
        self, u: Float[Tensor, "u_out u_in"], v: Float[Tensor, "v_out v_in"]
    ) -> tuple[Float[Tensor, "u_out u_in"], Float[Tensor, "v_out v_in"]]:
        """Both players' cooperative steps for the right-hand sides `u` and `v`, in matrix form; linear in them.

        Example:
            >>> eye = torch.eye(1, dtype=torch.float64)
            >>> solver = pair_solver(Side(eye, eye, 0.5 * eye), Side(eye, eye, eye))  # [[1, 0.5], [0.5, 1]]
            >>> solver.solve(eye, eye)
            (tensor([[0.6667]], dtype=torch.float64), tensor([[0.6667]], dtype=torch.float64))
        """
        bases = list(zip(self.output_bases, self.input_bases, strict=True))
        mine, theirs = (out.mT @ r @ inn for r, (out, inn) in zip((u, v), bases, strict=True))
        rows, columns = self.coupling.shape
        steps = []
        for own, other, scale, (out, inn) in zip((mine, theirs), (theirs, mine), self.scales, bases, strict=True):
            y = own.clone()
            y[:rows, :columns] -= self.coupling * other[:rows, :columns]
            steps.append(out @ (y * scale) @ inn.mT)
        return steps[0], steps[1]


def pair_solver(inputs: Side, outputs: Side, mode: str = "exact") -> PairSolver | None:
    """Factorises the joint curvature of two players.

    Args:
        inputs: Second moments of what the layers read (A).
        outputs: Second moments of the gradients of what they write (B).
        mode: `exact`, the Schur complement of the Kronecker blocks, or `prop5`, the paper's factorised one.

    Returns:
        A solver; None if a factor is not finite or not positive definite, and nothing can be solved.

    Example:
        >>> eye = torch.eye(2)
        >>> pair_solver(Side(eye, eye, 0 * eye), Side(eye, -eye, 0 * eye)) is None
        True
    """
    into, out = _canonical(inputs), _canonical(outputs)
    if into is None or out is None:
        return None
    (input_bases, s), (output_bases, t) = into, out
    scales = []
    for rows, columns in zip((outputs.u, outputs.v), (inputs.u, inputs.v), strict=True):
        beta, alpha = _padded(t.square(), len(rows)), _padded(s.square(), len(columns))
        if mode == "prop5":
            divisor = (1 - beta).clamp(min=_LEAST)[:, None] * (1 - alpha).clamp(min=_LEAST)
        else:
            divisor = (1 - beta[:, None] * alpha).clamp(min=_LEAST)
        scales.append(divisor.reciprocal())
    return PairSolver(input_bases, output_bases, t[:, None] * s, (scales[0], scales[1]))


def _canonical(side: Side) -> tuple[tuple[Tensor, Tensor], Tensor] | None:
    """Bases that make both own moments the identity and those between them diagonal, and that diagonal, in [0, 1]."""
    u, bad_u = torch.linalg.cholesky_ex(side.u)
    v, bad_v = torch.linalg.cholesky_ex(side.v)
    half = torch.linalg.solve_triangular(u, side.uv, upper=False)
    whitened = torch.linalg.solve_triangular(v, half.mT, upper=False).mT
    if bool((bad_u + bad_v) != 0) or not bool(whitened.isfinite().all()):
        return None
    left, values, right = torch.linalg.svd(whitened)
    bases = (_unwhiten(u, left), _unwhiten(v, right.mT))
    return bases, values.clamp(max=1.0)  # moments of other samples than the own ones can be out of bounds


def _unwhiten(factor: Tensor, basis: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(factor.mT, basis, upper=True)


def _padded(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values))])
