"""Whether trained weights are lognormal, and what leads to lognormals: gaps, controls, networks of digits, dynamics.

The claim that trained networks have lognormal weights is compared with other families by likelihood, beside the same
weights at initialisation and beside synthetic controls. The arbitrage equilibrium itself is a game that is played here:
there play does end in a lognormal. That says nothing about a network, whose utilities nobody has measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strategic_envs.scripts.options import InputError

__all__ = ["NAME", "SUMMARY", "Options", "reproduce"]

NAME = "microstructure"
SUMMARY = "Weights of digit networks against seven families of densities, with controls; and play that ends lognormal."


@dataclass(frozen=True)
class Options:
    """What is run."""

    epochs: int = 150
    """Passes over the digits in each of the seven trainings."""


def reproduce(out: Path, *, seed: int = 0, quick: bool = False, options: Options = Options()) -> list[dict[str, Any]]:
    """Writes `quantiles.png` and `dynamics.png`, and compares our numbers with those expected.

    In full it takes about a minute of one core.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: The seed of all draws.
        quick: Two trainings of a tenth of the epochs, and smaller samples.
        options: What is run.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (None where there is nothing to compare
        with, or where another draw may well differ).

    Raises:
        InputError: If an option is out of its range.
    """
    from strategic_envs.scripts.reproduce import _microstructure_networks as networks
    from strategic_envs.scripts.reproduce import _microstructure_play as play

    if options.epochs < 1:
        raise InputError(f"got --epochs {options.epochs}, expected a whole number from 1")
    draws = 5000 if quick else 20_000
    epochs = max(1, options.epochs // 10) if quick else options.epochs
    return [
        *networks.reference_gaps(draws, seed),
        *networks.controls(draws, seed),
        *networks.forbidden(draws, seed),
        *networks.trained(out / "quantiles.png", epochs=epochs, seed=seed, quick=quick),
        *play.bins(out / "dynamics.png", steps=450),
        *play.agents(seed),
        *play.noise(draws, seed),
    ]
