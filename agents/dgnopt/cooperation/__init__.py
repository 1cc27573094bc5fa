"""How the players of one stage take each other into account."""

from __future__ import annotations

from strategic_envs.agents.dgnopt.cooperation.fictitious import Fictitious
from strategic_envs.agents.dgnopt.cooperation.joint import MODES, Cooperation

__all__ = ["MODES", "Cooperation", "Fictitious"]
