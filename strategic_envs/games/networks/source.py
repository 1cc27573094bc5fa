"""The Python function of a stage, written out once from its part of the graph, so that running it costs no look-ups."""

from __future__ import annotations

import copy
import itertools
import linecache
import math
from collections.abc import Callable
from typing import Any

from torch import fx

from strategic_envs.games.networks.cutting import Cut, Values
from strategic_envs.games.networks.tracing import Graph
from strategic_envs.games.networks.units import Apply, State, Unit

__all__ = ["Run", "write"]

Run = Callable[[State, Apply], State]
_numbers = itertools.count()


class _Writer:
    """Names for the values of a stage, and the things that its function refers to."""

    def __init__(self, graph: Graph, what: Values, cut: Cut) -> None:
        self.graph, self.what, self.cut = graph, what, cut
        self.names: dict[fx.Node, str] = {}
        self.scope: dict[str, Any] = {}

    def name(self, node: fx.Node) -> str:
        if node not in self.names:
            self.names[node] = f"v{len(self.names)}_{node.name}"
        return self.names[node]

    def bind(self, thing: Any, label: str) -> str:
        """A name for a thing that cannot be written out."""
        for name, known in self.scope.items():
            if known is thing:
                return name
        name = f"{label}_{len(self.scope)}"
        self.scope[name] = thing
        return name

    def argument(self, value: Any) -> str:
        if isinstance(value, fx.Node):
            return self.name(value)
        if isinstance(value, list | tuple):  # fx has classes of its own for them
            items = [self.argument(v) for v in value]
            return f"[{', '.join(items)}]" if isinstance(value, list) else f"({''.join(i + ', ' for i in items)})"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{k!r}: {self.argument(v)}' for k, v in value.items())}}}"
        if isinstance(value, slice):
            return f"slice({self.argument(value.start)}, {self.argument(value.stop)}, {self.argument(value.step)})"
        if value is None or value is Ellipsis or type(value) in (bool, int, str):
            return repr(value)
        if type(value) is float and math.isfinite(value):
            return repr(value)
        return self.bind(value, "constant")

    def call(self, node: fx.Node, units: dict[fx.Node, Unit]) -> str:
        """The expression that computes a node."""
        if node in self.what.samples:
            return f"{self.name(self.cut.slots[0])}.shape[0]"
        if node in units:
            return f"apply({self.bind(units[node], 'unit')}, {self.argument(node.all_input_nodes[0])})"
        if node.op == "get_attr":
            return self._attribute(str(node.target))
        arguments = [self.argument(a) for a in node.args]
        arguments += [f"{k}={self.argument(v)}" for k, v in node.kwargs.items()]
        if node.op == "call_method":
            return f"{arguments[0]}.{node.target}({', '.join(arguments[1:])})"
        if node.op == "call_module":
            called: Any = self.graph.module.get_submodule(str(node.target))
            if getattr(called, "inplace", False):  # allowed by in_place="copy"; the user's layer stays as it is
                called = copy.copy(called)
                called.inplace = False
        else:
            called = node.target
        return f"{self.bind(called, getattr(called, '__name__', 'layer').strip('<>'))}({', '.join(arguments)})"

    def _attribute(self, target: str) -> str:
        """A buffer or frozen parameter, read from the module that owns it each time, or a constant."""
        if target in self.graph.constants:
            return self.bind(self.graph.constants[target], "constant")
        path, _, name = target.rpartition(".")
        return f"{self.bind(self.graph.module.get_submodule(path), 'owner')}.{name}"


def write(graph: Graph, what: Values, cut: Cut, units: dict[fx.Node, Unit], title: str) -> tuple[Run, str]:
    """The function `run(state, apply)` of a stage, and its source.

    Args:
        graph: The forward pass.
        what: What its nodes are.
        cut: The stage.
        units: The units; the function calls `apply(unit, input)` for each of its own.
        title: What tracebacks call the function's file.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.games.networks.cutting import cut, values
        >>> from strategic_envs.games.networks.players import roles
        >>> from strategic_envs.games.networks.tracing import trace
        >>> graph = trace(nn.Sequential(nn.Linear(2, 3), nn.Flatten()))
        >>> what, units = values(graph), roles(graph).units
        >>> print(write(graph, what, cut(graph, what, dict.fromkeys(units, 0), 1)[0], units, "stage 0")[1])
        def run(state, apply):
            v0_input_1, = state
            v1__0 = apply(unit_0, v0_input_1)
            v2__1 = layer_1(v1__0)
            return (v2__1, )
        <BLANKLINE>
    """
    writer = _Writer(graph, what, cut)
    lines = ["def run(state, apply):", f"    {''.join(writer.name(n) + ', ' for n in cut.slots)}= state"]
    lines += [f"    {writer.name(node)} = {writer.call(node, units)}" for node in cut.nodes]
    lines += [f"    return ({''.join(writer.name(n) + ', ' for n in cut.results)})"]
    text = "\n".join(lines) + "\n"
    file = f"<{title} {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # so that tracebacks show the line
    exec(compile(text, file, "exec"), writer.scope)
    return writer.scope["run"], text
