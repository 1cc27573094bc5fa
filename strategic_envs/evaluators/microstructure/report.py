"""The weights of a network, tensor by tensor: which family of densities their sizes follow, beside initialisation.

A row never stands alone: beside it are the same row at initialisation and three synthetic controls of the same size
(Gaussian, Laplace, lognormal). The report compares families. It says nothing of training as a game, and no number in it
shows that an equilibrium was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.microstructure.families import FAMILIES, choose_families
from strategic_envs.evaluators.microstructure.family import Family
from strategic_envs.evaluators.microstructure.rows import WeightRow, measure
from strategic_envs.evaluators.microstructure.samples import LARGEST, Sample, sample_of
from strategic_envs.evaluators.microstructure.selection import Skipped, named_tensors, weights_of
from strategic_envs.seeding import numpy_stream

__all__ = ["CONTROLS", "Microstructure", "assemble", "weight_microstructure"]

CONTROLS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "Gaussian": lambda random, n: random.normal(size=n),
    "Laplace": lambda random, n: random.laplace(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
}
CAUTION = (
    "A comparison of families of densities: any density is an arbitrage equilibrium for some utility, so none of these "
    "numbers shows that training reached one. Weights depend on each other: z and p are too sure of themselves."
)


@dataclass(frozen=True)
class Microstructure:
    """The report on a network.

    Args:
        rows: One row a tensor.
        controls: Synthetic rows, three for each size that occurs; empty if they were not asked for.
        skipped: The tensors that were left out, and why.
        note: What to keep in mind, in words.
    """

    rows: tuple[WeightRow, ...]
    controls: tuple[WeightRow, ...]
    skipped: tuple[Skipped, ...]
    note: str

    @property
    def spread(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest mu and sigma over the rows; a universal pair would have no spread."""
        return _spread(self.rows)

    def controls_of(self, row: WeightRow) -> dict[str, WeightRow]:
        """The controls of the size of a row, by what was drawn."""
        return {name: c for c in self.controls for name in CONTROLS if c.name == _control_name(name, row.used)}

    def table(self) -> list[dict[str, float | str]]:
        """The rows, each followed by its row at initialisation, then the controls; flat, as `WeightRow.row`."""
        found = []
        for row in self.rows:
            found.append(row.row())
            if row.initial is not None:
                found.append(row.initial.row())
        return found + [control.row() for control in self.controls]

    def __str__(self) -> str:
        lines = []
        for row in self.rows:
            lines += [f"{shown.name}: {shown.sentence}" for shown in (row, row.initial) if shown is not None]
        lines += [f"{row.name}: {row.sentence}" for row in self.controls]
        return "\n".join([*lines, self.note])


def weight_microstructure(
    weights: nn.Module | Mapping[str, Any],
    *,
    families: Sequence[str] = tuple(FAMILIES),
    baseline: nn.Module | Mapping[str, Any] | None = None,
    minimum: int = 500,
    fixed: Sequence[str] | None = None,
    controls: bool = True,
    bootstrap: int = 0,
    largest: int = LARGEST,
    seed: int = 0,
) -> Microstructure:
    """Compares families of densities on the sizes of a network's weights, tensor by tensor.

    Args:
        weights: A module or a state dict; for a file, what `strategic_envs.data.weights.read_weights` returns.
        families: Names in `FAMILIES`, the lognormal among them.
        baseline: The same network at initialisation.
        minimum: The fewest non-zero entries of a tensor; smaller ones are skipped, and the report says so.
        fixed: Names of tensors that are not trained; see `weights_of`.
        controls: Whether to measure Gaussian, Laplace and lognormal draws of the same sizes too.
        bootstrap: How many draws the p-values are of; 0 for no p-values. 199 take about a second a tensor.
        largest: The most entries of a tensor to measure; of larger ones a random part is.
        seed: Seeds controls, parts, resampling and bootstrap.

    Returns:
        The report.

    Raises:
        InvalidSettingError: If an argument is none of these, a tensor of the baseline has another shape, or no name of
            it is known.
        UnknownNameError: If a family, or a name of `fixed`, is unknown.
        DataError: If a weight is NaN or infinite (the tensor is named), or there is no tensor.

    Example:
        >>> import torch
        >>> random = torch.Generator().manual_seed(0)
        >>> state = {"0.weight": torch.randn(64, 64, generator=random), "0.bias": torch.zeros(64)}
        >>> report = weight_microstructure(state)
        >>> report.rows[0].verdict, report.rows[0].winner, [s.name for s in report.skipped]
        ('rejected', 'half_normal', ['0.bias'])
        >>> [(c.name, c.verdict) for c in report.controls][-1]
        ('control lognormal, n 4096', 'supported')

    References:
        Venkatasubramanian et al., arXiv 2405.10955 (the lognormal claim; nothing of its study is reproduced here).
        Vuong, Econometrica 57 (1989). Vasicek, JRSS B 38 (1976). Lilliefors, JASA 62 (1967).
    """
    chosen = choose_families(families)
    if bootstrap < 0 or largest < minimum:
        raise InvalidSettingError(
            f"got bootstrap={bootstrap} and largest={largest}, expected bootstrap >= 0 and largest >= {minimum}"
        )
    kept, skipped = weights_of(weights, minimum=minimum, fixed=fixed)
    before = _matching(kept, baseline)
    samples: list[tuple[Sample, Sample | None]] = []
    left: list[Skipped] = []
    for name, tensor in kept.items():
        sample = sample_of(name, tensor, seed=seed, largest=largest)
        reason = _unfit(sample, minimum)
        if reason is not None:
            left.append(Skipped(name, tuple(tensor.shape), reason))
            continue
        initial = None
        if name in before:
            initial = sample_of(f"{name} at initialisation", before[name], seed=seed, largest=largest)
            initial = None if _unfit(initial, minimum) else initial
        samples.append((sample, initial))
    return assemble(samples, (*skipped, *left), chosen, controls=controls, bootstrap=bootstrap, seed=seed)


