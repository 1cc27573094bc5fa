"""Checkpoints of any agent, judged again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm

from strategic_envs.agents.rllib.ppo_run import PPORun
from strategic_envs.agents.rllib.session import session
from strategic_envs.errors import CheckpointError

__all__ = ["judged_again"]

_ROSTER = {"simultaneous_gradient": "independent_gd"}  # the roster's names of dynamics, where they differ


def judged_again(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """The gaps of a checkpoint. A Ray session that is there is used, otherwise one is started.

    Args:
        path: Its folder, which is known to be whole.
        about: What it says of itself.

    Raises:
        CheckpointError: If it cannot be read by what is installed here.
    """
    began = time.perf_counter()
    try:
        with session():
            gaps = _ppo(path) if about.get("agent") == "ppo" else _dynamic(path)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a foreign or outdated pickle may raise
        raise CheckpointError(
            f"{path}: the checkpoint cannot be restored ({type(error).__name__}: {error}): it was written with "
            f"versions {about.get('versions')}; install these, or train again"
        ) from error
    named = {key: about.get(key) for key in ("environment", "seed", "iteration")}
    named["agent"] = _ROSTER.get(str(about.get("agent")), about.get("agent"))
    return {**named, "seconds": time.perf_counter() - began, **gaps}


def _ppo(path: Path) -> dict[str, Any]:
    run = PPORun.restore(path)
    try:
        return run.row()
    finally:
        run.stop()


def _dynamic(path: Path) -> dict[str, Any]:
    algorithm: Any = Algorithm.from_checkpoint(str(path.resolve()))
    try:
        oracle, told = algorithm.oracle, {"outcome": algorithm.outcome, "explain": algorithm.explain()}
        steps = oracle.steps or sum(oracle.calls.values())
        return {"steps": steps, **algorithm.evaluate(), **{key: value for key, value in told.items() if value}}
    finally:
        algorithm.stop()
