"""Guess the larger number: solved up to N, and without any approximate equilibrium beyond.

Up to N the tie-break of the best responses decides how long a double oracle runs; without a bound neither double
oracle, nor learning with a best-response oracle, nor gradient play gets anywhere, and from every play they leave behind
it is proved that it is no approximate coarse correlated equilibrium. Thresholds of every length are the reason: the
Littlestone dimension of "is i larger than j" up to N grows with log2 N.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.erm import ERMResult, erm_oracle
from strategic_envs.agents.double_oracle.finite import double_oracle
from strategic_envs.agents.double_oracle.finite.unbounded import UnboundedLargerNumber, one_more
from strategic_envs.agents.double_oracle.log import DoubleOracleResult
from strategic_envs.agents.dynamics.online import OnlineGradientDescent
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.trajectory import Trajectory
from strategic_envs.evaluators.littlestone import littlestone_dimension, threshold_dimension
from strategic_envs.evaluators.no_cce import no_cce_certificate
from strategic_envs.games.catalogue import game
from strategic_envs.games.larger_number import LargerNumber
from strategic_envs.play import Empirical, Independent
from strategic_envs.plots import draw_curves, draw_supports, new_figure, save
from strategic_envs.profile import Profile
from strategic_envs.scripts.reproduce._continuous_rows import PROTOTYPE, row
from strategic_envs.scripts.reproduce._finite_rows import larger_number_rows
from strategic_envs.seeding import torch_stream

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "larger-number"
SUMMARY = "Guess the larger number: what solves it up to N, and proofs that nothing does without a bound."

_PHASES = {8: 2263, 16: 6279, 32: 16465}  # rounds of Hedge on thresholds up to N, at epsilon 0.4
_DERIVED = "derived"


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `larger_number.png`, and compares our numbers with those expected.

    In full it takes about half a minute of one core.

    Args:
        out: The folder for the picture; it is made if it is not there.
        seed: Of random ties and random plays.
        quick: Smaller games, fewer phases and plays.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    unbounded = double_oracle(UnboundedLargerNumber.access(), respond=one_more, max_iterations=200)
    climb = _gradient_play(200 if quick else 2000)
    save_picture(out, unbounded, climb)
    return [
        *larger_number_rows(seed, quick),
        *_runaway(unbounded),
        *_phases(quick),
        *_dimensions(quick),
        *_proofs(seed, unbounded, climb, 50 if quick else 1000),
    ]


def save_picture(out: Path, unbounded: DoubleOracleResult, climb: Trajectory) -> None:
    """Writes the picture of supports that run away.

    Args:
        out: The folder.
        unbounded: A double oracle without a largest number.
        climb: Gradient play on the smooth version.
    """
    n, shown = 20, 40
    truncated = double_oracle(game("larger_number", n=n))
    lucky = double_oracle(game("larger_number", n=n), tie_break="random", seed=1)
    figure, (left, right, below, last) = new_figure(2, 2, width=5.6, height=3.9)
    climbs = {f"up to {n}, smallest response": _numbers(truncated), f"up to {n}, a random one": _numbers(lucky)}
    draw_supports(left, climbs, known=[n], title="With a largest number: it is found", ylabel="numbers played")
    runaway = {"without a bound": _numbers(unbounded)[:shown]}
    draw_supports(right, runaway, title="Without: the support runs away", ylabel="numbers played")
    gaps = {
        f"up to {n}": (np.arange(len(truncated.history)) + 1, [step.gap for step in truncated.history]),
        "without a bound": (np.arange(shown) + 1, [step.gap for step in unbounded.history[:shown]]),
    }
    dashed, title = ["without a bound"], "NashConv, with the smallest responses"
    draw_curves(below, gaps, title=title, xlabel="iteration", ylabel="NashConv", log=False, dashed=dashed)
    x, y = (points.squeeze(-1).numpy() for points in climb.points)
    named = {"player 0, from 0": (climb.steps, x), "player 1, from 1": (climb.steps, y)}
    title = "Gradient play on tanh(x - y), without a bound"
    draw_curves(last, named, title=title, xlabel="step", ylabel="number", log=False)
    save(figure, out / "larger_number.png", dpi=100)


def _numbers(result: DoubleOracleResult, player: int = 0) -> list[list[float]]:
    """The numbers that a player names in each iteration: strategy k is the number k + 1."""
    return [[float(k + 1) for k in step.played[player]] for step in result.history]


def _gradient_play(steps: int) -> Trajectory:
    smooth = LargerNumber(None, smooth=1.0)
    return run(smooth, OnlineGradientDescent(0.1), smooth.profile([0.0], [1.0]), steps)


def _runaway(result: DoubleOracleResult) -> list[dict[str, Any]]:
    rows = []
    for k in (1, 2, 3, 10, 50, 100, 200):
        step = result.history[k - 1]
        source, away = f"{PROTOTYPE}, and derived", step.played == ((k - 1,), (k - 1,))
        rows.append(row(f"no bound: NashConv after {k} iterations", step.gap, 2.0, source, step.gap == 2.0 and away))
    return rows


def _phases(quick: bool) -> list[dict[str, Any]]:
    rows = []
    for n, rounds in _PHASES.items():
        if quick and n > 8:
            continue
        found = erm_oracle(game("larger_number", n=n), epsilon=0.4)
        label = f"ERM oracle, larger number up to {n}, epsilon 0.4"
        rows.append(_count(f"{label}: phases", len(found.history), n, found))
        rows.append(_count(f"{label}: rounds of Hedge", found.rounds, rounds, found))
    for n in (16,) if quick else (16, 64, 256):
        found = erm_oracle(game("hide_and_seek", n=n), epsilon=0.2, payoff_range=2.0)
        label = f"ERM oracle, hide and seek, {n} places, epsilon 0.2"
        rows.append(_count(f"{label}: phases", len(found.history), 9, found))
        rows.append(_count(f"{label}: rounds of Hedge", found.rounds, 8219, found))
    phases = 5 if quick else 25
    found = erm_oracle(UnboundedLargerNumber(), epsilon=0.4, max_phases=phases)
    least = min(min(phase.gains) for phase in found.history)
    quantity = f"ERM oracle, no bound: smallest gain of a player in {phases} phases"
    return [*rows, row(quantity, least, 1.0, PROTOTYPE, abs(least - 1) < 1e-12)]


def _count(quantity: str, ours: int, expected: int, found: ERMResult) -> dict[str, Any]:
    source = f"{PROTOTYPE}; the largest gain left is {max(found.gains):.3g}"
    return row(quantity, ours, expected, source, ours == expected and str(found.outcome) == "converged")


def _dimensions(quick: bool) -> list[dict[str, Any]]:
    rows = []
    for n in (2, 3, 8, 16, 31) if quick else (2, 3, 8, 16, 31, 32, 64, 127, 128):
        thresholds = torch.ones(n, n, dtype=torch.int64).tril(-1)  # whether i is larger than j
        ours, expected = littlestone_dimension(thresholds), int(math.log2(n))
        rows.append(
            row(f"Littlestone dimension, larger number up to {n}", ours, expected, "floor(log2 N)", ours == expected)
        )
        if n <= 32:
            ours = threshold_dimension(thresholds)
            rows.append(row(f"threshold dimension, larger number up to {n}", ours, n - 1, "N - 1", ours == n - 1))
    ours = littlestone_dimension(torch.eye(64, dtype=torch.int64))
    return [*rows, row("Littlestone dimension, hide and seek, 64 places", ours, 1, _DERIVED, ours == 1)]


def _proofs(seed: int, unbounded: DoubleOracleResult, climb: Trajectory, plays: int) -> list[dict[str, Any]]:
    """Certificates from random plays, and from what the methods above left behind."""
    proofs = [no_cce_certificate(play) for play in _random_plays(seed, plays)]
    least, whole = min(p.epsilon for p in proofs), {sum(p.gains) for p in proofs} == {Fraction(2)}
    good = all(p.check() for p in proofs) and least >= 1 and whole
    quantity = f"no bound: smallest proved larger gain of {plays} random plays, at least"
    rows = [row(quantity, float(least), 1.0, "derived; the two gains sum to 2 exactly", good)]
    named = [torch.tensor(_numbers(unbounded, i), dtype=torch.float64) for i in (0, 1)]  # one number an iteration
    proof = no_cce_certificate(Empirical.uniform(named), LargerNumber(None, "integers"))
    quantity = f"no bound: proved larger gain against all {len(named[0])} iterates of the double oracle, at least"
    rows.append(row(quantity, float(proof.epsilon), 1.0, _DERIVED, proof.check() and proof.epsilon >= 1))
    for margin in (1e-3, 1e-9):
        proof = no_cce_certificate(Empirical.uniform(climb.points), LargerNumber(None, smooth=1.0), margin=margin)
        quantity = (
            f"tanh, no bound: proved larger gain against all iterates of gradient play, margin {margin:g}, at least"
        )
        good = proof.check() and proof.epsilon >= 1 - Fraction(margin)
        rows.append(row(quantity, float(proof.epsilon), 1 - margin, _DERIVED, good))
    return rows


def _random_plays(seed: int, plays: int) -> list[Empirical | Independent]:
    stream = torch_stream(seed, "larger_number", "plays")

    def numbers(count: int) -> Tensor:
        spread = 10 ** (6 * torch.rand((), generator=stream, dtype=torch.float64))
        return 1 + (spread * torch.rand(count, 1, generator=stream, dtype=torch.float64)).floor()

    def weights(count: int) -> Tensor:
        drawn = torch.rand(count, generator=stream, dtype=torch.float64)
        return drawn / drawn.sum()

    def size() -> int:
        return int(torch.randint(1, 21, (), generator=stream))

    found: list[Empirical | Independent] = []
    for k in range(plays):
        m, n = size(), size()
        if k % 2:
            found.append(Independent((numbers(m), numbers(n)), (weights(m), weights(n))))
        else:
            found.append(Empirical(Profile([numbers(m), numbers(m)]), weights(m)))
    return found
