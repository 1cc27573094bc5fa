"""Congestion games: strategies that share resources whose costs grow with their load."""

from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.kinds.congestion.costs import Costs, LogCosts, PowerCosts
from strategic_envs.games.kinds.congestion.flow import Flow, Gaps, flow_gaps
from strategic_envs.games.kinds.congestion.function_costs import FunctionCosts
from strategic_envs.games.kinds.congestion.incidence import Incidence
from strategic_envs.games.kinds.congestion.nonatomic import CongestionGame

__all__ = [
    "AtomicCongestionGame",
    "CongestionGame",
    "Costs",
    "Flow",
    "FunctionCosts",
    "Gaps",
    "Incidence",
    "LogCosts",
    "PowerCosts",
    "flow_gaps",
]
