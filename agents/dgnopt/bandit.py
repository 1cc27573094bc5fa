"""Which alignment to play next: a multi-armed bandit over the alignments of one network.

An arm is an alignment (which layer moves in which stage), its reward the validation accuracy after a step. The rewards
of all arms drift while the network learns; EXP3++ (Seldin and Slivkins, ICML 2014; parameters of Seldin and Lugosi,
COLT 2017) has regret bounds for fixed and for drifting rewards alike, and is the bandit of Liu, Chen and Theodorou
(ICML 2021, section 5.2). Two plain choices stand beside it: one arm for ever, and an arm at random.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np

from strategic_envs.errors import InvalidSettingError, OutOfOrderError
from strategic_envs.seeding import numpy_stream

__all__ = ["Bandit", "Exp3PP", "FixedArm", "RandomArm"]

_CONFIDENCE = 3.0  # alpha
_EXPLORATION = 256.0  # beta


@runtime_checkable
class Bandit(Protocol):
    """What a chooser of arms does: `choose`, then `update` with the reward of the arm that was chosen."""

    arms: int

    def choose(self) -> int:
        """The number of the arm to play now."""
        ...

    def update(self, reward: float) -> None:
        """Takes in the reward, in [0, 1], of the arm chosen last."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on as if it had never stopped."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a state that `state_dict` gave."""
        ...


class FixedArm:
    """Always the same arm.

    Args:
        arms: How many arms there are.
        arm: The one to play.

    Raises:
        InvalidSettingError: If there is no such arm.

    Example:
        >>> FixedArm(3, arm=1).choose()
        1
    """

    def __init__(self, arms: int, arm: int = 0) -> None:
        _check_arms(arms)
        if type(arm) is not int or not 0 <= arm < arms:
            raise InvalidSettingError(f"got arm={arm!r} of {arms} arms, expected one of 0..{arms - 1}")
        self.arms, self.arm = arms, arm

    def choose(self) -> int:
        """The one arm."""
        return self.arm

    def update(self, reward: float) -> None:
        """Checks the reward and forgets it."""
        _check_reward(reward)

    def state_dict(self) -> dict[str, Any]:
        """The arm."""
        return {"arms": self.arms, "arm": self.arm}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the arm of a saved state."""
        _check_same_arms(self.arms, state)
        self.arm = state["arm"]


