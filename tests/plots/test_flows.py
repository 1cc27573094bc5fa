"""Pictures of flows: of which flow, and where they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import strategic_envs as se

pytest.importorskip("matplotlib")

from strategic_envs.games.kinds.congestion import CongestionGame, PowerCosts
from strategic_envs.plots import draw_flows, flow_picture, new_figure


def _said(figure: object) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]  # type: ignore[attr-defined]


def test_by_default_the_picture_is_of_the_wardrop_equilibrium() -> None:
    figure = flow_picture(se.game("braess_six"))
    assert figure.axes[0].get_title(loc="left") == "braess_six: total cost 552"
    assert _said(figure)[4:] == ["4 at 40", "2 at 52", "2 at 52", "2 at 12", "4 at 40"]


def test_a_flow_loads_and_shares_give_the_same_picture(tmp_path: Path) -> None:
    game = se.game("braess_six")
    best = game.system_optimum()
    pictures = []
    for k, flow in enumerate((best, best.loads, game.profile([0.5, 0.5, 0.0]))):
        figure = flow_picture(game, flow, tmp_path / f"{k}.png", title="optimum")
        assert _said(figure)[4:] == ["3 at 30", "3 at 53", "3 at 53", "0 at 10", "3 at 30"]
        pictures.append((tmp_path / f"{k}.png").stat().st_size)
    assert min(pictures) > 5000


def test_a_network_needs_loads_and_a_game_a_network() -> None:
    network = se.game("pigou").network
    figure, (axes,) = new_figure()
    draw_flows(axes, network, torch.tensor([0.25, 0.75]), limits=(0.0, 1.0))
    assert "0.25 at 1" in _said(figure)
    with pytest.raises(ValueError, match="got no flow"):
        flow_picture(network)
    with pytest.raises(ValueError, match=r"got loads of shape \(3,\), expected \(2,\)"):
        flow_picture(network, torch.ones(3))
    plain = CongestionGame([1.0], [[[0], [1]]], costs=PowerCosts.affine([1.0, 1.0], [0.0, 0.0]))
    with pytest.raises(ValueError, match="on no network"):
        flow_picture(plain)
