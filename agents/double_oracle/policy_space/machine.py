"""Policy-space response oracles (PSRO; Lanctot et al. 2017), as a machine of pure steps.

```
populations = one policy a player;  U = payoffs between them
repeat: sigma = META(U)
        for each player i: reply_i = ORACLE(others' policies drawn by sigma_-i)
        add the replies that are new; fill U
```

One call of `advance` does one unit of work and returns the next state, so a run can stop after any unit, be written
down and go on elsewhere with the same bytes: an oracle or simulator that draws must take its stream from the seed, the
state's iteration and the player or cell, never from a generator of its own that moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.double_oracle.policy_space.payoffs import PayoffTable
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidSettingError

__all__ = [
    "CellPayoffs",
    "PSROIteration",
    "PSROState",
    "Reply",
    "ResponseOracle",
    "Simulator",
    "advance",
    "same_policy",
]

_ROUNDING = 1e-6  # a linear program's answer may leave gains this small to replies that are held already
Policy = Any  # a table, the parameters of a network, a point: whatever the oracle and the simulator understand
Populations = tuple[tuple[Policy, ...], ...]


class Reply(NamedTuple):
    """What an oracle answers.

    Args:
        policy: The reply.
        value: What it pays its player against the mixture, or NaN where that is not known.
        exact: Whether no policy pays more.
        note: What the oracle says about it.
        utility: What the mixture itself pays the player, where the oracle takes it for another than the payoff table
            does; otherwise NaN.
        searched: Whether it is the best that a search among all policies found, which proves nothing.
    """

    policy: Policy
    value: float = math.nan
    exact: bool = False
    note: str = ""
    utility: float = math.nan
    searched: bool = False


@dataclass(frozen=True, eq=False)
class CellPayoffs:
    """What a simulator answers for some cells.

    Args:
        mean: The mean payoffs `(cells, n)`.
        standard_error: Of these means `(cells, n)`; None for exact payoffs.
        count: How many plays each cell's mean rests on `(cells,)`; None for exact payoffs.
    """

    mean: Float[Tensor, "cells n"]
    standard_error: Float[Tensor, "cells n"] | None = None
    count: Float[Tensor, " cells"] | None = None


@dataclass(frozen=True, eq=False)
class PSROIteration:
    """What one iteration did.

    Args:
        iteration: Counted from 1.
        sizes: How many policies each player held when it began.
        meta: The meta-solver's mixture of them.
        utilities: What each player got from it.
        gains: How much more each reply paid; NaN where the oracle did not say.
        gap: The sum of the gains (of a joint distribution: the largest); NashConv if the replies are exact.
        exact: Whether they all are.
        added: For each player whether its reply was new.
        cells: How many cells of the payoff table were filled so far.
    """

    iteration: int
    sizes: tuple[int, ...]
    meta: MetaSolution
    utilities: tuple[float, ...]
    gains: tuple[float, ...]
    gap: float
    exact: bool
    added: tuple[bool, ...]
    cells: int

    @property
    def support(self) -> tuple[int, ...]:
        """How many policies each player mixed."""
        return tuple(int((w > 1e-12).sum()) for w in self.meta.marginals)


@dataclass(frozen=True, eq=False)
class PSROState:
    """Where a run is: everything that the next unit of work depends on.

    Args:
        iteration: Iterations completed.
        populations: For each player its policies, oldest first.
        table: The payoffs between them.
        meta: The meta-solver's answer, once this iteration has one.
        replies: For each player this iteration's reply, once it has one.
        history: One record an iteration.
        outcome: How the run ended; None while it goes on.
        reason: Why, in words.
    """

    iteration: int
    populations: Populations
    table: PayoffTable
    meta: MetaSolution | None
    replies: tuple[Reply | None, ...]
    history: tuple[PSROIteration, ...] = field(default=())
    outcome: Outcome | None = None
    reason: str = ""

    @classmethod
    def start(cls, populations: Sequence[Sequence[Policy]]) -> PSROState:
        """The state before the first unit of work.

        Args:
            populations: For each player its first policies, at least one.

        Raises:
            InvalidSettingError: If there is no player, or a population is empty; the message names it.

        Example:
            >>> PSROState.start([["rock"], ["rock"]]).table.missing().tolist()
            [[0, 0]]
        """
        if not populations:
            raise InvalidSettingError("PSRO: got no populations, expected one a player")
        for i, policies in enumerate(populations):
            if len(policies) == 0:
                raise InvalidSettingError(f"PSRO, player_{i}: got an empty population, expected at least one policy")
        sizes = tuple(map(len, populations))
        return cls(0, tuple(tuple(p) for p in populations), PayoffTable.empty(sizes), None, (None,) * len(sizes))

    @property
    def n_players(self) -> int:
        """The number of players."""
        return len(self.populations)


@runtime_checkable
class ResponseOracle(Protocol):
    """Finds a policy that does well against a mixture of the others' policies."""

    def reply(self, player: int, state: PSROState) -> Reply:
        """The player's reply to `state.meta`, a mixture of `state.populations`."""
        ...


