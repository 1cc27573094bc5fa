"""Reports: every gap that is defined for a game's play, side by side.

Local and global gaps are always shown together: on `(x1 - x2)^2` the local CCE gap of gradient play tends to 0 while
its global gap tends to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.congestion import wardrop_excess
from strategic_envs.evaluators.expectation import joint_play, tabulate
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.gaps import Gains, ce_gap, gains, independent
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.kinds.vi import VIGame

__all__ = ["Report", "evaluate"]


@dataclass(frozen=True)
class Report:
    """Named gaps of one play, and what they were measured on.

    Args:
        gaps: The gaps by name: `nash_conv`, `exploitability`, `cce_gap`, `ce_gap`, `local_nash_gap`, `local_cce_gap`,
            `wardrop_excess`.
        utilities: Each player's expected utility; empty for a game without utilities.
        metadata: What a reader must know beside the numbers, such as how a local gap is parameterised.
    """

    gaps: Mapping[str, Gap]
    utilities: tuple[float, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Gap:
        return self.gaps[name]

    def row(self) -> dict[str, float]:
        """The gaps as a flat dictionary of numbers: `name`, `name_exact` (0 or 1) and `utility_i`; never null."""
        values = {name: gap.value for name, gap in self.gaps.items()}
        exact = {f"{name}_exact": float(gap.exact) for name, gap in self.gaps.items()}
        return {**values, **exact, **{f"utility_{i}": u for i, u in enumerate(self.utilities)}}

    def __str__(self) -> str:
        lines = [f"{name:16} {gap.value: .6g}{'' if gap.exact else '  (estimated)'}" for name, gap in self.gaps.items()]
        return "\n".join([*lines, *(f"{name:16} {text}" for name, text in self.metadata.items())])


def evaluate(
    game: VIGame | MarkovGame | TurnBasedGame,
    play: object,
    *,
    local: Mapping[str, Gap] | None = None,
    certify: float | None = None,
) -> Report:
    """Every gap that is defined for this kind of game and play.

    Args:
        game: A game of any kind.
        play: A profile, `Empirical` or `Independent`; in games with states a `TabularPlay` or one policy function a
            player.
        local: Local gaps measured elsewhere, such as `{"local_cce_gap": accumulator.gap(sets)}` of a learner's own
            parameters; they replace those measured here.
        certify: A tolerance for proved bounds of the global gaps, as in `best_response`.

    Returns:
        `nash_conv`, `exploitability`, `cce_gap` for games with utilities, `ce_gap` for finite ones,
        `wardrop_excess` for congestion games of populations, and always `local_cce_gap` and `local_nash_gap`
        (projected; of a distribution, that of its last point).

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> report = evaluate(pennies, pennies.profile([0.5, 0.5], [1.0, 0.0]))
        >>> report["exploitability"].value, report["cce_gap"].value, report["cce_gap"].exact
        (0.5, 1.0, True)
    """
    if isinstance(game, MarkovGame | TurnBasedGame):
        play = tabulate(game, play)
        last, count, parameterisation = play, 1, "policy table entries"
    elif isinstance(game, VIGame):
        joint = joint_play(game, play)
        last, count, parameterisation = joint.points.map(lambda t: t[-1]), len(joint), "coordinates"
    else:
        raise InvalidGameError(f"evaluate: got a {type(game).__name__}, expected a game of one of the kinds")
    gaps: dict[str, Gap] = {}
    utilities: tuple[float, ...] = ()
    if not isinstance(game, VIGame) or isinstance(game, Game):
        alone, together = _gains(game, play, certify)
        utilities = together.utilities
        gaps["nash_conv"] = alone.total()
        gaps["exploitability"] = gaps["nash_conv"].divided(len(utilities))
        gaps["cce_gap"] = together.largest()
    if isinstance(game, NormalFormGame):
        gaps["ce_gap"] = ce_gap(game, joint_play(game, play))
    if isinstance(game, CongestionGame):
        gaps["wardrop_excess"] = wardrop_excess(game, joint_play(game, play))
    given = dict(local or {})
    metadata: dict[str, str] = {}
    if "local_nash_gap" not in given:
        gaps["local_nash_gap"] = local_nash_gap(game, last)
        metadata["local_nash_gap_of"] = f"the last of {count} points, by {parameterisation}"
    if "local_cce_gap" not in given:
        gaps["local_cce_gap"] = local_cce_gap(game, play)
        metadata["local_cce_gap_of"] = f"{count} points, by {parameterisation}"
    return Report({**gaps, **given}, utilities, metadata)


def _gains(game: Game | MarkovGame | TurnBasedGame, play: object, certify: float | None) -> tuple[Gains, Gains]:
    """The gains when everyone draws alone, and together.

    With two players the best responses are the same: they depend on the other's marginal only. Not so in a congestion
    game, where a member meets its own population as well.
    """
    together, alone = gains(game, play, certify=certify), independent(play)
    if alone is play:
        return together, together
    same = game.n_players == 2 and not isinstance(game, CongestionGame)
    return gains(game, alone, together.replies if same else None, certify=certify), together
