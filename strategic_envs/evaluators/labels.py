"""What a profile is: local equilibrium of which order, local minimax point, attractor of gradient play.

"Local Nash equilibrium" without an order says too little. The origin of f_1 satisfies the first-order conditions and
is a local minimax point, yet the minimiser's own curvature there has the wrong sign; on `(x1 - x2)^2` the whole
diagonal is of first order and nothing is of second. Definitions: first order, `x_i = P(x_i + g_i)` for every player;
second order (necessary for a local Nash equilibrium), own Hessians negative semidefinite on the critical cone;
differential Nash (Ratliff, Burden and Sastry 2016), in the interior with negative definite own Hessians; local minimax,
the sufficient condition of Jin, Netrapalli and Jordan (2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.critical import CriticalCone, Verdict, critical_cone, judge
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile

__all__ = ["Labels", "label", "label_points"]

_STEPS = (1e-4, 1e-5)  # of the differences that look for kinks
_KINK = 1e-3


@dataclass(frozen=True)
class Labels:
    """What is known of one profile; None where a question has no answer here.

    Args:
        residual: Each player's projected gap; all at most the tolerance at a first-order local Nash equilibrium.
        first_order: Whether it is one.
        curvature: Each player's largest own curvature in directions that the first order leaves open; `-inf` when it
            leaves none. None for games without utilities, sets whose faces are not known, and when not asked.
        second_order: Whether also the necessary second-order conditions of a local Nash equilibrium hold.
        strict: Whether the sufficient ones do, so that it is a strict local Nash equilibrium; on the boundary,
            coordinates that are held strictly need no curvature.
        differential: Whether it is a differential Nash equilibrium: strict, with every own gradient zero.
        non_degenerate: Whether the field's Jacobian is invertible in the open directions.
        local_minimax: Whether it is a local minimax point, player 0 minimising and player 1 maximising player 1's
            utility; None for games that are not zero-sum between two, on boundaries, and where curvature vanishes.
        eigenvalues: Of the Jacobian of `F = -V` in the open directions.
        attracting: Whether gradient flow is attracted: all real parts above zero.
    """

    residual: tuple[float, ...]
    first_order: bool
    curvature: tuple[float | None, ...]
    second_order: Verdict
    strict: Verdict
    differential: Verdict
    non_degenerate: Verdict
    local_minimax: Verdict
    eigenvalues: tuple[complex, ...]
    attracting: Verdict

    @property
    def summary(self) -> str:
        """The labels in one line, always with the order."""
        if not self.first_order:
            worst = max(range(len(self.residual)), key=lambda i: self.residual[i])
            return f"no local Nash of first order (player {worst}: projected gap {self.residual[worst]:.3g})"
        words = {True: "second-order necessary conditions hold, sufficient ones not", None: "second order not decided"}
        if self.strict:
            text = "strict local Nash of second order" + (" (differential Nash)" if self.differential else "")
        elif self.second_order is not False:
            text = f"first-order local Nash, {words[self.second_order]}"
        else:
            known = [-math.inf if c is None else c for c in self.curvature]
            worst = max(range(len(known)), key=lambda i: known[i])
            own = f"own curvature {_shown(known[worst])} where at most 0 is needed"
            text = f"first-order local Nash, not second-order (player {worst}: {own})"
        extra = {"local minimax": self.local_minimax, "attracts gradient play": self.attracting}
        return "; ".join([text, *(name for name, holds in extra.items() if holds)])


def _shown(value: float) -> str:
    return f"{value:.6g}"


def label(game: VIGame, x: Sequence[Tensor], *, tolerance: float = 1e-6, order: int = 2) -> Labels:
    """The labels of one profile.

    Args:
        game: A game with continuous strategies.
        x: A profile, tensors `(d_i,)`.
        tolerance: Largest projected gap of a first-order equilibrium, and what counts as zero in everything else.
        order: 2, or 1 for games that are not twice differentiable.

    Raises:
        InvalidGameError: If the second order is asked of a game that is not twice differentiable there; the message
            names the game, the player and the value.

    Example:
        >>> from strategic_envs.games.nonconcave import f1
        >>> game = f1()
        >>> origin = label(game, game.profile([0.0], [0.0]))
        >>> print(origin.summary)
        first-order local Nash, not second-order (player 0: own curvature 10 where at most 0 is needed); local minimax
    """
    return label_points(game, [t.unsqueeze(0) for t in x], tolerance=tolerance, order=order)[0]


def label_points(game: VIGame, points: Sequence[Tensor], *, tolerance: float = 1e-6, order: int = 2) -> list[Labels]:
    """The labels of many profiles, tensors `(B, d_i)`; other arguments as in `label`.

    Derivatives are computed for all points at once.
    """
    if order not in (1, 2) or not 0 < tolerance < math.inf:
        raise InvalidSettingError(
            f"label: got order={order!r} and tolerance={tolerance!r}, expected order 1 or 2 and a tolerance > 0"
        )
    x = game.validate(points).to(torch.float64)
    g = game.field(x).to(torch.float64)
    for i, v in enumerate(g):
        if not bool(v.isfinite().all()):
            raise InvalidGameError(f"{game.name}, player_{i}: the gradient is {v.tolist()[:4]}: check the utility")
    residual = projected_gaps(game.sets if game.joint is None else game.joint, x, g)
    jacobian = _second(game, x, tolerance) if order == 2 else None
    found = []
    for b in range(len(x[0])):
        point, gradient = Profile(t[b] for t in x), Profile(t[b] for t in g)
        found.append(_one(game, point, gradient, residual[b], None if jacobian is None else jacobian[b], tolerance))
    return found


def _second(game: VIGame, x: Profile, tolerance: float) -> Tensor:
    """The Jacobian of the field `(B, D, D)`, after a look for kinks at every point."""
    try:
        jacobian = game.jacobian(x)
    except RuntimeError as error:  # an operation without a second derivative
        raise InvalidGameError(
            f"{game.name}: second derivatives of a utility do not exist ({error}): ask for order=1"
        ) from error
    start = 0
    for i, d in enumerate(game.dims):
        block = jacobian[:, start : start + d, start : start + d]
        start += d
        if not bool(block.isfinite().all()):
            raise InvalidGameError(
                f"{game.name}, player_{i}: own second derivatives are {block.reshape(-1)[:4].tolist()} at "
                f"{x[i][0].tolist()[:4]}: the game is not twice differentiable there, ask for order=1"
            )
        for k in range(d):
            _look_for_kink(game, x, i, k, block[:, :, k])
    return jacobian


def _look_for_kink(game: VIGame, x: Profile, player: int, k: int, column: Tensor) -> None:
    """Difference quotients of the own gradient must tend to the own Hessian's column, on both sides."""
    here = game.field(x, player)[0]
    for side in (1.0, -1.0):
        errors = []
        for h in _STEPS:
            moved = x[player].clone()
            moved[:, k] += side * h
            y = game.sets[player].project(moved)
            ahead = game.field(x.replace(player, moved), player)[0]
            error = ((ahead - here) / (side * h) - column).abs().amax(-1)
            errors.append(torch.where((y - moved).abs().amax(-1) <= h / 10, error, 0.0))
        bad = (errors[1] > 0.5 * errors[0]) & (errors[1] > _KINK * (1 + column.abs().amax(-1)))
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            raise InvalidGameError(
                f"{game.name}, player_{player}: the own gradient has a kink in coordinate {k} at "
                f"{x[player][row].tolist()[:4]}: the game is not twice differentiable there, ask for order=1"
            )


