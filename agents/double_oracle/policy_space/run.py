"""PSRO in one call: the loop over `advance`, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.exact import Arena, arena
from strategic_envs.agents.double_oracle.policy_space.machine import (
    Populations,
    PSROIteration,
    PSROState,
    ResponseOracle,
    Same,
    Simulator,
    advance,
    same_policy,
)
from strategic_envs.agents.double_oracle.policy_space.meta import MetaSolution, MetaSolver, meta_solver
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidSettingError

__all__ = ["PSROResult", "psro", "run_psro"]


@dataclass(frozen=True, eq=False)
class PSROResult:
    """How a run ended: its best mixture, not its last.

    Args:
        populations: The policies that the mixture is over, oldest first.
        meta: The mixture: that of the iteration with the smallest gap, or the last where no gap is known.
        gap: NashConv of the mixture (of a joint one: the largest gain) by the oracle's replies; NaN where they do not
            say what they pay.
        exact: Whether the replies were best responses, so that the gap is the true one.
        outcome: `converged`, `max_steps`, or `failed` where the run stalled.
        reason: Why it stopped, in words.
        history: One record an iteration.
        state: Where the run is; give it to `run_psro` to go on.
        play: The mixture as play for the evaluators; None where there is no such form, or nobody knows the game.
    """

    populations: Populations
    meta: MetaSolution
    gap: float
    exact: bool
    outcome: Outcome
    reason: str
    history: tuple[PSROIteration, ...]
    state: PSROState
    play: Any = None

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """For each player the probabilities of its policies."""
        return self.meta.marginals


def run_psro(
    state: PSROState | Sequence[Sequence[Any]],
    oracle: ResponseOracle,
    simulator: Simulator,
    meta_solver: Callable[[Tensor], MetaSolution],
    *,
    max_iterations: int = 100,
    tolerance: float = 1e-9,
    same: Same = same_policy,
    watch: Callable[[PSROState], object] | None = None,
) -> PSROResult:
    """Runs PSRO until it ends or has made so many iterations.

    Args:
        state: Where to go on, or the first populations.
        oracle: Gives replies.
        simulator: Gives payoffs.
        meta_solver: Gives mixtures.
        max_iterations: Iterations in all, those of the state included.
        tolerance: The gap at which a run with exact replies has converged.
        same: Says whether two policies are the same.
        watch: Called with the state after every unit of work, for checkpoints and progress.

    Raises:
        InvalidSettingError: If a number is out of range, or a population is empty.
    """
    if max_iterations < 1 or not tolerance >= 0:
        raise InvalidSettingError(
            f"PSRO: got max_iterations={max_iterations} and tolerance={tolerance}, expected at least one iteration and "
            "a tolerance >= 0"
        )
    state = state if isinstance(state, PSROState) else PSROState.start(state)
    while state.outcome is None and state.iteration < max_iterations:
        state = advance(state, oracle, simulator, meta_solver, tolerance=tolerance, same=same)
        if watch is not None:
            watch(state)
    best = min((r for r in state.history if r.gap == r.gap), key=lambda r: r.gap, default=state.history[-1])
    stopped = f"{state.iteration} iterations are done; the gap fell to {best.gap:.3g}"
    return PSROResult(
        tuple(policies[:k] for policies, k in zip(state.populations, best.sizes, strict=True)),
        best.meta,
        best.gap,
        best.exact,
        Outcome.MAX_STEPS if state.outcome is None else state.outcome,
        state.reason or stopped,
        state.history,
        state,
    )


def psro(
    game: object,
    meta: str | MetaSolver = "nash",
    *,
    start: Sequence[Sequence[Any]] | PSROState | None = None,
    max_iterations: int = 1000,
    tolerance: float = 1e-9,
    watch: Callable[[PSROState], object] | None = None,
    **settings: Any,
) -> PSROResult:
    """PSRO with exact payoffs and best replies, on a game of any kind.

    Args:
        game: A `NormalFormGame` (policies are actions), `TurnBasedGame` (pure policies on states), `MarkovGame`
            (stationary policies; replies are exact only while the others play one) or `Game` (points).
        meta: A meta-solver, or its name: `nash`, `uniform`, `projected_replicator`, `alpha_rank`, `cce`, ...
        start: For each player its first policies; a state of an earlier run goes on with that. By default action 0,
            the lowest legal action everywhere, uniform play, or the centre of the set.
        max_iterations: When to stop in any case.
        tolerance: The gap at which the run has converged.
        watch: Called with the state after every unit of work.
        **settings: Those of the kind of game, see `exact.arena`.

    Returns:
        The result, with `play` for the evaluators.

    Raises:
        InvalidSettingError: If a setting makes no sense, or a population is empty.
        InvalidStrategyError: If a first policy is none.
        InvalidGameError: If the game has no utilities, or the meta-solver is for other games.
        UnknownNameError: If there is no such meta-solver.

    Example:
        >>> from strategic_envs.games.kinds.normal_form import NormalFormGame
        >>> result = psro(NormalFormGame.zero_sum([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]))
        >>> str(result.outcome), [record.sizes for record in result.history]
        ('converged', [(1, 1), (2, 2), (3, 3)])
        >>> [round(float(w), 9) for w in result.weights[0]]
        [0.333333333, 0.333333333, 0.333333333]
    """
    field: Arena = arena(game, **settings)
    solver = meta_solver(meta) if isinstance(meta, str) else meta
    first = start if isinstance(start, PSROState) else field.populations(start)
    found = run_psro(
        first,
        field,
        field,
        solver,
        max_iterations=max_iterations,
        tolerance=tolerance,
        same=field.same,
        watch=watch,
    )
    return _with_play(found, field)


def _with_play(found: PSROResult, field: Arena) -> PSROResult:
    return replace(found, play=field.play(found.populations, found.meta))
