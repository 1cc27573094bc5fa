"""Double oracle on matrices: how many iterations it takes, and what decides that."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from strategic_envs.agents.double_oracle.finite import double_oracle
from strategic_envs.games.catalogue import game
from strategic_envs.scripts.reproduce._continuous_rows import PROTOTYPE, row
from strategic_envs.seeding import torch_stream

__all__ = ["finite_rows", "larger_number_rows"]

_RANDOM_TIES = {4: 2.98, 8: 3.65, 16: 4.35, 32: 5.03, 64: 5.78, 128: 6.38, 256: 7.33}
_SEEDS = 40
_HIDE_AND_SEEK = {16: (3, 11, 21, 31), 64: (3, 11, 21, 41), 256: (3, 11, 21, 41)}
_TOLERANCES = (0.5, 0.2, 0.1, 0.05)


def finite_rows(seed: int, quick: bool) -> list[dict[str, Any]]:
    """All rows; with `quick` smaller games only."""
    return [*larger_number_rows(seed, quick), *_hide_and_seek(quick), *_gaussian(seed, quick)]


def larger_number_rows(seed: int, quick: bool) -> list[dict[str, Any]]:
    """The larger number up to N: what the tie-break and the tolerance decide."""
    sizes = (2, 4, 8, 16, 32, 64) if quick else (2, 4, 8, 16, 32, 64, 128, 256)
    rows = []
    for n in sizes:
        lowest = len(double_oracle(game("larger_number", n=n), tie_break="lowest").history)
        highest = len(double_oracle(game("larger_number", n=n), tie_break="highest").history)
        rows.append(row(f"larger number up to {n}: iterations, lowest tie", lowest, n, PROTOTYPE, lowest == n))
        rows.append(row(f"larger number up to {n}: iterations, highest tie", highest, 2, PROTOTYPE, highest == 2))
    for n, mean in _RANDOM_TIES.items():
        if n not in sizes:
            continue
        counts = [
            len(double_oracle(game("larger_number", n=n), tie_break="random", seed=_SEEDS * seed + k).history)
            for k in range(_SEEDS)
        ]
        ours, error = statistics.mean(counts), statistics.stdev(counts) / _SEEDS**0.5
        harmonic = 1 + sum(1 / k for k in range(1, n))
        quantity = f"larger number up to {n}: iterations, random tie, mean of {_SEEDS} seeds"
        source = f"{PROTOTYPE}, other seeds; 1 + H_(N-1) is {harmonic:.2f}; our standard error is {error:.2f}"
        rows.append(row(quantity, ours, mean, source, abs(ours - mean) <= 4 * error))
    for tolerance, expected in ((0.1, 64), (0.99, 64), (1.99, 64), (2.0, 1)):
        ours = len(double_oracle(game("larger_number", n=64), tolerance=tolerance).history)
        quantity = f"larger number up to 64, lowest tie: iterations to {tolerance:g}"
        rows.append(row(quantity, ours, expected, PROTOTYPE, ours == expected))
    return rows


def _hide_and_seek(quick: bool) -> list[dict[str, Any]]:
    """With k places held by both the gap is 1/k, which `2k - 1` iterations reach: a tolerance of just 1/k is a tie."""
    rows = []
    for n, counts in _HIDE_AND_SEEK.items():
        if quick and n > 64:
            continue
        problem, most = game("hide_and_seek", n=n), 2 * n - 1
        for tolerance, printed in zip(_TOLERANCES, counts, strict=True):
            source = f"2/eps {{}} 1, derived; {PROTOTYPE}: {printed} at eps itself, a tie that rounding decides"
            for side, factor, sign in (("above", 1 + 1e-6, -1), ("below", 1 - 1e-6, 1)):
                ours = len(double_oracle(problem, tolerance=tolerance * factor).history)
                expected = min(round(2 / tolerance) + sign, most)
                quantity = f"hide and seek, {n} places: iterations to just {side} {tolerance:g}"
                rows.append(row(quantity, ours, expected, source.format("+" if sign > 0 else "-"), ours == expected))
        if n <= 64:
            exact = len(double_oracle(problem, tolerance=1e-9).history)
            quantity = f"hide and seek, {n} places: iterations to the equilibrium"
            rows.append(row(quantity, exact, most, "2N - 1", exact == most))
    return rows


def _gaussian(seed: int, quick: bool) -> list[dict[str, Any]]:
    counts = []
    for k in range(3 if quick else 10):
        matrix = torch.randn(300, 300, dtype=torch.float64, generator=torch_stream(seed, "gaussian", str(k)))
        result = double_oracle(matrix, tolerance=1e-6)
        counts.append(len(result.history) if str(result.outcome) == "converged" else 0)
    middle = statistics.median(counts)
    quantity = f"Gaussian 300 x 300: iterations to 1e-6, median of {len(counts)} ({min(counts)} to {max(counts)})"
    return [
        row(quantity, middle, 200, f"{PROTOTYPE}: 194 to 207 on other matrices, so 190 to 211", 190 <= middle <= 211)
    ]
