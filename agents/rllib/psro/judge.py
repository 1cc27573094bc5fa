"""The gaps of a meta-strategy: what a player could gain against opponents who each draw a policy before the game.

What is judged (`judged`):

- turn-based games: the behaviour policies of the mixtures (`mixture_policy`), exactly;
- normal-form games: the mean mixed strategies, exactly; continuous games: points and weights, as `best_response` can;
- Markov games: a policy that is drawn first and kept is no table. While every player plays one policy the gaps are
  exact. Otherwise they are upper bounds: the gains of a deviator who is told which policies it meets; a lower bound is
  `exploitability_lower`, the best of the population and of the replies to single opponents.

The local gaps are those of the weights alone, with the policies as they are: what a player could gain by other policies
of its own population. The CCE gap is of the joint distribution where the meta-solver gives one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.double_oracle.policy_space.payoffs import PayoffTable
from strategic_envs.agents.rllib.psro.opponents import Opponents
from strategic_envs.agents.rllib.psro.tasks import Response
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.figures import figures, mean_figures
from strategic_envs.evaluators.gaps import gains
from strategic_envs.play import TabularPlay

__all__ = ["judge_mixture", "padded"]

_WEIGHT = 1e-12  # a policy with less is never met


def judge_mixture(task: Response, meta: MetaSolution, table: PayoffTable) -> dict[str, Any]:
    """The gaps of a meta-strategy over the populations that a task faces.

    Args:
        task: The task; its populations may have grown since the meta-strategy was found.
        meta: The meta-strategy.
        table: The payoffs between the populations.

    Returns:
        What `judge` returns for a run of a dynamic, and `judged`. No value is null.
    """
    sizes = [len(p) for p in task.opponents.populations]
    whole = padded(meta, sizes)
    alone = MetaSolution(whole.marginals, None, meta.solved, meta.name)
    play = task.mixture(alone)
    if play is not None:
        found = gains(task.game, play)
        best, gain, utilities = [r.value for r in found.replies], list(found.gain), list(found.utilities)
        lower, exact, judged = gain, found.exact, task.judged
    else:
        utilities = _utilities(task, alone)
        best = [_told(task, alone, i) for i in range(len(sizes))]
        gain = [b - u for b, u in zip(best, utilities, strict=True)]
        lower = [_reached(task, alone, i) - u for i, u in enumerate(utilities)]
        exact, judged = False, "upper bound: gains of a deviator who is told which policies it meets"
    n = len(sizes)
    joint = [b - u for b, u in zip(best, _utilities(task, whole), strict=True)] if meta.joint is not None else gain
    local, local_exact = _local(meta, table)
    return {
        "exploitability": sum(gain) / n,
        "exploitability_exact": float(exact),
        "exploitability_lower": sum(lower) / n,
        "nash_conv": sum(gain),
        "nash_conv_exact": float(exact),
        "cce_gap": max(joint),
        "cce_gap_exact": float(exact and (n == 2 or meta.joint is None)),
        "cce_gap_of": "meta-strategy",
        "local_nash_gap": local,
        "local_nash_gap_exact": float(local_exact),
        "local_cce_gap": local,
        "local_cce_gap_exact": float(local_exact),
        "local_gap_by": "weights of the population",
        "judged": judged,
        **{f"utility_{i}": u for i, u in enumerate(utilities)},
        **(_mean_figures(task, alone) if play is None else figures(task.game, play)),
    }


def padded(meta: MetaSolution, sizes: Sequence[int]) -> MetaSolution:
    """The same meta-strategy over populations that have grown.

    Example:
        >>> one = torch.ones(1).double()
        >>> padded(MetaSolution((one, one), None, True, "uniform"), (1, 3)).marginals[1].tolist()
        [1.0, 0.0, 0.0]
    """
    marginals = tuple(
        torch.nn.functional.pad(w.double(), (0, k - len(w))) for w, k in zip(meta.marginals, sizes, strict=True)
    )
    if meta.joint is None:
        return MetaSolution(marginals, None, meta.solved, meta.name, meta.note)
    joint = torch.zeros(tuple(sizes), dtype=torch.float64)
    joint[tuple(slice(k) for k in meta.joint.shape)] = meta.joint.double()
    return MetaSolution(marginals, joint, meta.solved, meta.name, meta.note)


def _local(meta: MetaSolution, table: PayoffTable) -> tuple[float, bool]:
    """The largest gain by other policies of one's own population, by the table, and whether the table is exact."""
    corner = tuple(slice(len(w)) for w in meta.marginals)
    mean, error = table.mean[:, *corner], table.standard_error[:, *corner]
    if all(len(w) == 1 for w in meta.marginals):
        return 0.0, True
    paid = mean.flatten(1) @ meta.distribution().reshape(-1)
    parts = []
    for i, u in enumerate(paid.tolist()):
        deviations = mean[i].movedim(i, 0).flatten(1) @ meta.others(i).reshape(-1)
        parts.append(float(deviations.max()) - u)
    return max(0.0, *parts), bool((error == 0).all())


def _utilities(task: Response, meta: MetaSolution) -> list[float]:
    """What a meta-strategy pays each player, by exact payoffs of the policies it plays."""
    distribution = meta.distribution()
    total = torch.zeros(len(meta.marginals), dtype=torch.float64)
    for numbers in (distribution > _WEIGHT).nonzero().tolist():
        total += distribution[tuple(numbers)] * task.payoffs(task.cell(numbers))
    return total.tolist()


def _mean_figures(task: Response, meta: MetaSolution) -> dict[str, float]:
    """The game's figures of the joint policies that are drawn, on average."""
    distribution = meta.distribution()
    drawn = (distribution > _WEIGHT).nonzero().tolist()
    return mean_figures(
        (float(distribution[tuple(numbers)]), figures(task.game, TabularPlay(tuple(task.cell(numbers)))))
        for numbers in drawn
    )


def _told(task: Response, meta: MetaSolution, player: int) -> float:
    """The utility of a player who knows which policies it meets, and answers each choice of them best."""
    return sum(weight * best_response(task.game, player, play).value for weight, play in _met(task, meta, player))


def _reached(task: Response, meta: MetaSolution, player: int) -> float:
    """The best utility of some single policies: those of the population, and the replies to single opponents."""
    met = _met(task, meta, player)
    candidates = [task.held(player, k) for k in range(len(task.opponents.populations[player]))]
    candidates += [best_response(task.game, player, play).strategy for _, play in met]
    return max(sum(w * _paid(task, player, play, c) for w, play in met) for c in candidates)


def _paid(task: Response, player: int, play: TabularPlay, strategy: Tensor) -> float:
    strategies = [strategy if i == player else p for i, p in enumerate(play.policies)]
    return float(task.payoffs(strategies)[player])


def _met(task: Response, meta: MetaSolution, player: int) -> list[tuple[float, TabularPlay]]:
    """The choices of policies that a player meets, with their probabilities; its own table there is any."""
    choices, weights = Opponents.of(0, task.opponents.populations, meta).support(player)
    met = []
    for choice, weight in zip(choices.tolist(), weights.tolist(), strict=True):
        choice.insert(player, 0)
        met.append((weight, TabularPlay(tuple(task.cell(choice)))))
    return met
