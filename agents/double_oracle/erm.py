"""Learning with a best-response oracle: approximate coarse correlated equilibria of games of any number of players.

After Assos, Attias, Dagan, Daskalakis and Fishelson (COLT 2023), in a rendering of our own with a certificate:

    A_i = {a_i0}
    repeat phases:
        play Hedge on the small game for T = ceil(8 r^2 ln max|A_i| / epsilon^2) rounds;  sigma = the average play
        b_i = best response of player i in the full game to sigma;  gain_i = E u_i(b_i, x_-i) - E u_i(x)
        if max gain_i <= epsilon: return sigma, a proved epsilon-CCE of the full game
        add b_i where gain_i > epsilon

Within a phase nobody regrets an action that is held by more than epsilon / 4 (Hedge's bound, for payoffs in an
interval of length r), so what gains more than epsilon is new: the algorithm never stalls. It ends where threshold
patterns in the payoffs are bounded, and need not elsewhere: on the larger number without a bound every phase leaves
both gains at 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.finite.ties import tie_break as tie_break_named
from strategic_envs.agents.dynamics.hedge import Hedge
from strategic_envs.agents.dynamics.oracle import GameOracle
from strategic_envs.agents.dynamics.outcome import Outcome
from strategic_envs.errors import InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Empirical
from strategic_envs.profile import Profile
from strategic_envs.seeding import numpy_stream

__all__ = ["ActionOracle", "ERMResult", "FullGame", "Phase", "erm_oracle"]

_ROUNDING = 1e-12  # of the payoffs' range: gains are no more exact than that


@runtime_checkable
class ActionOracle(Protocol):
    """A game of which small parts and best responses can be asked for; actions are numbers from 0.

    `name` is what errors call it; `n_actions` has one number a player, None where there is no largest action;
    `payoff_range` is the length of an interval that holds every payoff of a player. All three may be attributes.
    """

    @property
    def name(self) -> str: ...
    @property
    def n_actions(self) -> tuple[int | None, ...]: ...
    @property
    def payoff_range(self) -> float: ...

    def payoffs(self, actions: Sequence[Sequence[int]]) -> Tensor:
        """The payoffs of everyone when each player has these actions alone, `(n, k_0, ..., k_{n-1})`, float64."""
        ...

    def reply(self, player: int, actions: Sequence[Sequence[int]], probability: Tensor) -> tuple[int, float]:
        """A player's best response to joint play `(k_0, ..., k_{n-1})` of these actions, and what it gets."""
        ...


class FullGame:
    """A `NormalFormGame` as an oracle that looks at every action.

    Args:
        game: The game.
        tie_break: Which of several best responses is taken, a name out of `TIE_BREAKS`.
        seed: The seed of a random tie-break.
        payoff_range: See `ActionOracle`; None measures it.
    """

    def __init__(
        self, game: NormalFormGame, tie_break: str = "lowest", seed: int = 0, payoff_range: float | None = None
    ) -> None:
        self.name, self.n_actions = game.name, game.n_actions
        self._payoffs = game.payoffs.detach().cpu().double()
        flat = self._payoffs.reshape(game.n_players, -1)
        measured = float((flat.amax(-1) - flat.amin(-1)).max())
        self.payoff_range = payoff_range if payoff_range is not None else measured or 1.0
        if not math.isfinite(self.payoff_range) or self.payoff_range < measured:
            raise InvalidSettingError(
                f"{game.name}: got payoff_range={payoff_range}, but a player's payoffs span {measured:g}"
            )
        self._rule, self._stream = tie_break_named(tie_break), numpy_stream(seed, "erm_oracle", "ties")

    def payoffs(self, actions: Sequence[Sequence[int]]) -> Tensor:
        """See `ActionOracle`."""
        found = self._payoffs
        for i, held in enumerate(actions):
            found = found.index_select(i + 1, torch.as_tensor(held))
        return found

    def reply(self, player: int, actions: Sequence[Sequence[int]], probability: Tensor) -> tuple[int, float]:
        """See `ActionOracle`."""
        every = list(range(self.n_actions[player]))
        part = self.payoffs([every if i == player else held for i, held in enumerate(actions)])[player]
        values = part.movedim(player, 0).reshape(len(every), -1) @ probability.sum(player).flatten()
        best = float(values.max())
        tied = np.flatnonzero((values >= best - _ROUNDING * self.payoff_range).numpy())
        held = np.isin(every, actions[player])
        return int(self._rule(tied, held, self._stream)[0]), best


