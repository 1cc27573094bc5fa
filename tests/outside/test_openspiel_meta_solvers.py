"""Meta-solvers beside OpenSpiel's, on random games."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from open_spiel.python.algorithms.projected_replicator_dynamics import projected_replicator_dynamics
from open_spiel.python.egt import alpharank

from strategic_envs.agents.double_oracle.policy_space.meta import meta_solver
from strategic_envs.seeding import numpy_stream


def payoffs(seed: int, *sizes: int) -> list[np.ndarray]:
    stream = numpy_stream(seed, "outside", "meta")
    return [stream.uniform(-1, 1, sizes) for _ in sizes]


@pytest.mark.parametrize(("seed", "sizes"), [(0, (3, 4)), (1, (5, 2)), (2, (2, 3, 2))])
def test_alpha_rank_is_openspiels(seed: int, sizes: tuple[int, ...]) -> None:
    tables = payoffs(seed, *sizes)
    theirs = alpharank.compute(tables, m=20, alpha=0.3)[2]
    ours = meta_solver("alpha_rank", alpha=0.3, m=20)(torch.tensor(np.stack(tables)))
    assert ours.joint is not None
    torch.testing.assert_close(ours.joint, torch.tensor(theirs).reshape(sizes), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize(("seed", "sizes"), [(3, (3, 4)), (4, (6, 6)), (5, (2, 3, 4))])
def test_projected_replicator_dynamics_are_openspiels(seed: int, sizes: tuple[int, ...]) -> None:
    tables, steps = payoffs(seed, *sizes), 400
    theirs = projected_replicator_dynamics(
        tables, prd_iterations=steps, prd_dt=1e-2, prd_gamma=1e-6, average_over_last_n_strategies=steps + 1
    )
    ours = meta_solver("projected_replicator", dt=1e-2, gamma=1e-6, iterations=steps)(torch.tensor(np.stack(tables)))
    for mine, their in zip(ours.marginals, theirs, strict=True):
        torch.testing.assert_close(mine, torch.tensor(their), atol=1e-9, rtol=1e-7)
