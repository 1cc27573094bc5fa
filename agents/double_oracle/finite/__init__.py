"""Double oracle on finite games: entries read on demand, named tie-breaks, restricted games that grow."""

from __future__ import annotations

from strategic_envs.agents.double_oracle.finite.access import PayoffAccess
from strategic_envs.agents.double_oracle.finite.algorithm import double_oracle
from strategic_envs.agents.double_oracle.finite.ties import TIE_BREAKS

__all__ = ["TIE_BREAKS", "PayoffAccess", "double_oracle"]
