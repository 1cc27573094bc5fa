"""The states at which each player of a turn-based game moves, and what it sees there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.games.kinds.turn_based import StateGraph, TurnBasedGame

__all__ = ["MaskedPolicy", "Seat", "policy_tables", "seats", "state_graph_on"]

MaskedPolicy = Callable[[Tensor, Tensor], Tensor]  # observations (B, obs), legal (B, A) -> logits (B, A)


@dataclass(frozen=True, eq=False)
class Seat:
    """The K states at which one player moves.

    Args:
        rows: Their rows in the state graph.
        obs: What the player sees.
        mask: Its legal actions.
    """

    rows: Int[Tensor, " K"]
    obs: Float[Tensor, "K obs"]
    mask: Bool[Tensor, "K A"]


@functools.lru_cache(maxsize=8)
def seats(game: TurnBasedGame, device: torch.device) -> tuple[Seat, ...]:
    """One seat a player, on a device."""
    graph = game.state_graph()
    found: list[Seat] = []
    for i in range(game.n_players):
        rows = ((graph.mover == i) & ~graph.terminal).nonzero().squeeze(-1)
        obs, mask = game.observe(graph.states[rows], i), graph.legal[rows]
        found.append(Seat(rows.to(device), obs.to(device), mask.to(device)))
    return tuple(found)


@functools.lru_cache(maxsize=8)
def state_graph_on(game: TurnBasedGame, device: torch.device) -> StateGraph:
    """The state graph, on a device."""
    g = game.state_graph()
    tensors = (g.states, g.mover, g.terminal, g.legal, g.child, g.returns)
    return g if device.type == "cpu" else StateGraph(*(t.to(device) for t in tensors), levels=g.levels)


def policy_tables(game: TurnBasedGame, logits: Sequence[Tensor]) -> tuple[Float[Tensor, "S A"], ...]:
    """Policy tables over all states, float64, from each player's logits `(K, A)` where it moves; elsewhere uniform."""
    device = logits[0].device
    uniform, tables = game.uniform_policy().to(device), []
    for seat, own in zip(seats(game, device), logits, strict=True):
        tables.append(uniform.index_copy(0, seat.rows, own.detach().double().softmax(-1)))
    return tuple(tables)