@runtime_checkable
class Simulator(Protocol):
    """Finds what policies pay against each other.

    `chunk` is how many cells it is given at most in one unit of work.
    """

    chunk: int

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        """The payoffs of some cells: row c names one policy of each population."""
        ...


Same = Callable[[Policy, Policy], bool]


def same_policy(a: Policy, b: Policy) -> bool:
    """Whether two policies are the same: equal tensors bit by bit, in the same places; otherwise `==`.

    Example:
        >>> same_policy({"w": torch.zeros(2)}, {"w": torch.zeros(2)}), same_policy(torch.zeros(2), torch.ones(2))
        (True, False)
    """
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same_policy(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same_policy, a, b))
    return bool(a == b)


def advance(
    state: PSROState,
    oracle: ResponseOracle,
    simulator: Simulator,
    meta_solver: Callable[[Tensor], MetaSolution],
    *,
    tolerance: float = 0.0,
    same: Same = same_policy,
) -> PSROState:
    """One unit of work: fill missing cells, or solve the meta-game, or ask for one reply, or add the replies.

    Args:
        state: Where the run is.
        oracle: Gives replies.
        simulator: Gives payoffs.
        meta_solver: Gives mixtures.
        tolerance: The run has converged when the replies are exact and their gap is at most this.
        same: Says whether two policies are the same.

    Returns:
        The next state; the same one once the run has ended.
    """
    if state.outcome is not None:
        return state
    missing = state.table.missing()
    if len(missing):
        cells = missing[: simulator.chunk]
        paid = simulator.payoffs(state.populations, cells)
        return replace(state, table=state.table.filled(cells, paid.mean, paid.standard_error, paid.count))
    if state.meta is None:
        return replace(state, meta=meta_solver(state.table.mean))
    for player, known in enumerate(state.replies):
        if known is None:
            replies = list(state.replies)
            replies[player] = oracle.reply(player, state)
            return replace(state, replies=tuple(replies))
    return _add(state, tolerance, same)


def _add(state: PSROState, tolerance: float, same: Same) -> PSROState:
    """Ends an iteration: new replies join the populations; without any the run is over."""
    populations, added = [], []
    for policies, reply in zip(state.populations, state.replies, strict=True):
        assert reply is not None
        new = not any(same(reply.policy, policy) for policy in policies)
        populations.append((*policies, reply.policy) if new else policies)
        added.append(new)
    record = _record(state, tuple(added))
    searched = all(reply is not None and (reply.exact or reply.searched) for reply in state.replies)
    outcome, reason = _verdict(record, tolerance, searched)
    if outcome is None:
        state = replace(state, populations=tuple(populations), table=state.table.grown([len(p) for p in populations]))
        state = replace(state, meta=None, replies=(None,) * state.n_players)
    return replace(
        state, iteration=state.iteration + 1, history=(*state.history, record), outcome=outcome, reason=reason
    )


def _record(state: PSROState, added: tuple[bool, ...]) -> PSROIteration:
    meta, replies = state.meta, [r for r in state.replies if r is not None]
    assert meta is not None
    paid = meta_utilities(state.table, meta)
    utilities = tuple(u if math.isnan(r.utility) else r.utility for r, u in zip(replies, paid, strict=True))
    gains = tuple(reply.value - u for reply, u in zip(replies, utilities, strict=True))
    gap = sum(gains) if meta.joint is None else max(gains)
    exact = all(r.exact for r in replies)
    sizes = state.table.sizes
    return PSROIteration(state.iteration + 1, sizes, meta, utilities, gains, gap, exact, added, math.prod(sizes))


def meta_utilities(table: PayoffTable, meta: MetaSolution) -> tuple[float, ...]:
    """What each player gets in the meta-game."""
    weights = meta.distribution().reshape(-1)
    return tuple((table.mean.reshape(table.mean.shape[0], -1) @ weights).tolist())


def _verdict(record: PSROIteration, tolerance: float, searched: bool) -> tuple[Outcome | None, str]:
    if record.exact and record.gap <= tolerance:
        return Outcome.CONVERGED, f"the gap {record.gap:.3g} is within the tolerance {tolerance:g}"
    if any(record.added):
        return None, ""
    if record.gap <= max(tolerance, _ROUNDING) and searched:
        proof = "" if record.exact else ", which is not proved: a search found no better replies"
        return Outcome.CONVERGED, f"no reply is new; the gap is {record.gap:.3g}{proof}"
    gap = "" if math.isnan(record.gap) else f", and they gain {record.gap:.3g}"
    return Outcome.FAILED, f"stalled: every reply is in its population already{gap}{_why(record)}"


def _why(record: PSROIteration) -> str:
    if not record.meta.solved:
        return f"; {record.meta.name} did not solve the meta-game ({record.meta.note})"
    if record.exact and record.meta.name != "nash":
        return f"; the best replies to {record.meta.name} are all held, and it does not mix them to an equilibrium"
    return "" if record.exact else "; the replies are the oracle's, not the best"
