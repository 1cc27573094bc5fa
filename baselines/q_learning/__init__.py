"""Q-learning in pricing games: whole sessions to convergence, many at a time."""

from strategic_envs.baselines.q_learning.initial import (
    AverageRivals,
    Constant,
    FixedRivals,
    Given,
    GrimTrigger,
    UniformCells,
)
from strategic_envs.baselines.q_learning.progress import Progress
from strategic_envs.baselines.q_learning.run import run_sessions
from strategic_envs.baselines.q_learning.schedules import Boltzmann, Exponential, NoExploration
from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning

__all__ = [
    "AverageRivals",
    "Boltzmann",
    "Constant",
    "Exponential",
    "FixedRivals",
    "Given",
    "GrimTrigger",
    "NoExploration",
    "Progress",
    "QLearning",
    "Sessions",
    "UniformCells",
    "run_sessions",
]
