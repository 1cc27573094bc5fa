"""What a step of each method costs: time of interleaved turns, and the peak memory of a process of its own.

Run as a program, it takes some steps of one method on one network and prints the peak memory of its process:
`python -m strategic_envs.scripts.reproduce._dgnopt_costs METHOD NET`.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.experiments.methods import Stepper, method
from strategic_envs.errors import UnknownNameError
from strategic_envs.games.networks import initialise, residual_conv, residual_mlp, resnet18
from strategic_envs.seeding import torch_stream

__all__ = ["METHODS", "Work", "memory_mb", "ratio", "turns", "work"]

_SECOND_ORDER = {"lr": 1e-3, "damping": 0.1, "kl_clip": None}  # no trust region

METHODS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "sgd": ("sgd", {"lr": 1e-3}),
    "adam": ("adam", {"lr": 1e-5}),
    "kfac": ("kfac", _SECOND_ORDER),
    "ekfac_intra": ("ekfac", {**_SECOND_ORDER, "scale": "intra"}),
    "ekfac_running": ("ekfac-running", {**_SECOND_ORDER, "scale": "running"}),
    "olne": ("olne", _SECOND_ORDER),
    "fne": ("fne", _SECOND_ORDER),
    "gr": ("gr", _SECOND_ORDER),
    "gr_prop5": ("gr-prop5", _SECOND_ORDER),
    "fne_r10": ("fne", {**_SECOND_ORDER, "value_hessian": "full"}),
    "fne_trust": ("fne", {**_SECOND_ORDER, "kl_clip": 0.1}),
}
"""By name: the method it is, and its settings. All curvatures are sampled and inverted at each tenth step."""

BATCH, EVERY = 128, 10


@dataclass(eq=False)
class Work:
    """One method on one network and one batch, and what its turns took.

    Args:
        name: The method.
        stepper: Takes the steps.
        batch: Inputs and classes.
        seconds: Of a step, one entry a turn.
    """

    name: str
    stepper: Stepper
    batch: tuple[Tensor, Tensor]
    seconds: list[float] = field(default_factory=list)

    def steps(self, number: int) -> None:
        """Takes steps.

        Raises:
            RuntimeError: If one was refused: its time would say nothing.
        """
        for _ in range(number):
            report = self.stepper.step(*self.batch)
            if report.outcome != "ok":
                raise RuntimeError(f"{self.name} diverged on the batch that its time is taken on")

    def turn(self, number: int) -> None:
        """Takes and times steps: by the CPU's clock, on a GPU by the wall's."""
        on_gpu = self.batch[0].is_cuda
        now = time.perf_counter if on_gpu else time.process_time
        if on_gpu:
            torch.cuda.synchronize()
        began = now()
        self.steps(number)
        if on_gpu:
            torch.cuda.synchronize()
        self.seconds.append((now() - began) / number)

    @property
    def ms(self) -> float:
        """Milliseconds of a step: the median over the turns."""
        return 1e3 * statistics.median(self.seconds)


def work(name: str, net: str, *, device: str = "cpu", batch: int = BATCH, seed: int = 0) -> Work:
    """A method on a network and a batch of random data of its shape.

    Args:
        name: One of `METHODS`.
        net: `mlp` (784 inputs, three residual blocks of 128), `conv` (28 x 28, three residual blocks of 8, 16 and 32
            channels), `wide_conv` (16, 32, 64) or `resnet18` (3 x 32 x 32, BatchNorm). Those of images may end in
            `_channels_last`: then network and images lie so in memory, which is faster here, also for the peers.
        device: Where it runs.
        batch: Samples in a batch.
        seed: Of weights and data.

    Raises:
        UnknownNameError: If there is no such method or network.

    Example:
        >>> job = work("kfac", "mlp", batch=4)
        >>> job.turn(2)
        >>> job.ms > 0
        True
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    module, shape = _net(net.removesuffix("_channels_last"))
    generator = torch_stream(seed, "costs", net)
    inputs = torch.randn(batch, *shape, generator=generator).to(device)
    targets = torch.randint(10, (batch,), generator=generator).to(device)
    kind, settings = METHODS[name]
    chosen, module = method(kind), initialise(module, seed).to(device)
    if net.endswith("_channels_last"):
        for parameter in module.parameters():
            parameter.data = _images_last(parameter.data)
        inputs = _images_last(inputs)
    return Work(name, chosen.make(module, seed, {**chosen.defaults, **settings}), (inputs, targets))


def turns(jobs: Sequence[Work], rounds: int, *, steps: int = EVERY, warm: int = EVERY) -> None:
    """Gives every job its turn in every round; a turn is as many steps as lie between two samplings of a curvature."""
    for job in jobs:
        job.steps(warm)
    for _ in range(rounds):
        for job in jobs:
            job.turn(steps)


def ratio(one: Work, other: Work) -> float:
    """The median over the rounds of one's time over the other's: what slows both down in a round cancels."""
    return statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))


def memory_mb(name: str, net: str, steps: int = EVERY + 1) -> float:
    """The peak memory of a process that takes some steps of a method on the CPU, in MB of 2^20 bytes.

    Raises:
        RuntimeError: If the process fails.
    """
    command = [sys.executable, "-m", __spec__.name if __name__ == "__main__" else __name__, name, net, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-500:]}")
    return float(done.stdout)


def cuda_memory_mb(name: str, net: str, steps: int = EVERY + 1) -> float:
    """The peak of what torch has allocated on the GPU during some steps, in MB of 2^20 bytes."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work(name, net, device="cuda").steps(steps)
    return torch.cuda.max_memory_allocated() / 2**20


def _images_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _net(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    if name == "mlp":
        return residual_mlp(784, (128, 128, 128), stem=128), (784,)
    if name == "conv":
        return residual_conv(1, (8, 16, 32), (1, 2, 2), stem=8), (1, 28, 28)
    if name == "wide_conv":
        return residual_conv(1, (16, 32, 64), (1, 2, 2), stem=16), (1, 28, 28)
    if name == "resnet18":
        return resnet18(), (3, 32, 32)
    raise UnknownNameError("network", name, ("mlp", "conv", "wide_conv", "resnet18"))


def _main(name: str, net: str, steps: str) -> None:
    torch.set_num_threads(1)
    work(name, net).steps(int(steps))
    print(_peak_mb())


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # there getrusage counts what the parent process held when it started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    _main(*sys.argv[1:])
