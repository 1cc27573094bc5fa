"""Continuous games played by Gaussians: what stock PPO learns there. Used to judge PPO, not to train.

RLlib draws a from a Gaussian, and where the action space is bounded takes a in [-1, 1] for the whole range, clipping
what falls outside; our wrapper then projects on the strategy set. The strategy is the distribution of what is played in
the end. Its parameters are the means and the logarithms of the standard deviations of a, before clipping.

The gradient of player i's expected utility in its parameters is `E[(u_i - b) grad log p_i(a_i)]` (Williams 1992), here
with exact utilities of many joint draws and the mean utility of the *other* draws as baseline b: unbiased, with
clipping and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.rllib.modules import Coordinates, flat_parameters
from strategic_envs.agents.rllib.sampling import leave_one_out
from strategic_envs.agents.rllib.tasks.base import Draw, Options, Task
from strategic_envs.agents.rllib.tasks.coordinates import CoordinatesTask, vector_spec
from strategic_envs.evaluators.gap import Gap
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import StrategySet

__all__ = ["GaussianTask", "played", "raw"]

_GAMES = 4096  # joint draws behind one gradient
_SUPPORT = 2**14  # joint strategies that stand for the play


def _range(strategies: StrategySet) -> tuple[Tensor, Tensor] | None:
    """Lower ends and lengths of the box around a bounded set; None where RLlib does not rescale."""
    eye = torch.eye(strategies.dim, dtype=torch.float64)
    low, high = -strategies.support(-eye).value, strategies.support(eye).value
    return (low, high - low) if bool((low.isfinite() & high.isfinite()).all()) else None


def played(strategies: StrategySet, action: Tensor) -> Tensor:
    """The strategy that is played when RLlib draws `action`, both `(*batch, dim)`.

    Example:
        >>> from strategic_envs.sets import Box
        >>> played(Box(0, 4), torch.tensor([[0.0], [0.5], [9.0]])).squeeze(-1).tolist()
        [2.0, 3.0, 4.0]
    """
    box = _range(strategies)
    if box is not None:
        action = box[0] + (action.double().clamp(-1, 1) + 1) / 2 * box[1]
    return strategies.project(action.double())


def raw(strategies: StrategySet, x: Tensor) -> Tensor:
    """The action for which RLlib plays `x`: the inverse of `played` inside the set."""
    box = _range(strategies)
    return x if box is None else 2 * (x - box[0]) / box[1].clamp(min=torch.finfo(torch.float64).tiny) - 1


class GaussianTask(Task):
    """A continuous `Game` whose players draw from Gaussians; parameters are `[means, log standard deviations]`."""

    parameterisation: ClassVar[str] = "Gaussian mean and log deviation"
    fields: tuple[str, ...] = ("sampled",)
    step_size: ClassVar[float] = 0.1
    game: Game

    def __init__(self, game: Game, options: Options, deviation: float = 0.5) -> None:
        super().__init__(game, options)
        self.deviation = deviation

    def means(self) -> list[Tensor]:
        """Where each player's mean starts, as an action of RLlib's: at the point where other learners start."""
        start = CoordinatesTask(self.game, self.options).initial()
        return [raw(s, t) for s, t in zip(self.game.sets, start, strict=True)]

    def specs(self) -> tuple[RLModuleSpec, ...]:
        start = torch.tensor(self.deviation, dtype=torch.float64).log()
        return tuple(vector_spec(Coordinates, torch.cat([m, start.expand_as(m)])) for m in self.means())

    def _draw(self, x: Profile, draws: int, *names: str | int) -> list[Tensor]:
        """Actions before clipping, `(draws, d_i)`, independent between players."""
        actions = []
        for i, t in enumerate(x):
            mean, log_deviation = t.detach().double().chunk(2)
            stream = torch_stream(self.options.seed, "gaussian", i, *names)
            noise = torch.randn(draws, len(mean), generator=stream, dtype=torch.float64)
            actions.append(mean + log_deviation.exp() * noise)
        return actions

    def _point(self, actions: Sequence[Tensor]) -> Profile:
        return Profile(played(s, a) for s, a in zip(self.game.sets, actions, strict=True))

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        """The gradient with exact utilities of joint draws, which is itself an estimate (see the top of this file)."""
        x = Profile(flat_parameters(m) for m in modules)
        names = ("gradient",) if draw is None else ("gradient", draw.iteration, draw.call)
        actions = self._draw(x, self.options.games or _GAMES, *names)
        with torch.no_grad():
            weights = leave_one_out(self.game.utilities(self._point(actions)).movedim(-1, 0))
        gradients = []
        for i in players:
            mean, log_deviation = x[i].double().chunk(2)
            score = (actions[i] - mean) * (-log_deviation).exp()
            slope = torch.cat([score * (-log_deviation).exp(), score.square() - 1], dim=-1)
            gradients.append(weights[i] @ slope / len(slope))
        return gradients

    def play(self, modules: Sequence[TorchRLModule]) -> Independent:
        x = Profile(flat_parameters(m) for m in modules)
        draws = max(int(_SUPPORT ** (1 / len(x))), 1)
        points = self._point(self._draw(x, draws, "play"))
        weight = torch.full((draws,), 1.0 / draws, dtype=torch.float64)
        return Independent(tuple(points), tuple(weight for _ in points))

    def local_nash(self, modules: Sequence[TorchRLModule]) -> Gap:
        gradients = self.exact(modules, range(self.game.n_players), None)
        return Gap.largest([float(g.norm()) for g in gradients], exact=False)