def _one(game: VIGame, x: Profile, g: Profile, residual: Tensor, jacobian: Tensor | None, tolerance: float) -> Labels:
    first = bool((residual <= tolerance).all())
    parts = tuple(residual.tolist())
    if jacobian is None:
        nash = None if first else False
        return Labels(parts, first, (None,) * len(parts), nash, nash, nash, None, nash, (), None)
    cones = [critical_cone(s, a, b, tolerance) for s, a, b in zip(game.sets, x, g, strict=True)]
    if game.joint is not None:  # the faces of slices are not looked at
        cones = [None] * game.n_players
    blocks = list(jacobian.split(list(game.dims), dim=0))
    own = [b.split(list(game.dims), dim=1)[i] for i, b in enumerate(blocks)]
    judged = [
        (None, None, None) if c is None or not isinstance(game, Game) else judge(h, c, tolerance)
        for h, c in zip(own, cones, strict=True)
    ]
    second = _all(first, *(j[1] for j in judged))
    strict = _all(first, *(j[2] for j in judged))
    inside = all(bool((v.abs() <= tolerance).all()) for v in g)
    open_jacobian = _restricted(jacobian, cones)
    eigenvalues: tuple[complex, ...] = ()
    attracting = regular = None
    if open_jacobian is not None:
        size = 1 + float(jacobian.abs().max())
        eigenvalues = tuple(torch.linalg.eigvals(-open_jacobian).tolist())
        real = [v.real for v in eigenvalues]
        slack = 10 * tolerance * size
        attracting = True if all(r > slack for r in real) else False if any(r < -slack for r in real) else None
        singular = torch.linalg.svdvals(open_jacobian)
        regular = bool((singular > tolerance * size).all())
    minimax = _local_minimax(game, jacobian, cones, tolerance) if first and inside else False if not first else None
    return Labels(
        parts,
        first,
        tuple(j[0] for j in judged),
        second,
        strict,
        _all(bool(strict), inside) if strict is not None else None,
        regular,
        minimax if not (strict and _zero_sum(game, x)) else True,
        eigenvalues,
        attracting,
    )


