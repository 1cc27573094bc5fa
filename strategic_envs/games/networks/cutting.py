"""Cuts a forward pass into stages: what each stage computes, and which tensors pass from one to the next.

**The rule.** Between two stages pass as few tensors as possible, each once; and of all smallest states, the one for
which most operations are already done. So an activation runs in the stage of the layer before it (the state is
`relu(W z)`, not `W z`), a concatenation of four branches is done at once, `x * sigmoid(x)` passes one tensor and not
two, and an operation waits if its result would only be carried beside its operand. Frozen layers and dropout count as
operations. Slots are in the order in which the forward pass makes them.

Numbers that come from shapes (`x.shape[0]`) and constants never pass: each stage makes its own. The number of samples
is read off the state; other shapes are read off the tensor they belong to, which then is a part of the state.

The smallest state is a minimum cut of the graph (Ford and Fulkerson, 1956), found with a handful of augmenting paths.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from torch import fx

from strategic_envs.games.networks.shapes import is_query
from strategic_envs.games.networks.tracing import Graph

__all__ = ["Cut", "Values", "cut", "values"]


@dataclass(frozen=True, eq=False)
class Values:
    """What the nodes of a graph are.

    Args:
        sources: For each node whose value is a tensor of the samples, the tensors that it is computed from.
        derived: The nodes that every stage computes for itself: constants, shapes, and what is made of them alone.
        samples: Those of them that are the number of samples.
        bundles: Nodes that give several tensors; they do not pass.
    """

    sources: dict[fx.Node, tuple[fx.Node, ...]]
    derived: frozenset[fx.Node]
    samples: frozenset[fx.Node]
    bundles: frozenset[fx.Node]


@dataclass(frozen=True, eq=False)
class Cut:
    """One stage.

    Args:
        slots: The nodes whose values are the state it gets.
        nodes: What it computes, in order.
        results: The nodes whose values are the state it gives.
    """

    slots: tuple[fx.Node, ...]
    nodes: tuple[fx.Node, ...]
    results: tuple[fx.Node, ...]


def values(graph: Graph) -> Values:
    """Tells tensors of samples from shapes, constants and bundles.

    Args:
        graph: The forward pass.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.games.networks.tracing import trace
        >>> found = values(trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU())))
        >>> {node.name: [i.name for i in inputs] for node, inputs in found.sources.items()}
        {'input_1': [], '_0': ['input_1'], '_1': ['_0']}
    """
    needs: dict[fx.Node, frozenset[fx.Node]] = {}  # the tensors that a derived node is read off
    samples: set[fx.Node] = set()
    sources: dict[fx.Node, tuple[fx.Node, ...]] = {}
    start = graph.nodes[0]
    for node in graph.nodes:
        inputs = node.all_input_nodes
        if node is not start and (is_query(node) or all(i in needs for i in inputs)):
            if _counts_samples(node, start):
                samples.add(node)
            read = [needs.get(i, frozenset((i,))) for i in inputs]
            needs[node] = frozenset() if node in samples else frozenset[fx.Node]().union(*read)
        else:
            deep = (needs.get(i, frozenset((i,))) for i in inputs)
            sources[node] = tuple(dict.fromkeys(i for group in deep for i in sorted(group, key=graph.nodes.index)))
    bundles = {i for node in graph.nodes if _takes_one(node) for i in node.all_input_nodes[:1] if i in sources}
    return Values(sources, frozenset(needs), frozenset(samples), frozenset(bundles))


def _counts_samples(node: fx.Node, start: fx.Node) -> bool:
    """`x.size(0)` and `x.shape[0]` of the module's input."""
    if node.op == "call_method" and node.target == "size":
        return node.args == (start, 0)
    if getattr(node.target, "__name__", "") != "getitem" or node.args[1] != 0:
        return False
    shape = node.args[0]
    return isinstance(shape, fx.Node) and is_query(shape) and shape.args in ((start,), (start, "shape"))


def _takes_one(node: fx.Node) -> bool:
    """Whether a node takes one of several results: an item by number, or a named field."""
    if node.op != "call_function" or len(node.args) < 2:
        return False
    if node.target is getattr:
        return node.args[1] in ("values", "indices")
    return getattr(node.target, "__name__", "") == "getitem" and type(node.args[1]) is int


