"""Maps of starts: from where each dynamic of a benchmark settles, for games of two players with one number each."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strategic_envs.scripts.cells import Cell, variant
from strategic_envs.scripts.pictures import environment_game

__all__ = ["draw_maps"]

_SIDE = 12  # starts along each side of nine tenths of the square
_STEPS = 500
_COLUMNS = 4


def draw_maps(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Draws one picture a game into a benchmark's folder, with a panel for each dynamic: what becomes of which start.

    Every dynamic takes 500 steps with the settings of its row, on the game itself. Agents that are no dynamic, and
    methods that take one start, are left out.

    Args:
        folder: A benchmark's folder.
        rows: Its leaderboard.

    Returns:
        The pictures' paths.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        found[row["environment"], variant(row["env"])].setdefault(row["agent"], row)
    drawn = [_draw(folder, list(of_game.values())) for of_game in found.values()]
    return [path for path in drawn if path is not None]


def _draw(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path | None:
    import torch

    from strategic_envs import plots
    from strategic_envs.agents.dynamics import run
    from strategic_envs.games.kinds.vi import VIGame
    from strategic_envs.profile import Profile

    env = rows[0]["env"]
    game = environment_game(rows[0]["environment"], env)
    methods = [(row["agent"], dynamic) for row in rows if (dynamic := _dynamic(row)) is not None]
    square = isinstance(game, VIGame) and game.dims == (1, 1) and all(s.bounded for s in game.sets)
    if not square or not methods:
        return None
    centres, halves = [s.centre() for s in game.sets], [0.45 * s.diameter for s in game.sets]
    axes = [torch.linspace(-h, h, _SIDE, dtype=torch.float64) + c for h, c in zip(halves, centres, strict=True)]
    starts = Profile.from_flat(torch.cartesian_prod(*axes), game.dims)
    figure, panels = plots.new_figure(-(-len(methods) // _COLUMNS), min(len(methods), _COLUMNS), width=4.0, height=4.2)
    for panel, (name, dynamic) in zip(panels, methods, strict=False):
        end = run(game, dynamic, starts, _STEPS, record=None, compile=True)
        plots.draw_coverage(panel, game, starts, end.final, end.verdicts(), title=name)
    for panel in panels[len(methods) :]:
        panel.set_axis_off()
    figure.suptitle(f"{variant(env) or game.name}: starts after {_STEPS} steps")
    return plots.save(figure, folder / f"{Cell(rows[0]['environment'], 'coverage', env=env).place}-coverage.png")


def _dynamic(row: Mapping[str, Any]) -> Any:
    """The dynamic of a row with its settings; None if the agent is no dynamic, or of one start."""
    from strategic_envs.agents.dynamics import dynamic, dynamics
    from strategic_envs.agents.roster import agent

    name = getattr(agent(row["agent"]), "dynamic", None)
    if name is None or not dynamics()[name].batched:
        return None
    fields: Any = dataclasses.fields(dynamics()[name])  # pyright: ignore[reportArgumentType]
    given = {f.name: row["settings"].get(f.name) for f in fields}
    return dynamic(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if v is not None})
