"""The contract of the evaluators on a game: identities that hold between gaps of one play."""

from __future__ import annotations

import math

import torch

from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.gap import Gap
from strategic_envs.evaluators.gaps import cce_gap, ce_gap, exploitability, nash_conv
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.evaluators.local_ce import local_ce_gap
from strategic_envs.evaluators.report import evaluate
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.play import Empirical, TabularPlay
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box

__all__ = ["check_evaluator"]


def check_evaluator(game: VIGame | MarkovGame | TurnBasedGame, *, seed: int = 0, tolerance: float = 1e-9) -> None:
    """Checks that the gaps of a game agree with each other.

    1. Every gap has `lower <= value <= upper` and one part a player.
    2. `exploitability = nash_conv / n`; NashConv is at least 0.
    3. On independent play the CCE gap is the largest Nash gain and NashConv is the sum of the gains.
    4. A response pays what it says it pays, when it is attained.
    5. Every number of `evaluate(...).row()` is a float and no NaN.
    6. On one profile the local CCE gap is the Frank-Wolfe gap; with p the projected gap,
       `p^2 <= FW <= (D + |g|) p` for every player with a compact set; on a torus they are equal.
    7. On a `NormalFormGame` the local CCE gap is the CCE gap, and the CE gap is at least the CCE gap.
    8. An accumulator fed profile by profile gives the local CCE gap of the empirical distribution.
    9. On boxes, of one cell the local CE gap is the local CCE gap, and the projection family gains at least nothing and
       at most `delta |g|_1` in the mean.
    Not yet checked: numeric best responses against a dense search (each game's own tests do that).

    Args:
        game: The game; of one without utilities, only the local gaps are checked.
        seed: The seed of the sampled play.
        tolerance: The largest difference allowed, relative to the size of the numbers.

    Raises:
        AssertionError: Naming the game and the identity.

    Example:
        >>> check_evaluator(NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]))
    """
    stream = torch_stream(seed, "check_evaluator")
    if isinstance(game, VIGame):
        points = game.sample((5,), generator=stream)
        one = Empirical(points.map(lambda t: t[:1]), torch.ones(1, dtype=torch.float64))
        if isinstance(game, Game):
            _check_global(game, one, tolerance)
        _check_local(game, points, tolerance)
    else:
        play = TabularPlay(_uniform(game))
        _check_global(game, play, tolerance)
        fw = local_nash_gap(game, play, "frank_wolfe")
        assert _close(local_cce_gap(game, play).value, fw.value, tolerance), f"{game.name}: one-point local CCE gap"


def _uniform(game: MarkovGame | TurnBasedGame) -> tuple[torch.Tensor, ...]:
    if isinstance(game, MarkovGame):
        return game.uniform_policy()
    return (game.uniform_policy(),) * game.n_players


def _close(a: float, b: float, tolerance: float) -> bool:
    return a == b or abs(a - b) <= tolerance * (1 + abs(a) + abs(b))


def _check_gap(name: str, gap: Gap, n: int) -> None:
    assert len(gap.per_player) == n, f"{name}: {len(gap.per_player)} parts for {n} players"
    assert gap.lower <= gap.value <= gap.upper, f"{name}: {gap.value} is not within [{gap.lower}, {gap.upper}]"


def _check_global(game: Game | MarkovGame | TurnBasedGame, play: Empirical | TabularPlay, tolerance: float) -> None:
    n = game.n_players
    conv, mean, cce = nash_conv(game, play), exploitability(game, play), cce_gap(game, play)
    for name, gap in [("nash_conv", conv), ("exploitability", mean), ("cce_gap", cce)]:
        _check_gap(f"{game.name}, {name}", gap, n)
    assert conv.value >= -tolerance, f"{game.name}: NashConv is {conv.value}, expected at least 0"
    assert _close(mean.value * n, conv.value, tolerance), f"{game.name}: exploitability is not NashConv / n"
    assert _close(sum(conv.per_player), conv.value, tolerance), f"{game.name}: NashConv is not the sum of the gains"
    assert _close(max(conv.per_player), cce.value, tolerance), f"{game.name}: the CCE gap is not the largest Nash gain"
    for i in range(n):
        reply = best_response(game, i, play)
        if reply.attained and math.isfinite(reply.value):
            paid = _paid(game, i, reply.strategy, play)
            assert _close(paid, reply.value, tolerance), (
                f"{game.name}, player_{i}: the best response pays {paid} and claims {reply.value}"
            )
    row = evaluate(game, play).row()
    bad = {k: v for k, v in row.items() if not isinstance(v, float) or math.isnan(v)}
    assert not bad, f"{game.name}: the report has {bad}"


