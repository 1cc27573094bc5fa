"""Answering a mixture in one-shot games: logits against mixed strategies, points against points.

Against frozen opponents each player has a utility of its own alone, `E_q u_i(x_i, q)`. These utilities make a `Game`
in which nobody depends on anybody; its exact field and all derivatives are what dynamics see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.dynamics import GameOracle
from strategic_envs.agents.rllib.modules import flat_parameters
from strategic_envs.agents.rllib.psro.episodes import play_one_shot, trembling
from strategic_envs.agents.rllib.psro.tasks.base import Response
from strategic_envs.agents.rllib.sampling import Scores, cumulative, leave_one_out, sum_scores
from strategic_envs.agents.rllib.tasks.base import Draw, Options, Sample
from strategic_envs.agents.rllib.tasks.coordinates import CoordinatesTask
from strategic_envs.agents.rllib.tasks.logits import LogitsTask
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.kinds.game import Game
from strategic_envs.play import Independent
from strategic_envs.profile import Profile

__all__ = ["CoordinatesResponse", "LogitsResponse"]

_GAMES = 4096


class LogitsResponse(Response, LogitsTask):
    """A `NormalFormGame`: utilities are linear in the others' mean mixed strategies."""

    def _strategy(self, player: int, module: TorchRLModule) -> Tensor:
        probability = flat_parameters(module).double().softmax(-1)
        if self.form == "greedy":
            return torch.nn.functional.one_hot(probability.argmax(), len(probability)).double()
        return probability

    def _given(self, player: int, policy: Any) -> Tensor:
        return _action(policy, self.game.n_actions[player])

    # Gradients

    def _slip(self, probability: Tensor) -> Tensor:
        return trembling(probability, torch.full_like(probability, 1 / probability.shape[-1]), self.tremble)

    def _faced(self) -> None:
        played = [self._slip(self.population(i)) for i in range(self.game.n_players)]
        self._cdfs = [cumulative(p) for p in played]
        self.pays = [self._pays(i, played) for i in range(self.game.n_players)]
        utilities = partial(_of_logits, self.pays, self.tremble)
        self._answer = GameOracle(Game(utilities, self.sets, name=f"answers in {self.game.name}"))

    def _pays(self, player: int, played: Sequence[Tensor]) -> Tensor:
        """What each action of a player pays against the mixture `(A_i,)`."""
        own = self.game.sets[player].centre()  # what is played oneself does not count
        total = torch.zeros_like(own)
        for choice, weight in zip(*self.opponents.support(player), strict=True):
            x = [played[j][k] for j, k in zip(self.others(player), choice.tolist(), strict=True)]
            total += weight * self.game.deviation_payoffs([*x[:player], own, *x[player:]], player)
        return total

    def closed_form(self, draw: Draw | None = None) -> GameOracle | None:
        return None if self.sampled else self._answer

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        parts = []
        for i in players:
            logits = flat_parameters(modules[i])
            p, q = logits.softmax(-1), self.pays[i].to(logits)
            parts.append((1 - self.tremble) * p * (q - (p * q).sum()))
        return parts

    def sample(self, modules: Sequence[TorchRLModule], generator: torch.Generator, draw: Draw | None = None) -> Sample:
        games, device = self.options.games or _GAMES, generator.device
        scores = []
        for i, module in enumerate(modules):
            pure = flat_parameters(module).to(device).double().softmax(-1)
            played = self._slip(pure)
            cdfs = [self._cdfs[j].to(device) for j in self.others(i)]
            picks = list(self.opponents.draw(i, games, generator).T)
            cdfs.insert(i, cumulative(played).unsqueeze(0))
            picks.insert(i, torch.zeros(games, dtype=torch.int64, device=device))
            actions, payoffs = play_one_shot(self.game, cdfs, picks, generator)
            row = torch.zeros(games, dtype=torch.int64, device=device)
            coefficient = sum_scores(row, actions[i], leave_one_out(payoffs[:, i]) / games, (1, len(pure)))
            scores.append(
                Scores(torch.zeros(1, 0, device=device), None, coefficient * (1 - self.tremble) * pure / played)
            )
        return Sample(scores, games * len(scores))

    # Payoffs and play

    def payoffs(self, strategies: Sequence[Tensor]) -> Tensor:
        return self.game.utilities(tuple(strategies))

    def trial(self, strategies: Sequence[Tensor], games: int, generator: torch.Generator) -> tuple[Tensor, int]:
        cdfs = [cumulative(s).unsqueeze(0).to(generator.device) for s in strategies]
        nobody = torch.zeros(games, dtype=torch.int64, device=generator.device)
        return play_one_shot(self.game, cdfs, [nobody] * len(cdfs), generator)[1], games

    def mixture(self, meta: MetaSolution) -> Independent:
        return Independent.pure(Profile(w @ self.population(i) for i, w in enumerate(meta.marginals)))


