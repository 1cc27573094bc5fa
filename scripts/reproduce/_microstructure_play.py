"""Rows about play that ends lognormal: bins, agents, noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics import Hedge, Replicator, Smith, run
from strategic_envs.agents.populations import AdditiveNoise, MultiplicativeNoise, settle
from strategic_envs.evaluators.microstructure import weight_microstructure
from strategic_envs.games.arbitrage import Arbitrage
from strategic_envs.plots import draw_curves, new_figure, save
from strategic_envs.scripts.reproduce._microstructure_networks import row
from strategic_envs.seeding import torch_stream

__all__ = ["agents", "bins", "noise"]

_PROTOTYPE = "prototype of this project"
_EXACT = "the equilibrium of 61 bins, exact"


def bins(picture: Path, *, steps: int) -> list[dict[str, Any]]:
    """Smith's dynamic and the replicator on 61 bins from equal shares."""
    game = Arbitrage()
    even = torch.full((61,), 1 / 61, dtype=torch.float64)
    smith, replicator = run(game, Smith(), [even], steps), run(game, Replicator(0.1), [even], 60)
    start = [(20.0 * (torch.arange(61, dtype=torch.float64) % 2)).softmax(-1)]
    fixed = run(game, Smith(0.02, adaptive=False), start, steps)
    (x,), (path,) = smith.final, smith.points
    mean, deviation = (float(m) for m in game.moments(x))
    spread = float(game.spread(x))
    lacking = game.known().values["utility"] - (path * game.utilities_of_bins(path)).sum(-1)
    identity = float((lacking - game.divergence(path)).abs().max())
    falls = -float(game.phi(path).diff().min())
    one = float(game.spread(run(game, Hedge(1.0), [even], 1).final[0]))
    rises = float((game.potential(fixed.points).diff() > 1e-9).double().mean())
    _draw(
        picture, game, {"Smith": smith.points[0], "replicator": replicator.points[0], "Smith, fixed": fixed.points[0]}
    )
    start_spread = float(game.spread(even))
    other = "here half of the bins start nearly empty"
    return [
        row("Smith on 61 bins: max h - min h at equal shares", start_spread, 12.5, _PROTOTYPE, start_spread == 12.5),
        row(f"Smith: the same after {steps} steps", spread, "1e-12 at most", _PROTOTYPE, spread <= 1e-12),
        row("Smith: mean of ln w", mean, -4.0, "alpha / (2 beta)", abs(mean + 4) < 1e-6),
        row("Smith: standard deviation of ln w", deviation, 0.999995, _PROTOTYPE, abs(deviation - 0.999995) < 5e-7),
        row("Smith: largest fall of phi in a step", falls, 0.0, "phi rises, derived", falls < 1e-13),
        row("Smith: h* - mean h against KL, largest difference", identity, 0.0, "identity", identity < 1e-12),
        row("Hedge with step 1 / gamma: max h - min h after one step", one, 0.0, _EXACT, one < 1e-12),
        row(
            "Smith, fixed step .02: max h - min h at the end",
            float(game.spread(fixed.final[0])),
            "a cycle of two points",
            other,
            float(game.spread(fixed.final[0])) > 1,
        ),
        row("the same: share of steps in which phi falls", rises, 0.5, other, 0.4 < rises < 0.6),
    ]


def _draw(picture: Path, game: Arbitrage, paths: dict[str, Tensor]) -> None:
    figure, (left, right) = new_figure(1, 2, height=4.2)
    spreads = {name: (range(len(x)), game.spread(x).numpy()) for name, x in paths.items()}
    draw_curves(left, spreads, title="Bins are worth the same: max h - min h", ylabel="nats", floor=1e-15)
    gaps = {name: (range(len(x)), game.divergence(x).clamp(min=0).numpy()) for name, x in paths.items()}
    draw_curves(right, gaps, title="The potential above its minimum", ylabel="nats", floor=1e-15)
    save(figure, picture)


def agents(seed: int) -> list[dict[str, Any]]:
    """Twenty thousand agents that move to better bins."""
    game = Arbitrage()
    found = settle(game, 20_000, seed=seed)
    mean, deviation = (float(m) for m in game.moments(found.shares))
    divergence = float(game.divergence(found.shares))
    label = "20,000 better-responding agents:"
    return [
        row(f"{label} outcome", found.outcome, "converged", "Rosenthal 1973", found.outcome == "converged"),
        row(f"{label} mean of ln w", mean, -4.0, _PROTOTYPE, abs(mean + 4) < 5e-4),
        row(f"{label} standard deviation", deviation, 0.997, _PROTOTYPE, abs(deviation - 0.997) < 1e-3),
        row(f"{label} KL from the equilibrium", divergence, 2e-4, _PROTOTYPE, abs(divergence - 2e-4) < 5e-5),
    ]


def noise(draws: int, seed: int) -> list[dict[str, Any]]:
    """Weights with multiplicative noise, and with additive noise and decay."""
    random = torch_stream(seed, "noise")
    signs = 2.0 * torch.randint(2, (draws,), generator=random, dtype=torch.float64) - 1
    multiplied = MultiplicativeNoise().advance(0.02 * signs, 10.0, random)
    added = AdditiveNoise(decay=1.0, temperature=1e-3).advance(0.02 * signs, 10.0, random)
    state = {"multiplied": multiplied.reshape(-1, 100), "added": added.reshape(-1, 100)}
    first, second = weight_microstructure(state, controls=False, seed=seed).rows
    size = f"n is not stated; here {draws}, and z grows like its root"
    ahead, behind = first.vuong["weibull"], second.vuong["half_normal"]
    return [
        row("multiplicative noise: winner", first.winner, "lognormal", _PROTOTYPE, first.winner == "lognormal"),
        row("multiplicative noise: lognormal against Weibull, z", ahead, 26.0, f"{_PROTOTYPE}; {size}", ahead > 2),
        row("additive noise with decay: winner", second.winner, "half_normal", _PROTOTYPE, _gaussian(second.winner)),
        row("additive noise: lognormal against half-normal, z", behind, -33.7, f"{_PROTOTYPE}; {size}", behind < -2),
    ]


def _gaussian(winner: str) -> bool:
    return winner == "half_normal"
