"""Road networks in the tntp text format of the collection TransportationNetworks, from a user's folder.

Three files a network: `<Name>_net.tntp` (links), `<Name>_trips.tntp` (demand between zones) and, where somebody has
published a best known equilibrium, `<Name>_flow.tntp`. The collection is donated for academic research and asks that
the source of a network be named; nothing of it comes with this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.data.dataset import data_folder, list_folder
from strategic_envs.errors import DataError

__all__ = ["TntpNetwork", "tntp"]

_COLUMNS = ("capacity", "length", "free_flow_time", "b", "power", "speed", "toll", "link_type")
_CHECKED = ("capacity", "length", "free_flow_time", "b", "power", "toll")  # none of these may be negative
_METADATA = "NUMBER OF ZONES", "NUMBER OF NODES", "FIRST THRU NODE", "NUMBER OF LINKS"
_TOTAL_WITHIN = 1e-3  # published totals are rounded


@dataclass(frozen=True, eq=False)
class TntpNetwork:
    """A road network as its files give it. Nodes are counted from 1, the zones first; links keep the file's order.

    A link of volume x takes `free_flow_time * (1 + b * (x / capacity) ** power)`, in the unit of the file.

    Args:
        name: What the files are called, without `_net.tntp`.
        zones: How many zones there are: the nodes 1..zones.
        nodes: How many nodes there are.
        first_thru: The first node that may be passed through; zones below it only begin and end trips.
        tails: Where each link begins, a node's number.
        heads: Where it ends.
        capacity: Volume to which `free_flow_time` and `b` refer.
        length: Length of each link, in the unit of the file.
        free_flow_time: Time on the empty link.
        b: Factor of the congestion term.
        power: Its exponent.
        toll: Toll of each link.
        demands: Trips from each zone (row) to each zone (column), those within a zone included.
        volumes: The published equilibrium's volume on each link, or `None`.
        times: The published equilibrium's time on each link, or `None`.
    """

    name: str
    zones: int
    nodes: int
    first_thru: int
    tails: Int[Tensor, " E"]
    heads: Int[Tensor, " E"]
    capacity: Float[Tensor, " E"]
    length: Float[Tensor, " E"]
    free_flow_time: Float[Tensor, " E"]
    b: Float[Tensor, " E"]
    power: Float[Tensor, " E"]
    toll: Float[Tensor, " E"]
    demands: Float[Tensor, "Z Z"]
    volumes: Float[Tensor, " E"] | None
    times: Float[Tensor, " E"] | None

    @property
    def trips(self) -> dict[tuple[int, int], float]:
        """Demand by pair of zones `(from, to)`, without zeros and without trips inside a zone, which use no link."""
        rows, columns = torch.nonzero(self.demands, as_tuple=True)
        pairs = zip(rows.tolist(), columns.tolist(), self.demands[rows, columns].tolist(), strict=True)
        return {(o + 1, d + 1): trips for o, d, trips in pairs if o != d}


def tntp(name: str | Path, data_dir: str | Path | None = None) -> TntpNetwork:
    """Reads a road network.

    Args:
        name: What its files are called before `_net.tntp`, such as `SiouxFalls`, or the path of that file.
        data_dir: The folder with the files, or one with a folder `tntp` that has them; by default what
            `STRATEGIC_ENVS_DATA` names.

    Raises:
        DataError: If the folder or a file is missing; if a line is malformed, a number negative or not finite, or a
            node unknown (with file and line); or if links or trips do not add up to what the file says of itself.
    """
    given = Path(name)
    if given.name.endswith("_net.tntp"):
        root, label = given.parent, given.name.removesuffix("_net.tntp")
    else:
        root = data_folder(data_dir, f"road network {name}", ("tntp",), "tntp files", f"{name}_net.tntp")
        label = str(name)
    net, trips = (_find(root, f"{label}_{part}.tntp") for part in ("net", "trips"))
    head, links = _links(net)
    zones, nodes, first_thru = head["NUMBER OF ZONES"], head["NUMBER OF NODES"], head["FIRST THRU NODE"]
    tails, heads = (torch.tensor([link[i] for link in links], dtype=torch.int64) for i in (0, 1))
    numbers = {column: [link[2 + i] for link in links] for i, column in enumerate(_COLUMNS)}
    column = {key: torch.tensor(values, dtype=torch.float64) for key, values in numbers.items()}
    demands = _trips(trips, zones)
    flow = root / f"{label}_flow.tntp"
    volumes, times = _flow(flow, tails.tolist(), heads.tolist()) if flow.is_file() else (None, None)
    return TntpNetwork(
        name=label,
        zones=zones,
        nodes=nodes,
        first_thru=first_thru,
        tails=tails,
        heads=heads,
        capacity=column["capacity"],
        length=column["length"],
        free_flow_time=column["free_flow_time"],
        b=column["b"],
        power=column["power"],
        toll=column["toll"],
        demands=demands,
        volumes=volumes,
        times=times,
    )


def _find(root: Path, name: str) -> Path:
    path = root / name
    if path.is_file():
        return path
    if not root.is_dir():
        raise DataError(f"got the folder {root}, which does not exist, expected {name} in it")
    same = [p.name for p in root.iterdir() if p.name.lower() == name.lower()]
    hint = f"did you mean {same[0].rsplit('_', 1)[0]!r}?" if same else "copy the file there"
    raise DataError(f"got the folder {root} with {list_folder(root)}, expected {name} in it: {hint}")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that say something, each with where it stands; comments begin with ~."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: got bytes that are no text ({error}), expected a tntp file: copy it again") from error
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("~")[0].strip()
        if content:
            yield f"{path}, line {number}", content


def _sections(path: Path) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """Metadata by tag, each with where it stands, and the lines after it."""
    head: dict[str, tuple[str, str]] = {}
    body: list[tuple[str, str]] = []
    for where, line in _lines(path):
        if line.startswith("<"):
            tag, closed, value = line[1:].partition(">")
            if not closed:
                raise DataError(f"{where}: got {line!r}, expected <TAG> value: close the tag")
            head[tag.strip().upper()] = where, value.strip()
        else:
            body.append((where, line))
    return head, body


def _whole(where: str, text: str, what: str, low: int, high: int | None = None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value < low or (high is not None and value > high):
        bounds = f"in {low}..{high}" if high is not None else f">= {low}"
        raise DataError(f"{where}: got {text!r} as {what}, expected a whole number {bounds}")
    return value


def _number(where: str, text: str, what: str, *, signed: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not math.isfinite(value) or (value < 0 and not signed):
        kind = "a finite number" if signed else "a finite number >= 0"
        raise DataError(f"{where}: got {text!r} as {what}, expected {kind}")
    return value


def _links(path: Path) -> tuple[dict[str, int], list[tuple[float, ...]]]:
    """Counts by tag, and the links: tail, head and the columns."""
    tags, body = _sections(path)
    for tag in _METADATA:
        if tag not in tags:
            raise DataError(f"{path}: got no <{tag}>, expected it in the first lines: this is no network file")
    counts = {tag: _whole(*tags[tag], f"<{tag}>", 1) for tag in _METADATA}
    nodes = counts["NUMBER OF NODES"]
    if counts["NUMBER OF ZONES"] > nodes:
        raise DataError(f"{path}: got {counts['NUMBER OF ZONES']} zones and {nodes} nodes, expected zones among nodes")
    links: list[tuple[float, ...]] = []
    for where, line in body:
        fields = line.replace(";", " ").split()
        if len(fields) != 2 + len(_COLUMNS):
            raise DataError(
                f"{where}: got {len(fields)} fields, expected {2 + len(_COLUMNS)}: "
                f"init_node term_node {' '.join(_COLUMNS)} ;"
            )
        ends = [_whole(where, f, what, 1, nodes) for f, what in zip(fields, ("init_node", "term_node"), strict=False)]
        values = [_number(where, f, c, signed=c not in _CHECKED) for f, c in zip(fields[2:], _COLUMNS, strict=True)]
        named = dict(zip(_COLUMNS, values, strict=True))
        if named["capacity"] == 0 and named["b"] * named["free_flow_time"] > 0:
            raise DataError(f"{where}: got capacity 0 on a link whose time grows with volume, expected one above 0")
        links.append((*ends, *values))
    if len(links) != counts["NUMBER OF LINKS"]:
        raise DataError(
            f"{path}: got {len(links)} links, expected {counts['NUMBER OF LINKS']} as <NUMBER OF LINKS> says: "
            "the file is incomplete or its metadata wrong"
        )
    return counts, links


def _trips(path: Path, zones: int) -> Float[Tensor, "Z Z"]:
    tags, body = _sections(path)
    if "NUMBER OF ZONES" in tags:
        said = _whole(*tags["NUMBER OF ZONES"], "<NUMBER OF ZONES>", 1)
        if said != zones:
            raise DataError(f"{path}: got <NUMBER OF ZONES> {said}, expected {zones} as in the network's file")
    demands = [[0.0] * zones for _ in range(zones)]
    seen: set[tuple[int, int]] = set()
    origin: int | None = None
    for where, line in body:
        if line.lower().startswith("origin"):
            origin = _whole(where, line[len("origin") :].strip(), "an origin", 1, zones)
            continue
        if origin is None:
            raise DataError(f"{where}: got {line!r} before any origin, expected a line 'Origin <zone>' first")
        for entry in filter(None, (part.strip() for part in line.split(";"))):
            left, colon, right = (part.strip() for part in entry.partition(":"))
            if not colon:
                raise DataError(f"{where}: got {entry!r}, expected '<destination> : <trips>;'")
            destination = _whole(where, left, "a destination", 1, zones)
            trips = _number(where, right, f"the trips from {origin} to {destination}")
            if (origin, destination) in seen:
                raise DataError(f"{where}: got trips from {origin} to {destination} twice, expected them once")
            seen.add((origin, destination))
            demands[origin - 1][destination - 1] = trips
    table = torch.tensor(demands, dtype=torch.float64)
    if "TOTAL OD FLOW" in tags:
        said, total = _number(*tags["TOTAL OD FLOW"], "<TOTAL OD FLOW>"), float(table.sum())
        if abs(total - said) > _TOTAL_WITHIN * max(said, total):
            raise DataError(
                f"{path}: got {total:g} trips, expected {said:g} as <TOTAL OD FLOW> says: "
                "the file is incomplete or its metadata wrong"
            )
    return table


def _flow(path: Path, tails: list[int], heads: list[int]) -> tuple[Float[Tensor, " E"], Float[Tensor, " E"]]:
    """Published volumes and times, in the order of the links; of parallel links the first line is the first link's."""
    _, body = _sections(path)
    free: dict[tuple[int, int], list[int]] = {}
    for link in reversed(range(len(tails))):
        free.setdefault((tails[link], heads[link]), []).append(link)
    volumes, times = torch.full((2, len(tails)), torch.nan, dtype=torch.float64)
    for where, line in body:
        fields = line.replace(";", " ").replace(":", " ").split()
        if not fields[0].lstrip("+-").isdigit() and torch.isnan(volumes).all():
            continue  # the line with the columns' names
        if len(fields) != 4:
            raise DataError(f"{where}: got {len(fields)} fields, expected 4: from, to, volume, cost")
        ends = _whole(where, fields[0], "a node", 1), _whole(where, fields[1], "a node", 1)
        if not free.get(ends):
            raise DataError(f"{where}: got a link {ends[0]} -> {ends[1]} that the network's file has not (so often)")
        link = free[ends].pop()
        volumes[link], times[link] = _number(where, fields[2], "a volume"), _number(where, fields[3], "a cost")
    missing = int(torch.isnan(volumes).sum())
    if missing:
        raise DataError(f"{path}: got volumes of {len(tails) - missing} links, expected {len(tails)}: copy it again")
    return volumes, times
