"""Where the payoff table comes from: exact values, or games that the runners play side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Populations
from strategic_envs.agents.rllib.psro.tasks import Response
from strategic_envs.seeding import torch_stream

__all__ = ["ExactPayoffs", "SampledPayoffs", "trial"]


@dataclass(eq=False)
class ExactPayoffs:
    """Expected payoffs, by the values of the policies' strategies.

    Args:
        task: Faces the populations whose cells are asked for.
        chunk: Cells in one unit of work.
    """

    task: Response
    chunk: int

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        return CellPayoffs(torch.stack([self.task.payoffs(self.task.cell(cell)) for cell in cells.tolist()]))


@dataclass(eq=False)
class SampledPayoffs:
    """Means of games that all runners play, every runner its share of every cell.

    The draws of a cell follow from the seed, the cell and the runner.

    Args:
        each_runner: Calls a function with every runner that plays and returns the list of answers.
        games: How many games of a cell each runner plays.
        chunk: Cells in one unit of work.
        count: Is told the environment steps that were made.
    """

    each_runner: Callable[[Callable[[Any], Any]], list[Any]]
    games: int
    chunk: int
    count: Callable[[int], None]

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        answers = self.each_runner(partial(trial, cells=cells.tolist(), games=self.games))
        if not answers:
            raise RuntimeError("no runner answered: all of them have failed, and none has been restored yet")
        self.count(sum(steps for _, _, _, steps in answers))
        number = sum(games for _, _, games, _ in answers)
        mean = torch.stack([total for total, _, _, _ in answers]).sum(0) / number
        square = torch.stack([total for _, total, _, _ in answers]).sum(0) / number
        variance = (square - mean.square()).clamp(min=0) * number / max(number - 1, 1)
        return CellPayoffs(
            mean, (variance / number).sqrt(), torch.full((len(cells),), float(number), dtype=torch.float64)
        )


def trial(runner: Any, cells: Sequence[Sequence[int]], games: int) -> tuple[Tensor, Tensor, int, int]:
    """Plays some games of every cell on one runner.

    Args:
        runner: A `BatchedEnvRunner` whose task faces the populations.
        cells: For each the number of every player's policy.
        games: How many games of each.

    Returns:
        The sums of the payoffs and of their squares `(cells, n)`, the games of a cell, and the environment steps.
    """
    sums, squares, steps = [], [], 0
    for cell in cells:
        stream = torch_stream(runner.task.options.seed, "cell", runner.worker_index, *cell, device=runner.device)
        paid, made = runner.task.trial(runner.task.cell(cell), games, stream)
        sums.append(paid.sum(0).cpu())
        squares.append(paid.square().sum(0).cpu())
        steps += made
    return torch.stack(sums), torch.stack(squares), games, steps
