"""Pictures of where learning went: the field of a game of two numbers with the path of each agent through it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategic_envs.results import write_atomic
from strategic_envs.scripts.cells import Cell, variant
from strategic_envs.scripts.curves import curve_panels

if TYPE_CHECKING:
    from strategic_envs.agents.roster import Result
    from strategic_envs.games.kinds.vi import VIGame

__all__ = ["draw_paths", "draw_run", "environment_game", "keep_path"]

_POINTS = 2000  # of a path that is drawn
_COLUMNS = 4


def keep_path(folder: Path, cell: Cell, result: Result) -> None:
    """Writes the path of a cell into `paths/` of a benchmark's folder, if its game can be drawn on a square."""
    points = _drawn(result)
    if points is not None:
        record = {"environment": cell.environment, "env": cell.env, "agent": cell.agent, "seed": cell.seed}
        write_atomic(folder / "paths" / f"{cell.name}.json", json.dumps({**record, "points": points}))


def draw_paths(folder: Path) -> list[Path]:
    """Draws one picture a game into a benchmark's folder, with a panel for each agent: the path of its first seed.

    Args:
        folder: A benchmark's folder, with paths in `paths/`.

    Returns:
        The pictures' paths.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((folder / "paths").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[record["environment"], variant(record["env"])].append(record)
    return [
        _draw(folder / f"{Cell(name, 'field', env=records[0]['env']).place}-field.png", records)
        for (name, _), records in found.items()
    ]


def draw_run(folder: Path, cell: Cell, result: Result) -> list[Path]:
    """Draws `curves.png`, and `trajectory.png` where the game allows it, into the folder of a training run.

    Nothing is drawn where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        return []
    from strategic_envs import plots

    drawn = []
    if len(result.rows) > 1:
        title = ", ".join(filter(None, [cell.environment, variant(cell.env)]))
        drawn.append(plots.save(curve_panels({cell.agent: [result.rows]}, title), folder / "curves.png"))
    points = _drawn(result)
    if points is not None:
        record = {"environment": cell.environment, "env": cell.env, "agent": cell.agent, "seed": 0, "points": points}
        drawn.append(_draw(folder / "trajectory.png", [record]))
    return drawn


def _drawn(result: Result) -> list[list[float]] | None:
    """The path as two lists of numbers, thinned out; None if it is not of two players with one number each."""
    path = result.path
    if path is None or [t.shape[-1] for t in path] != [1, 1]:
        return None
    kept = sorted({round(k * (len(path[0]) - 1) / _POINTS) for k in range(_POINTS + 1)})
    return [t[kept].squeeze(-1).tolist() for t in path]


def _draw(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    import torch

    from strategic_envs import plots
    from strategic_envs.profile import Profile

    game = environment_game(records[0]["environment"], records[0]["env"])
    first = {record["agent"]: record for record in sorted(records, key=lambda r: (r["agent"], -r["seed"]))}
    columns = min(len(first), _COLUMNS)
    figure, panels = plots.new_figure(-(-len(first) // columns), columns, width=4.0, height=4.2)
    for axes, (agent, record) in zip(panels, first.items(), strict=False):
        points = Profile(torch.tensor(t, dtype=torch.float64).unsqueeze(-1) for t in record["points"])
        plots.draw_trajectories(axes, game, {"path": points}, title=agent)
    for axes in panels[len(first) :]:
        axes.set_axis_off()
    plots.share_legend(figure, panels)
    figure.suptitle(variant(records[0]["env"]) or game.name)
    return plots.save(figure, path)


def environment_game(environment: str, env: Mapping[str, Any]) -> VIGame:
    """The game that an environment with these options plays."""
    from strategic_envs import registry

    made: Any = registry.make(environment, registry.describe(environment).modes[0], **env)
    return made.unwrapped.game
