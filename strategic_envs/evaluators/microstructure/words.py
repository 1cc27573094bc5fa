"""What the numbers of a row allow to be said of the lognormal: a verdict, and a sentence.

The verdict is about a family of densities, never about a game: every density is an arbitrage equilibrium for some
utility (`ln p` for p itself), so that the only question with an answer is which family fits best.
"""

from __future__ import annotations

from collections.abc import Mapping

from strategic_envs.evaluators.microstructure.comparisons import Fit
from strategic_envs.evaluators.microstructure.samples import Sample

__all__ = ["FAR", "Z", "in_words", "verdict_of"]

Z = 2.0  # Vuong's z from which one family is preferred to another
FAR = 0.02  # the largest Kolmogorov-Smirnov distance at which a family is said to describe the weights


def verdict_of(winner: str, z: Mapping[str, float], distance: float) -> str:
    """The verdict on the lognormal; the thresholds are ours.

    Args:
        winner: The family of smallest BIC.
        z: By rival: Vuong's z of the lognormal against it.
        distance: The Kolmogorov-Smirnov distance of the lognormal.

    Returns:
        `supported` if the lognormal wins, z >= 2 against every rival and the distance is .02 at most; else `compatible`
        if it wins or is within |z| < 2 of the winner; else `rejected`.

    Example:
        >>> verdict_of("lognormal", {"gamma": 9.0}, 0.01), verdict_of("gamma", {"gamma": -1.0}, 0.01)
        ('supported', 'compatible')
        >>> verdict_of("gamma", {"gamma": -2.0}, 0.01)
        'rejected'
    """
    if winner == "lognormal" and distance <= FAR and all(value >= Z for value in z.values()):
        return "supported"
    return "compatible" if winner == "lognormal" or abs(z[winner]) < Z else "rejected"


def in_words(
    verdict: str,
    sample: Sample,
    fits: Mapping[str, Fit],
    winner: str,
    ahead: Mapping[str, float],
    z: Mapping[str, float],
    ks: Mapping[str, float],
    gap: float,
    beside: str,
) -> str:
    """The sentence of a row; the arguments are the parts of a `WeightRow`, and what to say beside J.

    Example:
        See `WeightRow.sentence`, printed by `strategic-envs evaluate --network FILE`.
    """
    closest = min(z, key=lambda name: z[name])
    count = f"{sample.n:,} entries"
    if winner != "lognormal":
        better = f"{fits[winner].words} fits {count} better by {-ahead[winner]:.3g} nats each (z {z[winner]:.1f})"
        reason = better if verdict == "rejected" else f"{better}, which |z| < {Z:.0f} does not settle"
        reason += f"; D {ks['lognormal']:.3f} against {ks[winner]:.3f}"
    else:
        reason = f"best of {len(fits)} families on {count}, z at least {z[closest]:.1f} ({fits[closest].words})"
        reason += f"; D {ks['lognormal']:.3f}"
        if verdict == "compatible":
            short = [f"z under {Z:.0f}"] * (z[closest] < Z) + [f"D over {FAR}"] * (ks["lognormal"] > FAR)
            reason += f": not supported, for {' and '.join(short)}"
    parts = [f"lognormal {verdict}: {reason}; J {gap:.3f}" + (f" ({beside})" if beside else "")]
    if sample.zero_share:
        parts.append(f"{sample.zero_share:.1%} exact zeros left out")
    if sample.tied_share > 0.1:
        parts.append(f"{sample.tied_share:.0%} of them have tied sizes, as in low precision: J takes them as rounded")
    if sample.n > sample.y.size:
        parts.append(f"measured on {sample.y.size:,} of them, drawn at random")
    return "; ".join(parts)
