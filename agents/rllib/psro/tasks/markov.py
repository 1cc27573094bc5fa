"""Answering a mixture in a Markov game: softmax networks against tables, one drawn for each game."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.rllib.psro.episodes import play_markov, trembling
from strategic_envs.agents.rllib.psro.tasks.base import Response
from strategic_envs.agents.rllib.rollout_markov import discounted_weights
from strategic_envs.agents.rllib.sampling import Scores, cumulative, sum_scores
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, flat_gradient
from strategic_envs.agents.rllib.tasks.markov import MarkovTask
from strategic_envs.evaluators.expectation import initial_utilities
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.play import TabularPlay

__all__ = ["MarkovResponse"]

_GAMES, _HORIZON = 256, 100


class MarkovResponse(Response, MarkovTask):
    """A `MarkovGame`: a policy that is drawn once a game is no stationary policy, so mixtures have no table."""

    def provides(self, what: str) -> bool:
        return what != "welfare_gradient" and super().provides(what)  # a reply is to others, who stay as they are

    def _logits(self, player: int, module: TorchRLModule) -> tuple[Tensor, Tensor]:
        """What a player sees in all states, and its module's logits there."""
        states = torch.arange(self.game.n_states, device=next(module.parameters()).device)
        obs = self.game.observe(states, player)
        ask = module.forward_inference if module.inference_only else module.forward_train
        return obs, ask({Columns.OBS: obs})[Columns.ACTION_DIST_INPUTS]

    def _uniform(self, player: int) -> Tensor:
        return torch.full((self.game.n_actions[player],), 1 / self.game.n_actions[player], dtype=torch.float64)

    def _strategy(self, player: int, module: TorchRLModule) -> Tensor:
        logits = self._logits(player, module)[1].detach().cpu().double()
        if self.form == "greedy":
            return torch.nn.functional.one_hot(logits.argmax(-1), self.game.n_actions[player]).double()
        return logits.softmax(-1)

    # Gradients

    def _faced(self) -> None:
        self._cdfs: dict[int, Tensor] = {}

    def _theirs(self, player: int, tables: Tensor) -> Tensor:
        return trembling(tables, self._uniform(player), self.tremble)

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        gradients = []
        for i in players:
            table = self._logits(i, modules[i])[1].double().softmax(-1)
            mine, slope = self._theirs(i, table.detach().cpu()), torch.zeros(table.shape, dtype=torch.float64)
            for choice, weight in zip(*self.opponents.support(i), strict=True):
                tables = [self._theirs(j, self.held(j, int(k))) for j, k in zip(self.others(i), choice, strict=True)]
                tables.insert(i, mine)
                slope += weight * tabular_fields(self.game, TabularPlay(tuple(tables)))[i]
            gradients.append(flat_gradient(table, modules[i], ((1 - self.tremble) * slope).to(table)))
        return gradients

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        scores = [self._sampled(i, modules[i], generator) for i in range(self.game.n_players)]
        return Sample(scores, self._games * self._horizon * self.game.n_players)

    @property
    def _games(self) -> int:
        return self.options.games or _GAMES

    @property
    def _horizon(self) -> int:
        return self.options.horizon or _HORIZON

    def _sampled(self, player: int, module: TorchRLModule, generator: torch.Generator) -> Scores:
        """One player's scores against opponents that are drawn for each game."""
        device = generator.device
        obs, logits = self._logits(player, module)
        pure = logits.detach().to(device).double().softmax(-1)
        played = trembling(pure, self._uniform(player).to(device), self.tremble)
        cdfs, picks = [], list(self.opponents.draw(player, self._games, generator).T)
        for j in self.others(player):
            if j not in self._cdfs:
                self._cdfs[j] = cumulative(self._theirs(j, self.population(j)))
            cdfs.append(self._cdfs[j].to(device))
        cdfs.insert(player, cumulative(played).unsqueeze(0))
        picks.insert(player, torch.zeros(self._games, dtype=torch.int64, device=device))
        states, actions, payoffs = play_markov(self.game, cdfs, picks, self._horizon, generator)
        weights = discounted_weights(payoffs[..., player], self.game.discount).flatten()
        shape = (self.game.n_states, self.game.n_actions[player])
        share = (1 - self.tremble) * pure / played.clamp(min=torch.finfo(torch.float64).tiny)
        return Scores(obs, None, sum_scores(states.flatten(), actions[..., player].flatten(), weights, shape) * share)

    # Payoffs and play

    def payoffs(self, strategies: Sequence[Tensor]) -> Tensor:
        return initial_utilities(self.game, strategies)

    def trial(self, strategies: Sequence[Tensor], games: int, generator: torch.Generator) -> tuple[Tensor, int]:
        cdfs = [cumulative(s).unsqueeze(0).to(generator.device) for s in strategies]
        nobody = torch.zeros(games, dtype=torch.int64, device=generator.device)
        payoffs = play_markov(self.game, cdfs, [nobody] * len(cdfs), self._horizon, generator)[2]
        decay = self.game.discount ** torch.arange(self._horizon, dtype=payoffs.dtype, device=payoffs.device)
        return (1 - self.game.discount) * torch.einsum("t,tgn->gn", decay, payoffs), games * self._horizon

    def mixture(self, meta: MetaSolution) -> TabularPlay | None:
        picked = [(w > 0).nonzero().squeeze(-1) for w in meta.marginals]
        if any(len(p) > 1 for p in picked):
            return None
        return TabularPlay(tuple(self.held(i, int(p)) for i, p in enumerate(picked)))
