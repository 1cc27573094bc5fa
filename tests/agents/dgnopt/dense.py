"""The game of the layers written out with dense matrices: the definition that the fast paths are compared with.

Nothing here is shared with the optimizer: states of all samples are one long vector, Jacobians are whole matrices, the
networks are written by hand, the gains are formulas (9), (10), (11) of Liu, Chen and Theodorou (2021), "(25)" is the
substitution of arbitrary gains in the quadratic. Float64, small sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Step = Callable[[Tensor, Sequence[Tensor]], Tensor]  # one sample's state, the players' flat parameters -> next state


@dataclass
class Stage:
    """One stage: its map for one sample, and the names of its players in order."""

    step: Step
    players: list[str]


@dataclass
class Piece:
    """A stage's derivatives for the whole batch: F_x, and F_th of each player."""

    players: list[str]
    fx: Tensor
    fth: list[Tensor]


@dataclass
class Gain:
    """dpi(dx) = k + K dx of one player."""

    k: Tensor
    K: Tensor


def linearise(stages: Sequence[Stage], inputs: Tensor, theta: dict[str, Tensor]) -> tuple[list[Piece], Tensor]:
    """The derivatives along the nominal pass, and the outputs (B, K)."""
    pieces, x = [], inputs
    for stage in stages:
        own = [theta[name] for name in stage.players]
        fx = torch.block_diag(*[torch.func.jacrev(stage.step, 0)(one, own) for one in x])
        fth = [
            torch.cat(parts) for parts in zip(*[torch.func.jacrev(stage.step, 1)(one, own) for one in x], strict=True)
        ]
        pieces.append(Piece(stage.players, fx, fth))
        x = torch.stack([stage.step(one, own) for one in x])
    return pieces, x


