"""A whole path with its epochs: what the dynamic does in one call, with a log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.agents.dynamics.ridge.state import Event, RidgeState
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile

__all__ = ["Epoch", "RidgePath", "all_corners", "follow_ridge", "orders"]


@dataclass(frozen=True)
class Epoch:
    """One epoch `(i, S)` of a path; coordinates are those of the flat profile.

    Args:
        examined: i.
        free: S.
        entered_at: The flat profile where it began.
        left_by: `good`, `bad`, `middling`; empty when the path ended or was given up inside it.
        coordinate: The coordinate of that event; -1 without one.
        steps: How many moves were made in it.
    """

    examined: int
    free: tuple[int, ...]
    entered_at: tuple[float, ...]
    left_by: str
    coordinate: int
    steps: int


@dataclass(frozen=True, eq=False)
class RidgePath:
    """A followed path.

    Args:
        points: The profiles on it, tensors `(R, d_i)`.
        epochs: What happened.
        outcome: `converged`, `failed`, or `max_steps`.
        reason: Why it failed, and what might help.
        residual: The projected local Nash gap at the end, largest over players.
        steps: How many moves were made.
        length: The length of the path on the unit cube.
        calls: Oracle calls.
    """

    points: Profile
    epochs: tuple[Epoch, ...]
    outcome: str
    reason: str
    residual: float
    steps: int
    length: float
    calls: dict[str, int]

    @property
    def end(self) -> Profile:
        """The last profile."""
        return self.points.map(lambda t: t[-1])


def follow_ridge(
    game: VIGame | Oracle,
    *,
    corner: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
    step_size: float = 0.005,
    max_steps: int = 20_000,
    method: type[StayOnTheRidge] = StayOnTheRidge,
    **settings: bool | float,
) -> RidgePath:
    """Follows the path of STON'R from a corner to its end.

    Args:
        game: A game on bounded boxes, or an oracle.
        corner: For each flat coordinate 0 (lower bound) or 1; all 0 when it is not given.
        order: The flat coordinates in the order in which they are examined.
        step_size: Length of a move on the unit cube.
        max_steps: How many steps to take at most.
        method: The dynamic, `StayOnTheRidge` or a variant of it.
        **settings: Its other settings, such as `corrector`.

    Returns:
        The path; a failure is its outcome and no exception.

    Example:
        >>> from strategic_envs.games.nonconcave import f1
        >>> path = follow_ridge(f1(3.0), corner=(0, 0), step_size=0.02)
        >>> path.outcome, path.residual < 1e-10, [epoch.free for epoch in path.epochs]
        ('converged', True, [(), (), (0,)])
    """
    oracle = GameOracle(game) if isinstance(game, VIGame) else game
    dims = [s.dim for s in oracle.sets]
    chosen = tuple(corner) if corner is not None else (0,) * sum(dims)
    dynamic = method(step_size, chosen, tuple(order) if order is not None else None, **settings)  # pyright: ignore[reportArgumentType]
    before = oracle.calls.copy()
    x0 = Profile(torch.zeros(d, dtype=torch.float64) for d in dims)
    states = [dynamic.init(x0, oracle)]
    for _ in range(max_steps):
        if dynamic.status(states[-1]) is not Outcome.MAX_STEPS:
            break
        states.append(dynamic.step(states[-1], oracle))
    last = states[-1]
    with oracle.uncounted():
        residual = float(oracle.residuals(last.x, oracle.field(last.x)).amax())
    return RidgePath(
        points=Profile(torch.stack(t) for t in zip(*(s.x for s in states), strict=True)),
        epochs=tuple(_epochs(states)),
        outcome=str(dynamic.status(last)),
        reason=dynamic.explain(last),
        residual=residual,
        steps=int(last.moves),
        length=sum(float((b.z - a.z).norm()) for a, b in itertools.pairwise(states)),
        calls={k: n - before[k] for k, n in oracle.calls.items() if n > before[k]},
    )


def all_corners(total: int) -> Iterator[tuple[int, ...]]:
    """All corners of a box of `total` coordinates, 2^total of them.

    Example:
        >>> list(all_corners(2))
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    return itertools.product((0, 1), repeat=total)


def orders(total: int) -> Iterator[tuple[int, ...]]:
    """All orders of `total` coordinates.

    Example:
        >>> list(orders(2))
        [(0, 1), (1, 0)]
    """
    return itertools.permutations(range(total))


def _epochs(states: Sequence[RidgeState]) -> Iterator[Epoch]:
    order = states[0].order.tolist()
    start, epoch_state = 0, states[0]
    for now in states[1:]:
        event = Event(int(now.event))
        ended = event is not Event.NONE
        if ended or now is states[-1]:
            yield Epoch(
                examined=order[int(epoch_state.examined)],
                free=tuple(sorted(order[k] for k in epoch_state.free_list)),
                entered_at=tuple(epoch_state.x.flat().tolist()),
                left_by=event.kind if ended else "",
                coordinate=order[int(now.coordinate)] if ended else -1,
                steps=int(now.moves) - start,
            )
            start, epoch_state = int(now.moves), now
