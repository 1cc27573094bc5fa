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

__all__ = ["WIDTH", "best_of_row", "best_two_with", "choose", "loop", "part"]

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
        row = _Row(context, builder, array, signature.args[0], arguments[0], arguments[1])
        top = row.highest(row.numbers)
        return context.make_tuple(builder, signature.return_type, [top, row.place(row.numbers, top)])

    return types.Tuple((array.dtype, types.uint64))(array, start), generate


best_of_row: Any = intrinsic(inspect.unwrap(_best_of_row))
"""The highest of the numbers `array[start : start + 16]`, and the lowest place where it stands.

The array is flat, aligned to 64 bytes and has no nan; `start` is a multiple of 16.
"""


def _best_two_with(typingctx: Any, array: Any, start: Any, place: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = _Row(context, builder, array, signature.args[0], arguments[0], arguments[1])
        numbers = row.changed(row.numbers, arguments[2], arguments[3])
        top = row.highest(numbers)
        choice = row.place(numbers, top)
        least = ir.Constant(row.number, float("-inf"))
        second = row.highest(row.changed(numbers, choice, least))
        return context.make_tuple(builder, signature.return_type, [top, choice, second])

    return types.Tuple((array.dtype, types.uint64, array.dtype))(array, start, types.uint64, array.dtype), generate


best_two_with: Any = intrinsic(inspect.unwrap(_best_two_with))
"""`best_two_with(array, start, place, value)`: the same for the row with this value at a place, and the next best.

The array stays as it is: a row that was just written to could not be read at once.
"""


class _Row:
    """Sixteen numbers of an array, and what can be done with them in registers."""

    def __init__(self, context: Any, builder: Any, array: Any, kind: Any, value: Any, start: Any) -> None:
        self.builder = builder
        self.number = context.get_value_type(array.dtype)
        self.row = ir.VectorType(self.number, WIDTH)
        self.bits = array.dtype.bitwidth
        data = context.make_array(kind)(context, builder, value).data
        self.numbers = builder.load(builder.bitcast(builder.gep(data, [start]), self.row.as_pointer()), align=64)

    def everywhere(self, value: Any) -> Any:
        """One number in all places."""
        row = ir.VectorType(value.type, WIDTH)
        first = self.builder.insert_element(ir.Constant(row, ir.Undefined), value, _I32(0))
        places = ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH)
        return self.builder.shuffle_vector(first, ir.Constant(row, ir.Undefined), places)

    def highest(self, numbers: Any) -> Any:
        """The highest number; there is no nan, so this is a plain maximum."""
        kind = ir.FunctionType(self.number, [self.row])
        name = f"llvm.vector.reduce.fmax.v{WIDTH}f{self.bits}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), [numbers], fastmath=("nnan",)
        )

    def place(self, numbers: Any, top: Any) -> Any:
        """The lowest place of a number."""
        equal = self.builder.fcmp_ordered("==", numbers, self.everywhere(top))
        places = self.builder.zext(self.builder.bitcast(equal, ir.IntType(WIDTH)), ir.IntType(64))
        return self.builder.cttz(places, ir.IntType(1)(1))

    def changed(self, numbers: Any, place: Any, value: Any) -> Any:
        """The numbers with another one in a place."""
        counted = ir.Constant(ir.VectorType(_I32, WIDTH), list(range(WIDTH)))
        here = self.builder.icmp_unsigned("==", counted, self.everywhere(self.builder.trunc(place, _I32)))
        return self.builder.select(here, self.everywhere(value), numbers)


def _choose(typingctx: Any, condition: Any, one: Any, other: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(arguments[0], arguments[1], arguments[2])

    return one(types.boolean, one, one), generate


choose: Any = intrinsic(inspect.unwrap(_choose))
"""`choose(condition, one, other)`: one number if the condition holds, else the other of its type, without a jump."""
