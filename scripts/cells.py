"""A cell: one agent trained on one environment from one seed. It is checked before anything is made or started."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategic_envs.errors import UnknownNameError, require
from strategic_envs.scripts.options import InputError, check_keys
from strategic_envs.scripts.tables import number

if TYPE_CHECKING:
    from strategic_envs.agents.roster import Job, Result

__all__ = ["DEVICES", "Cell", "check_cell", "file_name", "ray_session", "train_cell", "variant"]

DEVICES = ("auto", "cpu", "cuda")


def variant(env: Mapping[str, Any]) -> str:
    """The options of an environment in a few words, for tables; empty where there are none.

    Example:
        >>> variant({"game": "f1", "box": 1.0}), variant({})
        ('f1, box=1', '')
    """
    shown = {key: number(value) for key, value in env.items()}
    return ", ".join(value if key == "game" else f"{key}={value}" for key, value in shown.items())


def file_name(environment: str, options: str) -> str:
    """A name for files about an environment with options in words, as `variant` writes them."""
    words = [re.sub(r"[^\w.=+-]+", "_", part) for part in options.split(", ") if part]
    return "-".join([environment, *words])


@dataclass(frozen=True)
class Cell:
    """What decides one trained row.

    Args:
        environment: The id of the environment.
        agent: The name of the agent.
        seed: The seed of the run.
        env: Options of the environment that are not its defaults.
        options: Hyper-parameters of the agent that are not its preset for this environment.
        iterations: How many training iterations; None leaves it to the preset.
    """

    environment: str
    agent: str
    seed: int = 0
    env: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    iterations: int | None = None

    @property
    def name(self) -> str:
        """A name for files: environment, its options if there are any, agent and seed.

        Example:
            >>> Cell("continuous_game_v0", "stonr", env={"game": "f1", "box": 1.0}).name
            'continuous_game_v0-f1-box=1-stonr-seed0'
        """
        return f"{self.place}-{self.agent}-seed{self.seed}"

    @property
    def place(self) -> str:
        """The same without agent and seed."""
        return file_name(self.environment, variant(self.env))

    @property
    def key(self) -> str:
        """What tells the cell apart from others of a preset, also in a folder of results."""
        return json.dumps([self.environment, self.env, self.agent, self.seed], sort_keys=True, default=repr)

    def job(self, *, device: str = "auto", out: Path | None = None) -> Job:
        """The training run that the cell asks for."""
        from strategic_envs.agents.roster import Job

        return Job(
            environment=self.environment,
            env=dict(self.env),
            agent=dict(self.options),
            seed=self.seed,
            iterations=self.iterations,
            device=device,
            out=out,
        )

    def config(self) -> dict[str, Any]:
        """The cell with the agent's preset filled in: everything that decides the row."""
        from strategic_envs.agents.roster import agent

        return {**asdict(self), "preset": agent(self.agent).preset(self.environment)}


def _no_gpu(address: str | None) -> bool:
    """Whether there is no GPU; a cluster is asked only once it is joined."""
    if address is not None:
        return False
    import torch

    return not torch.cuda.is_available()


def check_cell(cell: Cell, device: str = "auto", address: str | None = None) -> None:
    """Refuses what cannot be trained, before anything is made.

    Raises:
        UnknownNameError: If there is no such environment, agent, option or device.
        InputError: If the agent does not train this environment, or a number is out of range.
        InvalidSettingError, InvalidGameError, OracleError: If the agent refuses the game that the options name.
        MissingExtraError: If the agent needs Ray, and it is not installed.
    """
    from strategic_envs.agents.roster import agent
    from strategic_envs.registry import describe, list_environments, make

    if cell.environment not in list_environments():
        raise UnknownNameError("environment", cell.environment, list_environments())
    trainer = agent(cell.agent)
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    if device == "cuda" and _no_gpu(address):
        raise InputError("got --device cuda, but this machine has no CUDA device: --device auto takes what is there")
    if cell.seed < 0:
        raise InputError(f"got --seed {cell.seed}, expected a whole number from 0")
    if cell.iterations is not None and cell.iterations < 1:
        raise InputError(f"got --iterations {cell.iterations}, expected at least 1")
    if cell.env:  # the environment itself knows best what it takes
        make(cell.environment, describe(cell.environment).modes[0], **cell.env).close()
    reason = trainer.refuses(cell.environment)
    if reason:
        raise InputError(f"{cell.agent} does not train {cell.environment}: {reason}")
    check_keys(cell.options, trainer.preset(cell.environment), f"{cell.agent} on {cell.environment}")
    if trainer.needs_ray:
        require("ray.rllib", "rllib", "Training")
    trainer.check(cell.job(device=device))


def train_cell(
    cell: Cell, *, device: str = "auto", out: Path | None = None, on_row: Callable[[dict[str, Any]], None]
) -> Result:
    """Trains a cell.

    Args:
        cell: A cell that `check_cell` let pass.
        device: `"auto"` takes a GPU where the session has one.
        out: Where the agent puts its checkpoint; None for no checkpoint.
        on_row: Called with each row as it is measured.
    """
    from strategic_envs.agents.roster import agent

    return agent(cell.agent).train(cell.job(device=device, out=out), on_row)


@contextmanager
def ray_session(agents: Iterable[str], address: str | None) -> Iterator[None]:
    """One Ray session if any of the agents needs one, or if a cluster's address is given."""
    from strategic_envs.agents.roster import agent

    if address is None and not any(agent(name).needs_ray for name in agents):
        yield
        return
    require("ray.rllib", "rllib", "Training")
    from strategic_envs.agents.rllib.session import session

    if address is not None:
        _check_address(address)
    with ExitStack() as stack:
        try:
            stack.enter_context(session(address))
        except ConnectionError as error:
            raise InputError(f"got --address {address}, where no Ray cluster answers: {error}") from error
        yield


def _check_address(address: str) -> None:
    """Asks `host:port` for an answer at once; Ray itself would ask for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator:
        if address not in ("auto", "local"):
            raise InputError(f"got --address {address}, expected auto or HOST:PORT, such as 10.0.0.5:6379")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"got --address {address}, where nothing answers ({error}): start a cluster with `ray start --head`, or "
            f"leave --address out for a local session"
        ) from error
