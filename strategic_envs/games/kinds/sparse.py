"""Values of a stationary policy when there are too many states for a dense matrix.

With row-stochastic P the equation is `(I - d P) v = r`: a residual of size e leaves an error of `e / (1 - d)` at most.
Restarted GMRES (Saad and Schultz 1986) on the sparse matrix is repeated on what is left until rounding stops it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import gmres, spsolve
from torch import Tensor

__all__ = ["solve_sparse"]

_REFINEMENTS = 50
_TOLERANCE = 1e-14  # of the residual, relative to the values


def solve_sparse(
    flow: Float[Tensor, "S K"], next_state: Int[Tensor, "S K"], discount: float, payoff: Float[Tensor, "S m"]
) -> Float[Tensor, "S m"]:
    """Solves `(I - d P) v = r` for P given by its entries.

    Args:
        flow: Probabilities of the next states in each state; rows sum to one.
        next_state: The next states; entries of one row may repeat.
        discount: d, in [0, 1).
        payoff: r, one column a right-hand side.

    Returns:
        v, float64, as exact as rounding allows.

    Example:
        >>> one = torch.ones(2, 1, dtype=torch.float64)
        >>> value = solve_sparse(one, torch.tensor([[1], [1]]), 0.5, torch.tensor([[0.0], [1.0]]).double())
        >>> value.round(decimals=9).tolist()
        [[1.0], [2.0]]
    """
    rows, columns = flow.nonzero(as_tuple=True)
    entries = flow[rows, columns].numpy()
    size = len(flow)
    coordinates = rows.numpy(), next_state[rows, columns].numpy()
    transition = csr_array((entries, coordinates), shape=(size, size))  # repeated entries are added up
    matrix = csr_array(eye_array(size, format="csr") - discount * transition)
    return torch.from_numpy(np.stack([_solve_one(matrix, column) for column in payoff.numpy().T], axis=-1))


def _solve_one(matrix: csr_array, right: np.ndarray) -> np.ndarray:
    value, residual = np.zeros_like(right), right
    for _ in range(_REFINEMENTS):
        if np.abs(residual).max() <= _TOLERANCE * (1 + np.abs(value).max()):
            return value
        value = value + gmres(matrix, residual, rtol=1e-10, atol=0.0, restart=30, maxiter=20)[0]
        residual = right - matrix @ value
    return np.asarray(spsolve(matrix.tocsc(), right))  # slow and sure
