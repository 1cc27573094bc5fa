"""Tensor operations as lines of scalar code: what the kernels of `scalar.py` are written with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["UnsupportedOperationError", "Writer"]


class UnsupportedOperationError(Exception):
    """An operation of the graph has no scalar form here; the message names it."""


_LONGEST = 3000  # lines: above, compiling takes long and registers do not hold a row

_MOVING = frozenset(
    {"alias", "cat", "clone", "detach", "diagonal", "expand", "expand_as", "flip", "index_select", "lift_fresh_copy"}
    | {"permute", "repeat", "reshape", "roll", "select", "select_backward", "select_scatter", "slice", "slice_backward"}
    | {"slice_scatter", "split", "split_with_sizes", "squeeze", "stack", "t", "transpose", "unbind", "unsqueeze"}
    | {"view", "_unsafe_view"}
)
_CREATING = frozenset({"arange", "eye", "full", "new_full", "new_ones", "new_zeros", "ones", "scalar_tensor", "zeros"})
_LIKE = {"zeros_like": 0.0, "ones_like": 1.0}

_ELEMENTWISE = {
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "exp": "math.exp({0})",
    "log": "math.log({0})",
    "sin": "math.sin({0})",
    "cos": "math.cos({0})",
    "tan": "math.tan({0})",
    "tanh": "math.tanh({0})",
    "sqrt": "math.sqrt({0})",
    "rsqrt": "1.0 / math.sqrt({0})",
    "reciprocal": "1.0 / {0}",
    "sigmoid": "1.0 / (1.0 + math.exp(-{0}))",
    "square": "{0} * {0}",
    "abs": "abs({0})",
    "sign": "({0} if {0} != {0} else 1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else 0.0)",
    "sgn": "({0} if {0} != {0} else 1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else 0.0)",
    "relu": "(0.0 if {0} < 0.0 else {0})",
    "maximum": "({0} if {0} > {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} < {1} or {0} != {0} else {1})",
    "clamp_min": "({1} if {0} < {1} else {0})",
    "clamp_max": "({1} if {0} > {1} else {0})",
    "where": "({1} if {0} else {2})",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "logical_and": "({0} and {1})",
    "bitwise_and": "({0} and {1})",
    "logical_or": "({0} or {1})",
    "bitwise_or": "({0} or {1})",
    "logical_not": "(not {0})",
    "bitwise_not": "(not {0})",
    "tanh_backward": "{0} * (1.0 - {1} * {1})",
    "sigmoid_backward": "{0} * {1} * (1.0 - {1})",
    "threshold_backward": "(0.0 if {1} <= {2} else {0})",
}


def _places(array: str, size: int, kind: str) -> list[str]:
    """Where the numbers of a row lie in an array of all rows."""
    if kind == "columns":
        return [f"{array}_{k}[r]" for k in range(size)]
    row = "r" if kind == "rows" else "0"
    return [f"{array}[{row}]"] if size == 1 else [f"{array}[{row}, {k}]" for k in range(size)]


class Writer:
    """Lines of code, each giving a name to an expression; equal expressions share their name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: list[str] = ["0.0"]  # number -> name or constant
        self._known: dict[str, int] = {"0.0": 0}
        self._constant: dict[int, float | bool] = {0: 0.0}

    def expression(self, text: str) -> int:
        if text not in self._known:
            if len(self.lines) >= _LONGEST:
                raise UnsupportedOperationError(
                    f"a step of over {_LONGEST} operations a row is for matrices, not scalars"
                )
            self.lines.append(f"v{len(self.names)} = {text}")
            self._known[text] = len(self.names)
            self.names.append(f"v{len(self.names)}")
        return self._known[text]

    def constant(self, value: float | bool | int) -> int:
        value = bool(value) if isinstance(value, bool) else float(value)
        text = repr(value) if math.isfinite(value) else f"math.{'nan' if value != value else 'inf'}"
        text = f"({'-' if value == -math.inf else ''}{text})" if not math.isfinite(value) or value < 0 else text
        if text not in self._known:
            self._known[text] = len(self.names)
            self._constant[len(self.names)] = value
            self.names.append(text)
        return self._known[text]

    def constants(self, tensor: Tensor) -> Tensor:
        ids = [self.constant(v) for v in tensor.reshape(-1).tolist()]
        return torch.tensor(ids, dtype=torch.int64).reshape(tensor.shape)

    def load(self, array: str, shape: Sequence[int], kind: str) -> Tensor:
        ids = [self.expression(place) for place in _places(array, math.prod(shape), kind)]
        return torch.tensor(ids, dtype=torch.int64).reshape(tuple(shape))

    def store(self, array: str, ids: Tensor, kind: str) -> None:
        for place, number in zip(_places(array, ids.numel(), kind), ids.reshape(-1).tolist(), strict=True):
            self.lines.append(f"{place} = {self.names[number]}")

    def each(self, template: str, *operands: Any) -> Tensor:
        """One expression an entry, operands broadcast."""
        tensors = [
            o if isinstance(o, Tensor) else self.constants(torch.tensor(o, dtype=torch.float64)) for o in operands
        ]
        tensors = torch.broadcast_tensors(*tensors)
        rows = zip(*(t.reshape(-1).tolist() for t in tensors), strict=True)
        ids = [self.applied(template, row) for row in rows]
        return torch.tensor(ids, dtype=torch.int64).reshape(tensors[0].shape)

    def applied(self, template: str, row: Sequence[int]) -> int:
        """The expression of one entry; constants are worked out here, and factors of one left out."""
        text = template.format(*(self.names[i] for i in row))
        if all(i in self._constant for i in row):
            return self.constant(eval(text, {"math": math}))  # of the templates above and of numbers alone
        for i, k in ((0, 1), (1, 0)):
            neutral = {"{0} * {1}": 1.0, "{0} + {1}": 0.0}.get(template)
            if neutral is not None and self._constant.get(row[i]) == neutral:
                return row[k]
        return self.expression(text)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of an operation, or of several for one that returns a list."""
        if name in _MOVING:
            return getattr(torch.ops.aten, name)(*args, **kwargs)
        if name == "getitem":
            return args[0][args[1]]
        if name in _CREATING:
            shape = args[1:] if name.startswith("new_") else args
            made = getattr(torch, name.removeprefix("new_"))(*shape, dtype=torch.float64)
            return self.constants(made)
        if name in _LIKE:
            return self.constants(torch.full(args[0].shape, _LIKE[name]))
        if name in _ELEMENTWISE and not kwargs:
            return self.each(_ELEMENTWISE[name], *args)
        special = getattr(self, f"_op_{name}", None)
        if special is None:
            raise UnsupportedOperationError(f"no scalar form of {name}")
        return special(*args, **kwargs)

    def _op_add(self, a: Any, b: Any, alpha: float = 1) -> Tensor:
        return self.each("{0} + {1}", a, b if alpha == 1 else self.each("{0} * {1}", b, alpha))

    def _op_sub(self, a: Any, b: Any, alpha: float = 1) -> Tensor:
        return self.each("{0} - {1}", a, b if alpha == 1 else self.each("{0} * {1}", b, alpha))

    def _op_rsub(self, a: Any, b: Any, alpha: float = 1) -> Tensor:
        return self._op_sub(b, a, alpha)

    def _op__to_copy(self, x: Tensor, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
        if dtype not in (None, torch.float64):
            raise UnsupportedOperationError(f"no scalar form of a conversion to {dtype}")
        return x

    def _op_pow(self, base: Any, exponent: Any) -> Tensor:
        if isinstance(exponent, int | float) and exponent in (1, 2, 3):
            return self.each(" * ".join(["{0}"] * int(exponent)), base)
        return self.each("{0} ** {1}", base, exponent)

    def _op_clamp(self, x: Tensor, min: Any = None, max: Any = None) -> Tensor:
        x = x if min is None else self.each(_ELEMENTWISE["clamp_min"], x, min)
        return x if max is None else self.each(_ELEMENTWISE["clamp_max"], x, max)

    def _op_sum(self, x: Tensor, dim: Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        return self._folded(x, dim, keepdim, "{0} + {1}")

    def _op_prod(self, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return self._folded(x, None if dim is None else [dim], keepdim, "{0} * {1}")

    def _op_mean(self, x: Tensor, dim: Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        total = self._op_sum(x, dim, keepdim)
        return self.each("{0} / {1}", total, x.numel() / total.numel())

    def _folded(self, x: Tensor, dim: Sequence[int] | None, keepdim: bool, template: str) -> Tensor:
        dims = [d % x.ndim for d in dim] if dim else list(range(x.ndim))
        rest = [d for d in range(x.ndim) if d not in dims]
        moved = x.permute([*rest, *dims]).reshape(*(x.shape[d] for d in rest), -1)
        total = moved[..., 0]
        for k in range(1, moved.shape[-1]):
            total = self.each(template, total, moved[..., k])
        shape = [1 if d in dims else x.shape[d] for d in range(x.ndim)]
        return total.reshape(shape) if keepdim else total

    def _op_cumsum(self, x: Tensor, dim: int) -> Tensor:
        return self._scanned(x, dim, "{0} + {1}")

    def _op_cumprod(self, x: Tensor, dim: int) -> Tensor:
        return self._scanned(x, dim, "{0} * {1}")

    def _scanned(self, x: Tensor, dim: int, template: str) -> Tensor:
        parts = [x.select(dim, 0)]
        for k in range(1, x.shape[dim]):
            parts.append(self.each(template, parts[-1], x.select(dim, k)))
        return torch.stack(parts, dim)

    def _op_mm(self, a: Tensor, b: Tensor) -> Tensor:
        return self._op_sum(self.each("{0} * {1}", a.unsqueeze(-1), b.unsqueeze(0)), [1])

    def _op_mv(self, a: Tensor, b: Tensor) -> Tensor:
        return self._op_sum(self.each("{0} * {1}", a, b.unsqueeze(0)), [1])

    def _op_dot(self, a: Tensor, b: Tensor) -> Tensor:
        return self._op_sum(self.each("{0} * {1}", a, b))
