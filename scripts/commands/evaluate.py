"""`strategic-envs evaluate`: judges what was trained, again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from strategic_envs.errors import CheckpointError
from strategic_envs.results import RunFolder
from strategic_envs.scripts.cells import ray_session
from strategic_envs.scripts.tables import console, print_table


@dataclass(frozen=True)
class Command:
    """Judges a checkpoint: its exploitability and the other gaps."""

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """A checkpoint, or the folder that train wrote."""
    address: str | None = None
    """The address of a running Ray cluster; a local session if not given."""
    json: bool = False
    """Prints one JSON object instead of a table."""

    def run(self) -> None:
        """Prints the gaps."""
        from strategic_envs.agents.roster import evaluate_checkpoint

        path, agent = _locate(self.checkpoint)
        with ray_session([agent] if agent else [], self.address):
            row = evaluate_checkpoint(path)
        if self.json:
            print(json.dumps(row))
            return
        print_table(console(), str(self.checkpoint), ["what", "value"], [[key, value] for key, value in row.items()])


def _locate(path: Path) -> tuple[Path, str | None]:
    """The checkpoint inside a run folder, and the agent that made it; a checkpoint itself as it is."""
    if not path.exists():
        raise CheckpointError(f"there is no {path}: give a checkpoint, or the folder that train wrote")
    if not (path / "run.json").is_file():
        return path, None
    agent = RunFolder.open(path).config.get("agent")
    try:
        inner = json.loads((path / "result.json").read_text(encoding="utf-8"))["checkpoint"]
    except OSError as error:
        raise CheckpointError(f"{path} holds a run that did not finish: train it again into another folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}/result.json is damaged: give the checkpoint's own folder instead") from error
    if inner is None:
        raise CheckpointError(f"{path} holds a run of {agent}, which learns nothing and so leaves no checkpoint")
    return path / inner, agent
