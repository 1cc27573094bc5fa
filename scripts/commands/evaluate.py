"""`strategic-envs evaluate`: judges what was trained, again, any player of tic-tac-toe, or a network by its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from strategic_envs.scripts.cells import ray_session
from strategic_envs.scripts.network_report import NetworkOptions, run_network
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.players import Asking, locate_checkpoint
from strategic_envs.scripts.strategic import StrategicOptions, run_strategic
from strategic_envs.scripts.tables import console, print_table


@dataclass(frozen=True)
class Command:
    """Judges a checkpoint: its exploitability and the other gaps.

    With --strategic it judges a player of tic-tac-toe on the strategic test set: a checkpoint, a fixed player (optimal,
    fastest, two_moves_ahead, uniform_random, lowest), a file of answers, or a model at an HTTP endpoint. The options
    from --endpoint to --out belong to it.

    With --network it looks at the weights of any network: which family of densities fits them, layer by layer; with
    --data also at its gaps as a congestion game of paths and of layers. The options from --initial on belong to it.
    """

    checkpoint: Annotated[Positional[Path | None], arg(metavar="CHECKPOINT")] = None
    """A checkpoint, or the folder that train wrote; with --strategic also a fixed player or a file of answers."""
    strategic: bool = False
    """Judges on the strategic test set of tic-tac-toe."""
    network: Path | None = None
    """A file of weights: safetensors, a torch state dict, an index of shards, or a folder that train wrote."""
    address: str | None = None
    """The address of a running Ray cluster; a local session if not given."""
    json: bool = False
    """Prints one JSON object instead of a table."""
    asking: OmitArgPrefixes[Asking] = field(default_factory=Asking)
    test: OmitArgPrefixes[StrategicOptions] = field(default_factory=StrategicOptions)
    weights: OmitArgPrefixes[NetworkOptions] = field(default_factory=NetworkOptions)

    def run(self) -> int:
        """Prints the gaps, the result of the strategic test, or what a network's weights look like."""
        if self.network is not None:
            if self.strategic or self.checkpoint is not None:
                raise InputError("--network judges a file of weights: leave --strategic and the checkpoint out")
            if self.asking != Asking() or self.test != StrategicOptions():
                raise InputError("options of the strategic test do not go with --network: leave them out")
            return run_network(self.network, self.weights, as_json=self.json)
        if self.weights != NetworkOptions():
            raise InputError(f"{self.weights.given()[0]} is of a file of weights: give --network FILE too")
        if self.strategic:
            what = None if self.checkpoint is None else str(self.checkpoint)
            return run_strategic(what, self.asking, self.test, address=self.address, as_json=self.json)
        if self.asking != Asking() or self.test != StrategicOptions():
            raise InputError("these options are of the strategic test: give --strategic too")
        if self.checkpoint is None:
            raise InputError("give a checkpoint, or the folder that train wrote (see strategic-envs evaluate --help)")
        from strategic_envs.agents.roster import evaluate_checkpoint

        path, agent = locate_checkpoint(self.checkpoint)
        with ray_session([agent] if agent else [], self.address):
            row = evaluate_checkpoint(path)
        if self.json:
            print(json.dumps(row))
        else:
            rows = [[key, value] for key, value in row.items()]
            print_table(console(), str(self.checkpoint), ["what", "value"], rows)
        return 0
