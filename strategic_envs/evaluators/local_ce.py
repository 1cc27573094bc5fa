"""Local correlated equilibria: deviations that may depend on one's own recommended strategy.

Families, from the smallest to the largest: `interpolation` and `projection` ignore or shift the recommendation (they
give the local CCE gap); `affine` maps `x -> A x + b` from the set into itself; `cells` cut the set into K cells, in
each of which the player may go to a point of its own. The number of cells decides the result: with one cell it is the
interpolation gap, with a cell for every point the mean Frank-Wolfe gap, which does not vanish where play cycles. So K
is always stated with the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.accumulator import interpolation_gap
from strategic_envs.evaluators.family import FamilyGap, family_gap, played_fields
from strategic_envs.evaluators.projection import check_shift, projection_gain
from strategic_envs.evaluators.shifts import Bounds
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

__all__ = ["FAMILIES", "affine_gain", "cell_gain", "local_ce_gap"]

FAMILIES = ("affine", "cells", "interpolation", "projection")
_MOST_CORNERS = 1024

Partition = int | Callable[[Tensor], Tensor] | None


def local_ce_gap(
    game: VIGame,
    play: object,
    *,
    family: str = "affine",
    cells: Partition = None,
    delta: float | None = None,
    norm: str = "sup",
) -> FamilyGap:
    """How far play is from a local correlated equilibrium, over a family of deviations: the largest linearised gain.

    Args:
        game: A game with continuous strategies in bounded sets.
        play: A profile, `Empirical` or `Independent`.
        family: One of `FAMILIES`.
        cells: For the cells: how many equal parts each coordinate of the smallest box around the set is cut into, or a
            function from points `(T, d)` to cell numbers `(T,)`. When it is not given, a simplex has a cell for each
            action (the largest coordinate), every other set 8 parts a coordinate.
        delta: For the projection family: how far a shift goes.
        norm: For the projection family: `sup` or `euclidean`.

    Returns:
        The gap; its `family` says K and everything else that decides it. Exact but for affine maps of balls in more
        than one dimension and the projection family off boxes, which lie between proved bounds.

    Raises:
        InvalidSettingError: For another family, or cells that are none.
        InvalidGameError: For sets whose affine maps are not known.

    Example:
        >>> from strategic_envs.games.squared_difference import SquaredDifference
        >>> from strategic_envs.play import Empirical
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> apart = Empirical.uniform([ends, -ends])  # player 1 is always on the wrong side, and could mirror itself
        >>> game = SquaredDifference()
        >>> local_ce_gap(game, apart).per_player, local_ce_gap(game, apart, family="interpolation").per_player
        ((0.0, 8.0), (-4.0, 4.0))
    """
    if family not in FAMILIES:
        raise InvalidSettingError(f"local_ce_gap: got family={family!r}, expected one of {', '.join(FAMILIES)}")
    if family == "projection":
        check_shift(delta, norm)
    joint, field = played_fields(game, play, separate=True)
    w = joint.weights
    parts: list[Bounds] = []
    counts: list[int] = []
    for i, (s, x, g) in enumerate(zip(game.sets, joint.points, field, strict=True)):
        if family == "affine":
            parts.append(affine_gain(s, x, g, w, who=f"{game.name}, player_{i}"))
        elif family == "projection":
            parts.append(projection_gain(s, x, g, w, check_shift(delta, norm), norm))
        elif family == "cells":
            gain, count = cell_gain(s, x, g, w, cells)
            parts.append(Bounds(gain, gain))
            counts.append(count)
        else:
            gain = float(interpolation_gap(s, w @ g, w @ (g * x).sum(-1)))
            parts.append(Bounds(gain, gain))
    details = {"cells": f", K={'/'.join(map(str, counts))} occupied", "projection": f", delta={delta}, {norm} norm"}
    return family_gap(parts, family + details.get(family, ""))


def cell_gain(
    strategies: StrategySet, x: Tensor, g: Tensor, weights: Tensor, cells: Partition = None
) -> tuple[float, int]:
    """`sum_c P(c) (h(E[g | c]) - E[<g, x> | c])` and the number of cells that were played in.

    Args:
        strategies: One player's set.
        x: The points it played `(T, d)`.
        g: Its own-utility gradients there `(T, d)`.
        weights: How much each point counts `(T,)`.
        cells: As in `local_ce_gap`.

    Example:
        >>> x = torch.tensor([[-1.0], [1.0]])
        >>> cell_gain(Box(-1, 1), x, -x, torch.tensor([0.5, 0.5]), cells=2)
        (2.0, 2)
    """
    number = _cell_numbers(strategies, x, cells)
    _, index = number.unique(return_inverse=True)
    count = int(index.max()) + 1
    pull = torch.zeros(count, x.shape[-1], dtype=x.dtype, device=x.device).index_add_(0, index, weights[:, None] * g)
    product = torch.zeros(count, dtype=x.dtype, device=x.device).index_add_(0, index, weights * (g * x).sum(-1))
    return float(interpolation_gap(strategies, pull, product).sum()), count


def _cell_numbers(strategies: StrategySet, x: Tensor, cells: Partition) -> Tensor:
    if callable(cells):
        number = cells(x)
        if not isinstance(number, Tensor) or number.shape != x.shape[:1]:
            raise InvalidSettingError(
                f"cells: the function returned {number!r}, expected one number a point, ({len(x)},)"
            )
        return number
    if cells is None and isinstance(strategies, Simplex):
        return x.argmax(-1)
    parts = 8 if cells is None else cells
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1 or not strategies.bounded:
        raise InvalidSettingError(f"cells: got {cells!r} for {strategies}, expected a number >= 1 and a bounded set")
    low, high = (b.to(x) for b in strategies.bounds())
    along = ((x - low) / (high - low).clamp(min=1e-300) * parts).long().clamp(0, parts - 1)
    return along.unique(dim=0, return_inverse=True)[1]


def affine_gain(strategies: StrategySet, x: Tensor, g: Tensor, weights: Tensor, *, who: str = "the player") -> Bounds:
    """Bounds of `max E <g, A x + b - x>` over the affine maps of the set into itself; equal where it is exact.

    With c the centre and r the half sides of a box, row j of a map must satisfy `|b_j| + sum_k |A_jk| r_k <= r_j`
    (b taken at the centre), an l1 ball: its best corner gives the gain in closed form. A simplex is mapped column by
    column. A ball of radius R lies between `max(a, R |E g|)` and `sqrt(a^2 + R^2 |E g|^2)`, where a is the sum of the
    singular values of `E g (x - c)^T`. Polytopes are a linear program over their corners.

    Example:
        >>> x = torch.tensor([[-1.0], [1.0]]).double()
        >>> affine_gain(Box(-1, 1), x, -x, torch.tensor([0.5, 0.5]).double())  # x -> -x gains 2 everywhere
        Bounds(lower=2.0, upper=2.0)
    """
    mean, now = weights @ g, weights @ (g * x).sum(-1)
    moment = torch.einsum("t,tj,tk->jk", weights, g, x)
    if isinstance(strategies, Box) and strategies.bounded:
        centre, r = ((strategies.high + s * strategies.low).to(x) / 2 for s in (1, -1))
        about = moment - mean.unsqueeze(-1) * centre
        turned = torch.where(r > 0, about.abs() / r.clamp(min=1e-300), 0.0).amax(-1)
        gain = float((r * torch.maximum(mean.abs(), turned)).sum() - about.diagonal().sum())
        return Bounds(gain, gain)
    if isinstance(strategies, Simplex):
        gain = float(moment.amax(0).sum() - now)
        return Bounds(gain, gain)
    if isinstance(strategies, Ball):
        centre = strategies.centre_point.to(x)
        about = moment - mean.unsqueeze(-1) * centre
        turned, pulled = float(torch.linalg.svdvals(about).sum()), strategies.radius * float(mean.norm())
        off = float(about.diagonal().sum())
        lower = max(turned, pulled)
        return Bounds(lower - off, (lower if strategies.dim == 1 else (turned**2 + pulled**2) ** 0.5) - off)
    gain = _by_program(strategies, mean, moment, who) - float(now)
    return Bounds(gain, gain)


def _by_program(strategies: StrategySet, mean: Tensor, moment: Tensor, who: str) -> float:
    """`max <A, moment> + <b, mean>` over maps that send every corner of a polytope into it (HiGHS)."""
    found = _corners(strategies)
    if found is None:
        raise InvalidGameError(
            f"{who}: affine deviations are known on boxes, simplices, balls and polytopes with at most {_MOST_CORNERS} "
            f"corners, got {strategies}: use family='cells' or 'projection'"
        )
    corners, normals, offsets = (t.numpy() for t in found)
    d = corners.shape[1]
    # One row for each corner v and constraint a: a^T A v + a^T b <= offset.
    matrix = np.einsum("mj,kl->kmjl", normals, corners).reshape(-1, d * d)
    rows = np.concatenate([matrix, np.tile(normals, (len(corners), 1))], axis=1)
    goal = -np.concatenate([moment.numpy().reshape(-1), mean.numpy()])
    answer = linprog(goal, A_ub=rows, b_ub=np.tile(offsets, len(corners)), bounds=(None, None), method="highs")
    if not answer.success:
        raise InvalidGameError(f"{who}: the linear program of affine deviations failed: {answer.message}")
    return float(-answer.fun)


def _corners(strategies: StrategySet) -> tuple[Tensor, Tensor, Tensor] | None:
    """Corners `(k, d)`, and normals `(m, d)` with offsets `(m,)` of the half-spaces; None where there are none."""
    d = strategies.dim
    unit = torch.eye(d, dtype=torch.float64)
    if isinstance(strategies, Product):
        parts = [_corners(p) for p in strategies.parts]
        known = [p for p in parts if p is not None]
        count = int(np.prod([len(p[0]) for p in known], dtype=float))
        if len(known) < len(parts) or count > _MOST_CORNERS:
            return None
        corners = [torch.cat(combined) for combined in itertools.product(*(p[0] for p in known))]
        return torch.stack(corners), torch.block_diag(*(p[1] for p in known)), torch.cat([p[2] for p in known])
    if isinstance(strategies, Box) and strategies.bounded and 2**d <= _MOST_CORNERS:
        sides = zip(strategies.low.tolist(), strategies.high.tolist(), strict=True)
        corners = torch.tensor(list(itertools.product(*sides)), dtype=torch.float64)
        return corners, torch.cat([unit, -unit]), torch.cat([strategies.high, -strategies.low])
    if isinstance(strategies, Simplex):
        ones = torch.ones(1, d, dtype=torch.float64)
        return unit, torch.cat([-unit, ones, -ones]), torch.tensor([0.0] * d + [1.0, -1.0], dtype=torch.float64)
    if all(hasattr(strategies, name) for name in ("vertices", "normals", "offsets")):
        found = (strategies.vertices, strategies.normals, strategies.offsets)  # pyright: ignore[reportAttributeAccessIssue]
        return found if len(found[0]) <= _MOST_CORNERS else None
    return None
