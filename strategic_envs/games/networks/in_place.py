"""Operations that work in place, run out of place: the same numbers, and no tensor is lost to a backward pass.

`x += y` may be written `x = x + y` if nobody reads the old tensor afterwards, under this or another name: a view of it,
or what an operation passed on unchanged. What is known to give a new tensor is listed; all else may be another name.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError

__all__ = ["OPERATORS", "asks_in_place", "check_overwritten", "out_of_place"]

OPERATORS: dict[Callable[..., Any], tuple[Callable[..., Any], str]] = {
    operator.iadd: (operator.add, "+"),
    operator.isub: (operator.sub, "-"),
    operator.imul: (operator.mul, "*"),
    operator.imatmul: (operator.matmul, "@"),
    operator.itruediv: (operator.truediv, "/"),
    operator.ifloordiv: (operator.floordiv, "//"),
    operator.imod: (operator.mod, "%"),
    operator.ipow: (operator.pow, "**"),
    operator.iand: (operator.and_, "&"),
    operator.ior: (operator.or_, "|"),
    operator.ixor: (operator.xor, "^"),
    operator.ilshift: (operator.lshift, "<<"),
    operator.irshift: (operator.rshift, ">>"),
}
_FRESH_LAYERS = ("activation", "batchnorm", "conv", "instancenorm", "linear", "normalization", "pooling")
_FRESH = frozenset(
    {
        *(
            "add",
            "sub",
            "mul",
            "truediv",
            "div",
            "matmul",
            "bmm",
            "mm",
            "einsum",
            "cat",
            "stack",
            "clone",
            "neg",
            "pow",
        ),
        *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "hardswish"),
        *("hardsigmoid", "hardtanh", "sigmoid", "tanh", "softmax", "log_softmax", "exp", "log", "clamp", "where"),
        *("linear", "conv1d", "conv2d", "layer_norm", "group_norm", "scaled_dot_product_attention", "mean", "sum"),
        *("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "boolean_dispatch"),
    }
)

_Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def asks_in_place(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function is called with `inplace=True`, by name or by position.

    Example:
        >>> asks_in_place(functional.relu, (None, True), {}), asks_in_place(functional.relu, (None,), {})
        (True, False)
    """
    if kwargs.get("inplace"):
        return True
    place = _place(target)
    return place is not None and len(args) > place and bool(args[place])


def _place(target: Callable[..., Any]) -> int | None:
    try:
        names = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # builtin functions have no signature, and none of them has an argument inplace
        return None
    return names.index("inplace") if "inplace" in names else None


def out_of_place(kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    """The call that gives the same numbers in a new tensor; the call itself if it has no such twin, or needs none.

    Args:
        kind: `call_function` or `call_method`, as of `torch.fx`.
        target: The function, or the method's name.
        args: Its arguments by position.
        kwargs: Its arguments by name.

    Example:
        >>> out_of_place("call_method", "relu_", ("x",), {}), out_of_place("call_function", operator.iadd, (1, 2), {})
        (('relu', ('x',), {}), (<built-in function add>, (1, 2), {}))
    """
    if kind == "call_method":
        twin = str(target).rstrip("_")
        return (twin, args, kwargs) if _trails(target) and hasattr(Tensor, twin) else (target, args, kwargs)
    if target in OPERATORS:
        return OPERATORS[target][0], args, kwargs
    if asks_in_place(target, args, kwargs):
        place = _place(target)
        return target, args[:place] if place is not None else args, {**kwargs, "inplace": False}
    name = getattr(target, "__name__", "")
    twin = next((getattr(m, name[:-1]) for m in (torch, functional) if hasattr(m, name[:-1])), None)
    return (twin, args, kwargs) if _trails(name) and twin is not None else (target, args, kwargs)


def _trails(name: object) -> bool:
    return str(name).endswith("_") and not str(name).endswith("__")


def check_overwritten(module: nn.Module, nodes: Sequence[fx.Node], overwritten: dict[fx.Node, fx.Node]) -> None:
    """Refuses an operation in place whose operand is read afterwards.

    Args:
        module: The module.
        nodes: All that its forward pass does, in order.
        overwritten: For each operation in place, the node whose tensor it overwrites.

    Raises:
        InvalidGameError: Naming both.
    """
    names: dict[fx.Node, set[fx.Node]] = {}  # all nodes that may be the same memory
    for node in nodes:
        names[node] = {node}
        if node not in overwritten and not _fresh(module, node):
            for other in node.all_input_nodes:
                names[node] |= names[other]
            for one in names[node]:
                names[one] = names[node]
    order = {node: i for i, node in enumerate(nodes)}
    for writer, old in overwritten.items():
        for same in names[old]:
            for reader in same.users:
                if reader is not writer and order[reader] > order[writer]:
                    raise InvalidGameError(
                        f"the module's forward ({type(module).__name__}): {writer.name} overwrites {old.name} in "
                        f"place, and {reader.name} reads it afterwards under this or another name, so that it "
                        "cannot be run out of place with the same result: write it so that it can"
                    )


def _fresh(module: nn.Module, node: fx.Node) -> bool:
    """Whether a node's value is surely a new tensor."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        home = type(layer).__module__.rpartition(".")[2]
        return home in _FRESH_LAYERS and not isinstance(layer, nn.Identity)
    if node.op == "call_method":
        return node.target in _FRESH
    return node.op != "call_function" or getattr(node.target, "__name__", "") in _FRESH
