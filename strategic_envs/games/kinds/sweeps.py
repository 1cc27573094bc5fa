"""Sweeps over a state graph: backward for values and best responses, forward for how often states are reached.

A sweep goes level by level. The legal moves of a level's live states form rectangular arrays `(W, L)`: W moves, L
states, the states last, so that every operation runs over long rows. (NumPy is twice as fast as torch here: the arrays
are short, and what counts is the cost of a call.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Backward", "Level", "backward", "backward_torch", "forward", "live_levels", "optimal"]

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
_NONE = np.empty(0, dtype=np.int64)


class Level(NamedTuple):
    """The live states after the same number of moves, and their moves.

    Args:
        rows: Rows of the states `(L,)`.
        moves: Where the probabilities of their legal actions are in a flattened policy table `(W, L)`, lowest first.
            States with fewer than W actions repeat their first.
        blank: Which of the moves are such repetitions `(W, L)`, or None if there are none.
        child: Rows of the states that the moves lead to `(W, L)`.
        mine: For each player its places among the states; None if all are its own.
    """

    rows: Places
    moves: Places
    blank: NDArray[np.bool_] | None
    child: Places
    mine: tuple[Places | None, ...]


class Backward(NamedTuple):
    """What a sweep backward found.

    Args:
        values: Expected payoffs of every player from every state when all follow the policy `(n, S)`.
        best: Payoffs of the players that respond, each by its best response to the others `(k, S)`.
        chosen: For each responding player, where its best moves are in a flattened policy table, lowest action first.
    """

    values: Numbers
    best: Numbers
    chosen: tuple[Places, ...]


def live_levels(
    mover: Int[Tensor, " S"],
    legal: Bool[Tensor, "S A"],
    child: Int[Tensor, "S A"],
    levels: Sequence[slice],
    n_players: int,
) -> tuple[Level, ...]:
    """The levels of a state graph as arrays, first to last; see `StateGraph`."""
    found: list[Level] = []
    for level in levels:
        rows = legal[level].any(-1).nonzero().flatten() + level.start
        if not len(rows):
            continue
        allowed = legal[rows]
        width = int(allowed.sum(-1).max())
        action = (~allowed).byte().argsort(dim=-1, stable=True)[:, :width]  # the legal ones first, in order
        blank = ~allowed.gather(-1, action)
        action = torch.where(blank, action[:, :1], action)
        moves, ahead = rows.unsqueeze(-1) * legal.shape[-1] + action, child[rows].gather(-1, action)
        own = [(mover[rows] == i).nonzero().flatten() for i in range(n_players)]
        found.append(
            Level(
                rows.numpy(),
                moves.T.contiguous().numpy(),
                blank.T.contiguous().numpy() if bool(blank.any()) else None,
                ahead.T.contiguous().numpy(),
                tuple(None if len(o) == len(rows) else o.numpy() for o in own),
            )
        )
    return tuple(found)


def _weights(level: Level, policy: Numbers) -> Numbers:
    weight = policy.take(level.moves)
    if level.blank is not None:
        weight[level.blank] = 0.0
    return weight


def backward(
    levels: Sequence[Level], returns: Numbers, policy: Numbers, players: Sequence[int] = (), *, choose: bool = True
) -> Backward:
    """One sweep from the last moves to the first.

    Args:
        levels: From `live_levels`.
        returns: Payoffs at terminal states `(n, S)`.
        policy: A policy table, flattened `(S * A,)`.
        players: Who responds; for nobody only the values are computed.
        choose: Whether to find the best moves too, not only what they pay.
    """
    n = len(returns)
    value = np.concatenate([returns, returns[list(players)]])
    chosen: list[list[Places]] = [[] for _ in players]
    for level in reversed(levels):
        weight = _weights(level, policy)
        for k, row in enumerate(value):
            ahead = row.take(level.child)
            own = level.mine[players[k - n]] if k >= n else _NONE
            if own is not None:
                row[level.rows] = np.einsum("wl,wl->l", weight, ahead)
            if own is None or len(own):
                rows, moves = level.rows, level.moves
                if own is not None:
                    rows, moves, ahead = rows[own], moves[:, own], ahead[:, own]
                if choose:
                    row[rows], best = _largest(ahead)
                    chosen[k - n].append(_at(moves, best))
                else:
                    row[rows] = ahead.max(0)
    return Backward(value[:n], value[n:], tuple(np.concatenate([_NONE, *c]) for c in chosen))


def _largest(ahead: Numbers) -> tuple[Numbers, Places]:
    """The largest of each column and where it is, the first of equals; torch finds both at once, and faster."""
    best, place = torch.from_numpy(ahead).max(0)
    return best.numpy(), place.numpy()


def _at(table: Places, place: Places) -> Places:
    """The entry of each column at its place."""
    return table.reshape(-1).take(place * table.shape[1] + np.arange(table.shape[1]))


def backward_torch(levels: Sequence[Level], returns: Tensor, policy: Tensor) -> Tensor:
    """The values `(S, n)` of a policy table as torch operations, to be differentiated; see `backward`."""
    value, flat = returns, policy.reshape(-1)
    for level in reversed(levels):
        rows, moves, child = (torch.from_numpy(part) for part in (level.rows, level.moves, level.child))
        weight = flat.take(moves)
        if level.blank is not None:
            weight = weight.masked_fill(torch.from_numpy(level.blank), 0.0)
        value = value.index_copy(0, rows, (weight.unsqueeze(-1) * value[child]).sum(0))
    return value


def forward(levels: Sequence[Level], policy: Numbers, states: int) -> Numbers:
    """The probability that play comes through each state `(S,)`, by one sweep from the first move to the last."""
    reach = np.zeros(states)
    reach[0] = 1.0
    for level in levels:
        flow = _weights(level, policy) * reach[level.rows]
        reach += np.bincount(level.child.ravel(), flow.ravel(), minlength=states)
    return reach


def optimal(levels: Sequence[Level], returns: Numbers) -> Numbers:
    """Payoffs from every state under perfect play `(n, S)`: backward induction, ties to the lowest action."""
    value = returns.copy()
    for level in reversed(levels):
        child = np.empty_like(level.rows)  # where the best moves lead
        for player, own in enumerate(level.mine):
            ways = level.child if own is None else level.child[:, own]
            if ways.size:
                _, best = _largest(value[player].take(ways))
                child[slice(None) if own is None else own] = _at(ways, best)
        value[:, level.rows] = value[:, child]
    return value
