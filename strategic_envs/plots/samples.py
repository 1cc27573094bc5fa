"""What a generator makes while it learns: a picture for each method and each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from strategic_envs.errors import InvalidSettingError
from strategic_envs.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_samples", "plot_samples"]


def draw_samples(axes: Axes, samples: Tensor, centres: Tensor, *, colour: str = COLOURS[0]) -> None:
    """Draws samples in the plane over the modes that they should cover.

    Args:
        axes: Where to draw.
        samples: `(N, 2)`; what is not finite or far outside is not seen.
        centres: The modes, `(K, 2)`, as grey rings.
        colour: That of the samples.
    """
    reach = 1.35 * float(centres.abs().max())
    axes.scatter(*centres.cpu().T.tolist(), s=34, facecolors="none", edgecolors="#BBBBBB", linewidths=0.8, zorder=1)
    seen = samples[samples.isfinite().all(-1) & (samples.abs() <= reach).all(-1)].cpu()
    axes.scatter(*seen.T.tolist(), s=2.0, color=colour, alpha=0.5, linewidths=0, zorder=2)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for side in axes.spines.values():
        side.set_color("#DDDDDD")


def plot_samples(
    rows: Mapping[str, Sequence[Tensor]], times: Sequence[str], centres: Tensor, *, size: float = 1.45
) -> Figure:
    """A grid of pictures: a row for each method, a column for each time.

    Args:
        rows: By the name of the method, samples `(N, 2)` for each time.
        times: What the columns are called.
        centres: The modes, `(K, 2)`.
        size: Width and height of one picture in inches.

    Returns:
        The figure.

    Raises:
        InvalidSettingError: If a row has not one set of samples for each time.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from strategic_envs.games.mixtures import GaussianMixture
        >>> ring = GaussianMixture.ring()
        >>> len(plot_samples({"at the modes": [ring.centres, ring.centres]}, ["first", "last"], ring.centres).axes)
        2
    """
    for name, samples in rows.items():
        if len(samples) != len(times):
            raise InvalidSettingError(f"{name}: got samples of {len(samples)} times, expected {len(times)}: {times}")
    figure, axes = new_figure(len(rows), len(times), width=size, height=size)
    for r, (name, samples) in enumerate(rows.items()):
        for c, (time, points) in enumerate(zip(times, samples, strict=True)):
            one = axes[r * len(times) + c]
            draw_samples(one, points, centres, colour=COLOURS[r % len(COLOURS)])
            if r == 0:
                one.set_title(time, fontsize=8, color="#333333")
            if c == 0:
                one.set_ylabel(name, fontsize=8, color="#333333")
    return figure
