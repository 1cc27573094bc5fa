"""From a user's torch utility to an enclosure of it and of its derivatives on whole cells of strategies.

The utility of one profile is traced once to torch's elementary operations (on tensors without data, so that nothing can
depend on a number by stealth), and the record is then played back with jets instead of tensors, for many cells at once.
What is enclosed is the function of real numbers that the program stands for, every constant of it being the double that
it is. An operation that is not in the table, a calculation in a type other than float64, a result that depends on
chance or that changes a tensor of the game: all raise `UnsupportedOperation`.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, constant, pairs
from strategic_envs.evaluators.certified.operations import MOVES, OPERATIONS, Call, UnsupportedOperation
from strategic_envs.evaluators.certified.operations.table import UNKNOWN
from strategic_envs.games.kinds.game import Game

__all__ = ["Program", "trace"]

_IN_PLACE = {"squeeze_", "unsqueeze_"}
_WHOLE = 2**53  # larger whole numbers are not all doubles


def trace(game: Game, player: int) -> Program:
    """Records one player's utility of one profile.

    Raises:
        UnsupportedOperation: If it cannot be recorded; the message says why.
    """

    def utility(*profile: Tensor) -> Tensor:
        return game.utilities(profile)[player]

    examples = [torch.zeros(d, dtype=torch.float64) for d in game.dims]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tracer = make_fx(functionalize(utility), tracing_mode="fake", _allow_non_fake_inputs=True)
            module = tracer(*examples)
    except Exception as error:  # whatever a user's code or the tracer raises: it could not be recorded
        raise UnsupportedOperation(f"tracing failed: {type(error).__name__}: {str(error)[:200]}") from error
    return Program(module, player)


class Program:
    """A recorded utility of one profile.

    Args:
        module: The record, a graph of aten operations on float64 tensors `(d_i,)`, one a player.
        player: Whose strategy varies.

    Raises:
        UnsupportedOperation: If some operation has no enclosure.
    """

    def __init__(self, module: GraphModule, player: int) -> None:
        self.module, self.player = module, player
        self.nodes: list[Node] = list(module.graph.nodes)
        inputs = [n for n in self.nodes if n.op == "placeholder"]
        self.dim = inputs[player].meta["val"].shape[0]
        self._inputs = inputs
        self._own: set[Node] = {inputs[player]}
        for node in self.nodes:
            if any(n in self._own for n in node.all_input_nodes):
                self._own.add(node)
            if node.op == "call_function":
                _check(node)
        self.operations = sorted({_name(n) for n in self.nodes if n.op == "call_function" and _name(n)})

    def run(self, own: Interval, others: Sequence[np.ndarray], order: int, known: dict[Node, Any] | None = None) -> Jet:
        """The utility's enclosure, values of shape `(cells, points)`.

        Args:
            own: The own strategies: cells `(C, 1, d)`, or one for each point `(1, T, d)`.
            others: For each player the points `(T, d_i)`; the own entry is not looked at.
            order: How many derivatives to enclose: 0, 1 or 2.
            known: What does not depend on the own strategy, from `fixed`.
        """
        start = self._start(own, order)
        values: dict[Node, Any] = dict(known) if known is not None else self._evaluate({}, others, start, own=False)
        values[self._inputs[self.player]] = start
        return self._evaluate(values, others, start, own=True)

    def fixed(self, others: Sequence[np.ndarray], order: int) -> dict[Node, Any]:
        """The part of the record that does not depend on the own strategy, for repeated runs."""
        like = self._start(iv.point(np.zeros((1, 1, self.dim))), order)
        return self._evaluate({}, others, like, own=False)

    def _start(self, own: Interval, order: int) -> Jet:
        slopes = tuple(iv.point(row[None, None]) for row in np.eye(self.dim)) if order else ()
        return Jet(own, slopes, (None,) * len(pairs(self.dim)) if order > 1 else ())

    def _evaluate(self, values: dict[Node, Any], others: Sequence[np.ndarray], like: Jet, *, own: bool) -> Any:
        """Runs the nodes that depend on the own strategy, or those that do not, and returns the last or all values."""
        for node in self.nodes:
            if node in values or (node in self._own) != own or node.op == "output":
                continue
            if node.op == "placeholder":
                points = others[self._inputs.index(node)]
                values[node] = constant(iv.point(points[None]), like)
            elif node.op == "get_attr":
                values[node] = _attribute(getattr(self.module, str(node.target)), like)
            elif node.target is operator.getitem:
                source, place = cast(tuple[Any, Any], node.args)
                values[node] = values[source][place]
            else:
                values[node] = _called(node, values, like)
        if not own:
            return values
        result: Any = self.nodes[-1].args[0]
        return values[result[0] if isinstance(result, list | tuple) else result]


def _name(node: Node) -> str:
    target: Any = node.target
    return "" if target is operator.getitem else target._schema.name.removeprefix("aten::")


def _results(node: Node) -> list[Tensor]:
    value = node.meta.get("val")
    return [v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, Tensor)]


def _check(node: Node) -> None:
    """Refuses an operation without an enclosure, or in a type in which the enclosure does not hold."""
    if node.target is operator.getitem:
        return
    if not isinstance(node.target, torch._ops.OpOverload) or (name := _name(node)) not in OPERATIONS:
        raise UnsupportedOperation(f"the operation {node.target} is not supported")
    # matmul drops an axis of its own fresh result in place: nobody else holds that tensor.
    own = (
        name in _IN_PLACE and len(node.all_input_nodes[0].users) == 1 and node.all_input_nodes[0].op == "call_function"
    )
    if node.target._schema.is_mutable and not own:
        raise UnsupportedOperation(f"{node.target} changes a tensor in place")
    for result in _results(node)[:1]:
        allowed = {torch.float64, torch.bool}
        if name in MOVES:  # numbers are made in float64 or constant; moving them is exact in every type
            allowed |= {torch.float32, torch.int64}
        if result.dtype not in allowed:
            raise UnsupportedOperation(f"{node.target} calculates in {result.dtype}: certificates need float64")


def _attribute(tensor: Tensor, like: Jet) -> Jet:
    """A constant of the utility, which must be exact as a double."""
    array = tensor.detach().cpu()
    if array.dtype not in (torch.float64, torch.float32, torch.bool, torch.int64):
        raise UnsupportedOperation(f"a constant of type {array.dtype}")
    if array.dtype == torch.int64 and bool((array.abs() > _WHOLE).any()):
        raise UnsupportedOperation("a whole number above 2^53")
    values = array.double().numpy()
    return constant(iv.point(values[None, None]), like, truth=array.dtype == torch.bool)


def _called(node: Node, values: dict[Node, Any], like: Jet) -> Any:
    target: Any = node.target
    schema = target._schema
    bound: dict[str, Any] = {a.name: v for a, v in zip(schema.arguments, node.args, strict=False)} | dict(node.kwargs)
    dtypes = {k: v.meta["val"].dtype for k, v in bound.items() if isinstance(v, Node)}

    def value(argument: Any) -> Any:
        if isinstance(argument, Node):
            found = values[argument]
            if found is UNKNOWN:
                raise UnsupportedOperation(f"{argument} is used, of which nothing is known")
            return found
        if isinstance(argument, list | tuple):
            return [value(a) for a in argument]
        return argument

    results = _results(node)
    first = results[0]
    args = {k: value(v) for k, v in bound.items()}
    call = Call(_name(node), args, tuple(first.shape), dtypes, first.dtype, like)
    found = OPERATIONS[call.name](call)
    if isinstance(found, tuple):
        shapes = [tuple(r.shape) for r in results]
        return [f if f is UNKNOWN else _spread(f, s) for f, s in zip(found, shapes, strict=True)]
    return _spread(found, call.shape)


def _spread(jet: Jet, shape: tuple[int, ...]) -> Jet:
    """The jet with tensors of this shape: axes of length 1 are repeated, or dropped and put in."""

    def spread(a: Interval | None) -> Interval | None:
        if a is None or a.lo.shape[2:] == shape == a.hi.shape[2:]:
            return a
        return iv.point(_to(a.lo, shape)) if a.is_point else Interval(_to(a.lo, shape), _to(a.hi, shape))

    value = spread(jet.value)
    assert value is not None
    return Jet(value, tuple(map(spread, jet.slopes)), tuple(map(spread, jet.bends)), jet.truth)


def _to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    lead = array.shape[:2]
    if array.ndim - 2 == len(shape):
        return np.broadcast_to(array, (*lead, *shape))
    return array.reshape(*lead, *shape)