def _all(*verdicts: Verdict) -> Verdict:
    """Whether all hold: False as soon as one does not, None when that is open."""
    return False if False in verdicts else None if None in verdicts else True


def _restricted(jacobian: Tensor, cones: Sequence[CriticalCone | None]) -> Tensor | None:
    known = [c.directions for c in cones if c is not None]
    if len(known) < len(cones):
        return None
    z = torch.block_diag(*known)
    return z.mT @ jacobian @ z


def _zero_sum(game: VIGame, x: Profile) -> bool:
    if not isinstance(game, Game) or game.n_players != 2:
        return False
    generator = torch.Generator().manual_seed(0)
    some = game.sample((16,), generator=generator)
    u = torch.cat([game.utilities(some), game.utilities(x).unsqueeze(0)]).double()
    return bool((u.sum(-1).abs() <= 1e-9 * (1 + u.abs().amax())).all())


def _local_minimax(game: VIGame, jacobian: Tensor, cones: Sequence[CriticalCone | None], tolerance: float) -> Verdict:
    """In the interior, with f = u_1: f_yy < 0 and f_xx - f_xy f_yy^-1 f_yx > 0 is sufficient."""
    if any(c is None or len(c.faces) or c.directions.shape[0] != c.directions.shape[1] for c in cones):
        return None
    if not _zero_sum(game, Profile(s.centre() for s in game.sets)):
        return None
    d = game.dims[0]
    f_xx, f_xy, f_yx, f_yy = -jacobian[:d, :d], -jacobian[:d, d:], jacobian[d:, :d], jacobian[d:, d:]
    slack = tolerance * (1 + float(jacobian.abs().max()))
    top = float(torch.linalg.eigvalsh((f_yy + f_yy.mT) / 2)[-1])
    if top > slack:
        return False
    if top >= -slack:
        return None
    schur = f_xx - f_xy @ torch.linalg.solve(f_yy, f_yx)
    least = float(torch.linalg.eigvalsh((schur + schur.mT) / 2)[0])
    return True if least > slack else False if least < -slack else None
