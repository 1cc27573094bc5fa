"""Local gaps: what players could gain, to first order, by small deviations.

With g_i player i's gradient of its own utility, a profile is a first-order local Nash equilibrium when no g_i points
into the player's set. Two measures, both 0 exactly there: `projected`, the distance moved by a projected unit gradient
step, and `frank_wolfe`, `max_y <g_i, y - x_i>`. They satisfy `projected^2 <= frank_wolfe <= (D_i + |g_i|) projected`.
For a distribution of play the measure is the local CCE gap over interpolations towards a fixed point
(Cai, Daskalakis, Luo, Wei and Zheng 2024); on one profile it is the Frank-Wolfe gap.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators.accumulator import FieldAccumulator, interpolation_gap
from strategic_envs.evaluators.expectation import joint_play, tabulate
from strategic_envs.evaluators.family import FamilyGap, family_gap, played_fields
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.projection import check_shift, projection_gain
from strategic_envs.evaluators.tabular import tabular_gap
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Joint, StrategySet

__all__ = ["frank_wolfe_gaps", "local_cce_gap", "local_nash_gap", "projected_gaps"]


def projected_gaps(
    sets: Sequence[StrategySet] | Joint, x: Sequence[Tensor], g: Sequence[Tensor], step: float = 1.0
) -> Float[Tensor, "*batch n"]:
    """Every player's `|P(x_i + a g_i) - x_i| / a`, for a batch of profiles; a = 1 unless `step` says otherwise.

    Where coordinates wrap around it is `|g_i|`; on a joint set P projects on the player's slice.

    Example:
        >>> from strategic_envs.sets import Box
        >>> projected_gaps([Box(-1, 1)], [torch.tensor([0.5])], [torch.tensor([3.0])])
        tensor([0.5000])
    """
    if isinstance(sets, Joint):
        flat = Profile(x).flat()
        return torch.stack([sets.projected_gap(i, flat, v, step) for i, v in enumerate(g)], dim=-1)
    gaps = [s.projected_gap(t, v, step) for s, t, v in zip(sets, x, g, strict=True)]
    return torch.stack(torch.broadcast_tensors(*gaps), dim=-1)


def frank_wolfe_gaps(
    sets: Sequence[StrategySet] | Joint, x: Sequence[Tensor], g: Sequence[Tensor]
) -> Float[Tensor, "*batch n"]:
    """Every player's `max_y <g_i, y - x_i>`, for a batch of profiles; `|g_i|` where a set is unbounded or wraps.

    On a joint set y lies in the player's slice.

    Example:
        >>> from strategic_envs.sets import Box
        >>> frank_wolfe_gaps([Box(-1, 1)], [torch.tensor([0.5])], [torch.tensor([3.0])])
        tensor([1.5000])
    """
    if isinstance(sets, Joint):
        flat = Profile(x).flat()
        return torch.stack([sets.frank_wolfe_gap(i, flat, v) for i, v in enumerate(g)], dim=-1)
    gaps = [s.frank_wolfe_gap(t, v) for s, t, v in zip(sets, x, g, strict=True)]
    return torch.stack(torch.broadcast_tensors(*gaps), dim=-1)


def local_nash_gap(game: VIGame | MarkovGame | TurnBasedGame, x: object, kind: str = "projected") -> Gap:
    """How far one profile is from a first-order local Nash equilibrium: the largest gap over players.

    Args:
        game: The game.
        x: A profile of tensors `(d_i,)`. In games with states: policy tables or functions, whose own-utility gradients
            are taken by the table entries (the direct parameterisation).
        kind: Which measure: `projected`, `frank_wolfe` or `variational`. In a game with a joint set the first two are
            taken on every player's slice; `variational` is `max_y <V(x), y - x>` over the joint set, one number for all
            players together and 0 exactly at variational solutions. Without a joint set it is the sum of the
            Frank-Wolfe gaps.

    Raises:
        InvalidSettingError: For another kind.
        InvalidStrategyError: If x is not one profile of the game.

    Example:
        >>> from strategic_envs.games.kinds.game import Game
        >>> from strategic_envs.sets import Box
        >>> game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
        >>> local_nash_gap(game, game.profile([0.5], [0.0])).per_player
        (0.0, 0.5)
    """
    if kind not in ("projected", "frank_wolfe", "variational"):
        raise InvalidSettingError(
            f"local_nash_gap: got kind={kind!r}, expected 'projected', 'frank_wolfe' or 'variational'"
        )
    if isinstance(game, MarkovGame | TurnBasedGame):
        one = tabular_gap(game, tabulate(game, x), "projected" if kind == "projected" else "frank_wolfe")
        return Gap.total(one.per_player) if kind == "variational" else one
    play = joint_play(game, x)
    if len(play) != 1:
        raise InvalidStrategyError(
            f"{game.name}: the local Nash gap is of one profile, got play of {len(play)}: use local_cce_gap"
        )
    profile = play.points.map(lambda t: t[0])
    field = game.field(profile).to(torch.float64)
    _check_finite(game.name, field)
    if kind == "variational" and game.joint is not None:
        value = game.joint.variational_gap(profile.flat(), field.flat())
        return Gap.largest([float(value)] * game.n_players)
    measure = projected_gaps if kind == "projected" else frank_wolfe_gaps
    gaps = measure(game.sets if game.joint is None else game.joint, profile, field).tolist()
    return Gap.total(gaps) if kind == "variational" else Gap.largest(gaps)


def local_cce_gap(
    game: VIGame | MarkovGame | TurnBasedGame | Sequence[StrategySet],
    play: object,
    *,
    family: str = "interpolation",
    delta: float | None = None,
    norm: str = "sup",
) -> Gap:
    """How far play is from a local coarse correlated equilibrium: the largest linearised gain over players.

    Over interpolations towards a fixed point, on a compact set, it is `h(E g) - E <g, x>` with the support function h,
    which may be negative; on an unbounded set the norm of the mean gradient. In a `NormalFormGame` it equals the CCE
    gap. Over projections it is `max_v E <g, P(x + v) - x>` with `|v| <= delta`: exact on boxes in the sup norm, between
    proved bounds elsewhere (`strategic_envs.evaluators.projection`). To first order, deviations by interpolation that
    move by at most delta gain `delta / D` times the first.

    Args:
        game: The game; or only the sets, when an accumulator has the sums.
        play: A profile, `Empirical`, `Independent`; a `FieldAccumulator` with the sums of a run; in games with states,
            policy tables or functions, judged in the direct parameterisation.
        family: `interpolation` or `projection`.
        delta: How far a deviation moves a point at most; for the projection family, which has no other unit.
        norm: The norm of shifts in the projection family, `sup` or `euclidean`.

    Raises:
        InvalidSettingError: For another family or norm, or a projection family without a delta > 0.
        InvalidGameError: If the game has a joint set and the play is more than one profile.
        InvalidStrategyError: If the projection family is asked of an accumulator, which has not kept the points.

    Example:
        >>> from strategic_envs.games.kinds.game import Game
        >>> from strategic_envs.play import Empirical
        >>> from strategic_envs.sets import Box
        >>> game = Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)])
        >>> cycle = torch.tensor([[0.0], [1.0], [0.0], [-1.0]], dtype=torch.float64)
        >>> local_cce_gap(game, Empirical.uniform([cycle, cycle.roll(1, 0)])).value
        0.0
    """
    if family not in ("interpolation", "projection"):
        raise InvalidSettingError(f"local_cce_gap: got family={family!r}, expected 'interpolation' or 'projection'")
    if isinstance(game, VIGame) and game.joint is not None:
        return _on_slices(game, play, family)
    if family == "projection":
        if not isinstance(game, VIGame) or isinstance(play, FieldAccumulator):
            raise InvalidStrategyError(
                f"local_cce_gap: the projection family needs a game with continuous strategies and the points that "
                f"were played, got a {type(game).__name__} and a {type(play).__name__}: record the run"
            )
        return _over_projections(game, play, check_shift(delta, norm), norm)
    if isinstance(play, FieldAccumulator):
        sets = game.sets if isinstance(game, VIGame) else game
        if isinstance(sets, MarkovGame | TurnBasedGame):
            raise InvalidStrategyError(
                f"{sets.name}: an accumulator holds gradients by a learner's own parameters: pass their sets, "
                "such as [Box(-inf, inf, dim)] * n, in place of the game"
            )
        return play.gap(sets)
    if isinstance(game, MarkovGame | TurnBasedGame):
        return tabular_gap(game, tabulate(game, play), "frank_wolfe")
    if not isinstance(game, VIGame):
        raise InvalidGameError(
            f"local_cce_gap: got {type(game).__name__} with play of type {type(play).__name__}, "
            "expected a game, or strategy sets with a FieldAccumulator"
        )
    joint, field = played_fields(game, play)
    x, w = joint.points, joint.weights
    return Gap.largest(
        [float(interpolation_gap(s, w @ g, w @ (g * t).sum(-1))) for s, t, g in zip(game.sets, x, field, strict=True)]
    )


def _on_slices(game: VIGame, play: object, family: str) -> Gap:
    """In a game with a joint set a fixed deviation must be open to the player at every profile that is played."""
    joint = joint_play(game, play) if not isinstance(play, FieldAccumulator) else None
    if joint is None or family == "projection" or any(bool((t != t[:1]).any()) for t in joint.points):
        raise InvalidGameError(
            f"{game.name}: a local CCE gap is not defined for play of several profiles in a game with a joint set, "
            "where what a player may play depends on the others: judge single profiles by local_nash_gap"
        )
    return local_nash_gap(game, joint.points.map(lambda t: t[0]), "frank_wolfe")


def _over_projections(game: VIGame, play: object, delta: float, norm: str) -> FamilyGap:
    joint, field = played_fields(game, play, separate=True)
    gains = [
        projection_gain(s, x, g, joint.weights, delta, norm)
        for s, x, g in zip(game.sets, joint.points, field, strict=True)
    ]
    return family_gap(gains, f"projection, delta={delta:g}, {norm} norm")


def _check_finite(name: str, field: Profile) -> None:
    for i, v in enumerate(field):
        if not bool(v.isfinite().all()):
            raise InvalidGameError(f"{name}, player_{i}: the field is NaN or infinite at this play: check the utility")
