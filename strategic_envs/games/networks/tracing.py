"""The graph of a torch module's forward pass: which layers run on what, found by `torch.fx` without any data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.in_place import OPERATORS, check_overwritten, out_of_place
from strategic_envs.games.networks.refusals import (
    RANDOM_REASON,
    check_function,
    check_method,
    check_modules,
    in_place_operator,
    refuse,
)
from strategic_envs.games.networks.shapes import is_shape

__all__ = ["Graph", "trace"]


@dataclass(frozen=True, eq=False)
class Graph:
    """A forward pass.

    Args:
        module: The module.
        nodes: What is computed, in order; the first is the input. Every node is needed for the output.
        output: The node whose value is the module's output.
        constants: Tensors that the forward pass makes without looking at its input, by the name of their node's target.
    """

    module: nn.Module
    nodes: tuple[fx.Node, ...]
    output: fx.Node
    constants: dict[str, Tensor] = field(default_factory=dict)


class _Proxy(fx.Proxy):
    """A stand-in for a tensor that knows when it is written to; fx would take `x += y` for `x = x + y`."""

    def __setitem__(self, key: object, value: object) -> None:
        raise in_place_operator(self.tracer.where, "[]")  # pyright: ignore[reportAttributeAccessIssue]


def _operator(in_place: Callable[..., Any]) -> Callable[[_Proxy, object], fx.Proxy]:
    def method(self: _Proxy, other: object) -> fx.Proxy:
        used = OPERATORS[in_place][0] if is_shape(self.node) else in_place  # numbers are not overwritten
        return self.tracer.create_proxy("call_function", used, (self, other), {})

    return method


for _each in OPERATORS:
    setattr(_Proxy, f"__{_each.__name__}__", _operator(_each))


class _Tracer(fx.Tracer):
    """Records a forward pass; layers of torch are single calls, modules that are put together of others are entered."""

    def __init__(self, unsupported: str, in_place: str) -> None:
        super().__init__()
        self.unsupported, self.in_place = unsupported, in_place
        self.overwritten: dict[fx.Node, fx.Node] = {}
        self.constants: dict[str, Tensor] = {}

    @property
    def where(self) -> str:
        """The module whose forward is being recorded, for messages."""
        path = self.scope.module_path
        kind = self.scope.module_type.__name__ if path else type(self.root).__name__
        return f"in {path} ({kind})" if path else f"in the module's forward ({kind})"

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if (type(m).forward.__module__ or "").startswith("torch.nn.") and not isinstance(m, nn.Sequential):
            return True
        return self.unsupported == "gradient" and next(m.parameters(recurse=False), None) is not None

    def to_bool(self, obj: fx.Proxy) -> bool:
        raise refuse(
            self.where,
            f"an `if`, `while` or `assert` asks for the value of {obj.node.name}, which is known only when data runs, "
            "but the stages are cut before: use torch.where, or put what does not depend on the data in __init__",
        )

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        try:
            return super().iter(obj)
        except TraceError as error:
            raise refuse(
                self.where,
                f"a loop runs over {obj.node.name}, whose length is known only when data runs: write operations on "
                "whole tensors, or unpack it as in `a, b = x.shape`",
            ) from error

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor) and not isinstance(a, nn.Parameter) and not any(a is b for b in self.root.buffers()):
            if a.requires_grad:
                raise _raw(f"{self.where}, a tensor made of parameters")
            if a not in self.tensor_attrs:
                target = next(
                    (t for t, known in self.constants.items() if known is a), f"constant:{len(self.constants)}"
                )
                self.constants[target] = a
                return self.create_node("get_attr", target, (), {})
        return super().create_arg(a)

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> fx.Node:
        asked = (target, args, kwargs)
        if self.in_place == "copy" and kind in ("call_function", "call_method"):
            target, args, kwargs = out_of_place(kind, *asked)
        if kind == "call_function":
            check_function(self.where, target, args, kwargs)
        elif kind == "call_method":
            check_method(self.where, str(target), kwargs)
        if not torch.is_grad_enabled():
            raise refuse(
                self.where,
                "it switches gradients off (torch.no_grad), which the stages would not see: use .detach(), or freeze "
                "the layers with requires_grad_(False)",
            )
        if torch.is_autocast_enabled("cpu"):
            raise refuse(self.where, "it switches autocast on, which the stages would not see: do so around the step")
        node = super().create_node(kind, target, args, kwargs, *rest, **named)
        layer = self.root.get_submodule(target) if kind == "call_module" else None
        if (target, args, kwargs) != asked or getattr(layer, "inplace", False):
            self.overwritten[node] = node.all_input_nodes[0]
        return node


def _raw(what: str) -> InvalidGameError:
    return refuse(
        what,
        "it is read by the forward pass itself, not by a layer of torch, so it has no player. Make it a linear layer, "
        "convolution or norm, freeze it with requires_grad_(False), or move it into a submodule of its own and give "
        "unsupported='gradient', which keeps that submodule whole",
    )


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    before = [(m, m.training) for m in module.modules()]
    for m, _ in before:
        m.training = training
    try:
        yield
    finally:
        for m, was in before:
            m.training = was


def trace(module: nn.Module, unsupported: str = "refuse", in_place: str = "refuse") -> Graph:
    """Records the forward pass of a module.

    It is recorded twice, in training and in evaluation mode: a forward that asks for `self.training` itself would be
    cut into stages that are wrong in the other mode, so it is refused.

    Args:
        module: The module; it is not changed.
        unsupported: `gradient` keeps modules with raw parameters whole.
        in_place: `copy` runs operations that work in place out of place, where the result is the same.

    Raises:
        InvalidGameError: If the forward pass cannot be recorded, or would not be the same when run in parts.

    Example:
        >>> [node.name for node in trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU())).nodes]
        ['input_1', '_0', '_1']
    """
    if not isinstance(module, nn.Module):
        raise InvalidGameError(f"got a {type(module).__name__}, expected a torch.nn.Module")
    check_modules(module)
    if (type(module).forward.__module__ or "").startswith("torch.nn.") and not isinstance(module, nn.Sequential):
        module = nn.Sequential(module)  # a single layer has no inside: it becomes a chain of one
    graphs = []
    for training in (True, False):
        with _mode(module, training):
            graphs.append(_record(module, unsupported, in_place))
    first, second = graphs
    if _outline(first) != _outline(second) or not _same(first.constants, second.constants):
        raise refuse(
            f"the module's forward ({type(module).__name__})",
            "it does other things in training than in evaluation mode, which stages that are cut once cannot: leave "
            "that to layers (nn.Dropout, nn.BatchNorm), or give a module that does one of the two",
        )
    return first


def _outline(graph: Graph) -> list[str]:
    return [f"{n.op} {n.target} {n.args} {n.kwargs}" for n in graph.nodes]


def _same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(some.values(), others.values(), strict=True))


def _record(module: nn.Module, unsupported: str, in_place: str) -> Graph:
    tracer = _Tracer(unsupported, in_place)
    defaults = {
        name: p.default
        for name, p in inspect.signature(module.forward).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    before = torch.get_rng_state()
    try:
        with torch.enable_grad():
            graph = tracer.trace(module, concrete_args=defaults or None)
    except InvalidGameError:
        raise
    except Exception as error:  # whatever the user's code raises when it gets no numbers
        raise refuse(
            f"the module's forward ({type(module).__name__})",
            f"torch.fx could not follow it without data ({type(error).__name__}: {error}). Operations that need the "
            "numbers themselves (float(x), int(x), len(x), numpy, a loop over x) are out of reach: use tensor "
            "operations, or give the module's part that has none",
        ) from error
    if not torch.equal(before, torch.get_rng_state()):
        raise refuse(f"the module's forward ({type(module).__name__})", RANDOM_REASON)
    if in_place == "copy":
        check_overwritten(module, list(graph.nodes), tracer.overwritten)
    return _needed(module, graph, tracer.constants)


def _needed(module: nn.Module, graph: fx.Graph, constants: dict[str, Tensor]) -> Graph:
    """The nodes that the output needs."""
    what = f"the module's forward ({type(module).__name__})"
    (result,) = next(node for node in graph.nodes if node.op == "output").args
    if not isinstance(result, fx.Node):
        kind = f"{len(result)} outputs" if isinstance(result, tuple | list | dict) else f"the output {result!r}"
        raise refuse(what, f"got {kind}, expected one tensor: wrap the module in one that returns what the loss reads")
    needed: set[fx.Node] = set()
    todo = [result]
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo += node.all_input_nodes
    inputs = [node for node in graph.nodes if node.op == "placeholder" and node in needed]
    if len(inputs) != 1:
        raise refuse(what, f"its output depends on {len(inputs)} inputs, expected one tensor with the samples first")
    if str(inputs[0].target).startswith("*"):
        raise refuse(
            what, f"it takes {inputs[0].target}, expected one named argument: wrap it in a module that has one"
        )
    parameters = dict(module.named_parameters())
    nodes = [node for node in graph.nodes if node in needed]
    for node in nodes:
        if node.op == "get_attr" and node.target in parameters and parameters[str(node.target)].requires_grad:
            owner = module.get_submodule(str(node.target).rpartition(".")[0])
            raise _raw(f"the nn.Parameter {node.target} (of {type(owner).__name__})")
    nodes.remove(inputs[0])
    return Graph(module, (inputs[0], *nodes), result, constants)