@dataclass(frozen=True)
class Phase:
    """One phase: the small game that was played, and what the best responses to its play gain.

    Args:
        phase: Counted from 1.
        rounds: How long Hedge played.
        sizes: How many actions each player held.
        utilities: What each player got on average.
        gains: What each player's best response in the full game gains.
        added: The action that each player added, or None.
    """

    phase: int
    rounds: int
    sizes: tuple[int, ...]
    utilities: tuple[float, ...]
    gains: tuple[float, ...]
    added: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class ERMResult:
    """Joint play and the certificate that comes with it: the best phase, whatever the outcome.

    Args:
        actions: For each player the numbers of the actions it holds `(k_i,)`.
        probability: The joint play of these actions, `(k_0, ..., k_{n-1})`, float64.
        utilities: What each player gets.
        gains: What each player's best response in the full game gains: the play is a `max(gains)`-CCE.
        outcome: `converged` (no gain exceeds epsilon), `max_steps`, or `failed`.
        reason: Why it stopped, in words.
        rounds: Rounds of Hedge, all phases together.
        history: One record a phase.
    """

    actions: tuple[Tensor, ...]
    probability: Tensor
    utilities: tuple[float, ...]
    gains: tuple[float, ...]
    outcome: Outcome
    reason: str
    rounds: int
    history: tuple[Phase, ...]

    def play(self, n_actions: Sequence[int]) -> Empirical:
        """The joint play over all actions of a finite game: what `cce_gap` judges.

        Args:
            n_actions: How many actions each player has.
        """
        joint = torch.zeros(tuple(n_actions), dtype=torch.float64)
        joint[torch.meshgrid(*self.actions, indexing="ij")] = self.probability
        return Empirical.of_joint_actions(joint)


def erm_oracle(
    game: NormalFormGame | ActionOracle,
    *,
    epsilon: float,
    start: Sequence[int] | None = None,
    max_phases: int | None = None,
    tie_break: str = "lowest",
    seed: int = 0,
    payoff_range: float | None = None,
) -> ERMResult:
    """Looks for an epsilon-CCE of a game by playing small ones.

    Args:
        game: A `NormalFormGame` of any number of players, or an `ActionOracle`.
        epsilon: The largest gain by a deviation that is accepted, in payoff units.
        start: Everyone's first action; None is action 0.
        max_phases: How many phases at most. None: as many as there are actions, which is enough; it must be a number
            where there is no largest action.
        tie_break: Which of several best responses is taken; an `ActionOracle` decides itself.
        seed: The seed of a random tie-break.
        payoff_range: The length of an interval that holds a player's payoffs, such as 2 for [-1, 1]; None takes the
            game's own.

    Returns:
        Joint play with the gain of every player's best response.

    Raises:
        InvalidSettingError: If epsilon is not above zero, the range too small, or a number of phases below one.
        InvalidStrategyError: If the start has no action for each player, or an oracle answers with none.
        UnknownNameError: If there is no such tie-break.

    Example:
        >>> matching_pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> result = erm_oracle(matching_pennies, epsilon=0.3)
        >>> str(result.outcome), max(result.gains) <= 0.3, [p.sizes for p in result.history]
        ('converged', True, [(1, 1), (1, 2), (2, 2)])
    """
    oracle = FullGame(game, tie_break, seed, payoff_range) if isinstance(game, NormalFormGame) else game
    width = oracle.payoff_range if payoff_range is None else payoff_range
    limit = _checked(oracle, epsilon, max_phases, width)
    actions = [[a] for a in _start(oracle, start)]
    history, best = list[Phase](), None
    outcome, reason = Outcome.MAX_STEPS, ""
    while not reason:
        largest = max(2, *map(len, actions))
        rounds = math.ceil(8 * width**2 * math.log(largest) / epsilon**2)
        payoffs = oracle.payoffs(actions)
        hedge = Hedge.tuned(actions=largest, horizon=rounds, payoff_range=width)
        probability = _average_play(NormalFormGame(payoffs, name=oracle.name), hedge, rounds)
        utilities = tuple(float((u * probability).sum()) for u in payoffs)
        replies = [_reply(oracle, i, actions, probability) for i in range(len(actions))]
        gains = tuple(value - u for (_, value), u in zip(replies, utilities, strict=True))
        if best is None or max(gains) < max(best[3]):
            best = (tuple(torch.tensor(held) for held in actions), probability, utilities, gains)
        new = tuple(
            b if gain > epsilon and b not in held else None
            for (b, _), gain, held in zip(replies, gains, actions, strict=True)
        )
        more = any(b is not None for b in new)
        outcome, reason = _verdict(max(gains), epsilon, _ROUNDING * width, more, len(history) + 1 == limit)
        added = (None,) * len(new) if reason else new
        sizes = tuple(map(len, actions))
        history.append(Phase(len(history) + 1, rounds, sizes, utilities, gains, added))
        for held, b in zip(actions, added, strict=True):
            held.extend([] if b is None else [b])
    assert best is not None
    return ERMResult(*best, outcome, reason, sum(phase.rounds for phase in history), tuple(history))


