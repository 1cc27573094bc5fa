"""Whether players' payoffs always sum to the same number."""

from __future__ import annotations

from typing import Any

import torch

from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.seeding import torch_stream

__all__ = ["constant_sum"]

_PROFILES = 256


def constant_sum(game: Any) -> bool:
    """Whether the sum of all payoffs is the same however a game is played.

    Exact for finite games; a game on continuous sets, or whose payoffs are too many for a table, is asked at 256
    seeded profiles.

    Example:
        >>> constant_sum(NormalFormGame.zero_sum([[1.0, 0.0]])), constant_sum(NormalFormGame([[[1.0, 0.0]]] * 2))
        (True, False)
    """
    if isinstance(game, NormalFormGame) and game.tabulated:
        total = game.payoffs.sum(0)
    elif isinstance(game, TurnBasedGame):
        graph = game.state_graph()
        total = graph.returns[graph.terminal].sum(-1)
    elif isinstance(game, MarkovGame):
        total = game.tables().payoff.sum(-1)
    else:
        assert isinstance(game, Game)
        with torch.no_grad():
            x = game.sample((_PROFILES,), generator=torch_stream(0, "constant_sum"))
            total = game.utilities(x).double().sum(-1)
    spread = float(total.max() - total.min())
    return spread <= 1e-9 * max(1.0, float(total.abs().max()))
