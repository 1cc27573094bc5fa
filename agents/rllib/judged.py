"""Checkpoints of any agent, judged again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm

from strategic_envs.agents.rllib.dqn_run import DQNRun
from strategic_envs.agents.rllib.ppo_run import PPORun
from strategic_envs.agents.rllib.session import session
from strategic_envs.errors import CheckpointError

__all__ = ["judged_again", "played_again"]

_STOCK: Mapping[str, Any] = {"dqn": DQNRun, "ppo": PPORun}
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
    with _restoring(path, about):
        gaps = _stock(path, about) if about.get("agent") in _STOCK else _dynamic(path)
    named = {key: about.get(key) for key in ("environment", "seed", "iteration")}
    named["agent"] = _ROSTER.get(str(about.get("agent")), about.get("agent"))
    return {**named, "seconds": time.perf_counter() - began, **gaps}


def played_again(path: Path, about: Mapping[str, Any]) -> tuple[Any, Any]:
    """The game of a checkpoint and what everybody plays in it. Arguments and sessions as of `judged_again`.

    Raises:
        CheckpointError: If it cannot be read by what is installed here, or there is no play of the game's kind that is
            the same.
    """
    with _restoring(path, about):
        stock = _STOCK.get(str(about.get("agent")))
        run: Any = _algorithm(path) if stock is None else stock.restore(path)
        try:
            game, play = run.task.game, run.play()
        finally:
            run.stop()
    if play is None:
        raise CheckpointError(f"{path}: its players each draw a policy before the game, which no play of its kind is")
    return game, play


@contextmanager
def _restoring(path: Path, about: Mapping[str, Any]) -> Iterator[None]:
    """A session in which a checkpoint is read; what its pickles raise becomes an error that says so."""
    try:
        with session():
            yield
    except CheckpointError:
        raise
    except Exception as error:  # whatever a foreign or outdated pickle may raise
        raise CheckpointError(
            f"{path}: the checkpoint cannot be restored ({type(error).__name__}: {error}): it was written with "
            f"versions {about.get('versions')}; install these, or train again"
        ) from error


def _algorithm(path: Path) -> Any:
    return Algorithm.from_checkpoint(str(path.resolve()))


def _stock(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    run = _STOCK[str(about["agent"])].restore(path)
    try:
        return run.row()
    finally:
        run.stop()


def _dynamic(path: Path) -> dict[str, Any]:
    algorithm = _algorithm(path)
    try:
        oracle, told = algorithm.oracle, {"outcome": algorithm.outcome, "explain": algorithm.explain()}
        steps = oracle.steps or sum(oracle.calls.values())
        return {"steps": steps, **algorithm.evaluate(), **{key: value for key, value in told.items() if value}}
    finally:
        algorithm.stop()
