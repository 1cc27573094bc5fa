"""The oracle over RLlib: `field(x)` loads x into the modules, samples, and returns raw policy gradients.

Every dynamic of `agents/dynamics` runs on it unchanged, as far as the task gives the derivatives that it needs. Weights
travel to the runners together with the order to sample, so that none can play with old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.oracle import Oracle
from strategic_envs.agents.rllib.tasks.base import Draw, Sample, Task
from strategic_envs.profile import Profile

if TYPE_CHECKING:
    from strategic_envs.agents.rllib.learner import GameLearner
    from strategic_envs.agents.rllib.runner import BatchedEnvRunner

__all__ = ["RLlibOracle"]


class RLlibOracle(Oracle):
    """The field of a task, computed by learners from what runners play.

    Args:
        task: The task of the game.
        each_learner: Calls a function with every learner and returns the list of answers.
        each_runner: The same for every runner that samples.

    `iteration`, `call` and `draws` count what was drawn, `steps` the environment steps; `finite` turns False when a
    gradient is NaN or infinite, and stays so until `begin`.
    """

    def __init__(
        self,
        task: Task,
        each_learner: Callable[[Callable[[GameLearner], Any]], list[Any]],
        each_runner: Callable[[Callable[[BatchedEnvRunner], Any]], list[Any]],
    ) -> None:
        super().__init__(task.sets)
        self.name = f"{task.game.name} through RLlib"
        self.joint = getattr(task.closed_form(), "joint", None)  # strategies of all players may be tied together
        self.task = task
        self._each_learner = each_learner
        self._each_runner = each_runner
        self.iteration, self.call, self.steps, self.draws = 0, 0, 0, 0
        self._measuring = self._holding = False
        self.finite = True
        self._watched: Profile | None = None
        self._seen: Profile | None = None

    def begin(self, watch: Profile) -> None:
        """Starts an iteration: a new minibatch, and a watch for the field at the profile that is played."""
        self._watched, self._seen, self.finite = watch, None, True

    def end(self) -> None:
        """Ends an iteration."""
        self._watched, self._seen = None, None
        self.iteration += 1

    def seen(self) -> Profile:
        """The field at the watched profile: the first that the dynamic asked for, or one that is computed now."""
        if self._seen is None:
            assert self._watched is not None, "seen() is called between begin() and end()"
            with self.uncounted():
                self._seen = self.field(self._watched)
        return self._seen

    def load(self, x: Profile) -> None:
        """Writes a profile into all learners and runners."""
        flat = x.detach().clone()
        self._each_learner(partial(_load, x=flat))
        self._each_runner(partial(_load, x=flat))

    def drawn(self, x: Profile) -> tuple[Draw, Sample | None]:
        """What a learner that takes its steps itself needs at a profile: the next draw, and play where it is sampled.

        It counts as one call of the field.
        """
        self.calls["field"] += 1
        draw = self._next()
        return draw, self._sample(x.detach().clone(), draw) if self.task.sampled else None

    def _field(self, x: Profile, player: int | None) -> Profile:
        flat, draw, players = x.detach().clone(), self._next(), self._players(player)
        sample = self._sample(flat, draw) if self.task.sampled else None
        answers = self._each_learner(partial(_differentiate, x=flat, players=players, draw=draw, sample=sample))
        parts = answers if self.task.sampled else answers[:1]
        field = Profile(torch.stack(part).sum(0).to(x[0]) for part in zip(*parts, strict=True))
        self.finite = self.finite and bool(field.isfinite())
        if self._seen is None and player is None and _same(x, self._watched):
            self._seen = field
        return field

    def provides(self, what: str) -> bool:
        return self.task.provides(what)

    def _jvp(self, x: Profile, v: Profile) -> Profile:
        return self._derivative("jvp", x, v)

    def _vjp(self, x: Profile, w: Profile) -> Profile:
        return self._derivative("vjp", x, w)

    def _hessian(self, x: Profile, i: int, j: int | None) -> Tensor:
        return self._derivative("hessian", x, i, j)

    def _jacobian(self, x: Profile) -> Tensor:
        return self._derivative("jacobian", x)

    def _welfare_gradient(self, x: Profile, weights: Sequence[float] | None) -> Profile:
        return self._derivative("welfare_gradient", x, weights)

    def _welfare_hessian(self, x: Profile, weights: Sequence[float] | None) -> Tensor:
        return self._derivative("welfare_hessian", x, weights)

    def _derivative(self, what: str, x: Profile, *arguments: Any) -> Any:
        """Asks the first learner, where the modules are; derivatives are exact, so all would say the same."""
        draw = Draw(self.iteration, self.call, self._last_data())
        ask = partial(_derive, what=what, x=x.detach().clone(), draw=draw, arguments=arguments)
        answer = self._each_learner(ask)[0].to(x[0])
        self.finite = self.finite and bool(answer.isfinite().all() if isinstance(answer, Tensor) else answer.isfinite())
        return answer

    def _sample(self, flat: Profile, draw: Draw) -> Sample:
        samples = self._each_runner(partial(_play, x=flat, draw=draw))
        if not samples:
            raise RuntimeError("no runner answered: all of them have failed, and none has been restored yet")
        sample = Sample.mean(samples)
        self.steps += sample.steps
        return sample

    def _next(self) -> Draw:
        self.call += 1
        if self.task.drawn and not (self._measuring or self._holding):
            self.draws += 1
        return Draw(self.iteration, self.call - 1, self._last_data())

    def _last_data(self) -> int | None:
        """The draw of data that calls see now; None for the data that the game holds, on which is measured."""
        return self.draws - 1 if self.draws and not self._measuring else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Calls inside this context see one and the same draw of data, the next one."""
        self.draws, self._holding = self.draws + int(self.task.drawn), True
        try:
            yield
        finally:
            self._holding = False

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Calls inside this context are measurements: not counted, and on the data that the game holds."""
        before, self._measuring = self._measuring, True
        try:
            with super().uncounted():
                yield
        finally:
            self._measuring = before

    def _players(self, player: int | None) -> Sequence[int]:
        return range(self.task.game.n_players) if player is None else (player,)


# What is called on learners and runners, here or in other processes.


def _load(worker: Any, x: Profile) -> None:
    worker.load(x)


def _play(runner: Any, x: Profile, draw: Draw) -> Sample:
    runner.load(x)
    return runner.sample(draw=draw)


def _differentiate(learner: Any, x: Profile, players: Sequence[int], draw: Draw, sample: Sample | None) -> list[Tensor]:
    learner.load(x)
    gradients = learner.field(players, draw, sample)
    return [g.cpu() for g in gradients] if learner.config.num_learners else gradients


def _derive(learner: Any, what: str, x: Profile, draw: Draw, arguments: Sequence[Any]) -> Any:
    learner.load(x)
    answer = learner.derivative(what, draw, arguments)
    return answer.to("cpu") if learner.config.num_learners else answer


def _same(x: Profile, y: Profile | None) -> bool:
    return y is not None and (x is y or all(torch.equal(a, b) for a, b in zip(x, y, strict=True)))
