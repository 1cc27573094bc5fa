"""Seconds that zero-sum matrices take: ours beside SciPy's HiGHS and, where it is installed, QuantEcon.

Entries are uniform on [-1, 1), one matrix a seed, and every answer's NashConv is computed in float64 from the matrix.
All cases take turns, seed by seed, on one core. `zero_sum_100_ms` is the median over the seeds of solving 100x100 to
1e-9; `zero_sum_1000_s` and `highs_ipm_1000_s` are the same for 1000x1000 by us and by `linprog(method="highs-ipm")`,
and `highs_ipm_ratio` is ours over theirs; `rm_plus_1000_s` is regret matching+ to 1e-3. `double_oracle_1000_s` is one
run of the finite double oracle to a gap of 1e-6, and `double_oracle_1000_gap` the gap that it proved. `*_nash_conv` are
the largest NashConvs over the seeds.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from strategic_envs.agents.double_oracle.finite import double_oracle
from strategic_envs.scripts.bench_common import emit, parse
from strategic_envs.solvers.regret_matching import approximate_zero_sum
from strategic_envs.solvers.zero_sum import solve_zero_sum

SEEDS, LARGE_SEEDS = 20, 5
SMALL, LARGE = 100, 1000
Array = NDArray[np.float64]
Pair = tuple[Array, Array]


def uniform(size: int, seed: int) -> Array:
    """A square matrix with entries uniform on [-1, 1)."""
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (size, size))


def nash_conv(a: Array, pair: Pair) -> float:
    """What both players could gain together."""
    return float((a @ pair[1]).max() - (pair[0] @ a).min())


def exact(a: Array) -> Pair:
    """Ours, to 1e-9."""
    found = solve_zero_sum(a, tolerance=1e-9)
    return found.row.numpy(), found.column.numpy()


def approximate(a: Array) -> Pair:
    """Ours, to 1e-3."""
    found = approximate_zero_sum(a, tolerance=1e-3)
    return found.row.numpy(), found.column.numpy()


def highs(method: str) -> Callable[[Array], Pair]:
    """SciPy's, by this method of HiGHS, as a user would write it."""

    def solve(a: Array) -> Pair:
        m, n = a.shape
        found = linprog(
            np.r_[np.zeros(m), -1.0],
            A_ub=np.c_[-a.T, np.ones(n)],
            b_ub=np.zeros(n),
            A_eq=np.r_[np.ones(m), 0.0][None],
            b_eq=[1.0],
            bounds=[(0, None)] * m + [(None, None)],
            method=method,
        )
        row, column = np.maximum(found.x[:m], 0.0), np.maximum(-found.ineqlin.marginals, 0.0)
        return row / row.sum(), column / column.sum()

    return solve


def quantecon() -> Callable[[Array], Pair] | None:
    """QuantEcon's simplex method, if that package is there."""
    try:
        minmax = importlib.import_module("quantecon.optimize").minmax
    except (ImportError, AttributeError):
        return None

    def solve(a: Array) -> Pair:
        _, row, column = minmax(a)
        return row, column

    return solve


def measured(cases: dict[str, Callable[[Array], Pair]], size: int, seeds: int) -> dict[str, tuple[float, float]]:
    """Each case's median seconds and largest NashConv, every case in turn at every seed."""
    spent: dict[str, list[float]] = {name: [] for name in cases}
    gaps: dict[str, list[float]] = {name: [] for name in cases}
    for solve in cases.values():
        solve(uniform(8, 0))  # what is compiled at the first call is compiled now
    for seed in range(seeds):
        a = uniform(size, seed)
        for name, solve in cases.items():
            began = time.perf_counter()
            pair = solve(a)
            spent[name].append(time.perf_counter() - began)
            gaps[name].append(nash_conv(a, pair))
    return {name: (statistics.median(spent[name]), max(gaps[name])) for name in cases}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    options = parse(__doc__, argv)
    small, large, seeds, large_seeds = (10, 30, 2, 1) if options.quick else (SMALL, LARGE, SEEDS, LARGE_SEEDS)
    peer = quantecon()
    first = {"zero_sum_100": exact, "highs_100": highs("highs")} | ({"quantecon_100": peer} if peer else {})
    second = {"zero_sum_1000": exact, "highs_ipm_1000": highs("highs-ipm"), "rm_plus_1000": approximate}
    figures: dict[str, float] = {}
    for name, (seconds, gap) in measured(first, small, seeds).items():
        figures[f"{name}_ms"], figures[f"{name}_nash_conv"] = 1e3 * seconds, gap
    for name, (seconds, gap) in measured(second, large, large_seeds).items():
        figures[f"{name}_s"], figures[f"{name}_nash_conv"] = seconds, gap
    figures["highs_ipm_ratio"] = figures["zero_sum_1000_s"] / figures["highs_ipm_1000_s"]
    double_oracle(uniform(8, 0), tolerance=1e-6)
    began = time.perf_counter()
    found = double_oracle(uniform(large, 0), tolerance=1e-6)
    figures["double_oracle_1000_s"] = time.perf_counter() - began
    figures["double_oracle_1000_gap"] = found.gap
    emit(figures, "bench_matrix.py", argv)


if __name__ == "__main__":
    main()
