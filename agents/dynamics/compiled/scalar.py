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


def row_kernel(graph: GraphModule, kinds: Sequence[str]) -> tuple[Callable[..., tuple[Tensor, ...]], bool]:
    """A kernel over all rows from the graph of one row, and whether it is arithmetic alone, without exponentials etc.

    Args:
        graph: A traced function of float64 and int64 tensors without batch dimensions, whose results have their shapes.
        kinds: For each tensor how rows are laid out in what the kernel gets and gives: `"rows"`, `(N, ...)`;
            `"columns"`, `(d, N)`; or `"shared"`, without rows, the same for all of them.

    Raises:
        UnsupportedOperationError: If the graph holds an operation that has no scalar form here.

    Example:
        >>> from torch.fx.experimental.proxy_tensor import make_fx
        >>> one = torch.zeros(2, dtype=torch.float64)
        >>> double, plain = row_kernel(make_fx(lambda t: (t + t,))(one), ["columns"])
        >>> double(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64))[0][1].tolist()
        [8.0, 10.0, 12.0]
    """
    import numba

    source = row_source(graph, kinds)
    namespace: dict[str, Any] = {"math": math}
    exec(source, namespace)  # made of the lines of this file and of numbers alone
    compiled = numba.njit(error_model="numpy")(namespace["kernel"])

    def kernel(*tensors: Tensor) -> tuple[Tensor, ...]:
        tensors = tuple(t.contiguous() for t in tensors)
        outputs = tuple(torch.empty_like(t) for t in tensors)
        rows = {"columns": lambda t: t.shape[1], "rows": lambda t: t.shape[0], "shared": lambda t: 1}[kinds[0]](
            tensors[0]
        )
        both = zip((*tensors, *outputs), (*kinds, *kinds), strict=True)
        compiled(rows, *(_matrix(t, kind).numpy() for t, kind in both))
        return outputs

    return kernel, re.search(r"math\.[a-z]+\(", source) is None


def _matrix(t: Tensor, kind: str) -> Tensor:
    if kind == "columns":
        return t
    return t.reshape(1, -1) if kind == "shared" else t.reshape(len(t), -1)


def row_source(graph: GraphModule, kinds: Sequence[str]) -> str:
    """The Python source of the kernel: a function `kernel(n, a0, a1, ..., o0, o1, ...)`."""
    writer = Writer()
    values: dict[Node, Any] = {}
    inputs = 0
    results: Sequence[Tensor] = ()
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            values[node] = writer.load(inputs, node.meta["val"].shape, kinds[inputs])
            inputs += 1
        elif node.op == "get_attr":
            values[node] = writer.constants(getattr(graph, node.target))
        elif node.op == "call_function":
            values[node] = writer.call(_name(node), *_looked_up((node.args, node.kwargs), values))
        else:
            results = _looked_up(node.args, values)[0]
    for j, ids in enumerate(results):
        writer.store(j, ids, kinds[j])
    names = [f"a{i}" for i in range(inputs)] + [f"o{j}" for j in range(len(results))]
    body = "\n".join(f"        {line}" for line in writer.lines)
    return f"def kernel(n, {', '.join(names)}):\n    for r in range(n):\n{body}\n"


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
