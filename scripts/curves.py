"""Pictures of a benchmark: for each environment and game, every agent's gaps against the steps it took."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curve_panels", "draw_curves", "read_curves"]

Rows = list[dict[str, Any]]

GAPS = {"exploitability": "exploitability", "local_nash_gap": "local Nash gap", "local_cce_gap": "local CCE gap"}
"""What is drawn, one panel each, and what the panel calls it."""
BESIDE = {"path_gap": "path gap", "layer_excess": "largest excess of a layer"}
"""What is drawn too, of the agents whose rows have it."""

_FLOOR = 1e-9  # smaller gaps are drawn here: such as those that are zero, or negative, as local CCE gaps may be


def read_curves(folder: Path) -> dict[tuple[str, str], dict[str, list[Rows]]]:
    """The measured rows of a benchmark's folder.

    Returns:
        By environment and its options in words, then by agent, one list of rows a seed.
    """
    found: dict[tuple[str, str], dict[str, list[Rows]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((folder / "curves").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if rows:
            found[rows[0]["environment"], rows[0].get("options", "")][rows[0]["agent"]].append(rows)
    return {place: dict(agents) for place, agents in found.items()}


def draw_curves(folder: Path) -> list[Path]:
    """Draws one picture an environment and game into a folder: `ENV.png`, or `ENV-OPTIONS.png` where there are several.

    A line is the median over an agent's seeds, its band reaches from the smallest to the largest. Agents whose play
    does not change have one row a seed; it is drawn as a level. Steps are on a logarithmic axis, because agents that
    sample thousands of games in one call take many more of them.

    Args:
        folder: A benchmark's folder, with its rows in `curves/`.

    Returns:
        The pictures' paths.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    from strategic_envs import plots
    from strategic_envs.scripts.cells import file_name

    found, paths = read_curves(folder), []
    environments = [environment for environment, _ in found]
    for (environment, options), agents in found.items():
        name = environment if environments.count(environment) == 1 else file_name(environment, options)
        figure = curve_panels(agents, ", ".join(filter(None, [environment, options])))
        paths.append(plots.save(figure, folder / f"{name}.png"))
    return paths


def curve_panels(agents: Mapping[str, list[Rows]], title: str) -> Figure:
    """One panel a gap, and one for each of `BESIDE` that an agent has, with a line for each agent.

    Args:
        agents: By agent, one list of rows a seed.
        title: What stands above each panel.
    """
    from strategic_envs import plots

    shown = {**GAPS, **{gap: label for gap, label in BESIDE.items() if _having(agents, gap)}}
    figure, panels = plots.new_figure(1, len(shown), width=5.2, height=4.0)
    for axes, (gap, label) in zip(panels, shown.items(), strict=True):
        having = _having(agents, gap)
        series, levels = _series(having, gap), _levels(having, gap)
        plots.draw_curves(axes, series, title=title, xlabel="steps", ylabel=label, levels=levels, floor=_FLOOR)
        if series:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter("")  # between powers of ten there is no room for numbers
    plots.share_legend(figure, panels)
    return figure


def _having(agents: Mapping[str, list[Rows]], gap: str) -> dict[str, list[Rows]]:
    """The agents all of whose rows have the gap."""
    return {name: runs for name, runs in agents.items() if all(gap in row for rows in runs for row in rows)}


def _series(agents: Mapping[str, list[Rows]], gap: str) -> dict[str, tuple[list[float], list[list[float]]]]:
    """By agent: steps `(T,)` and values `(T, seeds)`, as far as all seeds have come."""
    moving = {name: runs for name, runs in agents.items() if min(len(rows) for rows in runs) > 1}
    return {
        name: ([row["steps"] for row in runs[0]][: min(map(len, runs))], [[r[gap] for r in at] for at in zip(*runs)])  # noqa: B905
        for name, runs in moving.items()
    }


def _levels(agents: Mapping[str, list[Rows]], gap: str) -> dict[str, float]:
    still = {name: runs for name, runs in agents.items() if min(len(rows) for rows in runs) == 1}
    return {name: sorted(rows[-1][gap] for rows in runs)[len(runs) // 2] for name, runs in still.items()}
