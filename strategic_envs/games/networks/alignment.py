"""Alignments: which stage each player moves in.

If a player reads what another one gave, directly or through other operations, it moves in a later stage; nothing else
is asked. `early` puts every player into the first stage it can move in, `late` into the last one that keeps the number
of stages at its minimum. In a residual block these are the two alignments of Liu, Chen and Theodorou (2021, figures 2
and 4): the shortcut moves with the first layer, or with the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import fx

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.networks.players import Roles
from strategic_envs.games.networks.tracing import Graph

__all__ = ["Order", "align", "combinations", "order"]

_MOST = 4096  # alignments that are listed without a limit


@dataclass(frozen=True, eq=False)
class Order:
    """The data flow between players.

    Args:
        before: For each player, in the order they run, the players whose results it reads.
        early: The first stage that each player can move in.
        late: The last one, with the least number of stages.
    """

    before: dict[str, tuple[str, ...]]
    early: dict[str, int]
    late: dict[str, int]


def order(graph: Graph, roles: Roles) -> Order:
    """The data flow between the players of a graph.

    Args:
        graph: The forward pass.
        roles: Its players.

    Example:
        >>> from torch import nn
        >>> from strategic_envs.games.networks.players import roles
        >>> from strategic_envs.games.networks.tracing import trace
        >>> graph = trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
        >>> order(graph, roles(graph))
        Order(before={'0': (), '2': ('0',)}, early={'0': 0, '2': 1}, late={'0': 0, '2': 1})
    """
    owner = {node: name for name, nodes in roles.groups.items() for node in nodes}
    last: dict[fx.Node, frozenset[str]] = {}  # the players that a node's value comes from, nearest ones only
    before: dict[str, set[str]] = {name: set() for name in roles.groups}
    for node in graph.nodes:
        sources = frozenset[str]().union(*(last[i] for i in node.all_input_nodes))
        if node in owner:
            before[owner[node]] |= sources - {owner[node]}
            sources = frozenset({owner[node]})
        last[node] = sources
    early: dict[str, int] = {}
    for name, sources in before.items():
        early[name] = max((early[s] + 1 for s in sources), default=0)
    late = dict.fromkeys(before, max(early.values()))
    for name in reversed(before):
        for source in before[name]:
            late[source] = min(late[source], late[name] - 1)
    names = list(before)
    return Order({name: tuple(sorted(s, key=names.index)) for name, s in before.items()}, early, late)


def align(flow: Order, alignment: str | Mapping[str, int]) -> dict[str, int]:
    """The stage of each player, in the order they run.

    Args:
        flow: The data flow.
        alignment: `early`, `late`, or the stage of every player by name.

    Raises:
        InvalidGameError: If a player is missing or unknown, a stage is no number, or a player would move before, or
            with, one whose result it reads.

    Example:
        >>> align(Order({"a": (), "b": ("a",)}, {"a": 0, "b": 1}, {"a": 0, "b": 1}), {"b": 2, "a": 1})
        {'a': 1, 'b': 2}
    """
    if isinstance(alignment, str):
        if alignment not in ("early", "late"):
            raise InvalidGameError(
                f"got the alignment {alignment!r}, expected 'early', 'late', or a mapping from each player to its stage"
            )
        return dict(getattr(flow, alignment))
    unknown = [name for name in alignment if name not in flow.before]
    missing = [name for name in flow.before if name not in alignment]
    if unknown or missing:
        raise InvalidGameError(
            f"got an alignment with unknown players {unknown} and without {missing}, expected a stage for each of "
            f"{list(flow.before)}"
        )
    wrong = {n: t for n, t in alignment.items() if type(t) is not int or t < 0}
    if wrong:
        raise InvalidGameError(f"got an alignment with the stages {wrong}, expected whole numbers >= 0")
    for name, sources in flow.before.items():
        for source in sources:
            if alignment[source] >= alignment[name]:
                raise InvalidGameError(
                    f"got an alignment with player {name} in stage {alignment[name]} and player {source} in stage "
                    f"{alignment[source]}, but {name} reads what {source} gives: put {name} into stage "
                    f"{alignment[source] + 1} or a later one, or {source} into an earlier one"
                )
    return {name: alignment[name] for name in flow.before}


def combinations(flow: Order, limit: int | None = None) -> list[dict[str, int]]:
    """All alignments in which every player moves as early or as late as possible, `late` first.

    Args:
        flow: The data flow.
        limit: How many to list at most.

    Raises:
        InvalidSettingError: If the limit is not a whole number >= 1, or there is none and there are too many.

    Example:
        >>> flow = Order({"a": (), "b": ("a",), "c": ()}, {"a": 0, "b": 1, "c": 0}, {"a": 0, "b": 1, "c": 1})
        >>> combinations(flow)
        [{'a': 0, 'b': 1, 'c': 1}, {'a': 0, 'b': 1, 'c': 0}]
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidSettingError(f"got limit={limit!r}, expected a whole number >= 1, or None for all alignments")
    found: list[dict[str, int]] = []
    for alignment in _choices(flow, list(flow.before), {}):
        if len(found) == limit:
            break
        if len(found) == _MOST:
            raise InvalidSettingError(
                f"there are more than {_MOST} alignments of {len(flow.before)} players: give limit=..., a number"
            )
        found.append(alignment)
    return found


def _choices(flow: Order, names: list[str], chosen: dict[str, int]) -> Iterator[dict[str, int]]:
    if not names:
        yield dict(chosen)
        return
    name, *rest = names
    for stage in dict.fromkeys((flow.late[name], flow.early[name])):
        if all(chosen[source] < stage for source in flow.before[name]):
            yield from _choices(flow, rest, {**chosen, name: stage})
