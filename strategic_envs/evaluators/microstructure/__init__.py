"""Weight microstructure: which family of densities the sizes of a network's weights follow.

Reading order: `family`, `closed_fits`, `searched_fits` on `roots`, `families` (seven densities and their fits),
`samples` (a tensor made ready), `comparisons` (likelihoods, tests, distances), `arbitrage` (the gap J), `rows` and
`words` (one tensor), `selection` (which tensors), `report` (a network), `neurons` (activations in place of weights).
"""

from __future__ import annotations

from strategic_envs.evaluators.microstructure.arbitrage import REFERENCE, arbitrage_gap, arbitrage_gap_bias
from strategic_envs.evaluators.microstructure.comparisons import Fit, vuong
from strategic_envs.evaluators.microstructure.families import FAMILIES
from strategic_envs.evaluators.microstructure.family import Family
from strategic_envs.evaluators.microstructure.neurons import neuron_microstructure
from strategic_envs.evaluators.microstructure.report import Microstructure, weight_microstructure
from strategic_envs.evaluators.microstructure.rows import WeightRow
from strategic_envs.evaluators.microstructure.selection import Skipped

__all__ = [
    "FAMILIES",
    "REFERENCE",
    "Family",
    "Fit",
    "Microstructure",
    "Skipped",
    "WeightRow",
    "arbitrage_gap",
    "arbitrage_gap_bias",
    "neuron_microstructure",
    "vuong",
    "weight_microstructure",
]
