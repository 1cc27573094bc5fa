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
from dataclasses import replace

from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.wardrop.chain import LayeredNet, layered
from strategic_envs.evaluators.wardrop.enumeration import MOST_PATHS, enumerated_figures
from strategic_envs.evaluators.wardrop.kernel import kernel_work, second_moment, total_flow
from strategic_envs.evaluators.wardrop.kinks import clarke_norm, kinks_of
from strategic_envs.evaluators.wardrop.linear import PathFigures, linear_figures
from strategic_envs.evaluators.wardrop.losses import Data, data_of, data_of_game
from strategic_envs.evaluators.wardrop.report import PathWardrop
from strategic_envs.evaluators.wardrop.sampling import sampled_figures
from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["METHODS", "network_and_data", "path_wardrop"]

METHODS = ("auto", "enumerate", "kernel", "sample")
_CHEAP = 10**9  # multiplications of a second moment that is added unasked


def path_wardrop(
    net: nn.Module | DynamicGame,
    inputs: object,
    targets: Tensor | None = None,
    loss: str | None = None,
    *,
    paths: str = "auto",
    tau: float = 1e-8,
    draws: int = 2048,
    seed: int = 0,
) -> PathWardrop:
    """How far the path flows of a network are from a Wardrop equilibrium; see `PathWardrop` for what may be concluded.

    A linear network is exact and cheap: a few matrix products. A network with ReLU is an experimental diagnostic: its
    gates are frozen as they are, its paths are listed up to two million of them, and drawn beyond (lower bounds, so
    labelled), and the report says where a gate is at its kink.

    Args:
        net: A network of linear layers, or a `DynamicGame` of such a network.
        inputs: The samples `(N, ...)`; for a game the profile, its data and its loss being the game's.
        targets: `(N, d_H)`, or classes `(N,)`; not for a game.
        loss: `mse` (the default: the mean over samples and outputs), `cross_entropy`, or `half_squared`, which is
            `1/(2N)` times the sum of squares; not for a game.
        paths: `auto`: in closed form for a linear network, otherwise `enumerate` where there are at most two million
            paths and `sample` beyond. `kernel` gives the second moment of the path costs, exactly, in time
            `N^2 sum d_l d_{l-1}`, and nothing else but a lower bound: give it some hundred samples.
        tau: A path is used if its flow is above this share of the largest one.
        draws: How many paths are drawn by their flow, and as many uniformly.
        seed: Which paths are drawn.

    Raises:
        InvalidGameError: If a layer is not covered (it is named), or the data does not fit or is empty.
        InvalidStrategyError: If a weight is NaN or infinite.
        InvalidSettingError: If `paths`, `tau` or `draws` makes no sense, or there are too many paths to list.

    Example:
        >>> import torch
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
    if type(draws) is not int or draws < 1:
        raise InvalidSettingError(f"got draws={draws!r}, expected a whole number >= 1")
    network, data = network_and_data(net, inputs, targets, loss)
    figures, method = _figures(network, data, paths, tau, draws, seed)
    notes = [] if method != "sample" else [f"gaps over {2 * draws} drawn paths: lower bounds"]
    if method == "kernel":
        notes.append("path_gap is the root mean square of the path costs, weighted by flow: a lower bound")
    if isinstance(net, DynamicGame) and any(net.weight_decay):
        notes.append("weight decay is left out: this is the game of the data loss, and decay holds its gap open")
    return _report(network, data, figures, method, notes)


def _figures(net: LayeredNet, data: Data, paths: str, tau: float, draws: int, seed: int) -> tuple[PathFigures, str]:
    if paths == "auto":
        paths = "closed form" if net.linear else "enumerate" if net.paths <= MOST_PATHS else "sample"
        cheap = kernel_work(net, data) <= _CHEAP
    else:
        cheap = False
    if paths == "closed form":
        return linear_figures(net, data, tau), paths
    if paths == "enumerate":
        if net.paths > MOST_PATHS:
            raise InvalidSettingError(
                f"{data.name}: got paths='enumerate' for a network of {net.paths} paths, expected at most "
                f"{MOST_PATHS}: give paths='sample', or 'kernel'"
            )
        return enumerated_figures(net, data, tau), paths
    if paths == "kernel":
        moment = second_moment(net, data)
        return PathFigures(_root_mean(net, moment), None, None, None, moment, None), paths
    figures = sampled_figures(net, data, tau, draws, seed)
    if cheap:
        moment = second_moment(net, data)
        gap = max(figures.path_gap, _root_mean(net, moment))
        figures = replace(figures, path_gap=gap, second_moment=moment)
    return figures, paths


def _root_mean(net: LayeredNet, moment: float) -> float:
    """The root mean square of the path costs, weighted by flow: no larger than the largest."""
    flow = total_flow(net)
    return math.sqrt(moment / flow) if flow > 0 else 0.0


def _claim(net: LayeredNet, exact: bool, kinks: int, clarke: float | None, notes: list[str]) -> str | None:
    """What a zero of `path_gap` is equivalent to, or why nothing is said."""
    if net.linear and net.full_width:
        return "linear, full width" if exact else None
    if net.linear:
        notes.append(
            f"a layer of widths {net.widths} is narrower than both ends: a zero gap would still be a global minimum, "
            "but the best network of these widths may have a positive gap"
        )
    elif kinks and clarke is None:
        notes.append(f"not smooth here: {kinks} gates are at their kink, and a slope seen does not say 'not critical'")
    elif kinks:
        notes.append(
            f"{kinks} gates are at their kink: the shortest gradient with these open in part is {clarke:.3g} long; the "
            "gaps are those of the gates as they are"
        )
    elif exact:
        return "frozen gates"
    return None


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


def _report(net: LayeredNet, data: Data, figures: PathFigures, method: str, notes: list[str]) -> PathWardrop:
    slopes, shifts = net.gradients(data)
    outputs = net.forward(data.inputs)[1][-1]
    exact = method in ("closed form", "enumerate")
    kinks = kinks_of(net, data)
    clarke = clarke_norm(net, data) if kinks.ambiguous else None
    sums = _layer_sums(net, slopes, shifts)
    errors = [abs(s - float((data.delta(outputs) * outputs).sum())) for s in sums]
    if figures.edge_costs:  # one entry a layer, where the paths were listed
        for (edges, of_bias), w, g, b, h in zip(
            figures.edge_costs, net.weights, slopes, net.biases, shifts, strict=True
        ):
            errors.append(float((w * g - edges).abs().max()))
            if b is not None and h is not None and of_bias is not None:
                errors.append(float((b * h - of_bias).abs().max()))
    return PathWardrop(
        path_gap=figures.path_gap,
        used_gap=figures.used_gap,
        norm_gap=figures.norm_gap,
        cert=figures.cert,
        identity_error=max(errors),
        layer_sums=sums,
        second_moment=figures.second_moment,
        loss=float(data.value(outputs)),
        largest_slope=max(float(g.abs().max()) for g in [*slopes, *(h for h in shifts if h is not None)]),
        kink_distance=kinks.distance,
        ambiguous_gates=kinks.ambiguous,
        clarke_norm=clarke,
        paths=net.paths,
        method=method,
        exact=exact,
        global_claim=_claim(net, exact, kinks.ambiguous, clarke, notes),
        experimental=not net.linear,
        note="; ".join(notes),
    )


def _layer_sums(net: LayeredNet, slopes: list[Tensor], shifts: list[Tensor | None]) -> tuple[float, ...]:
    """`sum w_p C_p`, counted where the paths pass each layer: those that start at a later bias are added."""
    sums, later = [], 0.0
    for w, g, b, h in zip(net.weights[::-1], slopes[::-1], net.biases[::-1], shifts[::-1], strict=True):
        later += float((b * h).sum()) if b is not None and h is not None else 0.0
        sums.append(float((w * g).sum()) + later)
    return tuple(reversed(sums))
