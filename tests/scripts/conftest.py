"""A roster of fakes, so that the commands are tested without training."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from strategic_envs.errors import CheckpointError, OracleError, UnknownNameError


@dataclass(frozen=True)
class Job:
    environment: str
    env: dict[str, Any]
    agent: dict[str, Any]
    seed: int
    iterations: int | None
    device: str = "auto"
    out: Path | None = None
    checkpoint_every: int | None = None


@dataclass(frozen=True)
class Result:
    rows: list[dict[str, Any]]
    final: dict[str, Any]
    settings: dict[str, Any]
    checkpoint: Path | None
    parameters_moved: bool | None
    path: Any = None


@dataclass
class FakeAgent:
    """Its exploitability is 1 / iteration; it can be told to fail."""

    name: str = "fake"
    summary: str = "learns nothing, quickly"
    needs_ray: bool = False
    jobs: list[Job] = field(default_factory=list)
    fails_on: str = ""

    def own(self) -> dict[str, Any]:
        return {}

    def check(self, job: Job) -> None:
        if job.env.get("game") == "f2":
            raise OracleError("f2: it has no derivatives")

    def refuses(self, environment: str) -> str | None:
        return "it has no numbers" if environment == "larger_number_v0" else None

    def preset(self, environment: str) -> dict[str, Any]:
        return {"iterations": 3, "step_size": 0.5}

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        self.jobs.append(job)
        if job.environment == self.fails_on:
            raise RuntimeError("the machine\nis on fire")
        rows = []
        for iteration in range(1, (job.iterations or 3) + 1):
            gap = 1.0 / (iteration + job.seed)
            row = {"environment": job.environment, "agent": self.name, "seed": job.seed, "iteration": iteration}
            row |= {"steps": 10 * iteration, "seconds": 0.1 * iteration, "exploitability_exact": 1.0}
            row |= {k: gap for k in ("exploitability", "nash_conv", "cce_gap", "local_nash_gap", "local_cce_gap")}
            rows.append(row)
            on_row(row)
        checkpoint = None
        if job.out is not None:
            checkpoint = job.out / "checkpoint"
            checkpoint.mkdir()
            (checkpoint / "weights").write_text(str(rows[-1]["exploitability"]))
        return Result(rows, rows[-1], {**self.preset(job.environment), **job.agent}, checkpoint, True)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeAgent:
    """The only agent of a roster that replaces the project's own; the test runs in an empty folder."""
    only = FakeAgent()
    everyone = {only.name: only}

    def agent(name: str) -> FakeAgent:
        if name not in everyone:
            raise UnknownNameError("agent", name, everyone)
        return everyone[name]

    def evaluate_checkpoint(path: Path) -> dict[str, Any]:
        try:
            return {"exploitability": float((Path(path) / "weights").read_text())}
        except OSError as error:
            raise CheckpointError(f"{path} is no checkpoint") from error

    roster = types.ModuleType("strategic_envs.agents.roster")
    roster.__dict__.update(
        Job=Job, Result=Result, agent=agent, agents=lambda: everyone, evaluate_checkpoint=evaluate_checkpoint
    )
    monkeypatch.setitem(sys.modules, roster.__name__, roster)
    monkeypatch.chdir(tmp_path)
    return only
