"""Wardrop equilibria by the method of Frank and Wolfe (1956), the first used for traffic (LeBlanc et al. 1975).

Each step goes from the flows towards those in which everybody takes a cheapest strategy at present costs, as far as the
potential falls. Its gap falls like one over the steps, so it is for rough answers and for comparison; gradient
projection reaches the rounding error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.line_search import step_length
from strategic_envs.games.kinds.congestion.status import History, status_of

__all__ = ["frank_wolfe"]


def frank_wolfe(
    incidence: Incidence, counts: Sequence[int], costs: Costs, start: np.ndarray, *, tol: float, max_steps: int
) -> tuple[np.ndarray, str, np.ndarray]:
    """Steps towards cheapest strategies until the excess is small. Arguments and result as of `gradient_projection`."""
    flows, history = torch.from_numpy(start.copy()), History(costs, float(start.sum()), tol)
    masses = [part.sum() for part in flows.split(list(counts))]
    while True:
        loads = incidence.loads(flows)
        paths = incidence.path_costs(costs.value(loads))
        done = history.add(status_of(costs, loads, flows, paths, counts))
        if done or history.steps == max_steps:
            break
        target = torch.zeros_like(flows)
        for part, c, mass in zip(target.split(list(counts)), paths.split(list(counts)), masses, strict=True):
            part[int(c.argmin())] = mass
        step = step_length(costs, loads, incidence.loads(target - flows), 1.0, accuracy=1e-9)
        new = (1 - step) * flows + step * target
        if torch.equal(new, flows):
            history.outcome = "stalled"
            break
        flows = new
    return flows.numpy(), history.outcome, history.rows()
