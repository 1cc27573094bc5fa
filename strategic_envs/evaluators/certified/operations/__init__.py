"""What certificates know of torch: one function an operation, from enclosures to an enclosure, by kind of operation."""

from __future__ import annotations

from strategic_envs.evaluators.certified.operations import arithmetic, functions, jumps, moves, reductions
from strategic_envs.evaluators.certified.operations.table import MOVES, OPERATIONS, Call, UnsupportedOperation

__all__ = [
    "MOVES",
    "OPERATIONS",
    "Call",
    "UnsupportedOperation",
    "arithmetic",
    "functions",
    "jumps",
    "moves",
    "reductions",
]