def _average_play(game: NormalFormGame, hedge: Hedge, rounds: int) -> Tensor:
    """The joint play of so many rounds of Hedge from the uniform start, `(k_0, ..., k_{n-1})`."""
    uniform = Profile(torch.full((k,), 1 / k, dtype=torch.float64) for k in game.n_actions)
    if game.payoffs[0].numel() == 1:
        return torch.ones(game.n_actions, dtype=torch.float64)
    oracle = GameOracle(game)
    state = hedge.init(uniform, oracle)
    points = [state.x]
    for _ in range(rounds - 1):  # the start is the first of the rounds
        state = hedge.step(state, oracle)
        points.append(state.x)
    letters = [chr(ord("a") + i) for i in range(game.n_players)]
    product = ",".join("z" + letter for letter in letters) + "->" + "".join(letters)
    return torch.einsum(product, *map(torch.stack, zip(*points, strict=True))) / rounds


def _verdict(gain: float, epsilon: float, rounding: float, more: bool, last: bool) -> tuple[Outcome, str]:
    if gain <= epsilon + rounding:
        return Outcome.CONVERGED, f"no deviation in the full game gains more than {max(gain, 0.0):.3g} <= {epsilon:g}"
    if not more:
        return Outcome.FAILED, (
            f"a deviation gains {gain:.3g} > {epsilon:g}, but every best response is held already: that contradicts "
            "Hedge's bound, so payoffs lie in no interval of the range given, or a best response is none"
        )
    if last:
        return Outcome.MAX_STEPS, f"a deviation gains {gain:.3g} > {epsilon:g} after the last phase allowed"
    return Outcome.MAX_STEPS, ""


def _reply(oracle: ActionOracle, player: int, actions: list[list[int]], probability: Tensor) -> tuple[int, float]:
    action, value = oracle.reply(player, actions, probability)
    size = oracle.n_actions[player]
    whole = isinstance(action, int | np.integer) and not isinstance(action, bool)
    if not whole or action < 0 or (size is not None and action >= size) or not math.isfinite(value):
        raise InvalidStrategyError(
            f"{oracle.name}, player_{player}: got the best response {action!r} worth {value!r}, expected an action's "
            f"number{'' if size is None else f' below {size}'} and a finite payoff"
        )
    return int(action), float(value)


def _start(oracle: ActionOracle, start: Sequence[int] | None) -> list[int]:
    first = [0] * len(oracle.n_actions) if start is None else list(start)
    if len(first) != len(oracle.n_actions) or any(
        a < 0 or (size is not None and a >= size) for a, size in zip(first, oracle.n_actions, strict=False)
    ):
        raise InvalidStrategyError(
            f"{oracle.name}: got start={start}, expected an action for each of players with {oracle.n_actions} actions"
        )
    return first


def _checked(oracle: ActionOracle, epsilon: float, max_phases: int | None, width: float) -> int:
    if not (math.isfinite(epsilon) and epsilon > 0 and math.isfinite(width) and width > 0):
        raise InvalidSettingError(
            f"{oracle.name}: got epsilon={epsilon} and payoff_range={width}, expected finite numbers > 0"
        )
    if max_phases is None:
        if None in oracle.n_actions:
            raise InvalidSettingError(
                f"{oracle.name}: there is no largest action, so the phases need not end: give max_phases"
            )
        return sum(size for size in oracle.n_actions if size is not None)
    if isinstance(max_phases, bool) or max_phases < 1:
        raise InvalidSettingError(f"{oracle.name}: got max_phases={max_phases!r}, expected a number >= 1")
    return max_phases