def assemble(
    samples: Sequence[tuple[Sample, Sample | None]],
    skipped: tuple[Skipped, ...],
    families: Sequence[Family],
    *,
    controls: bool,
    bootstrap: int,
    seed: int,
    about: str = "",
) -> Microstructure:
    """The report on samples, each with its own at initialisation or None; arguments as in `weight_microstructure`."""
    rows = []
    for sample, initial in samples:
        first = None if initial is None else measure(initial, families, beside="", seed=seed, bootstrap=bootstrap)
        rows.append(measure(sample, families, initial=first, seed=seed, bootstrap=bootstrap))
    made = []
    for n in sorted({row.used for row in rows}) if controls else ():
        for kind, draw in CONTROLS.items():
            draws = draw(numpy_stream(seed, "microstructure", "control", kind, n), n)
            sample = sample_of(_control_name(kind, n), draws.reshape(1, n), largest=n)
            made.append(measure(sample, families, beside="", seed=seed, bootstrap=bootstrap))
    note = " ".join(filter(None, [about, *_remarks(rows, made, skipped), CAUTION]))
    return Microstructure(tuple(rows), tuple(made), skipped, note)


def _control_name(kind: str, n: int) -> str:
    return f"control {kind}, n {n}"


def _unfit(sample: Sample, minimum: int) -> str | None:
    if sample.n == 0:
        return "all zeros"
    if sample.n < minimum:
        return f"under {minimum} entries that are not zero ({sample.zero_share:.1%} zeros)"
    return "all entries of one size" if sample.constant else None


def _matching(kept: Mapping[str, Tensor], baseline: nn.Module | Mapping[str, Any] | None) -> dict[str, Tensor]:
    if baseline is None:
        return {}
    tensors = named_tensors(baseline, "the baseline")
    found = {name: tensors[name] for name in kept if name in tensors}
    if kept and not found:
        raise InvalidSettingError(
            f"the baseline: got tensors named {', '.join(list(tensors)[:3])} ..., expected those of the weights, "
            f"such as {next(iter(kept))!r}: pass the state dict of the same network before training"
        )
    for name, tensor in found.items():
        if tensor.shape != kept[name].shape:
            raise InvalidSettingError(
                f"the baseline: {name!r} has shape {tuple(tensor.shape)}, expected {tuple(kept[name].shape)} as trained"
            )
    return found


def _spread(rows: Sequence[WeightRow]) -> dict[str, tuple[float, float]]:
    if not rows:
        return {}
    mu, sigma = [row.mu for row in rows], [row.sigma for row in rows]
    return {"mu": (min(mu), max(mu)), "sigma": (min(sigma), max(sigma))}


def _remarks(rows: Sequence[WeightRow], controls: Sequence[WeightRow], skipped: Sequence[Skipped]) -> list[str]:
    said = []
    if not rows:
        said.append("No tensor was measured.")
    if len(rows) > 1:
        (low, high), (narrow, wide) = _spread(rows).values()
        said.append(
            f"Over {len(rows)} tensors mu goes from {low:.2f} to {high:.2f} (it moves with the unit of the weights) "
            f"and sigma from {narrow:.2f} to {wide:.2f}."
        )
    without = sum(row.initial is None for row in rows)
    if without:
        which = "any tensor" if without == len(rows) else f"{without} of {len(rows)} tensors"
        said.append(f"Initialisation was not given for {which}: what is said there may be true before training too.")
    if skipped:
        said.append(f"{len(skipped)} tensors were skipped, each with its reason.")
    expected = {"Gaussian": "rejected", "Laplace": "rejected", "lognormal": "supported"}
    weak = [c for c in controls for kind in expected if kind in c.name and c.verdict != expected[kind]]
    if weak:
        found = "; ".join(f"{c.name} is {c.verdict}" for c in weak)
        said.append(f"Low power at these sizes, where a control misses its own verdict: {found}.")
    return said
