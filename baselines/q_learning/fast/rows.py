"""Rows of sixteen numbers in a register: the best of a row and its place without a loop, and a choice without a branch.

Compilers do not turn a loop for the place of a maximum into vector instructions, so these are written in LLVM's own
language. They are exact on every machine; where registers are shorter, LLVM splits the row. Import late: numba is slow
to load.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["WIDTH", "best_of_row", "choose"]

WIDTH = 16
_I32 = ir.IntType(32)


@intrinsic  # type: ignore[misc]
def best_of_row(typingctx: Any, array: Any, start: Any) -> Any:
    """The highest of the numbers `array[start : start + 16]`, and the lowest place where it stands.

    The array is flat, aligned to 64 bytes and has no nan; `start` is a multiple of 16.
    """

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


@intrinsic  # type: ignore[misc]
def choose(typingctx: Any, condition: Any, one: Any, other: Any) -> Any:
    """One number if the condition holds, else the other of the same type: always both, never a jump."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(arguments[0], arguments[1], arguments[2])

    return one(types.boolean, one, one), generate
