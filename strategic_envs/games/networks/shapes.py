"""Numbers that a forward pass reads off a tensor's shape, not off its entries."""

from __future__ import annotations

from torch import fx

__all__ = ["is_query", "is_shape"]

_QUERIES = frozenset({"size", "dim", "ndimension", "numel", "nelement", "stride", "get_device", "is_floating_point"})
_ATTRIBUTES = frozenset({"shape", "ndim", "dtype", "device", "is_cuda", "layout"})


def is_query(node: fx.Node) -> bool:
    """Whether a node asks a tensor for its shape, dtype or device.

    Example:
        >>> graph = fx.Graph()
        >>> x = graph.placeholder("x")
        >>> is_query(graph.call_method("size", (x, 0))), is_query(graph.call_method("sum", (x,)))
        (True, False)
    """
    if node.op == "call_method":
        return node.target in _QUERIES
    return node.op == "call_function" and node.target is getattr and node.args[1] in _ATTRIBUTES


def is_shape(node: fx.Node) -> bool:
    """Whether a node's value is made of such answers alone.

    Example:
        >>> graph = fx.Graph()
        >>> size = graph.call_method("size", (graph.placeholder("x"), 0))
        >>> is_shape(graph.call_function(max, (size, 3)))
        True
    """
    return is_query(node) or (bool(node.all_input_nodes) and all(is_shape(i) for i in node.all_input_nodes))