def _paid(
    game: Game | MarkovGame | TurnBasedGame, player: int, strategy: torch.Tensor, play: Empirical | TabularPlay
) -> float:
    if isinstance(play, TabularPlay):
        tables = tuple(strategy if i == player else t for i, t in enumerate(play.policies))
        changed: Empirical | TabularPlay = TabularPlay(tables)
    elif isinstance(game, CongestionGame):  # a member moves, and the loads do not
        return float(play.weights @ (game.deviation_payoffs(play.points, player) @ strategy))
    else:
        changed = Empirical(play.points.replace(player, strategy.unsqueeze(0).to(play.points[player])), play.weights)
    return evaluate(game, changed).utilities[player]


def _check_local(game: VIGame, points: Profile, tolerance: float) -> None:
    x = points.map(lambda t: t[0])
    g = game.field(x)
    projected, fw = local_nash_gap(game, x), local_nash_gap(game, x, "frank_wolfe")
    one = local_cce_gap(game, x)
    for i, (p, f, c) in enumerate(zip(projected.per_player, fw.per_player, one.per_player, strict=True)):
        who = f"{game.name}, player_{i}"
        assert _close(f, c, tolerance), f"{who}: the local CCE gap of one profile is {c}, the Frank-Wolfe gap {f}"
        if game.sets[i].periodic:
            assert p == f, f"{who}: on a torus the projected gap {p} and the Frank-Wolfe gap {f} are one"
        elif game.sets[i].bounded:
            high = (game.sets[i].diameter + float(g[i].norm())) * p
            slack = tolerance * (1 + f + high)
            assert p * p - slack <= f <= high + slack, f"{who}: {p}^2 <= {f} <= {high} fails"
    if game.joint is not None:
        return  # deviations of fixed strategies are not defined on slices
    play = Empirical.uniform(points)
    local = local_cce_gap(game, play)
    sums = FieldAccumulator()
    for t in range(len(play)):
        profile = points.map(lambda s, t=t: s[t])
        sums.update(profile, game.field(profile))
    assert _close(sums.gap(game.sets).value, local.value, tolerance), f"{game.name}: the accumulator disagrees"
    if isinstance(game, NormalFormGame):
        cce = cce_gap(game, play).value
        assert _close(local.value, cce, tolerance), f"{game.name}: local CCE gap {local.value}, CCE gap {cce}"
        assert ce_gap(game, play).value >= cce - tolerance, f"{game.name}: the CE gap is below the CCE gap"
    if game.joint is None and all(isinstance(s, Box) for s in game.sets):
        _check_families(game, play, tolerance)


def _check_families(game: VIGame, play: Empirical, tolerance: float) -> None:
    delta, fields = 0.1, game.field(play.points)
    shifts = local_cce_gap(game, play, family="projection", delta=delta)
    for i, (part, g) in enumerate(zip(shifts.per_player, fields, strict=True)):
        most = delta * float(play.weights @ g.double().abs().sum(-1))
        assert -tolerance <= part <= most + tolerance * (1 + most), (
            f"{game.name}, player_{i}: the projection gap {part} is not within [0, {most}]"
        )
    if all(s.bounded for s in game.sets):
        one, cce = local_ce_gap(game, play, family="cells", cells=1), local_cce_gap(game, play)
        for i, (a, b) in enumerate(zip(one.per_player, cce.per_player, strict=True)):
            assert _close(a, b, tolerance), f"{game.name}, player_{i}: gap of one cell {a}, local CCE gap {b}"
