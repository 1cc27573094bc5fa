"""What the game costs: time and memory of a step of FNE and GR beside EKFAC.

Figure 7 of Liu, Chen and Theodorou (ICML 2021) finds DGNOpt within about 40% of EKFAC's time an iteration and 30% of
its memory, on ResNet18 and a GPU. Here it is measured where it runs: on a GPU with ResNet18, on a CPU with a residual
convolutional network for images of 28 x 28. EKFAC measures its scales on the batch; beside it stands the one whose
scales run, which is cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from strategic_envs.scripts.reproduce._dgnopt_costs import Work

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "dgnopt-overhead"
SUMMARY = "Time and memory of a step: the game's optimizer beside SGD, Adam, KFAC and EKFAC."

_PAPER = "Liu, Chen and Theodorou 2021, figure 7: ResNet18, one GPU; read off the figure as within {}% of EKFAC"
_SHOWN = ("sgd", "adam", "kfac", "ekfac_intra", "ekfac_running", "fne", "gr")
_LABELS = {"ekfac_intra": "EKFAC", "ekfac_running": "EKFAC, running", "fne": "FNE", "gr": "GR"}


@dataclass(frozen=True)
class Options:
    """What is measured."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where; `auto` takes a GPU if there is one."""
    rounds: int = 5
    """How often each method has its turn of ten steps."""
    batch: int = 128
    """Samples in a batch."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `overhead.png`, and compares time and memory with those of EKFAC.

    In full it takes about two minutes of one core.

    Args:
        out: The folder for the picture; it is made if it is not there.
        seed: Of the weights and the data.
        quick: Small batches and one round.
        options: What is measured.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    import torch

    from strategic_envs.scripts.reproduce._dgnopt_costs import cuda_memory_mb, memory_mb, turns, work

    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    net = "resnet18" if device == "cuda" else "conv"
    batch, rounds, steps = (8, 1, 2) if quick else (options.batch, options.rounds, 10)
    torch.set_num_threads(1)
    jobs = {name: work(name, net, device=device, batch=batch, seed=seed) for name in _SHOWN}
    turns(list(jobs.values()), rounds, steps=steps, warm=steps)
    needed = ("ekfac_intra", "fne") if quick else _SHOWN
    peak = cuda_memory_mb if device == "cuda" else memory_mb
    memory = {name: peak(name, net if device == "cuda" else "wide_conv", 2 if quick else 11) for name in needed}
    out.mkdir(parents=True, exist_ok=True)
    _draw(out, {name: job.ms for name, job in jobs.items()}, memory)
    where = f"{net}, {device}"
    return [*_times(jobs, where), *_memories(memory, where), *_absolute(jobs, where)]


def _times(jobs: dict[str, Work], where: str) -> list[dict[str, Any]]:
    from strategic_envs.scripts.reproduce._dgnopt_costs import ratio

    rows = []
    for name in ("fne", "gr"):
        found = ratio(jobs[name], jobs["ekfac_intra"])
        rows.append(
            _row(f"time of {_LABELS[name]} over EKFAC ({where})", found, "0.6 to 1.4", _PAPER.format(40), found <= 1.4)
        )
        found = ratio(jobs[name], jobs["ekfac_running"])
        rows.append(_row(f"time of {_LABELS[name]} over EKFAC with running scales ({where})", found, None, "", None))
    return rows


def _memories(memory: dict[str, float], where: str) -> list[dict[str, Any]]:
    rows = []
    for name in ("fne", "gr"):
        if name in memory:
            found = memory[name] / memory["ekfac_intra"]
            rows.append(
                _row(
                    f"memory of {_LABELS[name]} over EKFAC ({where})",
                    found,
                    "0.7 to 1.3",
                    _PAPER.format(30),
                    found <= 1.3,
                )
            )
    return rows


def _absolute(jobs: dict[str, Work], where: str) -> list[dict[str, Any]]:
    return [_row(f"ms a step of {_LABELS.get(n, n)} ({where})", job.ms, None, "", None) for n, job in jobs.items()]


def _row(quantity: str, ours: float, expected: str | None, source: str, within: bool | None) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "ours": float(f"{ours:.3g}"),
        "expected": expected,
        "source": source,
        "within": within,
    }


def _draw(out: Path, ms: dict[str, float], memory: dict[str, float]) -> None:
    from strategic_envs.plots import COLOURS, new_figure, save

    figure, axes = new_figure(1, 2)
    for axis, values, title in zip(axes, (ms, memory), ("ms a step", "peak memory, MB"), strict=True):
        names = [_LABELS.get(name, name.upper()) for name in values]
        axis.barh(names, list(values.values()), color=[COLOURS[0] if n in ("FNE", "GR") else COLOURS[1] for n in names])
        axis.invert_yaxis()
        axis.set_title(title)
    save(figure, out / "overhead.png")
