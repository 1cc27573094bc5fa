"""Double oracle: solve a small game, let best responses name what it lacks, and solve again.

`double_oracle` for finite games, `continuous_double_oracle` for compact sets, `erm_oracle` where all that is known is
how to answer play, `psro` for policies in games of any kind. Each says what its answer is worth and why it stopped.
"""

from __future__ import annotations

from strategic_envs.agents.double_oracle.continuous import continuous_double_oracle, mixed_play
from strategic_envs.agents.double_oracle.erm import ERMResult, erm_oracle
from strategic_envs.agents.double_oracle.finite import double_oracle
from strategic_envs.agents.double_oracle.finite.access import PayoffAccess
from strategic_envs.agents.double_oracle.log import DoubleOracleResult, Iteration
from strategic_envs.agents.double_oracle.policy_space.meta import meta_solver, meta_solvers
from strategic_envs.agents.double_oracle.policy_space.run import PSROResult, psro, run_psro

__all__ = [
    "DoubleOracleResult",
    "ERMResult",
    "Iteration",
    "PSROResult",
    "PayoffAccess",
    "continuous_double_oracle",
    "double_oracle",
    "erm_oracle",
    "meta_solver",
    "meta_solvers",
    "mixed_play",
    "psro",
    "run_psro",
]
