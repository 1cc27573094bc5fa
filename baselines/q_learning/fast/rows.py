"""Rows of sixteen numbers in a register: the best of a row and its place without a loop, and a choice without a branch.

Compilers do not turn a loop for the place of a maximum into vector instructions, so these are written in LLVM's own
language. They are exact on every machine; where registers are shorter, LLVM splits the row. Import late: numba is slow
to load.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["WIDTH", "best_of_row", "choose", "loop", "part"]

WIDTH = 16
_I32 = ir.IntType(32)


def part(function: Callable[..., Any]) -> Any:
    """Compiles a piece of a loop, which becomes a part of whatever calls it."""
    return numba.njit(inspect.unwrap(function), forceinline=True)


def loop(function: Callable[..., Any]) -> Any:
    """Compiles a loop that compiled functions call."""
    return numba.njit(inspect.unwrap(function), error_model="numpy")


def _best_of_row(typingctx: Any, array: Any, start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        number = context.get_value_type(array.dtype)
        row = ir.VectorType(number, WIDTH)
        numbers = builder.load(builder.bitcast(builder.gep(data, [arguments[1]]), row.as_pointer()), align=64)
        name = f"llvm.vector.reduce.fmax.v{WIDTH}f{array.dtype.bitwidth}"
        reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(number, [row]), name)
        top = builder.call(reduce, [numbers], fastmath=("nnan",))  # no nan: a plain maximum, whose value is the same
        first = builder.insert_element(ir.Constant(row, ir.Undefined), top, _I32(0))
        everywhere = ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH)
        tops = builder.shuffle_vector(first, ir.Constant(row, ir.Undefined), everywhere)
        equal = builder.bitcast(builder.fcmp_ordered("==", numbers, tops), ir.IntType(WIDTH))
        place = builder.cttz(builder.zext(equal, ir.IntType(64)), ir.IntType(1)(1))
        return context.make_tuple(builder, signature.return_type, [top, place])

    return types.Tuple((array.dtype, types.uint64))(array, start), generate


best_of_row: Any = intrinsic(inspect.unwrap(_best_of_row))
"""The highest of the numbers `array[start : start + 16]`, and the lowest place where it stands.

The array is flat, aligned to 64 bytes and has no nan; `start` is a multiple of 16.
"""


def _choose(typingctx: Any, condition: Any, one: Any, other: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(arguments[0], arguments[1], arguments[2])

    return one(types.boolean, one, one), generate


choose: Any = intrinsic(inspect.unwrap(_choose))
"""`choose(condition, one, other)`: one number if the condition holds, else the other of its type, without a jump."""
