"""Sequential pricing: Q-learners that take turns come to charge one high price, or cut prices in turn and start again.

Klein (RAND Journal of Economics 52, 2021) on grids of 6, 12 and 24 price steps: with few prices most pairs settle on a
constant price, often one that is an exact equilibrium on its path; with more they end in Edgeworth cycles, above the
profits of the competitive equilibrium all the same. Where learning ends is judged by exact dynamic programming.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning.sequential import SequentialSessions
    from strategic_envs.evaluators.alternating import SequentialAnalysis
    from strategic_envs.games.pricing.sequential import SequentialPricing

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "klein"
SUMMARY = "Q-learning firms that set prices in turn: constant prices on coarse grids, Edgeworth cycles on fine ones."

_PROTOTYPE = "{runs} runs of a prototype of this project with the same rule and draws of its own"
_BLOCKS = 100
_SHOWN = 32  # periods of a limit path in the picture


@dataclass(frozen=True)
class Options:
    """What is run."""

    sessions: int = 1000
    """Sessions on the grid of sixths; half as many on twelfths, three tenths on twenty-fourths."""
    threads: int | None = None
    """Threads; all cores if not given. The numbers do not depend on it."""


@dataclass(frozen=True)
class _Expected:
    """What another program with the same rule gave; shares and means over so many runs."""

    k: int
    runs: int
    profit: float
    constant: float
    both_best: float
    optimality: float


_EXPECTED = (
    _Expected(6, 1000, 0.1090, 0.685, 0.653, 0.972),
    _Expected(12, 500, 0.1018, 0.144, 0.186, 0.900),
    _Expected(24, 300, 0.1059, 0.033, 0.003, 0.817),
)


@dataclass(frozen=True, eq=False)
class _Run:
    """The sessions on one grid, and where they end."""

    game: SequentialPricing
    sessions: SequentialSessions
    found: SequentialAnalysis


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `price_paths.png` and `learning.png`, and compares our numbers with those expected.

    In full it takes about half a minute of one core.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: The seed of all draws.
        quick: At most 100 sessions on the coarsest grid, and fewer on the others.
        options: What is run.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is within three standard
        errors of both samples; None where there is nothing to compare with).

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.baselines.q_learning.sequential import learn_sequential
    from strategic_envs.evaluators.alternating import analyse_sequential
    from strategic_envs.games.pricing.sequential import sequential_pricing

    for name, value in (("sessions", options.sessions), ("threads", options.threads)):
        if value is not None and value < 1:
            raise InputError(f"got --{name} {value}, expected a whole number from 1")
    count = min(100, options.sessions) if quick else options.sessions
    runs = []
    for one in _EXPECTED:
        game = sequential_pricing(k=one.k)
        here = max(1, count * one.runs // 1000)
        sessions = learn_sequential(game, sessions=here, seed=seed, threads=options.threads, blocks=_BLOCKS)
        runs.append(_Run(game, sessions, analyse_sequential(game, sessions.strategy, sessions.state)))
    _draw_paths(out / "price_paths.png", runs)
    _draw_learning(out / "learning.png", runs)
    rows = _equilibria()
    for run, expected in zip(runs, _EXPECTED, strict=True):
        rows += _compared(run, expected)
    return rows


def _row(quantity: str, ours: float, expected: float | str, source: str, within: bool | None) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def _equilibria() -> list[dict[str, Any]]:
    """The benchmarks: the joint maximum, and two exact equilibria on the grid of sixths."""
    from strategic_envs.games.pricing.maskin_tirole import edgeworth_cycle, kinked_demand, mean_profit
    from strategic_envs.games.pricing.sequential import sequential_pricing

    game = sequential_pricing(k=6)
    rows = [_row("joint maximum, profit of a firm and period", game.joint_maximum, 0.125, "p = 1/2, derived", None)]
    rows[0]["within"] = abs(game.joint_maximum - 0.125) < 1e-12
    equilibrium = "equilibrium of Maskin and Tirole 1988, in closed form"
    for name, table in (("kinked demand", kinked_demand(0.95)), ("Edgeworth cycle", edgeworth_cycle(0.95))):
        policies = game.policies(table)
        gain = float((game.best_response(policies, 0)[1] - game.values(policies)[:, 0]).max())
        rows.append(_row(f"k=6, {name}: most that a deviation gains", gain, 0.0, equilibrium, abs(gain) < 1e-9))
    quoted = "quoted from memory; ours is that of the closed form, exact: no verdict"
    profit = mean_profit(game, edgeworth_cycle(0.95))
    return [*rows, _row("k=6, Edgeworth cycle: profit of a firm and period", profit, 0.061, quoted, None)]


def _compared(run: _Run, expected: _Expected) -> list[dict[str, Any]]:
    found, k, source = run.found, run.game.k, _PROTOTYPE.format(runs=expected.runs)
    profit, optimality = found.profit.mean(1), found.optimality.mean(1)
    both = np.asarray(found.best_on_path.all(1))
    rows = [
        _row(f"k={k}: {name}", float(np.mean(values)), value, source, _close(values, value, expected.runs))
        for name, values, value in (
            ("profit of a firm and period", profit, expected.profit),
            ("share of constant prices", found.constant, expected.constant),
            ("both exact best responses on the path", both, expected.both_best),
            ("optimality, value as a share of a best response's", optimality, expected.optimality),
        )
    ]
    if k == 6:
        spread = float(profit.std())
        slack = 0.0005 + 3 * spread * np.sqrt(0.5 / len(profit) + 0.5 / expected.runs)
        within = bool(abs(spread - 0.012) < slack)
        rows.append(_row("k=6: standard deviation of the profit", spread, 0.012, source, within))
    said = "Klein 2021: cycles where there are many prices; no number"
    share = float(found.edgeworth.mean())
    return [*rows, _row(f"k={k}: share of Edgeworth cycles", share, "more on finer grids", said, None)]


def _close(values: np.ndarray, expected: float, runs: int) -> bool:
    """Whether the mean is within three standard errors of another sample's, both of them sampled."""
    share = values.dtype == np.bool_
    spread = np.sqrt(expected * (1 - expected)) if share else values.std()
    digit = 0.0005 if share or expected > 0.5 else 0.00005  # the last one that is given
    return bool(abs(values.mean() - expected) < digit + 3 * spread * np.sqrt(1 / len(values) + 1 / runs))


