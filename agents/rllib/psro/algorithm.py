"""PSRO as an algorithm of RLlib: a training iteration adds one reply a player and finds the next meta-strategy.

Policies are frozen as flat vectors on the driver; learners and runners hold one module a player, the one that is being
trained, and are told whom it meets with every order that they get. A checkpoint holds the populations, the payoff
table, the state of the dynamic in the middle of a reply, and the counters from which all draws follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import ray
import torch
from ray.rllib.utils import force_list
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED, NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.machine import (
    Populations,
    PSROState,
    Reply,
    ResponseOracle,
    Simulator,
    advance,
    same_policy,
)
from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.dynamics import Outcome, state_to_dict
from strategic_envs.agents.rllib.algorithm import GameDynamics
from strategic_envs.agents.rllib.psro.config import DoubleOracleConfig
from strategic_envs.agents.rllib.psro.judge import judge_mixture, padded
from strategic_envs.agents.rllib.psro.opponents import Opponents
from strategic_envs.agents.rllib.psro.simulators import ExactPayoffs, SampledPayoffs
from strategic_envs.agents.rllib.psro.tasks import Response
from strategic_envs.agents.rllib.tasks.base import Play
from strategic_envs.profile import Profile

__all__ = ["DoubleOracle"]

_STATE = "psro"


class DoubleOracle(GameDynamics):
    """Policy-space response oracles; `train()` reports the gaps of the meta-strategy and the sizes of populations.

    The outcome is `"running"` until replies gain nothing (`"converged"`), none is new though they would (`"failed"`),
    or a gradient is not finite (`"nonfinite"`); `explain` says why, and whether it is proved.
    """

    config: DoubleOracleConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    task: Response

    @classmethod
    def get_default_config(cls) -> DoubleOracleConfig:
        return DoubleOracleConfig()

    def setup(self, config: Any) -> None:
        self._there: Opponents | ray.ObjectRef | None = None
        self._restored = 0
        super().setup(config)
        self.meta_solver = self.config.make_meta_solver(self.task)
        self.arena = self.config.make_arena(self.task)  # of exact replies
        self.responder = self._make_responder()
        self.simulator = self._make_simulator()
        first = [(policy,) for policy in self.task.first()]
        self.psro = PSROState.start(first if self.arena is None else self.arena.first())
        self.solution = MetaSolution((torch.ones(1).double(),) * self.psro.n_players, None, True, "the first policies")
        self.spent = 0
        self._judged: tuple[object, dict[str, Any]] | None = None
        self._face()

    # Whom replies meet

    def _each_learner(self, function: Callable[[Any], Any]) -> list[Any]:
        return super()._each_learner(self._facing(function))

    def _each_runner(self, function: Callable[[Any], Any]) -> list[Any]:
        return super()._each_runner(self._facing(function))

    def _facing(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self._there is None:
            return function
        return partial(_facing, function=function, version=self.task.opponents.version, there=self._there)

    def _face(self) -> None:
        """Workers will be told of the present populations and mixture with the next order they get."""
        version = (self._restored << 32) + 2 * self.psro.iteration + (self.psro.meta is not None) + 1
        there = Opponents.of(version, self.psro.populations, self.psro.meta)
        self.task.face(there)
        remote = self.config.num_env_runners or self.config.num_learners
        self._there = ray.put(there) if remote else there

    # Work

    def training_step(self) -> None:
        steps, units = self.oracle.steps, self.config.units_per_iteration
        if units is None:
            while self.outcome == "running" and not self._unit():
                pass
        else:
            for _ in range(units):
                self._unit()
        self._publish()
        made = self.oracle.steps - steps
        self.metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED), made, reduce="sum")
        self.metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), made, reduce="lifetime_sum")

    def _unit(self) -> bool:
        """One unit of work; whether it found a meta-strategy."""
        before = self.psro
        if before.outcome is not None:
            return False
        if self._trains(before):
            self._step()
        else:
            same = same_policy if self.arena is None else self.arena.same
            how = {"tolerance": float(self.config.tolerance), "same": same}
            self.psro = advance(before, self.responder, self.simulator, self.meta_solver, **how)
        found = before.meta is None and self.psro.meta is not None
        if found:
            assert self.psro.meta is not None
            self.solution = self.psro.meta
        if found or self.psro.iteration != before.iteration:
            self._face()
        if found and self.config.oracle == "learned":
            self.state, self.spent = self.dynamic.init(self._start().to(self._device()), self.oracle), 0
        if self.psro.outcome is not None:
            self.outcome = str(self.psro.outcome)
        return found

    def _trains(self, state: PSROState) -> bool:
        """Whether the next unit of work is a step of the dynamic: replies are wanted and not trained yet."""
        wanted = state.meta is not None and not len(state.table.missing()) and state.replies[0] is None
        return wanted and self.config.oracle == "learned" and self.spent < self.config.oracle_steps

    def _step(self) -> None:
        """One step of the dynamic, for the replies of all players."""
        self.oracle.begin(watch=self.point())
        state = self.dynamic.step(self.state, self.oracle)
        self.oracle.end()
        if not self.oracle.finite or not all(bool(t.isfinite().all()) for t in state_to_dict(state).values()):
            reason = f"step {self.spent + 1} of the replies gave parameters or gradients that are not finite"
            self.psro = replace(self.psro, outcome=Outcome.NONFINITE, reason=reason)
            return
        self.state, self.spent = state, self.spent + 1
        if self._status() != "running":  # a method of one start has come to its end
            self.spent = self.config.oracle_steps

    def _start(self) -> Profile:
        """Where the replies to the present mixture start."""
        how = self.config.warm_start or ("shrunk" if self.task.parameterisation == "network" else "fresh")
        fresh = self.task.fresh(self.psro.iteration)
        if how == "fresh":
            return fresh
        chosen = [-1] * self.psro.n_players
        if how != "newest":
            chosen = [int(pay.argmax()) for pay in self._deviations()]
        start = Profile(p[k] for p, k in zip(self.psro.populations, chosen, strict=True))
        return 0.5 * start + 0.5 * fresh if how == "shrunk" else start

    def _deviations(self) -> list[Tensor]:
        """What each policy of each player pays against the mixture, by the table."""
        meta, mean = self.psro.meta, self.psro.table.mean
        assert meta is not None
        players = range(self.psro.n_players)
        return [mean[i].movedim(i, 0).flatten(1) @ meta.others(i).reshape(-1) for i in players]

    def reply(self, player: int, state: PSROState) -> Reply:
        """What the dynamic has reached, as a frozen policy."""
        policy = self.point()[player].detach().to("cpu").clone()
        if self.config.payoffs == "sampled":
            return Reply(policy)
        return Reply(policy, self.task.met(player, self.task.strategy(player, policy)))

    def _make_responder(self) -> ResponseOracle:
        if self.config.oracle == "learned":
            return self
        if self.arena is not None:
            return self.arena
        from strategic_envs.agents.rllib.psro.stock import StockReplies

        return StockReplies(self.config, self.task, self._count)

    def _make_simulator(self) -> Simulator:
        if self.config.payoffs == "exact":
            return self.arena or ExactPayoffs(self.task, self.config.cells_per_unit)
        runners = max(1, self.config.num_env_runners or 0)
        games = -(-self.config.games_per_cell // runners)
        return SampledPayoffs(self._each_runner, games, self.config.cells_per_unit, self._count)

    def _count(self, steps: int) -> None:
        self.oracle.steps += steps

    # Reports

    def moved(self) -> bool:
        """Whether a population has grown."""
        return any(len(policies) > 1 for policies in self.psro.populations)

    def path(self) -> None:
        """PSRO follows no path of points."""

    def explain(self) -> str:
        return self.psro.reason

    def step(self) -> dict[str, Any]:
        return {**super().step(), **self.progress()}

    def progress(self) -> dict[str, Any]:
        """How far the run is: iterations completed, sizes of populations and supports, steps of the present reply."""
        players = range(self.psro.n_players)
        return {
            "psro_iteration": self.psro.iteration,
            "reply_steps": self.spent if self.config.oracle == "learned" else 0,
            "meta_solved": float(self.solution.solved),
            **{f"population_{i}": len(self.psro.populations[i]) for i in players},
            **{f"support_{i}": int((self.solution.marginals[i] > 1e-12).sum()) for i in players},
        }

    def mixture(self) -> tuple[Populations, tuple[Tensor, ...]]:
        """The populations, and with which probabilities each player draws a policy of its own before a game."""
        sizes = [len(p) for p in self.psro.populations]
        return self.psro.populations, padded(self.solution, sizes).marginals

    def play(self) -> Play | None:
        """The play in which each player draws a policy once a game; None where no play of the game's kind is that."""
        marginals = self.mixture()[1]
        return self.task.mixture(MetaSolution(marginals, None, self.solution.solved, self.solution.name))

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """The gaps of the last meta-strategy, see `judge_mixture`. It draws nothing."""
        callbacks: Any = force_list(self.callbacks)
        for callback in callbacks:
            callback.on_evaluate_start(algorithm=self, metrics_logger=self.metrics)
        if self._judged is None or self._judged[0] is not self.solution:
            self._judged = self.solution, judge_mixture(self.task, self.solution, self.psro.table)
        gaps = dict(self._judged[1])
        for callback in callbacks:
            callback.on_evaluate_end(algorithm=self, metrics_logger=self.metrics, evaluation_metrics=gaps)
        return gaps

    def about(self) -> dict[str, Any]:
        return {
            **super().about(),
            "agent": "double_oracle" if self.config.oracle == "exact" else "psro",
            "oracle": self.config.oracle,
            "meta_solver": repr(self.meta_solver),
            "psro_iteration": self.psro.iteration,
        }

    # Checkpoints

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {
            **super().get_state(*args, **kwargs),
            _STATE: {"state": self.psro, "solution": self.solution, "spent": self.spent},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        if _STATE in state:
            own = state[_STATE]
            self.psro, self.solution, self.spent = own["state"], own["solution"], own["spent"]
            self._judged, self._restored = None, self._restored + 1
            self._face()
        super().set_state(state)


def _facing(worker: Any, function: Callable[[Any], Any], version: int, there: Any) -> Any:
    """Calls a function with a learner or runner that meets the right opponents, here or in another process."""
    if worker.task.opponents.version != version:
        worker.task.face(ray.get(there) if isinstance(there, ray.ObjectRef) else there)
    return function(worker)
