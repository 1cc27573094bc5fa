"""Sessions of Q-learning side by side as array operations, by numpy or torch."""

from strategic_envs.baselines.q_learning.batched.rules import Batch, refusal, start
from strategic_envs.baselines.q_learning.batched.run import batched_msteps, play_batched
from strategic_envs.baselines.q_learning.batched.step import finish, step

__all__ = ["Batch", "batched_msteps", "finish", "play_batched", "refusal", "start", "step"]
