"""The gaps of a run, as every evaluation reports them.

Global gaps are of the play that the parameters amount to now. The CCE gap is of the run's joint play where strategies
are points of the game's sets, all profiles played so far counting alike, and of present play otherwise. The local Nash
gap is of present parameters, the local CCE gap of the run: both by the learners' own parameters. On a joint set, where
what a player may play depends on the others, both CCE gaps are of present play. So is the local CCE gap where players
ascend another thing than their own utility, since the fields of such a run are not those of the game.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from strategic_envs.agents.rllib.tasks.base import Task
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.figures import figures
from strategic_envs.evaluators.gaps import gains
from strategic_envs.play import Empirical
from strategic_envs.profile import Profile

__all__ = ["GAPS", "judge"]

GAPS = ("exploitability", "nash_conv", "cce_gap", "local_nash_gap", "local_cce_gap")


def judge(task: Task, x: Profile, accumulator: FieldAccumulator, history: Sequence[Profile]) -> dict[str, float | str]:
    """The gaps at parameters x after a run.

    Args:
        task: The task.
        x: The parameters.
        accumulator: The sums of the run's gradients; before the first iteration it may be empty.
        history: The points played, where strategies are points of the game's sets.

    Returns:
        `exploitability`, `nash_conv`, `cce_gap`, `local_nash_gap`, `local_cce_gap`, each with a companion `_exact`
        (1.0 or 0.0), `utility_i` of each player, and what the CCE gap and the local gaps are about (`cce_gap_of`,
        `local_gap_by`), and the figures that the game has beside (`figures`) or that an option of the task asks for. No
        value is null; at a play whose utilities are not finite numbers, every gap is `inf`.
    """
    modules = task.load(x.detach().to("cpu"))
    if not task.judgeable(modules):
        return {
            **{name: math.inf for name in GAPS},
            **{f"{name}_exact": 0.0 for name in GAPS},
            "cce_gap_of": "run" if history else "present play",
            "local_gap_by": task.parameterisation,
        }
    tied = (
        getattr(task.game, "joint", None) is not None
    )  # what one may play depends on the others: no joint play of a run
    history = () if tied else history
    play = task.play(modules)
    now = gains(task.game, play)
    run = gains(task.game, Empirical.uniform([torch.stack(t) for t in zip(*history, strict=True)])) if history else now
    local_nash = task.local_nash(modules)
    own = task.ascends_own and not tied  # the run's fields are of the players' own utilities
    local_cce = accumulator.gap(task.sets) if accumulator.weight is not None and own else local_nash
    n = len(now.gain)
    return {
        "exploitability": sum(now.gain) / n,
        "exploitability_exact": float(now.exact),
        "nash_conv": sum(now.gain),
        "nash_conv_exact": float(now.exact),
        "cce_gap": max(run.gain),
        "cce_gap_exact": float(run.exact),
        "cce_gap_of": "run" if history else "present play",
        "local_nash_gap": local_nash.value,
        "local_nash_gap_exact": float(local_nash.exact),
        "local_cce_gap": local_cce.value,
        "local_cce_gap_exact": float(local_cce.exact and not (task.sampled or task.drawn)),
        "local_gap_by": task.parameterisation,
        **{f"utility_{i}": u for i, u in enumerate(now.utilities)},
        **figures(task.game, play),
        **task.figures(modules),
    }
