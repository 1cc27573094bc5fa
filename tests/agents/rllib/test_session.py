from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
from strategic_envs.agents import rllib
assert callable(rllib.register) and "ray" not in __import__("sys").modules
with rllib.session():
    import ray
    assert ray.is_initialized() and rllib.gpu_count() == 0
    with rllib.session():
        pass
    assert ray.is_initialized(), "the session that was there stays"
    algorithm = rllib.ExtragradientConfig().environment("larger_number_v0", env_config={"n": 3}).build_algo()
    row = algorithm.train()
    algorithm.stop()
assert not ray.is_initialized()
import strategic_envs.agents.rllib.register
assert callable(rllib.register) and callable(rllib.session)
"""


@pytest.mark.slow
def test_a_session_prints_nothing_and_ends_with_its_block() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    noise = [line for line in done.stderr.splitlines() if "Warning" not in line and line.strip()]
    assert not noise, done.stderr


def test_gpus_are_counted_on_the_cluster(monkeypatch: pytest.MonkeyPatch, ray_session: None) -> None:
    import ray

    from strategic_envs.agents.rllib import gpu_count
    from strategic_envs.agents.rllib.config import IndependentGDConfig

    assert gpu_count() == int(ray.cluster_resources().get("GPU", 0))
    config = IndependentGDConfig().environment("larger_number_v0", env_config={"n": 3})
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": 1.0})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    elsewhere = config.copy()
    elsewhere.validate()
    assert (elsewhere.num_gpus_per_learner, elsewhere.num_learners) == (1, 1), "the learner goes to the GPU"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    here = config.copy()
    here.validate()
    assert (here.num_gpus_per_learner, here.num_learners) == (1, 0)
    refused = config.copy().training(device="cpu")
    refused.validate()
    assert refused.num_gpus_per_learner == 0
