"""Flows on a network: links as wide as what they carry, in the colours of what they cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.games.kinds.congestion import CongestionGame, Flow
from strategic_envs.games.routing.network import Network
from strategic_envs.games.routing.picture import draw_network, picture_of, places
from strategic_envs.plots.figure import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_flows", "flow_picture"]

_WIDTH, _SHORTEST, _TALLEST = 6.4, 2.6, 7.5  # inches


def flow_picture(
    game: CongestionGame | Network,
    flow: Flow | Tensor | Sequence[Tensor] | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """A picture of a network with its flows, and a bar that says which colour is which cost.

    Args:
        game: A game on a network, or the network itself.
        flow: What flows: a solver's answer, the links' loads `(E,)`, or a profile of shares. By default a game's
            Wardrop equilibrium.
        path: The file to write, if any; its suffix decides the format.
        title: What stands above; by default the total cost.

    Returns:
        The figure.

    Raises:
        ValueError: If the game has no network, or the flow does not fit it.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from strategic_envs.games.catalogue import game
        >>> figure = flow_picture(game("braess"), title="Braess")
        >>> [axes.get_title(loc="left") for axes in figure.axes[:1]]
        ['Braess']
    """
    network, trips = _network_of(game)
    place = places(network, trips)
    across, up = np.ptp(place, axis=0) + 0.9
    height = float(np.clip(0.8 * _WIDTH * up / across + 0.5, _SHORTEST, _TALLEST))
    figure, (axes,) = new_figure(width=_WIDTH, height=height)
    loads = _loads_of(game, network, flow)
    colours = draw_flows(axes, game, loads, positions=place)
    total = float(loads @ network.costs.value(loads))
    name = getattr(game, "name", "network")
    axes.set_title(f"{name}: total cost {total:,.6g}" if title is None else title, fontsize=11, loc="left")
    bar = figure.colorbar(colours, ax=axes, shrink=0.75, aspect=18, pad=0.02, label="cost of a link")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # an artist, whatever the stubs call it
    if path is not None:
        save(figure, path)
    return figure


def draw_flows(
    axes: Axes,
    game: CongestionGame | Network,
    flow: Flow | Tensor | Sequence[Tensor] | None = None,
    *,
    limits: tuple[float, float] | None = None,
    positions: NDArray[np.float64] | None = None,
) -> Any:
    """Draws a network with its flows on axes.

    Args:
        axes: Where to draw.
        game: As of `flow_picture`.
        flow: As of `flow_picture`.
        limits: The costs at the two ends of the colours; the cheapest and the dearest link when not given.
        positions: Where the nodes stand, one unit a typical link; otherwise as the network says, or computed.

    Returns:
        What a colour bar is made for.
    """
    network, trips = _network_of(game)
    loads = _loads_of(game, network, flow)
    costs = network.costs.value(loads)
    drawn = picture_of(network, loads.numpy(), costs.numpy(), trips=trips, positions=positions)
    return draw_network(axes, drawn, limits=limits)


def _network_of(game: object) -> tuple[Network, Sequence[Any]]:
    """The network of a game, and where its trips begin and end."""
    network = game if isinstance(game, Network) else getattr(game, "network", None)
    if not isinstance(network, Network):
        raise ValueError(f"got {game!r}, which is on no network: expected a RoutingGame or a Network")
    return network, list(dict.fromkeys(getattr(game, "pairs", ())))


def _loads_of(game: object, network: Network, flow: Flow | Tensor | Sequence[Tensor] | None) -> Tensor:
    if isinstance(flow, Flow):
        loads = flow.loads
    elif isinstance(flow, Tensor):
        loads = flow.detach().cpu().double()
    elif isinstance(game, CongestionGame):
        with torch.no_grad():
            loads = game.wardrop().loads if flow is None else game.loads([t.cpu().double() for t in flow])
    else:
        raise ValueError(f"got {'no flow' if flow is None else 'a profile'} for {game!r}: expected the links' loads")
    if loads.shape != (len(network.tails),):
        raise ValueError(f"got loads of shape {tuple(loads.shape)}, expected ({len(network.tails)},): one a link")
    return loads
