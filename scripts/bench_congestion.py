"""Seconds to the Wardrop equilibrium of a road network: gradient projection, Frank-Wolfe and AequilibraE, in turns.

Sioux Falls and Anaheim are read from `--data-dir` (or `STRATEGIC_ENVS_DATA`, or `tntp` in either). `*_1e4_s`, `*_1e8_s`
and `*_1e12_s` are the CPU seconds of one process to a relative gap of 1e-4, 1e-8 and 1e-12, paths and all, from the
network in memory to the judged flow, compilation and reading of files left out: the median over the turns, in each of
which every case runs once. `*_fw_*` are Frank-Wolfe's with exact line search, null where `--cap` steps do not reach the
gap; `*_gap` is the relative gap that gradient projection reached, `*_objective_error` its Beckmann objective against
that of the published flows, relative, `*_flow_error` the largest difference of a link's flow.

`--aequilibrae PYTHON` names the interpreter of an environment with AequilibraE in it; its biconjugate Frank-Wolfe then
takes its turn among ours, on one core, up to `--peer-steps` steps. `*_aequilibrae_ratio_*` is its time over that of
gradient projection. Its own relative gap is measured before it steps, so it is told to stop at the same gap.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from strategic_envs.data.tntp import TntpNetwork, tntp
from strategic_envs.games.road_networks import network_of
from strategic_envs.games.routing import RoutedFlow, RoutingGame
from strategic_envs.scripts.bench_common import emit

GAPS = {"1e4": 1e-4, "1e8": 1e-8, "1e12": 1e-12}
NETWORKS = {"sioux_falls": "SiouxFalls", "anaheim": "Anaheim"}
PEER = Path(__file__).with_name("bench_congestion_peer.py")


class Peer:
    """AequilibraE in a process of its own interpreter, that answers requests line by line.

    Args:
        python: The interpreter.
        table: The network.
        steps: At most so many steps.
    """

    def __init__(self, python: str, table: TntpNetwork, steps: int) -> None:
        links = torch.stack(
            [table.tails.double(), table.heads.double(), table.free_flow_time, table.capacity, table.b, table.power], -1
        )
        task = {"links": links.tolist(), "demands": table.demands.tolist(), "first_thru": table.first_thru}
        pipe = subprocess.PIPE  # isolated, for files beside the script would hide packages of their names
        self._process = subprocess.Popen(
            [python, "-I", str(PEER)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self._ask({"network": task, "steps": steps})

    def _ask(self, request: dict[str, object]) -> dict[str, float]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("the peer's process ended: run scripts/bench_congestion_peer.py with its interpreter")
        return json.loads(answer)

    def solve(self, gap: float) -> tuple[float, float]:
        """CPU seconds and the gap that it says it reached."""
        answer = self._ask({"gap": gap})
        return answer["seconds"], answer["gap"]


def ours(game: RoutingGame, method: str, gap: float, steps: int | None) -> Callable[[], tuple[float, float]]:
    """A run of ours: CPU seconds and the gap."""

    def solve() -> tuple[float, float]:
        began = time.process_time()
        flow = game.wardrop(gap, method, steps)
        assert flow.relative_gap is not None
        return time.process_time() - began, flow.relative_gap

    return solve


def compared(flow: RoutedFlow, game: RoutingGame, table: TntpNetwork) -> dict[str, float]:
    """How far a flow is from the published one."""
    if table.volumes is None:
        return {}
    objective = float(game.network.costs.integral(table.volumes).sum())
    return {
        "objective_error": abs(flow.potential / objective - 1),
        "flow_error": float((flow.loads - table.volumes).abs().max()),
    }


def measured(name: str, table: TntpNetwork, options: argparse.Namespace) -> dict[str, float]:
    """The figures of one network."""
    game = RoutingGame(network_of(table), table.trips, paths="generate", name=table.name)
    game.wardrop(1e-2, "fw")  # compiles what is not yet compiled
    cases: dict[tuple[str, str], Callable[[], tuple[float, float]]] = {}
    peer = Peer(options.aequilibrae, table, options.peer_steps) if options.aequilibrae else None
    for label, gap in GAPS.items():
        cases["", label] = ours(game, "gp", gap, None)
        cases["fw_", label] = ours(game, "fw", gap, options.cap)
        if peer is not None:
            cases["aequilibrae_", label] = lambda gap=gap, peer=peer: peer.solve(gap)
    spent: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for turn in range(options.repeats):
        for case, solve in cases.items():
            if turn > 0 and case[0] != "" and not spent[case]:
                continue  # it did not reach the gap the first time, and would not now
            seconds, gap = solve()
            if gap <= GAPS[case[1]]:
                spent[case].append(seconds)
    figures: dict[str, float] = {}
    for (solver, label), seconds in spent.items():
        figures[f"{name}_{solver}{label}_s"] = statistics.median(seconds) if seconds else float("nan")
        if solver == "aequilibrae_":
            ratio = figures[f"{name}_{solver}{label}_s"] / figures[f"{name}_{label}_s"]
            figures[f"{name}_aequilibrae_ratio_{label}"] = ratio
    flow = game.wardrop(1e-12)
    figures[f"{name}_gap"] = flow.relative_gap or 0.0
    figures |= {f"{name}_{key}": value for key, value in compared(flow, game, table).items()}
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one turn, Sioux Falls alone: checks the measurement")
    parser.add_argument("--repeats", type=int, default=5, help="turns a case")
    parser.add_argument("--data-dir", help="the folder with the tntp files")
    parser.add_argument("--cap", type=int, default=3000, help="steps of Frank-Wolfe at most")
    parser.add_argument("--aequilibrae", metavar="PYTHON", help="an interpreter that has AequilibraE")
    parser.add_argument("--peer-steps", type=int, default=3000, help="steps of AequilibraE at most")
    options = parser.parse_args(argv)
    if options.quick:
        options.repeats, options.cap = 1, 1200
    torch.set_num_threads(1)
    names = ["sioux_falls"] if options.quick else list(NETWORKS)
    figures: dict[str, float] = {}
    for name in names:
        figures |= measured(name, tntp(NETWORKS[name], options.data_dir), options)
    emit(figures, "bench_congestion.py", argv if argv is not None else _shown(sys.argv[1:]))


def _shown(arguments: list[str]) -> list[str]:
    """The command without folders of this machine."""
    return [Path(a).name if Path(a).is_absolute() else a for a in arguments]


if __name__ == "__main__":
    main()
