"""The routines of BLAS and LAPACK that the solvers use, by their own names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy.linalg import blas, lapack

__all__ = ["dgesv", "dgetrf", "dgetrs", "dpotrf", "dpotrs", "dsyrk"]

Routine = Callable[..., Any]  # scipy makes them when it is imported, so a type checker does not know them

dgesv: Routine = lapack.dgesv  # pyright: ignore[reportAttributeAccessIssue]
dgetrf: Routine = lapack.dgetrf  # pyright: ignore[reportAttributeAccessIssue]
dgetrs: Routine = lapack.dgetrs  # pyright: ignore[reportAttributeAccessIssue]
dpotrf: Routine = lapack.dpotrf  # pyright: ignore[reportAttributeAccessIssue]
dpotrs: Routine = lapack.dpotrs  # pyright: ignore[reportAttributeAccessIssue]
dsyrk: Routine = blas.dsyrk  # pyright: ignore[reportAttributeAccessIssue]
