"""Prices above competition without any punishment: what a learner's knowledge of what it did not do changes.

Asker, Fershtman and Pakes (AEA P&P 2022; JEMS 2024): firms that sell one good, remember nothing and do not care for
tomorrow. Those that learn only from the price they charged come to rest far above the equilibrium, because early
optimism fades from the prices they tried; those that also learn what other prices would have earned end at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning.counterfactual import CounterfactualSessions
    from strategic_envs.games.pricing.game import PricingGame

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "asker"
SUMMARY = "Firms without memory: high prices by asynchronous learning, competition by synchronous learning."

_PROTOTYPE = "200 runs of a prototype of this project with the same rule and draws of its own"
_RUNS, _MEAN, _SPREAD = 200, 8.21, 1.19
_RECORDED = 6000  # periods that may be in the picture
_TITLES = {
    "asynchronous": "asynchronous: moves the price it charged",
    "downward": "downward: moves what demand bounds",
    "synchronous": "synchronous: moves every price",
}


@dataclass(frozen=True)
class Options:
    """What is run."""

    sessions: int = 1000
    """Sessions of each of the three rules."""
    threads: int | None = None
    """Threads; all cores if not given. The numbers do not depend on it."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `price_paths.png` and `resting_prices.png`, and compares our numbers with those expected.

    In full it takes some seconds.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: The seed of the first values; nothing else is drawn.
        quick: At most 200 sessions of each rule.
        options: What is run.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is within three standard
        errors of both samples; None where there is nothing to compare with).

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.baselines.q_learning.counterfactual import CounterfactualLearning, learn_counterfactual
    from strategic_envs.games.pricing.bertrand import bertrand

    for name, value in (("sessions", options.sessions), ("threads", options.threads)):
        if value is not None and value < 1:
            raise InputError(f"got --{name} {value}, expected a whole number from 1")
    count = min(200, options.sessions) if quick else options.sessions
    game, runs = bertrand(), {}
    for update in _TITLES:
        learner = CounterfactualLearning(update)
        shared: dict[str, Any] = {"seed": seed, "threads": options.threads}
        runs[update] = learn_counterfactual(game, learner, count, **shared, recorded=_RECORDED)
    _draw_paths(out / "price_paths.png", game, runs)
    _draw_ends(out / "resting_prices.png", runs)
    return [
        *_asynchronous(game, runs["asynchronous"]),
        *_synchronous(runs["synchronous"]),
        *_downward(runs["downward"]),
    ]


def _row(quantity: str, ours: float, expected: float | str, source: str, within: bool | None) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def _asynchronous(game: PricingGame, run: CounterfactualSessions) -> list[dict[str, Any]]:
    price = run.mean_price.mean(1)
    mean, spread = float(price.mean()), float(price.std())
    error = _SPREAD * np.sqrt(1 / len(price) + 1 / _RUNS)
    name = "asynchronous: "
    equal = _equal(run)
    nash = np.mean([tuple(pair) in game.pure_nash() for pair in run.last.tolist()])
    many = f"4.9 to 10 in {_RUNS} runs"
    return [
        _row(name + "share of runs at rest", float(run.at_rest.mean()), 1.0, _PROTOTYPE, bool(run.at_rest.all())),
        _row(name + "mean price at rest", mean, _MEAN, _PROTOTYPE, bool(abs(mean - _MEAN) < 0.005 + 3 * error)),
        _row(
            name + "its standard deviation", spread, _SPREAD, _PROTOTYPE,
            bool(abs(spread - _SPREAD) < 0.005 + 3 * error / np.sqrt(2)),
        ),
        _row(name + "share of runs with equal prices", equal, 1.0, _PROTOTYPE, equal == 1.0),
        _row(name + "lowest price at rest", float(price.min()), many, "lower in more runs: no verdict", None),
        _row(name + "highest price at rest", float(price.max()), many, "the reservation price is 10: no verdict", None),
        _row(
            name + "share of runs at a Nash equilibrium of the period", float(nash), 0.0,
            "optimism, not equilibrium: undercutting would pay at every price above 2.2, derived", float(nash) < 0.01,
        ),
    ]  # fmt: skip


def _synchronous(run: CounterfactualSessions) -> list[dict[str, Any]]:
    name, price = "synchronous: ", run.mean_price.mean(1)
    share, equal = float((abs(price - 2.1) < 1e-6).mean()), _equal(run)
    said = f"{_PROTOTYPE}: always 2.1"
    return [
        _row(name + "share of runs at the price 2.1", share, 1.0, said, share >= 1.0 - 3 / _RUNS),
        _row(name + "mean price at rest", float(price.mean()), 2.1, said, bool(abs(price.mean() - 2.1) < 0.005)),
        _row(name + "share of runs with equal prices", equal, 1.0, _PROTOTYPE, equal == 1.0),
    ]


def _downward(run: CounterfactualSessions) -> list[dict[str, Any]]:
    name, price, said = "downward: ", run.mean_price.mean(1), "no number is known to us"
    return [
        _row(name + "mean price at rest", float(price.mean()), "between the two", said, None),
        _row(name + "its standard deviation", float(price.std()), "-", said, None),
        _row(name + "highest price at rest", float(price.max()), "-", said, None),
    ]


def _equal(run: CounterfactualSessions) -> float:
    return float((run.last == run.last[:, :1]).all(1).mean())


def _draw_paths(path: Path, game: PricingGame, runs: dict[str, CounterfactualSessions]) -> None:
    from strategic_envs.plots import draw_price_clouds, new_figure, save

    figure, panels = new_figure(1, len(runs), width=4.8, height=3.8)
    levels = {"cost": 2.0, "reservation price": 10.0}
    for axes, (update, run) in zip(panels, runs.items(), strict=True):
        price = run.mean_price.mean(1)
        typical = int(np.abs(price - np.median(price)).argmin())
        assert run.path is not None
        moving = int(run.periods[typical]) - 1000  # the last change of a price
        shown = min(_RECORDED, moving + max(100, moving // 8))
        steps = np.where(run.path[typical] < 0, run.last[typical], run.path[typical])[:shown]
        prices = game.grid.numpy()[np.arange(game.n_players), steps]
        draw_price_clouds(axes, prices, levels=levels, title=_TITLES[update])
        axes.set_ylim(0, 10.7)
    save(figure, path)


def _draw_ends(path: Path, runs: dict[str, CounterfactualSessions]) -> None:
    from strategic_envs.plots import COLOURS, draw_histogram, new_figure, save

    figure, panels = new_figure(1, len(runs), width=4.8, height=3.4)
    for axes, colour, (update, run) in zip(panels, COLOURS, runs.items(), strict=False):
        draw_histogram(
            axes,
            run.mean_price.mean(1),
            levels={"cost": 2.0},
            bins=np.arange(0.05, 10.2, 0.1 if update != "asynchronous" else 0.3),
            xlabel="price at rest",
            ylabel="share of runs",
            title=update,
            colour=colour,
        )
        axes.set_xlim(0, 10.2)
    save(figure, path)