def cross_entropy(outputs: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian of the mean loss by all outputs."""
    p = outputs.softmax(1)
    e = torch.nn.functional.one_hot(classes, outputs.shape[1]).double()
    blocks = [torch.diag(q) - torch.outer(q, q) for q in p]
    return ((p - e) / len(p)).flatten(), torch.block_diag(*blocks) / len(p)


def quadratic(piece: Piece, vx: Tensor, vxx: Tensor, own: Sequence[tuple[Tensor, float]]) -> tuple[Tensor, ...]:
    """Q_x, Q_xx, and for all players stacked Q_th, Q_thth, Q_thx; `own` gives each l_th and the number in l_thth."""
    f = torch.cat(piece.fth, 1) if piece.fth else piece.fx[:, :0]
    lth = torch.cat([gradient for gradient, _ in own]) if own else f[0, :0]
    lthth = torch.cat([torch.full_like(gradient, number) for gradient, number in own]) if own else f[0, :0]
    return (
        piece.fx.mT @ vx,
        piece.fx.mT @ vxx @ piece.fx,
        lth + f.mT @ vx,
        torch.diag(lthth) + f.mT @ vxx @ f,
        f.mT @ vxx @ piece.fx,
    )


def blocks(piece: Piece) -> list[slice]:
    """Where each player stands among the stage's parameters."""
    found, start = [], 0
    for f in piece.fth:
        found.append(slice(start, start + f.shape[1]))
        start += f.shape[1]
    return found


def substitute(q: tuple[Tensor, ...], k: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """(25): the value of arbitrary gains, by substitution of du = -(k + K dx) in the quadratic."""
    qx, qxx, qth, qthth, qthx = q
    vx = qx - K.mT @ qth - qthx.mT @ k + K.mT @ qthth @ k
    return vx, qxx - K.mT @ qthx - qthx.mT @ K + K.mT @ qthth @ K


def short(q: tuple[Tensor, ...], k: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """(10): the same at the optimum."""
    qx, qxx, _, _, qthx = q
    return qx - qthx.mT @ k, qxx - qthx.mT @ K


def sweep(
    pieces: Sequence[Piece],
    vx: Tensor,
    vxx: Tensor,
    *,
    info: str = "FNE",
    value: str = "long",
    own: dict[str, tuple[Tensor, float]] | None = None,
    inverse: Callable[[Piece, Tensor], Tensor] | None = None,
) -> list[list[Gain]]:
    """Backwards through the stages: the gains of every player.

    `info`: FNE (each player its own block) or GR (the joint system). `value`: none, short, long, or own: one value for
    each player number, in which only that player reacts. `own`: each player's l_th and the number on the diagonal of
    its l_thth. `inverse(piece, Q_thth)` replaces the inverse of the stage's Hessian (block-diagonal for FNE).
    """
    numbers = range(max(len(p.players) for p in pieces)) if value == "own" else [None]
    values = dict.fromkeys(numbers, (vx, vxx))
    gains: list[list[Gain]] = []
    for piece in reversed(pieces):
        where, costs = (
            blocks(piece),
            [(own or {}).get(name, (f.new_zeros(f.shape[1]), 0.0)) for name, f in _named(piece)],
        )
        stage: list[Gain] = []
        for n in numbers:
            q = quadratic(piece, *values[n], costs)
            S = inverse(piece, q[3]) if inverse else _inverse(q[3], where, joint=info == "GR")
            k, K = S @ q[2], S @ q[4]
            if value == "own":
                mine = where[n] if n < len(where) else slice(0, 0)
                alone = (q[0], q[1], q[2][mine], q[3][mine, mine], q[4][mine])
                values[n] = substitute(alone, k[mine], K[mine])
                stage += [Gain(k[mine], K[mine])] if n < len(where) else []
                continue
            stage = [Gain(k[w], K[w]) for w in where]
            if value == "none":
                values[n] = q[0], q[1]
            else:
                values[n] = (substitute if value == "long" else short)(q, k, K)
        gains.insert(0, stage)
    return gains


def _named(piece: Piece) -> list[tuple[str, Tensor]]:
    return list(zip(piece.players, piece.fth, strict=True))


def _inverse(Q: Tensor, where: Sequence[slice], *, joint: bool) -> Tensor:
    if joint:
        return torch.linalg.inv(Q)
    return torch.block_diag(*[torch.linalg.inv(Q[w, w]) for w in where])


def linear_rollout(pieces: Sequence[Piece], gains: Sequence[Sequence[Gain]]) -> dict[str, Tensor]:
    """The players' steps where the state follows the linearised dynamics."""
    dx, steps = pieces[0].fx.new_zeros(pieces[0].fx.shape[1]), {}
    for piece, stage in zip(pieces, gains, strict=True):
        found = [-(gain.k + gain.K @ dx) for gain in stage]
        dx = piece.fx @ dx
        for f, step in zip(piece.fth, found, strict=True):
            dx = dx + f @ step
        steps |= dict(zip(piece.players, found, strict=True))
    return steps


def network_rollout(
    stages: Sequence[Stage], inputs: Tensor, theta: dict[str, Tensor], gains: Sequence[Sequence[Gain]]
) -> dict[str, Tensor]:
    """The players' steps where the state is that of the network with its new parameters (line 11 of Algorithm 1)."""
    nominal = moved = inputs
    steps: dict[str, Tensor] = {}
    for stage, gain in zip(stages, gains, strict=True):
        dx = (moved - nominal).flatten()
        found = {name: -(g.k + g.K @ dx) for name, g in zip(stage.players, gain, strict=True)}
        old = [theta[name] for name in stage.players]
        new = [theta[name] + found[name] for name in stage.players]
        nominal = torch.stack([stage.step(one, old) for one in nominal])
        moved = torch.stack([stage.step(one, new) for one in moved])
        steps |= found
    return steps


def whole(pieces: Sequence[Piece], vx: Tensor, vxx: Tensor) -> tuple[Tensor, Tensor, list[str], list[slice]]:
    """Gradient g = J'V_x and Gauss-Newton matrix G = J'V_xx J of the whole network; names and places of the stages."""
    rest, columns, names, sizes = torch.eye(len(vx), dtype=vx.dtype), [], [], []
    for piece in reversed(pieces):
        if piece.fth:
            columns.insert(0, rest @ torch.cat(piece.fth, 1))
            names = piece.players + names
            sizes.insert(0, columns[0].shape[1])
        rest = rest @ piece.fx
    J = torch.cat(columns, 1)
    ends = torch.tensor(sizes).cumsum(0).tolist()
    return J.mT @ vx, J.mT @ vxx @ J, names, [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def lower(G: Tensor, where: Sequence[slice]) -> Tensor:
    """The strictly lower stage blocks of G: rows of later stages, columns of earlier ones."""
    found = torch.zeros_like(G)
    for i, row in enumerate(where):
        for column in where[:i]:
            found[row, column] = G[row, column]
    return found


def split(flat: Tensor, names: Sequence[str], theta: dict[str, Tensor]) -> dict[str, Tensor]:
    """A vector of all parameters by player."""
    return dict(zip(names, flat.split([theta[name].numel() for name in names]), strict=True))


def stack(steps: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    """The players' steps as one vector."""
    return torch.cat([steps[name] for name in names])
