"""Nanoseconds that a start and a step of extragradient cost: a user's torch utility beside numba loops written by hand.

Ours is `run(..., compile=True)` as a user calls it, its checks and its two measurements included, on the utilities of
the catalogue, from 100,000 starts. The peers hold the same update with derivatives worked out by hand: numba with the
loop over starts outside (a start stays in registers), numba with the loop over steps outside (all starts move together,
as ours do), and Python's floats. `six` is a game with three numbers a player. All cases take turns on one core.

`ratio_*` are ours over a peer, so below 1 is faster; `ratio_python_loop` is the Python loop over ours. `compile_s` is
what the first step of f_1 takes more than an eager one. `batch_*` are ours on f_1 for other numbers of starts.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from strategic_envs.agents.dynamics import Extragradient, GameOracle, run
from strategic_envs.agents.dynamics.compiled import compiled_step
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.scripts.bench_common import Case, emit, parse, rates

STARTS, STEPS = 100_000, 2000
ETA = 0.5 / 20.46
Array = NDArray[np.float64]


def fast(function: Any) -> Any:
    """The function compiled by numba, without whatever checks have been wrapped around it."""
    return numba.njit(error_model="numpy")(inspect.unwrap(function))


# The fields by hand: both coordinates at once, as a person would write them for speed.


@fast
def field_f1(t: float, w: float) -> tuple[float, float]:
    """(-df_1/dt, +df_1/dw)."""
    s, e = w - 3.0 * t + t * t * t / 20.0, math.exp((t * t + w * w) / -100.0)
    f = 4.0 * t * t - s * s - w * w * w * w / 10.0
    ft = 8.0 * t - 2.0 * s * (3.0 * t * t / 20.0 - 3.0) - f * t / 50.0
    fw = -2.0 * s - 0.4 * w * w * w - f * w / 50.0
    return -ft * e, fw * e


@fast
def field_forsaken(x: float, y: float) -> tuple[float, float]:
    """(-df/dx, +df/dy)."""
    xx, yy = x * x, y * y
    return -(y - 0.45 + x * (0.5 + xx * (xx - 2.0))), x - y * (0.5 + yy * (yy - 2.0))


def loops(field: Callable[[float, float], tuple[float, float]], box: float) -> tuple[Callable[..., None], ...]:
    """Extragradient by two loops: over starts outside, and over steps outside."""

    @fast
    def starts_outside(x: Array, y: Array, steps: int, eta: float) -> None:
        for i in range(len(x)):
            a, b = x[i], y[i]
            for _ in range(steps):
                u, v = field(a, b)
                u, v = min(max(a + eta * u, -box), box), min(max(b + eta * v, -box), box)
                u, v = field(u, v)
                a, b = min(max(a + eta * u, -box), box), min(max(b + eta * v, -box), box)
            x[i], y[i] = a, b

    @fast
    def steps_outside(x: Array, y: Array, steps: int, eta: float) -> None:
        for _ in range(steps):
            for i in range(len(x)):
                u, v = field(x[i], y[i])
                u, v = min(max(x[i] + eta * u, -box), box), min(max(y[i] + eta * v, -box), box)
                u, v = field(u, v)
                x[i], y[i] = min(max(x[i] + eta * u, -box), box), min(max(y[i] + eta * v, -box), box)

    return starts_outside, steps_outside


@fast
def clip(z: float) -> float:
    """Onto [-1, 1]."""
    return min(max(z, -1.0), 1.0)


@fast
def six_step(
    a: float, b: float, c: float, p: float, q: float, r: float, eta: float
) -> tuple[float, float, float, float, float, float]:
    """Extragradient on min_x max_y sum(x + y) - prod(x - y) over [-1, 1]^6."""
    d, e, f = a - p, b - q, c - r
    g, h, k = e * f, d * f, d * e
    o, m, n = clip(a - eta * (1 - g)), clip(b - eta * (1 - h)), clip(c - eta * (1 - k))
    s, t, u = clip(p + eta * (1 + g)), clip(q + eta * (1 + h)), clip(r + eta * (1 + k))
    d, e, f = o - s, m - t, n - u
    g, h, k = e * f, d * f, d * e
    a, b, c = clip(a - eta * (1 - g)), clip(b - eta * (1 - h)), clip(c - eta * (1 - k))
    return a, b, c, clip(p + eta * (1 + g)), clip(q + eta * (1 + h)), clip(r + eta * (1 + k))


@fast
def six_starts_outside(x: Array, y: Array, steps: int, eta: float) -> None:
    """Six numbers a start, by a loop over starts outside; arrays `(3, N)`."""
    for i in range(x.shape[1]):
        a, b, c, p, q, r = x[0, i], x[1, i], x[2, i], y[0, i], y[1, i], y[2, i]
        for _ in range(steps):
            a, b, c, p, q, r = six_step(a, b, c, p, q, r, eta)
        x[0, i], x[1, i], x[2, i], y[0, i], y[1, i], y[2, i] = a, b, c, p, q, r


@fast
def six_steps_outside(x: Array, y: Array, steps: int, eta: float) -> None:
    """The same with the loop over steps outside."""
    for _ in range(steps):
        for i in range(x.shape[1]):
            x[0, i], x[1, i], x[2, i], y[0, i], y[1, i], y[2, i] = six_step(
                x[0, i], x[1, i], x[2, i], y[0, i], y[1, i], y[2, i], eta
            )


def python_loop(steps: int, box: float = 3.0) -> Callable[[float, float], tuple[float, float]]:
    """Extragradient on f_1 for one start, in Python's floats."""
    field = field_f1.py_func

    def one(a: float, b: float) -> tuple[float, float]:
        for _ in range(steps):
            u, v = field(a, b)
            u, v = min(max(a + ETA * u, -box), box), min(max(b + ETA * v, -box), box)
            u, v = field(u, v)
            a, b = min(max(a + ETA * u, -box), box), min(max(b + ETA * v, -box), box)
        return a, b

    return one


