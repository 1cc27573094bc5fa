"""The units of a recorded forward pass, and which of them make a player."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import fx, nn

from strategic_envs.games.networks.refusals import refuse
from strategic_envs.games.networks.tracing import Graph
from strategic_envs.games.networks.units import Unit, kind_of

__all__ = ["Roles", "roles", "trains"]

_SEVERAL = (nn.RNNBase, nn.MultiheadAttention)


@dataclass(frozen=True, eq=False)
class Roles:
    """Who is who in a graph.

    Args:
        units: The unit at each node that has one, in the order they run; their player numbers are not set.
        groups: Each player's nodes, by the player's name, in the order they run.
    """

    units: dict[fx.Node, Unit]
    groups: dict[str, tuple[fx.Node, ...]]


def roles(graph: Graph, unsupported: str = "refuse", in_place: str = "refuse") -> Roles:
    """Finds the units and players of a graph.

    Args:
        graph: What `trace` gave.
        unsupported: `gradient` keeps layers that have no matrix form, with a warning; `refuse` raises.
        in_place: `copy` allows layers that work in place, except dropout.

    Raises:
        InvalidGameError: If a layer is unsupported, shares its parameters, is called twice or is frozen in part, or no
            layer has parameters to train.

    Example:
        >>> from strategic_envs.games.networks.tracing import trace
        >>> found = roles(trace(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1))))
        >>> [unit.kind for unit in found.units.values()], {name: len(g) for name, g in found.groups.items()}
        (['linear', 'norm', 'dropout', 'linear'], {'0': 2, '3': 1})
    """
    units: dict[fx.Node, Unit] = {}
    runs: dict[nn.Module, int] = {}
    for node in graph.nodes:
        if node.op != "call_module":
            continue
        module = graph.module.get_submodule(str(node.target))
        kind = kind_of(module)
        if getattr(module, "inplace", False) and (in_place == "refuse" or kind is not None):
            raise refuse(
                f"layer {node.target} ({type(module).__name__})",
                "it works in place, which destroys the state that co-states need: make it with inplace=False",
            )
        if kind is None:
            continue
        runs[module] = runs.get(module, 0) + 1
        name = str(node.target) if runs[module] == 1 else f"{node.target}:{runs[module]}"
        units[node] = Unit(name, module, kind)
        _check_unit(node, units[node], runs[module], unsupported)
    _check_owners(units)
    return Roles(units, _groups(graph, units))


def trains(unit: Unit) -> bool:
    """Whether a player moves the unit: it has parameters that require a gradient.

    Example:
        >>> trains(Unit("a", nn.Linear(2, 2), "linear")), trains(Unit("b", nn.Dropout(), "dropout"))
        (True, False)
    """
    return any(p.requires_grad for p in unit.module.parameters())


def _what(unit: Unit) -> str:
    return f"layer {unit.name} ({type(unit.module).__name__})"


def _check_unit(node: fx.Node, unit: Unit, run: int, unsupported: str) -> None:
    what, module = f"layer {node.target} ({type(unit.module).__name__})", unit.module
    if isinstance(module, _SEVERAL) or len(node.all_input_nodes) != 1 or len(node.args) + len(node.kwargs) != 1:
        raise refuse(
            what,
            "it is not supported: a player reads one tensor and gives one tensor, and this layer reads or gives "
            "several, so it can neither be played nor kept. Leave it out, or train it with another optimiser and "
            "give the rest of the network",
        )
    if not trains(unit):
        return
    if run > 1:
        raise refuse(
            what,
            "it is called more than once, so its parameters belong to several stages, and a player moves in one. Give "
            "each call a layer of its own (copy.deepcopy), or freeze it with requires_grad_(False)",
        )
    if not all(p.requires_grad for p in module.parameters()):
        raise refuse(
            what, "a part of its parameters is frozen: freeze all of a layer with requires_grad_(False), or none"
        )
    if unit.kind == "other":
        if unsupported == "refuse":
            raise refuse(
                what,
                "it is not supported: its parameters have no matrix form that curvature could use, so it would be left "
                "out of the game. Expected nn.Linear, nn.Conv1d, nn.Conv2d and norms of torch; freeze it with "
                "requires_grad_(False), or give unsupported='gradient', with which it takes plain gradient steps",
            )
        if any(_drops(part) for part in module.modules()):
            raise refuse(
                what, "it has dropout inside, whose masks a second pass could not repeat: make it with dropout=0"
            )
        warnings.warn(
            f"{what} has no matrix form that curvature could use: it stays in its stage as a player of its own that "
            "takes plain gradient steps",
            stacklevel=4,
        )


def _drops(part: nn.Module) -> bool:
    share = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0)
    return isinstance(share, int | float) and share > 0


def _check_owners(units: dict[fx.Node, Unit]) -> None:
    owners: dict[int, Unit] = {}
    for unit in units.values():
        for name, parameter in unit.module.named_parameters():
            other = owners.setdefault(id(parameter), unit)
            if other.module is not unit.module and parameter.requires_grad:
                raise refuse(
                    _what(unit),
                    f"it shares its {name} with {_what(other)}, and every player owns its weights: give each layer "
                    "weights of its own, or freeze both with requires_grad_(False)",
                )


def _groups(graph: Graph, units: dict[fx.Node, Unit]) -> dict[str, tuple[fx.Node, ...]]:
    groups: dict[str, tuple[fx.Node, ...]] = {}
    owner: dict[fx.Node, str] = {}
    for node, unit in units.items():
        if not trains(unit):
            continue
        before = node.all_input_nodes[0]
        joins = unit.kind == "norm" and before in owner and units[before].kind in ("linear", "conv")
        if joins and sum(before in other.all_input_nodes for other in graph.nodes) == 1:
            name = owner[before]
        else:
            name = unit.name
        owner[node] = name
        groups[name] = (*groups.get(name, ()), node)
    if not groups:
        raise refuse(
            f"the module ({type(graph.module).__name__})",
            "got no layer with parameters to train, expected at least one: each is a player",
        )
    return groups