def _of_logits(pays: Sequence[Tensor], tremble: float, x: tuple[Tensor, ...]) -> Tensor:
    """What players' logits pay each of them against the mixture, up to what trembling adds."""
    return torch.stack([(1 - tremble) * (t.softmax(-1) * q.to(t)).sum(-1) for t, q in zip(x, pays, strict=True)], -1)


class CoordinatesResponse(Response, CoordinatesTask):
    """A `Game`: every policy is a point of a strategy set."""

    trembles: ClassVar[bool] = False
    plays: ClassVar[bool] = False

    def __init__(self, game: Game, options: Options, *, form: str = "parameters", tremble: float = 0.0) -> None:
        if game.joint is not None:
            raise InvalidGameError(
                f"{game.name}: what a player may play depends on the others, so no payoff table can be filled: "
                "use a dynamic, or a game whose players have sets of their own"
            )
        if options.field == "drawn":
            raise InvalidSettingError(
                f"{game.name}: got field='drawn', but policies are compared on data that stay the same: use 'exact'"
            )
        super().__init__(game, replace(options, field="exact"), form=form, tremble=tremble)

    def _strategy(self, player: int, module: TorchRLModule) -> Tensor:
        return flat_parameters(module).double()

    def _given(self, player: int, policy: Any) -> Tensor:
        return _action(policy, self.game.sets[player].dim)

    def _faced(self) -> None:
        self._met = [self._opposed(i) for i in range(self.game.n_players)]
        utilities = partial(_of_points, self.game, self._met)
        self._oracle = GameOracle(Game(utilities, self.game.sets, name=f"answers in {self.game.name}"))

    def _opposed(self, player: int) -> tuple[list[Tensor], Tensor]:
        """The others' points, for every joint choice of theirs `(c, d_j)`, and the probabilities `(c,)`."""
        choices, weights = self.opponents.support(player)
        return [self.population(j)[k] for j, k in zip(self.others(player), choices.T, strict=True)], weights

    def exact(self, modules: Sequence[TorchRLModule], players: Sequence[int], draw: Draw | None) -> list[Tensor]:
        x = self.point(modules)
        if len(players) == self.game.n_players:
            return list(self._oracle.game.field(x))
        return [self._oracle.game.field(x, i)[0] for i in players]

    def payoffs(self, strategies: Sequence[Tensor]) -> Tensor:
        return self.game.utilities(tuple(strategies))

    def mixture(self, meta: MetaSolution) -> Independent:
        held = [(w > 0).nonzero().squeeze(-1) for w in meta.marginals]
        points = tuple(self.population(i)[k] for i, k in enumerate(held))
        return Independent(points, tuple(w[k] / w[k].sum() for w, k in zip(meta.marginals, held, strict=True)))


def _action(policy: Any, actions: int) -> Tensor:
    """A vector as it is, and the number of an action as the strategy that always plays it, float64."""
    return policy.double() if isinstance(policy, Tensor) else torch.eye(actions, dtype=torch.float64)[policy]


def _of_points(game: Game, met: Sequence[tuple[Sequence[Tensor], Tensor]], x: tuple[Tensor, ...]) -> Tensor:
    """What each player's point pays it on average against the mixture."""
    pays = []
    for i, (points, weights) in enumerate(met):
        rows = [p.to(x[i]).expand(*x[i].shape[:-1], *p.shape) for p in points]
        rows.insert(i, x[i].unsqueeze(-2).expand(*x[i].shape[:-1], len(weights), x[i].shape[-1]))
        pays.append(game.utilities(tuple(rows))[..., i] @ weights.to(x[i]))
    return torch.stack(pays, -1)
