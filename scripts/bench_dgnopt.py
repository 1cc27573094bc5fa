"""Milliseconds that a step of the game's optimizer costs, beside SGD, Adam, KFAC and EKFAC, and its peak memory.

All methods take turns in one run; a turn is the ten steps between two samplings of the curvature, so that a tenth of
the cost of factors and inverses is in every figure. `ms_METHOD_NET` is the median over the turns, by the CPU's clock
on one thread; `A_over_B_NET` is the median over the rounds of the ratio within a round. The nets are `mlp` (784
inputs, 3 residual blocks of 128) and `conv` (28 x 28, 3 residual blocks of 8, 16 and 32 channels), with batches of
128, in torch's default memory format; `conv_channels_last` is the same with network and images in the faster format,
which DGNOpt takes by itself. `fne` and `gr` are the optimizer's FNE and GR with KFAC and a value Hessian of rank 1,
`fne_r10` of rank 10; `olne` is KFAC in the same stages; none has a trust region but `fne_trust`, the default. EKFAC
measures its scales on the batch (`intra`) or lets them run (`running`).

`memory_mb_METHOD` is the peak of a process of its own on the conv net of 16, 32 and 64 channels, interpreter and torch
included; `memory_over_ekfac` the larger of `fne` and `gr` over `ekfac_intra`. Where there is a GPU, `..._resnet18` are
by the clock on ResNet18 with images of 32 x 32, and `gpu_memory_mb_...` what torch allocates there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from strategic_envs.scripts.bench_common import emit, parse
from strategic_envs.scripts.reproduce._dgnopt_costs import METHODS, Work, cuda_memory_mb, memory_mb, ratio, turns, work

RATIOS = {
    "fne_over_ekfac_intra": ("fne", "ekfac_intra"),
    "fne_over_ekfac_running": ("fne", "ekfac_running"),
    "fne_over_kfac": ("fne", "kfac"),
    "gr_over_fne": ("gr", "fne"),
    "fne_over_sgd": ("fne", "sgd"),
    "fne_over_adam": ("fne", "adam"),
    "olne_over_kfac": ("olne", "kfac"),
}
MEASURED = ("sgd", "kfac", "ekfac_intra", "ekfac_running", "fne", "gr", "fne_r10")


def timed(net: str, rounds: int, *, device: str = "cpu", quick: bool = False) -> dict[str, float]:
    """The figures of one network."""
    jobs = {name: work(name, net, device=device, batch=8 if quick else 128) for name in METHODS}
    turns(list(jobs.values()), rounds, steps=1 if quick else 10, warm=1 if quick else 10)
    return figures(jobs, net)


def figures(jobs: dict[str, Work], net: str) -> dict[str, float]:
    """Milliseconds of each method, and the ratios."""
    found = {f"ms_{name}_{net}": job.ms for name, job in jobs.items()}
    return found | {f"{what}_{net}": ratio(jobs[one], jobs[other]) for what, (one, other) in RATIOS.items()}


def memory(quick: bool = False) -> dict[str, float]:
    """Peak memory, one process a method."""
    net, steps = ("mlp", 1) if quick else ("wide_conv", 11)
    found = {name: memory_mb(name, net, steps) for name in (MEASURED[2:6] if quick else MEASURED)}
    largest = max(found["fne"], found["gr"])
    return {f"memory_mb_{name}": value for name, value in found.items()} | {
        "memory_over_ekfac": largest / found["ekfac_intra"],
        "memory_over_ekfac_running": largest / found["ekfac_running"],
    }


def on_gpu(rounds: int) -> dict[str, float]:
    """ResNet18 with batches of 128."""
    names = [name for name in METHODS if name != "fne_r10"]
    jobs = {name: work(name, "resnet18", device="cuda") for name in names}
    turns(list(jobs.values()), rounds)
    found = figures(jobs, "resnet18")
    jobs.clear()
    peaks = {
        name: cuda_memory_mb(name, "resnet18") for name in ("sgd", "kfac", "ekfac_intra", "ekfac_running", "fne", "gr")
    }
    found |= {f"gpu_memory_mb_{name}_resnet18": value for name, value in peaks.items()}
    return found | {"gpu_memory_over_ekfac_resnet18": max(peaks["fne"], peaks["gr"]) / peaks["ekfac_intra"]}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    options = parse(__doc__, argv)
    found: dict[str, float] = {}
    for net in ("mlp",) if options.quick else ("mlp", "conv", "conv_channels_last"):
        found |= timed(net, options.repeats, quick=options.quick)
    found |= memory(options.quick)
    cuda = torch.cuda.is_available() and not options.quick
    if cuda:
        found |= on_gpu(options.repeats)
    emit(found, "bench_dgnopt.py", argv, "cuda" if cuda else "cpu")


if __name__ == "__main__":
    main()