class RandomArm:
    """An arm drawn uniformly each time.

    Args:
        arms: How many arms there are.
        seed: The seed of the draws.

    Example:
        >>> sorted({RandomArm(3, seed=s).choose() for s in range(20)})
        [0, 1, 2]
    """

    def __init__(self, arms: int, seed: int = 0) -> None:
        _check_arms(arms)
        self.arms = arms
        self._random = numpy_stream(seed, "bandit")

    def choose(self) -> int:
        """A new draw."""
        return int(self._random.integers(self.arms))

    def update(self, reward: float) -> None:
        """Checks the reward and forgets it."""
        _check_reward(reward)

    def state_dict(self) -> dict[str, Any]:
        """The state of the generator."""
        return {"arms": self.arms, "random": self._random.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draws go on where the saved ones stopped."""
        _check_same_arms(self.arms, state)
        self._random.bit_generator.state = state["random"]


class Exp3PP:
    """EXP3++: exponential weights on importance-weighted losses, with exploration that shrinks for arms known as bad.

    Losses are `1 - reward`. Every arm is played once first; then an arm is drawn from

        p(a) = (1 - sum_b eps(b)) rho(a) + eps(a),   rho(a) proportional to exp(-eta_t * loss estimate of a),

    with `eta_t = sqrt(ln K / (t K)) / 2` and `eps(a) = min(1/(2K), eta_t, 256 ln t / (t gap(a)^2))`, where `gap(a)` is
    a lower confidence bound of how much worse the arm is than the best one.

    Args:
        arms: How many arms there are, K.
        seed: The seed of the draws.

    Raises:
        InvalidSettingError: If there is not one arm at least, or a reward is outside [0, 1].
        OutOfOrderError: If a reward comes before an arm was chosen.

    Example:
        >>> bandit = Exp3PP(2, seed=0)
        >>> for _ in range(2000):
        ...     arm = bandit.choose()
        ...     bandit.update(0.8 if arm == 1 else 0.2)
        >>> int(bandit.pulls.argmax()), bool(bandit.pulls[1] > 1700)
        (1, True)
    """

    def __init__(self, arms: int, seed: int = 0) -> None:
        _check_arms(arms)
        self.arms = arms
        self.pulls = np.zeros(arms, dtype=np.int64)
        self._losses = np.zeros(arms)  # as they came
        self._weighted = np.zeros(arms)  # each divided by the chance of its arm: unbiased
        self._chosen: tuple[int, float] | None = None
        self._random = numpy_stream(seed, "bandit")

    def probabilities(self) -> np.ndarray:
        """The chances of the arms in the next round, shape `(K,)`; they add up to one."""
        unplayed = self.pulls == 0
        if unplayed.any():
            return np.eye(self.arms)[int(unplayed.argmax())]
        if self.arms == 1:
            return np.ones(1)
        t, k = int(self.pulls.sum()) + 1, self.arms
        rate = 0.5 * math.sqrt(math.log(k) / (t * k))
        weights = np.exp(-rate * (self._weighted - self._weighted.min()))
        mean = self._losses / self.pulls
        width = np.sqrt((_CONFIDENCE * math.log(t) + math.log(k)) / (2 * self.pulls))
        upper, lower = np.clip(mean + width, 0, 1), np.clip(mean - width, 0, 1)
        gap = np.maximum(0, lower - upper.min())
        known = np.divide(_EXPLORATION * math.log(t), t * gap**2, out=np.full(k, np.inf), where=gap > 0)
        explore = np.minimum(min(1 / (2 * k), rate), known)
        p = (1 - explore.sum()) * weights / weights.sum() + explore
        return p / p.sum()

    def choose(self) -> int:
        """Draws an arm; a draw whose reward never came is forgotten."""
        p = self.probabilities()
        arm = int(self._random.choice(self.arms, p=p))
        self._chosen = arm, float(p[arm])
        return arm

    def update(self, reward: float) -> None:
        """Takes in the reward of the arm chosen last."""
        _check_reward(reward)
        if self._chosen is None:
            raise OutOfOrderError("got a reward before an arm was chosen: call choose() first, once for each reward")
        arm, chance = self._chosen
        self.pulls[arm] += 1
        self._losses[arm] += 1 - reward
        self._weighted[arm] += (1 - reward) / chance
        self._chosen = None

    def state_dict(self) -> dict[str, Any]:
        """Counts, losses and the state of the generator, in plain Python objects."""
        return {
            "arms": self.arms,
            "pulls": self.pulls.tolist(),
            "losses": self._losses.tolist(),
            "weighted": self._weighted.tolist(),
            "chosen": self._chosen,
            "random": self._random.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where the saved bandit stopped."""
        _check_same_arms(self.arms, state)
        self.pulls = np.array(state["pulls"], dtype=np.int64)
        self._losses, self._weighted = np.array(state["losses"]), np.array(state["weighted"])
        self._chosen = None if state["chosen"] is None else (state["chosen"][0], state["chosen"][1])
        self._random.bit_generator.state = state["random"]


def _check_arms(arms: int) -> None:
    if type(arms) is not int or arms < 1:
        raise InvalidSettingError(f"got arms={arms!r}, expected a whole number >= 1: one for each alignment")


def _check_reward(reward: float) -> None:
    if not 0 <= reward <= 1:  # also refuses nan
        raise InvalidSettingError(f"got the reward {reward!r}, expected a number in [0, 1], such as an accuracy")


def _check_same_arms(arms: int, state: dict[str, Any]) -> None:
    if state["arms"] != arms:
        raise InvalidSettingError(f"got a saved bandit of {state['arms']} arms, expected {arms}: build it with as many")
