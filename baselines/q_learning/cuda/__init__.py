"""Sessions of Q-learning on a CUDA device, one thread a session: the same sessions as on the CPU."""

from strategic_envs.baselines.q_learning.cuda.host import cuda_msteps, fits, missing, play

__all__ = ["cuda_msteps", "fits", "missing", "play"]
