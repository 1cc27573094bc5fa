"""What the measurements share: rates of several cases, interleaved in one run, and the one line of JSON they print.

Every `bench_*.py` prints one line on standard output: `figures` (flat name -> number), `versions`, `device`, `command`.
Run by itself, this file prints what the machine does in a second, to read the other figures by.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from strategic_envs.results import versions

__all__ = ["Case", "emit", "parse", "rates"]

Case = Callable[[], int]
"""Does some work and returns how many units it did."""


def rates(cases: Mapping[str, Case], *, repeats: int = 5, seconds: float = 0.2) -> dict[str, float]:
    """Units a second of each case: the median over the repeats, in each of which every case has its turn.

    Args:
        cases: The work, by the name of its figure. Each runs once beforehand, unmeasured, unless `seconds` is 0.
        repeats: How often each has its turn.
        seconds: How long a turn lasts at least; with 0 a case runs once.

    Example:
        >>> rates({"adding": lambda: sum(range(10))}, repeats=1, seconds=0.0)["adding"] > 0
        True
    """
    for case in cases.values() if seconds > 0 else ():
        case()
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            units, start = 0, time.perf_counter()
            while True:
                units += case()
                spent = time.perf_counter() - start
                if spent >= seconds:
                    break
            measured[name].append(units / spent)
    return {name: statistics.median(values) for name, values in measured.items()}


def parse(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options that every measurement has: `--quick`, `--repeats` and `--seconds`."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short turn a case: checks the measurement itself")
    parser.add_argument("--repeats", type=int, default=5, help="turns a case")
    parser.add_argument("--seconds", type=float, default=0.2, help="seconds a turn")
    options = parser.parse_args(argv)
    if options.quick:
        options.repeats, options.seconds = 1, 0.0
    torch.set_num_threads(1)
    return options


def emit(figures: Mapping[str, float], script: str, argv: Sequence[str] | None = None, device: str = "cpu") -> None:
    """Prints the one line of JSON; numbers keep four significant digits, and what is NaN (not reached) is null.

    Example:
        >>> emit({"steps_per_s": 1234.56}, "bench_x.py", [])  # doctest: +ELLIPSIS
        {"figures": {"steps_per_s": 1235.0}, "versions": {...}, "device": "cpu", "command": "python scripts/bench_x.py"}
    """
    rounded = {k: None if math.isnan(value) else _significant(float(value)) for k, value in figures.items()}
    found = versions(device)
    command = " ".join(["python", f"scripts/{script}", *(sys.argv[1:] if argv is None else argv)])
    line = {"figures": rounded, "versions": found, "device": found.pop("device"), "command": command}
    print(json.dumps(line))


def _significant(value: float) -> float:
    return value if value == 0 or not math.isfinite(value) else float(f"{value:.4g}")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints how fast this machine is at what the other measurements are made of."""
    options = parse(__doc__, argv)
    matrix = torch.rand(256, 256)
    vector, small = torch.rand(100_000), torch.rand(4)

    def loop() -> int:
        total = 0
        for i in range(10_000):
            total += i & 1
        return 10_000

    cases: dict[str, Case] = {
        "python_loop_per_s": loop,
        "small_torch_call_per_s": lambda: len([small.add(small) for _ in range(100)]),
        "float32_multiply_add_per_s": lambda: 256**3 * len([matrix @ matrix]),
        "float32_elementwise_per_s": lambda: vector.add(vector).numel(),
    }
    emit(rates(cases, repeats=options.repeats, seconds=options.seconds), "bench_common.py", argv)


if __name__ == "__main__":
    main()
