"""`strategic-envs train`: one agent, one environment, one seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from strategic_envs.results import RunFolder, write_atomic
from strategic_envs.scripts.cells import Cell, check_cell, ray_session, train_cell
from strategic_envs.scripts.options import Options
from strategic_envs.scripts.pictures import draw_run
from strategic_envs.scripts.tables import console, number


@dataclass(frozen=True)
class Command:
    """Trains an agent on an environment and judges it.

    Options of the environment are given as --env.KEY VALUE, hyper-parameters of the agent as --agent.KEY VALUE;
    `strategic-envs list --matrix` shows the agents' keys. Rows, settings and a checkpoint go to the folder --out.
    """

    environment: Annotated[Positional[str], arg(metavar="ENV")]
    """The id of an environment, such as tic_tac_toe_v0."""
    agent: str
    """The name of an agent, such as extragradient."""
    seed: int = 0
    """The same seed gives the same numbers."""
    iterations: int | None = None
    """How many training iterations; the agent's preset if not given."""
    device: str = "auto"
    """auto, cpu or cuda."""
    address: str | None = None
    """The address of a running Ray cluster; a local session if not given."""
    out: Path | None = None
    """The folder for the results; results/ENV-AGENT-seedN if not given. It must not hold a run yet."""

    def run(self, options: Options) -> None:
        """Trains, printing each row as it is measured."""
        cell = Cell(self.environment, self.agent, self.seed, options.env, options.agent, self.iterations)
        check_cell(cell, self.device, self.address)
        out = console()
        folder = RunFolder.create(
            self.out or Path("results") / cell.name,
            {"command": "train", **cell.config()},
            device=self.device,
            resume=False,
        )

        def on_row(row: dict[str, Any]) -> None:
            folder.append(row)
            out.print(_line(row), highlight=False)

        try:
            with ray_session([self.agent], self.address):
                result = train_cell(cell, device=self.device, out=folder.path, on_row=on_row)
        except BaseException:
            folder.discard_unused()
            raise
        if result.parameters_moved is False:
            out.print("note: training did not move the parameters; the gradient was zero throughout", highlight=False)
        draw_run(folder.path, cell, result)
        record = {"final": result.final, "settings": result.settings, "checkpoint": _relative(result, folder.path)}
        write_atomic(folder.path / "result.json", json.dumps(record, indent=2, default=str) + "\n")
        out.print(f"finished: {_line(result.final)}", highlight=False)
        out.print(
            f"saved in {folder.path}; judge it again with: strategic-envs evaluate {folder.path}", highlight=False
        )


def _line(row: dict[str, Any]) -> str:
    parts = [
        ("iteration", "iteration {}"),
        ("steps", "steps {}"),
        ("exploitability", "exploitability {}"),
        ("cce_gap", "CCE gap {}"),
        ("profit_gain", "profit gain {}"),
        ("rival_response", "rival's response {}"),
    ]
    parts += [("local_nash_gap", "local Nash gap {}"), ("local_cce_gap", "local CCE gap {}")]
    parts += [("layer_excess", "layer excess {}"), ("path_gap", "path gap {}"), ("seconds", "{} s")]
    words = [shape.format(number(row[key])) for key, shape in parts if key in row]
    if row.get("outcome", "running") != "running":  # the method came to an end, or training cannot go on
        words.append(": ".join(filter(None, [str(row["outcome"]), row.get("explain")])))
    return "  ".join(words)


def _relative(result: Any, folder: Path) -> str | None:
    if result.checkpoint is None:
        return None
    path = Path(result.checkpoint)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
