"""Q-learning in pricing games: whole sessions to convergence, many at a time."""

from strategic_envs.baselines.q_learning.sessions import Sessions
from strategic_envs.baselines.q_learning.settings import QLearning

__all__ = ["QLearning", "Sessions"]