def cut(graph: Graph, what: Values, stage_of: dict[fx.Node, int], count: int) -> list[Cut]:
    """The stages.

    Args:
        graph: The forward pass.
        what: What its nodes are.
        stage_of: The stage of each player's nodes.
        count: The number of stages.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.games.networks.tracing import trace
        >>> graph = trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
        >>> _, first, _, second = graph.nodes
        >>> [(c.slots, c.nodes, c.results) for c in cut(graph, values(graph), {first: 0, second: 1}, 2)]
        [((input_1,), (_0, _1), (_1,)), ((_1,), (_2,), (_2,))]
    """
    consumers: dict[fx.Node, list[fx.Node]] = {node: [] for node in what.sources}
    for node, inputs in what.sources.items():
        for i in inputs:
            consumers[i].append(node)
    start = graph.nodes[0]
    done = {start}
    state: tuple[fx.Node, ...] = (start,)
    cuts: list[Cut] = []
    for t in range(count):
        after = _smallest(what, consumers, done, {n: s <= t for n, s in stage_of.items()})
        results = tuple(n for n in what.sources if n in after and any(c not in after for c in consumers[n]))
        results = results or (graph.output,)
        fresh = after - done
        wanted = _with_derived(graph, what, fresh)
        cuts.append(Cut(state, tuple(n for n in graph.nodes if n in wanted), results))
        done, state = after, results
    return cuts


def _with_derived(graph: Graph, what: Values, nodes: set[fx.Node]) -> set[fx.Node]:
    """Some nodes and the shapes and constants that they are made with."""
    wanted: set[fx.Node] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        wanted.add(node)
        if node not in what.samples:
            todo += [i for i in node.all_input_nodes if i in what.derived and i not in wanted]
    return wanted


def _smallest(
    what: Values, consumers: dict[fx.Node, list[fx.Node]], done: set[fx.Node], moves: dict[fx.Node, bool]
) -> set[fx.Node]:
    """The largest set of computed nodes with the fewest tensors passing out of it.

    Only nodes that can be computed now and have not been are in question. For each there are two points of a flow
    network: `(True, v)` is on the source's side if v is computed, `(False, v)` if all that read v are, too. The edge
    between them is cut, at the price of one slot, where v is computed and still needed.

    Args:
        what: What the nodes are.
        consumers: Who reads each of them.
        done: What earlier stages have computed.
        moves: For each player's node, whether the player has moved by now.
    """
    later: set[fx.Node] = set()  # what needs a player who has not moved
    for node, inputs in what.sources.items():
        if not moves.get(node, True) or any(i in later for i in inputs):
            later.add(node)
    open_ = {node for node in what.sources if node not in done and node not in later}
    endless = 1 + len(what.sources)
    room: dict[object, dict[object, int]] = {"source": {}, "sink": {}}

    def edge(a: object, b: object, price: int) -> None:
        room.setdefault(b, {}).setdefault(a, 0)
        room.setdefault(a, {})[b] = price

    for node in what.sources:
        if node in open_:
            edge((True, node), (False, node), endless if node in what.bundles else 1)
            if node in moves:
                edge("source", (True, node), endless)
            for i in what.sources[node]:
                if i in open_:
                    edge((True, node), (True, i), endless)
        elif node in done and any(c in open_ for c in consumers[node]):
            edge("source", (False, node), 1)
        else:
            continue
        if any(c in later for c in consumers[node]):  # whatever is chosen, it is needed later
            edge((False, node), "sink", endless)
        for reader in consumers[node]:
            if reader in open_:
                edge((False, node), (True, reader), endless)
    while path := _path(room):
        least = min(room[a][b] for a, b in path)
        for a, b in path:
            room[a][b] -= least
            room[b][a] += least
    late = _before_sink(room)
    return done | {node for node in open_ if (True, node) not in late}


def _path(room: dict[object, dict[object, int]]) -> list[tuple[object, object]] | None:
    """A shortest path from source to sink with room for more flow, as its edges from the sink back."""
    came: dict[object, object] = {"source": None}
    todo: deque[object] = deque(["source"])
    while todo:
        a = todo.popleft()
        for b, left in room[a].items():
            if left > 0 and b not in came:
                came[b] = a
                todo.append(b)
        if "sink" in came:
            path: list[tuple[object, object]] = []
            b: object = "sink"
            while (before := came[b]) is not None:
                path.append((before, b))
                b = before
            return path
    return None


def _before_sink(room: dict[object, dict[object, int]]) -> set[object]:
    """From where a further unit of flow could still reach the sink."""
    found: set[object] = {"sink"}
    todo: list[object] = ["sink"]
    while todo:
        b = todo.pop()
        for a in room[b]:
            if a not in found and room[a][b] > 0:
                found.add(a)
                todo.append(a)
    return found
