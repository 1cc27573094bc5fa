"""The pictures of the pricing reproduction: answers to a price cut, where sessions end, the map over (alpha, beta)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from strategic_envs.plots import (
    COLOURS,
    draw_heat_map,
    draw_histogram,
    draw_impulse_response,
    draw_price_cycles,
    new_figure,
    save,
    share_legend,
)

if TYPE_CHECKING:
    from strategic_envs.baselines.q_learning.study import Study
    from strategic_envs.evaluators.collusion import ImpulseResponse
    from strategic_envs.scripts.reproduce._calvano_grid import Map

__all__ = ["draw_gains", "draw_map", "draw_response"]

_MIDDLE = (25, 75)  # percentiles of sessions that bands reach between
_DPI = 88


def draw_response(path: Path, found: Study) -> None:
    """Writes the impulse response: the static best reply at the left, the deviation of the paper's figure at the right.

    Args:
        path: The file.
        found: The study.
    """
    tables = found.tables
    levels = {"Nash": float(tables.nash_prices.mean()), "monopoly": float(tables.monopoly_prices.mean())}
    ylabel = "mean price (bands: middle half of sessions)"
    titles = {
        "static_br": "One firm cuts its price to its static best reply",
        "figure4_compat": "The deviation of figure 4 in AER 2020 (see the docs)",
    }
    figure, panels = new_figure(1, 2, width=5.6, height=4.4)
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        response = found.responses[kind]
        paths = [mean_path(response, who) for who in ("deviator", "rival")]
        kept = response.converged
        spread = [np.percentile(p[kept], _MIDDLE, axis=0) for p in (response.deviator, response.rival)]
        draw_impulse_response(axes, *paths, spread=(spread[0], spread[1]), levels=levels, title=title, ylabel=ylabel)
        axes.set_ylim(min(tables.grid.min(), levels["Nash"]) - 0.02, levels["monopoly"] + 0.05)
    panels[1].set_ylabel("")
    share_legend(figure, panels)
    save(figure, path, dpi=_DPI)


def mean_path(response: ImpulseResponse, who: str) -> Float[np.ndarray, " T"]:
    """Mean prices of converged sessions, every session the same weight.

    Args:
        response: The response.
        who: `"deviator"` or `"rival"`.
    """
    return getattr(response, who)[response.converged].mean(0)


def draw_gains(path: Path, found: Study) -> None:
    """Writes where sessions end: profit gains with what they have to be compared with, and pairs of prices.

    Args:
        path: The file.
        found: The study, of two firms for the prices.
    """
    tables, analysis = found.tables, found.analysis
    references, kept = analysis.references, analysis.converged
    levels = {f"grid equilibrium {e}": g for e, g in zip(references.equilibria, references.gains, strict=True)}
    levels |= {"random prices": references.uniform, "monopoly": 1.0}
    figure, (left, right) = new_figure(1, 2, width=5.6, height=4.6)
    edges = np.linspace(min(-0.1, analysis.gain[kept].min(initial=0.0)), 1.05, 47)
    title = f"Profit gain of {int(kept.sum())} sessions, and of controls"
    draw_histogram(left, analysis.gain[kept], levels=levels, bins=edges, xlabel="profit gain Delta", title=title)
    tallest = left.get_ylim()[1]
    for colour, (name, control) in zip(COLOURS[1:], found.controls.items(), strict=False):
        gains = control.gain[control.converged]
        shares = np.histogram(gains, bins=edges)[0] / max(len(gains), 1)
        left.stairs(shares, edges, color=colour, linewidth=1.5, label=f"control: {name}")
        tallest = max(tallest, 1.12 * float(shares.max(initial=0.0)))
    left.set_ylim(0, tallest)
    left.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
    anchors = {"Nash": float(tables.nash_prices.mean()), "monopoly": float(tables.monopoly_prices.mean())}
    draw_price_cycles(right, _cycles(found), levels=anchors, title="Prices in the long run (area: share of time)")
    save(figure, path, dpi=_DPI)


def _cycles(found: Study) -> list[np.ndarray]:
    """The prices `(L, 2)` of each converged session's limit cycle."""
    tables, sessions = found.tables, found.sessions
    cycles = []
    for b in np.flatnonzero(sessions.converged):
        state, seen = int(sessions.state[b]), dict[int, int]()
        path: list[list[float]] = []
        while state not in seen:
            seen[state] = len(path)
            prices = sessions.strategy[b, :, state].astype(np.int64)
            path.append([float(tables.grid[i, prices[i]]) for i in range(2)])
            state = int(tables.follow(np.array(state), prices))
        cycles.append(np.array(path[seen[state] :]))
    return cycles


def draw_map(path: Path, found: Map) -> None:
    """Writes the heat maps of the profit gain and of what an exact best response gains.

    Args:
        path: The file.
        found: The map.
    """
    figure, panels = new_figure(1, 2, width=5.8, height=4.6)
    plural = "s" if found.sessions > 1 else ""
    shown = (
        (found.gain, "mean profit gain Delta", f"Profit gain, {found.sessions} session{plural} a cell"),
        (found.exploitability, "share of its value", "Gain of an exact best response on path"),
    )
    for axes, (values, label, title) in zip(panels, shown, strict=True):
        xlabel, ylabel = "beta, in 1e-6 a period (how fast exploration fades)", "alpha (learning rate)"
        draw_heat_map(
            axes, values, found.alphas, found.betas * 1e6, xlabel=xlabel, ylabel=ylabel, label=label, title=title
        )
    panels[1].set_ylabel("")
    save(figure, path, dpi=_DPI)