def _draw_paths(path: Path, runs: list[_Run]) -> None:
    from strategic_envs.evaluators.alternating import price_path
    from strategic_envs.games.pricing.maskin_tirole import edgeworth_cycle, mean_profit
    from strategic_envs.plots import draw_histogram, draw_standing_prices, new_figure, save

    figure, panels = new_figure(2, len(runs), width=4.6, height=3.5)
    edgeworth = mean_profit(runs[0].game, edgeworth_cycle(runs[0].game.discount))
    for column, run in enumerate(runs):
        game, found = run.game, run.found
        top, bottom = panels[column], panels[column + len(runs)]
        typical = _typical(found)
        lead = 4 * (game.k + 1)
        first = int(run.sessions.state[typical]) // (game.k + 1)
        one = slice(typical, typical + 1)
        chain = price_path(game, run.sessions.strategy[one], run.sessions.state[one], lead + _SHOWN)[0]
        begin = lead + _phase(chain[lead:], first)
        kind = "a constant price" if found.constant[typical] else "an Edgeworth cycle"
        shares = f"constant {100 * found.constant.mean():.0f}%, Edgeworth {100 * found.edgeworth.mean():.0f}%"
        title = f"k = {game.k}: {kind}\n({shares} of {len(run.sessions)} runs)"
        draw_standing_prices(top, chain[begin : begin + 20] / game.k, levels={"monopoly": 0.5}, title=title)
        top.set_ylim(-0.02, 1.3)  # the legend stands above the prices
        top.set_yticks(np.linspace(0, 1, 6))
        levels = {"joint maximum": game.joint_maximum, "Edgeworth equilibrium, k = 6": edgeworth}
        profit = found.profit.mean(1)
        bins = np.linspace(0.04875, 0.13125, 34)  # 0.125 lies in the middle of one
        draw_histogram(bottom, profit, levels=levels, bins=bins, xlabel="mean profit of a firm and period")
        bottom.set_ylabel("share of runs")
    save(figure, path)


def _typical(found: SequentialAnalysis) -> int:
    """A session of the most frequent kind whose profit is nearest to the middle of that kind."""
    kind = found.constant if found.constant.mean() >= found.edgeworth.mean() else found.edgeworth
    kind = kind if kind.any() else np.ones_like(kind)
    profit = found.profit.mean(1)
    distance = np.where(kind, np.abs(profit - np.median(profit[kind])), np.inf)
    return int(distance.argmin())


def _phase(chain: np.ndarray, first: int) -> int:
    """Where to begin a picture: at the highest price, set by firm 0; `first` is who sets the first price."""
    tops = [t for t in range(len(chain) // 3) if (first + t) % 2 == 0]
    return max(tops, key=lambda t: (chain[t], -t))


def _draw_learning(path: Path, runs: list[_Run]) -> None:
    from strategic_envs.plots import COLOURS, draw_curves, new_figure, save

    series, colours = {}, {}
    for run, colour in zip(runs, COLOURS, strict=False):
        assert run.sessions.profit is not None
        profit = run.sessions.profit.mean((0, 2))
        name = f"k = {run.game.k}"
        series[name], colours[name] = ((np.arange(_BLOCKS) + 0.5) * 500_000 / _BLOCKS, profit), colour
    figure, (axes,) = new_figure(width=6.4)
    draw_curves(
        axes,
        series,
        title="Profit while firms learn (exploration falls to 0.1% by half of the time)",
        xlabel="period",
        ylabel="mean profit of a firm and period",
        log=False,
        levels={"joint maximum": runs[0].game.joint_maximum},
        colours=colours,
    )
    save(figure, path)