def ours(game: Game, starts: int, steps: int) -> Case:
    """Our loop, compiled, from starts drawn once."""
    x0 = game.sample((starts,), generator=torch.Generator().manual_seed(0))

    def case() -> int:
        run(game, Extragradient(ETA), x0, steps, record=None, compile=True)
        return starts * steps

    return case


def theirs(loop: Callable[..., None], game: Game, starts: int, steps: int) -> Case:
    """A numba loop, from the same starts."""
    x0 = game.sample((starts,), generator=torch.Generator().manual_seed(0))

    def case() -> int:
        loop(
            *(t.squeeze(-1).clone().mT.contiguous().numpy() if t.shape[-1] > 1 else t[:, 0].numpy().copy() for t in x0),
            steps,
            ETA,
        )
        return starts * steps

    return case


def compile_seconds(game: Game, starts: int) -> float:
    """What the compiled step takes to be there, less an eager step."""
    oracle, method = GameOracle(game), Extragradient(ETA)
    state = method.init(game.sample((starts,), generator=torch.Generator().manual_seed(0)), oracle)
    began = time.perf_counter()
    compiled_step(method, state, oracle)
    middle = time.perf_counter()
    method.step(state, oracle)
    return (middle - began) - (time.perf_counter() - middle)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    options = parse(__doc__, argv)
    starts, steps = (200, 3) if options.quick else (STARTS, STEPS)
    games = {"f1": catalogue_game("f1"), "forsaken": catalogue_game("forsaken"), "six": catalogue_game("nie_yang_zhou")}
    by_hand = {
        "f1": loops(field_f1, 3.0),
        "forsaken": loops(field_forsaken, 1.5),
        "six": (six_starts_outside, six_steps_outside),
    }
    compile_s = compile_seconds(games["f1"], starts)
    cases: dict[str, Case] = {}
    for name, game in games.items():
        cases[f"ours_ns_{name}"] = ours(game, starts, steps)
        for loop, kind in zip(by_hand[name], ("starts_outer", "steps_outer"), strict=True):
            cases[f"{kind}_ns_{name}"] = theirs(loop, game, starts, steps)
    one = python_loop(steps)
    cases["python_loop_ns_f1"] = lambda: steps * len([one(0.1 * k, -0.2) for k in range(10)])
    sizes = (1, 100, 1000) if options.quick else (1, 100, 10_000, 1_000_000)
    cases |= {f"batch_{n}_ns_f1": ours(games["f1"], n, max(1, min(2000, steps * starts // n // 4))) for n in sizes}
    figures = {
        name: 1e9 / rate for name, rate in rates(cases, repeats=options.repeats, seconds=options.seconds).items()
    }
    for name in games:
        for kind in ("starts_outer", "steps_outer"):
            figures[f"ratio_{kind}_{name}"] = figures[f"ours_ns_{name}"] / figures[f"{kind}_ns_{name}"]
    figures["ratio_python_loop"] = figures["python_loop_ns_f1"] / figures["ours_ns_f1"]
    figures["compile_s"] = compile_s
    emit(figures, "bench_dynamics.py", argv)


if __name__ == "__main__":
    main()
