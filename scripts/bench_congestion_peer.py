"""AequilibraE's side of `bench_congestion.py`: run by the interpreter of an environment that has it.

It reads one network, then gaps, as lines of JSON, and answers each gap with the CPU seconds of an assignment by
biconjugate Frank-Wolfe on one core and the relative gap that the last step reports.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
from typing import Any

import numpy as np


def graph_and_matrix(task: dict[str, Any]) -> tuple[Any, Any]:
    """AequilibraE's own forms of the network and of the trips."""
    pandas = importlib.import_module("pandas")
    paths, matrices = importlib.import_module("aequilibrae.paths"), importlib.import_module("aequilibrae.matrix")
    links, trips = np.asarray(task["links"]), np.asarray(task["demands"])
    zones = len(trips)
    table = pandas.DataFrame(links, columns=["a_node", "b_node", "free_flow_time", "capacity", "b", "power"])
    table = table.astype({"a_node": "int64", "b_node": "int64"})
    table["link_id"] = np.arange(1, len(links) + 1)
    table["direction"] = 1
    graph = paths.Graph()
    graph.mode, graph.network = "c", table
    graph.prepare_graph(np.arange(1, zones + 1))
    graph.set_graph("free_flow_time")
    graph.set_blocked_centroid_flows(task["first_thru"] > 1)
    matrix = matrices.AequilibraeMatrix()
    matrix.create_empty(zones=zones, matrix_names=["trips"], memory_only=True)
    matrix.index[:] = np.arange(1, zones + 1)
    np.fill_diagonal(trips, 0.0)
    matrix.matrix["trips"][:, :] = trips
    matrix.computational_view(["trips"])
    return graph, matrix


def solve(task: dict[str, Any], steps: int, gap: float) -> dict[str, float]:
    """One assignment; the graph is made anew, unmeasured."""
    paths = importlib.import_module("aequilibrae.paths")
    graph, matrix = graph_and_matrix(task)
    assignment = paths.TrafficAssignment()
    assignment.set_classes([paths.TrafficClass("car", graph, matrix)])
    assignment.set_vdf("BPR")
    assignment.set_vdf_parameters({"alpha": "b", "beta": "power"})
    assignment.set_capacity_field("capacity")
    assignment.set_time_field("free_flow_time")
    assignment.set_cores(1)
    assignment.set_algorithm("bfw")
    assignment.max_iter, assignment.rgap_target = steps, gap
    began = time.process_time()
    assignment.execute()
    spent = time.process_time() - began
    return {"seconds": spent, "gap": float(assignment.assignment.rgap), "steps": float(assignment.assignment.iter)}


def main() -> None:
    """Answers until the input ends."""
    logging.disable(logging.CRITICAL)
    os.environ["AEQ_SHOW_PROGRESS"] = "FALSE"  # bars take time
    answers, sys.stdout = sys.stdout, sys.stderr  # what the package prints is no answer
    first = json.loads(sys.stdin.readline())
    print(json.dumps({"ready": 1.0}), file=answers, flush=True)
    for line in sys.stdin:
        found = solve(first["network"], first["steps"], json.loads(line)["gap"])
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
