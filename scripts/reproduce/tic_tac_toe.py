"""Tic-tac-toe: its integers and fractions, what self-play learns of it, and exact PSRO.

Every number is exact: positions are enumerated, and exploitability and the probabilities of losing come from sweeps
over all positions. Learners start games at any position (`exploring_starts`) with an entropy that falls; a control does
without either. It soon comes to few positions only, and best responses lead elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strategic_envs.agents.double_oracle.policy_space.run import PSROResult
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.evaluators.gaps import exploitability
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.plots import COLOURS, draw_curves, new_figure, save, share_legend
from strategic_envs.scripts.reproduce._tic_tac_toe_facts import fact_rows, optimal_policy, row
from strategic_envs.scripts.reproduce._tic_tac_toe_runs import QUICK, RUNS, Learned, Run, exact_psro, learn, losses

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "tic-tac-toe"
SUMMARY = "Tic-tac-toe's exact counts and values, what self-play learns of it, and PSRO with exact replies."

_AIM, _LOSES_X, _LOSES_O, _PSRO_SECONDS = 0.3, 0.001, 0.005, 60.0
_AIMED = "aim of this project"

_PSRO = "PSRO, exact"
_COLOURS = dict(zip((r.label for r in RUNS), [COLOURS[k] for k in (0, 1, 0, 1, 4, 3)], strict=True))
_COLOURS |= {_PSRO: COLOURS[2]} | {r.label: COLOURS[k] for k, r in enumerate(QUICK)}

Curves = dict[str, list[Learned]]


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `tic_tac_toe.png`, and `psro.jsonl` with one line an iteration; compares numbers with those expected.

    In full it takes two to five minutes of one core, most of it in the learners.

    Args:
        out: The folder for the files; it is made if it is not there.
        seed: The first seed of the learners.
        quick: The two main dynamics by exact gradients, a few seconds each, instead of all learners.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within`.
    """
    from strategic_envs.agents.rllib import session

    out.mkdir(parents=True, exist_ok=True)
    game, runs, curves = TicTacToe(), QUICK if quick else RUNS, Curves()
    with session():
        for run in runs:
            curves[run.label] = [learn(run, seed + k) for k in range(run.seeds)]
    found, seconds = exact_psro(game)
    _write_log(out / "psro.jsonl", found, seconds)
    _draw(out / "tic_tac_toe.png", curves, found, seconds)
    learned = [r for run in runs for r in _learned_rows(game, run, curves[run.label])]
    return [*fact_rows(game), *_control_rows(game), *learned, *_psro_rows(game, found, seconds)]


def _learned_rows(game: TicTacToe, run: Run, runs: Sequence[Learned]) -> list[dict[str, Any]]:
    """The worst of all seeds; a control is expected to miss the aim for exploitability."""
    worst = max(r.exploitability[-1] for r in runs)
    lost = [max(part) for part in zip(*(losses(game, r.play) for r in runs), strict=True)]
    of = f"{run.label}, worst of {len(runs)} seeds" if len(runs) > 1 else run.label
    if not run.reaches:
        quantity = f"{of}: exploitability, not below"
        return [row(quantity, worst, _AIM, "control: what the learners are compared with", worst >= _AIM)]
    rows = [row(f"{of}: exploitability, below", worst, _AIM, _AIMED, worst < _AIM)]
    for player, ours, aim in zip("XO", lost, (_LOSES_X, _LOSES_O), strict=True):
        quantity = f"{of}: probability of losing to random play as {player}, at most"
        rows.append(row(quantity, ours, aim, _AIMED, ours <= aim))
    return rows


def _control_rows(game: TicTacToe) -> list[dict[str, Any]]:
    uniform, optimal = game.uniform_policy(), optimal_policy(game)
    rows = []
    for name, table, gap, expected in (
        ("random", uniform, 116101 / 120960, (121 / 420, 737 / 1260)),
        ("optimal", optimal, 0.0, (0.0, 0.0)),
    ):
        play = TabularPlay((table, table))
        ours = exploitability(game, play).value
        rows.append(row(f"control: {name} play: exploitability", ours, gap, "exact enumeration"))
        for player, loss, known in zip("XO", losses(game, play), expected, strict=True):
            quantity = f"control: {name} play: probability of losing to random play as {player}"
            rows.append(row(quantity, loss, known, "exact enumeration"))
    return rows


def _psro_rows(game: TicTacToe, found: PSROResult, seconds: Sequence[float]) -> list[dict[str, Any]]:
    ours = exploitability(game, found.play).value
    converged = found.outcome is Outcome.CONVERGED
    return [
        row("exact PSRO: exploitability of its mixture, below", ours, 1e-9, _AIMED, ours < 1e-9),
        row(
            "exact PSRO: seconds, below", seconds[-1], _PSRO_SECONDS, _AIMED, converged and seconds[-1] < _PSRO_SECONDS
        ),
        row("exact PSRO: half the gap by its replies is that exploitability", found.gap / 2, ours, "definition"),
        row(
            "exact PSRO: iterations (other replies of equal value give other numbers)",
            len(found.history),
            47,
            "this project, logged",
            True,
        ),
    ]


def _write_log(path: Path, found: PSROResult, seconds: Sequence[float]) -> None:
    """One line an iteration: what was held, mixed and gained."""
    lines = []
    for record, at in zip(found.history, seconds, strict=True):
        told = {"iteration": record.iteration, "policies": record.sizes, "support": record.support, "gap": record.gap}
        told |= {"utilities": record.utilities, "added": record.added, "cells": record.cells, "seconds": round(at, 3)}
        lines.append(json.dumps(told) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _draw(path: Path, curves: Mapping[str, Sequence[Learned]], found: PSROResult, seconds: Sequence[float]) -> None:
    """Exploitability of sampled self-play by moves played, of everything by seconds, and of PSRO by iteration."""
    gaps = [record.gap / 2 for record in found.history]
    sampled = {k: _series(v, "steps") for k, v in curves.items() if "exact" not in k}
    timed = {_PSRO: (list(seconds), gaps)} | {k: _series(v, "seconds") for k, v in curves.items()}
    panels = [(sampled, "Self-play from samples", "moves played")] if sampled else []
    panels += [(timed, "All, by time", "seconds on this machine, start included")]
    panels += [({_PSRO: (range(1, len(gaps) + 1), gaps)}, "PSRO with exact replies", "iteration")]
    figure, grid = new_figure(1, len(panels), width=5.4, height=5.0)
    for axes, (series, title, xlabel) in zip(grid, panels, strict=True):
        draw_curves(
            axes,
            series,
            title=title,
            xlabel=xlabel,
            levels={"random play": 116101 / 120960, "aim": _AIM},
            ylabel="exploitability (0 is drawn at 1e-4)",
            floor=1e-4,
            colours=_COLOURS,
            dashed=[k for k in series if "network" in k or "control" in k],
        )
        if xlabel != "iteration":
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter("")  # between powers of ten there is no room for numbers
    share_legend(figure, grid)
    save(figure, path)


def _series(runs: Sequence[Learned], by: str) -> tuple[list[float], Any]:
    """Steps or seconds (of the first seed), and one column of exploitabilities a seed."""
    return getattr(runs[0], by), np.array([r.exploitability for r in runs]).T
