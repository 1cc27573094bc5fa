"""Whether DGNOpt's defaults are safe: many seeds, four networks of digits, nothing tuned.

Each of the networks (a plain perceptron, a residual one, a residual convolutional one, an inception network) is trained
from several seeds by methods at their defaults, minibatches of 128, for at most 15 epochs.

`<method>_<network>_diverged` counts the seeds that diverged, `_missed` those that never came to 95% of the test samples
(a divergence is one), `_epochs` is the mean number of epochs to 95%, of those that came there, and `_worst` the
lowest test accuracy after the last epoch, in percent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from strategic_envs.agents.dgnopt.experiments.problems import problem
from strategic_envs.agents.dgnopt.experiments.study import Study
from strategic_envs.agents.dgnopt.experiments.training import Run
from strategic_envs.scripts.bench_common import emit

NETWORKS = ("mlp", "residual", "conv", "inception")
MARK, EPOCHS = 0.95, 15


def figures(runs: Sequence[Run]) -> dict[str, float]:
    """What is said about the seeds of one method and network.

    Example:
        >>> figures([Run("fne", {}, 0, (), "diverged")])
        {'diverged': 1, 'missed': 1, 'epochs': nan, 'worst': 0.0}
    """
    there = [epochs for run in runs if (epochs := run.epochs_to(MARK)) is not None and not run.diverged]
    return {
        "diverged": sum(run.diverged for run in runs),
        "missed": len(runs) - len(there),
        "epochs": sum(there) / len(there) if there else float("nan"),
        "worst": min(0.0 if run.diverged else 100 * run.accuracy for run in runs),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Trains all networks and prints the one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs: checks the measurement itself")
    parser.add_argument("--seeds", type=int, default=10, help="networks of each kind")
    parser.add_argument("--methods", nargs="+", default=["fne", "gr"], help="names of methods, at their defaults")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    options = parser.parse_args(argv)
    seeds, epochs = (1, 2) if options.quick else (options.seeds, EPOCHS)
    found: dict[str, float] = {}
    for network in options.networks:
        one = problem(network)
        for name in options.methods:
            study = Study(None, one, threads=1)
            runs = [study.run(name, epochs=epochs, seed=seed) for seed in range(seeds)]
            found |= {f"{name}_{network}_{key}": value for key, value in figures(runs).items()}
    emit(found, "bench_dgnopt_defaults.py", argv)


if __name__ == "__main__":
    main()
