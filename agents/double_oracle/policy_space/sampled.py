"""A simulator that plays: payoffs of policies of a turn-based game, by batches of plays instead of exact sweeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, Populations
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.seeding import torch_stream

__all__ = ["SampledPlays"]


@dataclass(frozen=True, eq=False)
class SampledPlays:
    """Plays each cell of the payoff table a number of times.

    The draws of a cell depend on the seed and the cell alone, so a table comes out the same in whatever order, and in
    however many units of work, it is filled. Policies are as in `exact.TurnBasedArena`: actions `(S,)` or tables.

    Args:
        game: The game.
        plays: How often each cell is played, at least 2.
        seed: The seed of the draws.
        chunk: How many cells are filled in one unit of work.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> game = TicTacToe()
        >>> uniform = game.uniform_policy()
        >>> paid = SampledPlays(game, plays=2000).payoffs(((uniform,), (uniform,)), torch.tensor([[0, 0]]))
        >>> bool((paid.mean[0, 0] - 187 / 630).abs() < 4 * paid.standard_error[0, 0])
        True
    """

    game: TurnBasedGame
    plays: int = 1000
    seed: int = 0
    chunk: int = 16

    def __post_init__(self) -> None:
        if self.plays < 2 or self.chunk < 1:
            raise InvalidSettingError(
                f"{self.game.name}: got plays={self.plays} and chunk={self.chunk}, expected at least 2 plays, which a "
                "standard error needs, and at least 1 cell"
            )

    def payoffs(self, populations: Populations, cells: Int[Tensor, "cells n"]) -> CellPayoffs:
        paid = torch.stack([self._play(populations, cell) for cell in cells.tolist()])  # (cells, plays, n)
        count = torch.full((len(cells),), float(self.plays), dtype=torch.float64)
        return CellPayoffs(paid.mean(1), paid.std(1) / math.sqrt(self.plays), count)

    def _play(self, populations: Populations, cell: list[int]) -> Float[Tensor, "plays n"]:
        graph = self.game.state_graph()
        stream = torch_stream(self.seed, "psro_plays", *cell)
        table = self.game.merge(tuple(self._table(p[k]) for p, k in zip(populations, cell, strict=True)))
        upto = table.cumsum(-1)
        state = torch.zeros(self.plays, dtype=torch.int64)
        for _ in range(self.game.max_moves):
            draw = torch.rand(self.plays, 1, generator=stream, dtype=torch.float64)
            here = upto[state]
            action = (draw * here[:, -1:] >= here).sum(-1)  # never an action of probability zero
            state = torch.where(graph.terminal[state], state, graph.child[state, action.clamp(max=table.shape[1] - 1)])
        return graph.returns[state].double()

    def _table(self, policy: Tensor) -> Tensor:
        if policy.ndim == 2:
            return policy.double()
        return torch.nn.functional.one_hot(policy.long(), self.game.n_actions).double()
