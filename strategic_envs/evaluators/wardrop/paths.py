"""A network's Wardrop gap: training seen as a congestion game on the paths of a network.

A path p from a source (an input or a bias) to an output j carries the flow `|w_p|`, `w_p` being the product of its
weights. The resources are the outputs on the samples, their costs `delta_nj = dL/df_j(x_n)`; the path consumes
`a_pn = x_n,i * gates`, and costs `C_p = sum_n a_pn delta_nj`. The loss is the game's Beckmann potential, convex in the
flows, and `C_p = 0` on all paths is a Wardrop equilibrium of the game with slack.

Inspired by Vesseron, Redko and Laclau (AISTATS 2021) and Ren, Wu, Xu and Xu (AAIM 2021); the construction and its
statements are our own, and no theorem of theirs is reproduced here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.wardrop.chain import LayeredNet, layered
from strategic_envs.evaluators.wardrop.linear import PathFigures, linear_figures
from strategic_envs.evaluators.wardrop.losses import Data, data_of, data_of_game
from strategic_envs.evaluators.wardrop.report import PathWardrop
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["METHODS", "network_and_data", "path_wardrop"]

METHODS = ("auto", "enumerate", "kernel", "sample")


def path_wardrop(
    net: nn.Module | DynamicGame,
    inputs: object,
    targets: Tensor | None = None,
    loss: str | None = None,
    *,
    paths: str = "auto",
    tau: float = 1e-8,
    seed: int = 0,
) -> PathWardrop:
    """How far the path flows of a network are from a Wardrop equilibrium; see `PathWardrop` for what may be concluded.

    A linear network is exact and cheap: a few matrix products.

    Args:
        net: A network of linear layers, or a `DynamicGame` of such a network.
        inputs: The samples `(N, ...)`; for a game the profile, its data and its loss being the game's.
        targets: `(N, d_H)`, or classes `(N,)`; not for a game.
        loss: `mse` (the default: the mean over samples and outputs), `cross_entropy`, or `half_squared`, which is
            `1/(2N)` times the sum of squares; not for a game.
        paths: `auto`, `enumerate`, `kernel` or `sample`.
        tau: A path is used if its flow is above this share of the largest one.
        seed: Which paths are drawn.

    Raises:
        InvalidGameError: If a layer is not covered (it is named), or the data does not fit or is empty.
        InvalidStrategyError: If a weight is NaN or infinite.
        InvalidSettingError: If `paths` or `tau` makes no sense.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
        >>> for p in net.parameters():
        ...     _ = nn.init.zeros_(p)
        >>> report = path_wardrop(net, torch.eye(2), torch.tensor([[1.0], [0.0]]), "half_squared")
        >>> report.path_gap, report.used_gap, report.cert, report.largest_slope  # a saddle, seen by path_gap alone
        (0.5, 0.0, 0.0, 0.0)
    """
    if paths not in METHODS:
        raise InvalidSettingError(f"got paths={paths!r}, expected one of {', '.join(METHODS)}")
    if not (math.isfinite(tau) and 0 <= tau < 1):
        raise InvalidSettingError(f"got tau={tau}, expected a share in [0, 1), such as 1e-8")
    network, data = network_and_data(net, inputs, targets, loss)
    if not network.linear:
        raise InvalidGameError(f"layer after {network.names[0]} (ReLU): networks with ReLU are not covered yet")
    figures, method = linear_figures(network, data, tau), "closed form"
    notes = []
    claim = None
    if network.linear:
        claim = "linear, full width" if network.full_width else None
        if claim is None:
            notes.append(
                f"a layer of widths {network.widths} is narrower than both ends: a zero gap would still be a global "
                "minimum, but the best network of these widths may have a positive gap"
            )
    if isinstance(net, DynamicGame) and any(net.weight_decay):
        notes.append("weight decay is left out: this is the game of the data loss, and decay holds its gap open")
    return _report(network, data, figures, method, claim, notes)


def network_and_data(
    net: nn.Module | DynamicGame, inputs: object, targets: Tensor | None, loss: str | None
) -> tuple[LayeredNet, Data]:
    """The network and its samples, checked; arguments and errors as of `path_wardrop`."""
    if isinstance(net, DynamicGame):
        if targets is not None or loss is not None:
            raise InvalidGameError(
                f"{net.name}: got targets or a loss beside a game, which has its own; expected (game, profile)"
            )
        network = layered(net, inputs)
        return network, data_of_game(net, network.widths[-1], network.widths[0], network.weights[0])
    network = layered(net)
    ends = network.widths[-1], network.widths[0], network.weights[0]
    return network, data_of(inputs, targets, loss or "mse", *ends, name=type(net).__name__)  # pyright: ignore[reportArgumentType] - it says what was got


def _report(
    net: LayeredNet, data: Data, figures: PathFigures, method: str, claim: str | None, notes: list[str]
) -> PathWardrop:
    slopes, shifts = net.gradients(data)
    outputs = net.forward(data.inputs)[1][-1]
    total = float((data.delta(outputs) * outputs).sum())
    through = [float((w * g).sum()) for w, g in zip(net.weights, slopes, strict=True)]
    biased = [0.0 if b is None else float((b * g).sum()) for b, g in zip(net.biases, shifts, strict=True) if True]
    sums = tuple(s + sum(biased[i:]) for i, s in enumerate(through))
    error = max(abs(s - total) for s in sums)
    if figures.edge_costs is not None:
        for (edges, bias_edges), w, b, g, h in zip(
            figures.edge_costs, net.weights, net.biases, slopes, shifts, strict=True
        ):
            error = max(error, float((w * g - edges).abs().max()))
            if b is not None and bias_edges is not None and h is not None:
                error = max(error, float((b * h - bias_edges).abs().max()))
    return PathWardrop(
        path_gap=figures.path_gap,
        used_gap=figures.used_gap,
        norm_gap=figures.norm_gap,
        cert=figures.cert,
        identity_error=error,
        layer_sums=sums,
        second_moment=figures.second_moment,
        loss=float(data.value(outputs)),
        largest_slope=max(float(g.abs().max()) for g in [*slopes, *(h for h in shifts if h is not None)]),
        kink_distance=None,
        clarke_norm=None,
        paths=net.paths,
        method=method,
        exact=True,
        global_claim=claim,
        experimental=not net.linear,
        note="; ".join(notes),
    )
