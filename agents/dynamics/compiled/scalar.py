"""Traced steps as scalar code that numba compiles: one loop over the rows, every number of a row in a register.

A traced step of one row is a graph of tensor operations on small tensors. Here each tensor of the graph is a tensor of
*numbers of expressions*: operations that only move entries are done by torch on these integers, element-wise ones write
a line of code for each entry. Number 0 stands for the constant zero, so that padding with zeros is moving too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from strategic_envs.agents.dynamics.compiled.expressions import Writer

__all__ = ["row_kernel", "row_source"]


Advance = Callable[[Sequence[Tensor], int], tuple[Sequence[Tensor], Sequence[Tensor]]]

_CHUNK = 512  # rows that take all their steps before the next ones do: they stay in the fastest memory
_FAST = {"reassoc", "contract", "arcp", "nsz"}  # rounding may differ; NaN and infinity stay what they are


def row_kernel(graph: GraphModule, kinds: Sequence[str]) -> tuple[Advance, bool]:
    """A kernel over all rows from the graph of one row, and whether it is arithmetic alone, without exponentials etc.

    Args:
        graph: A traced function of float64 and int64 tensors without batch dimensions, whose results have their shapes.
        kinds: For each tensor how rows are laid out in what the kernel gets and gives: `"rows"`, `(N, ...)`;
            `"columns"`, `(d, N)`; or `"shared"`, without rows, the same for all of them.

    Returns:
        A function from tensors and a number of steps to the tensors before the last step and after it; and the flag.

    Raises:
        UnsupportedOperationError: If the graph holds an operation that has no scalar form here.

    Example:
        >>> from torch.fx.experimental.proxy_tensor import make_fx
        >>> one = torch.zeros(2, dtype=torch.float64)
        >>> double, plain = row_kernel(make_fx(lambda t: (t + t,))(one), ["columns"])
        >>> double([torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)], 2)[1][0][1].tolist()
        [16.0, 20.0, 24.0]
    """
    import numba

    source = row_source(graph, kinds)
    namespace: dict[str, Any] = {"math": math}
    exec(source, namespace)  # made of the lines of this folder and of numbers alone
    compiled = numba.njit(error_model="numpy", fastmath=_FAST)(namespace["kernel"])
    joint = "shared" in kinds

    def advance(tensors: Sequence[Tensor], count: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        while joint and count > 1:
            tensors, count = advance(tensors, 1)[1], count - 1
        last = tuple(t.clone(memory_format=torch.contiguous_format) for t in tensors)
        sizes = {"columns": lambda t: t.shape[1], "rows": lambda t: t.shape[0], "shared": lambda t: 1}
        rows = max(sizes[kind](t) for t, kind in zip(last, kinds, strict=True))
        compiled(rows, count - 1, *_arrays(last, last, kinds))
        new = tuple(t.clone() for t in last)
        compiled(rows, 1, *_arrays(last, new, kinds))
        return last, new

    return advance, re.search(r"math\.[a-z]+\(", source) is None


def _arrays(old: Sequence[Tensor], new: Sequence[Tensor], kinds: Sequence[str]) -> list[Any]:
    """The arguments of a kernel: shared tensors are read from old ones, everything else happens in the new ones."""

    def matrix(t: Tensor, kind: str) -> Any:
        rows = 1 if kind == "shared" else len(t)
        flat = t.reshape(rows) if t.numel() == rows else t.reshape(rows, -1)  # one dimension less, where that is enough
        return (t if kind == "columns" else flat).numpy()

    read = [matrix(o if kind == "shared" else n, kind) for o, n, kind in zip(old, new, kinds, strict=True)]
    return read + [matrix(n, kind) for n, kind in zip(new, kinds, strict=True) if kind == "shared"]


def row_source(graph: GraphModule, kinds: Sequence[str]) -> str:
    """The Python source of the kernel: a function of the rows, the steps and the arrays, that works in place.

    A shared tensor i is written to an array `o{i}` of its own, because the rows that follow still read the old one.
    """
    writer = Writer()
    values: dict[Node, Any] = {}
    inputs = 0
    results: Sequence[Tensor] = ()
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            values[node] = writer.load(f"a{inputs}", node.meta["val"].shape, kinds[inputs])
            inputs += 1
        elif node.op == "get_attr":
            values[node] = writer.constants(getattr(graph, node.target))
        elif node.op == "call_function":
            values[node] = writer.call(_name(node), *_looked_up((node.args, node.kwargs), values))
        else:
            results = _looked_up(node.args, values)[0]
    for j, (ids, kind) in enumerate(zip(results, kinds, strict=True)):
        writer.store(f"o{j}" if kind == "shared" else f"a{j}", ids, kind)
    names = [f"a{i}" if kind == "shared" else f"A{i}" for i, kind in enumerate(kinds)]
    names += [f"o{j}" for j, kind in enumerate(kinds) if kind == "shared"]
    slices = []  # of one dimension, wherever that is possible: loops over such arrays become vector instructions
    for i, (ids, kind) in enumerate(zip(results, kinds, strict=True)):
        if kind == "columns":
            slices += [f"a{i}_{k} = A{i}[{k}, begin : begin + {_CHUNK}]" for k in range(ids.numel())]
        elif kind == "rows":
            slices.append(f"a{i} = A{i}[begin : begin + {_CHUNK}]")
    head = [
        f"def kernel(n, steps, {', '.join(names)}):",
        f"    for begin in range(0, n, {_CHUNK}):",
        *(f"        {line}" for line in slices),
        "        for _ in range(steps):",
        f"            for r in range(min(n - begin, {_CHUNK})):",
    ]
    return "\n".join(head + [" " * 16 + line for line in writer.lines]) + "\n"


def _name(node: Node) -> str:
    target = str(node.target)
    return target.split(".")[1] if target.startswith(("aten.", "prims.")) else getattr(node.target, "__name__", target)


def _looked_up(args: Any, values: dict[Node, Any]) -> Any:
    if isinstance(args, Node):
        return values[args]
    if isinstance(args, list | tuple):
        return type(args)(_looked_up(a, values) for a in args)
    if isinstance(args, dict):
        return {k: _looked_up(v, values) for k, v in args.items()}
    return args
