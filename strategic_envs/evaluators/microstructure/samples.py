"""One tensor made ready: logarithms of sizes in rising order, the row of each, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from strategic_envs.errors import DataError
from strategic_envs.seeding import numpy_stream

__all__ = ["LARGEST", "Sample", "sample_of"]

LARGEST = 1_000_000  # entries; of larger tensors a random part is measured
NARROWEST = 1e-6  # a spread of ln|w| below this is a constant up to rounding


@dataclass(frozen=True)
class Sample:
    """The non-zero entries of a tensor.

    Args:
        name: The name of the tensor.
        y: `ln|w|`, rising.
        rows: For every entry of `y` the row (neuron) that it came from, from 0 to `number_of_rows - 1`.
        number_of_rows: How many rows the tensor has.
        n: How many entries are not zero; `y` holds fewer where the tensor is larger than `LARGEST`.
        zero_share: The share of exact zeros.
        tied_share: The share of the entries of `y` whose size occurs more than once.
        spread: `y` with ties spread at random over their cells; `y` itself without ties.
    """

    name: str
    y: Float[ndarray, "used"]
    rows: Int[ndarray, "used"]
    number_of_rows: int
    n: int
    zero_share: float
    tied_share: float
    spread: Float[ndarray, "used"] = field(repr=False)

    @property
    def constant(self) -> bool:
        """Whether all sizes are the same up to rounding; no family has a fit then."""
        return self.y.size < 2 or float(self.y.std()) < NARROWEST


def sample_of(name: str, tensor: Tensor | np.ndarray, *, seed: int = 0, largest: int = LARGEST) -> Sample:
    """The sizes of the non-zero entries of a tensor; its first dimension counts rows (neurons, output channels).

    Args:
        name: What errors call the tensor; names the random part of a large one too.
        tensor: Real numbers of any shape and precision.
        seed: Seeds the choice of a part.
        largest: The most entries to keep.

    Raises:
        DataError: If an entry is NaN or infinite.

    Example:
        >>> sample = sample_of("layer.weight", torch.tensor([[0.0, -1.0], [1.0, 2.0]]))
        >>> sample.n, sample.zero_share, sample.tied_share, sample.rows.tolist()[-1]
        (3, 0.25, 0.6666666666666666, 1)
    """
    values = torch.as_tensor(tensor).detach()
    flat = values.reshape(-1).to("cpu")
    if flat.element_size() == 1:
        flat = flat.to(torch.float32)  # torch compares no numbers of eight bits
    wrong = int((~torch.isfinite(flat)).sum())
    if wrong:
        raise DataError(
            f"{name!r}: {wrong} of {flat.numel()} entries are NaN or infinite, expected finite numbers: "
            "this network diverged or its file is damaged"
        )
    number_of_rows = values.shape[0] if values.ndim > 0 else 1
    kept = torch.nonzero(flat).reshape(-1).numpy()
    zero_share = 1 - kept.size / flat.numel() if flat.numel() else 0.0
    n = kept.size
    if n > largest:
        kept = numpy_stream(seed, "microstructure", "part", name).choice(kept, largest, replace=False)
    y = np.log(np.abs(flat[torch.from_numpy(kept)].to(torch.float64).numpy()))
    order = np.argsort(y, kind="stable")
    y, kept = y[order], kept[order]
    rows = kept // max(1, flat.numel() // max(1, number_of_rows))
    spread, tied = spread_ties(y, numpy_stream(seed, "microstructure", "ties", name))
    return Sample(name, y, rows, number_of_rows, n, zero_share, tied, spread)


def spread_ties(y: Float[ndarray, "n"], random: np.random.Generator) -> tuple[Float[ndarray, "n"], float]:
    """Rising numbers with equal ones drawn between the midpoints to their neighbours, and the share of ties.

    Weights stored in half precision tie; a density is that of the numbers before they were rounded.

    Example:
        >>> spread, share = spread_ties(np.array([0.0, 1.0, 1.0, 2.0]), np.random.default_rng(0))
        >>> bool(0.5 < spread[1] < spread[2] < 1.5), share
        (True, 0.5)
    """
    first = np.concatenate([[True], y[1:] > y[:-1]])[: y.size]
    starts = np.flatnonzero(first)
    if len(starts) == y.size or len(starts) < 2:  # nothing tied, or nothing to tell apart
        return y, float(len(starts) < y.size)
    counts = np.diff(np.append(starts, y.size))
    values = y[starts]
    middles = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])
    group = np.cumsum(first) - 1
    tied = counts[group] > 1
    drawn = edges[group] + random.random(y.size) * (edges[group + 1] - edges[group])
    return np.sort(np.where(tied, drawn, y)), float(tied.mean())
