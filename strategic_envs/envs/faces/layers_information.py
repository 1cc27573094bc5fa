"""Who sees what: the information structures of DGNOpt as observations and rewards.

| information | a layer knows | its reward |
|---|---|---|
| `open_loop` (OLNE) | what stood when the cycle began: nobody has seen another move | its own utility |
| `closed_loop` (FNE) | also what the stages before it have made of the states | its own utility |
| `cooperative` (GR; in parallel O-CG) | also the updates that the other layers have chosen last | the group's utility |

The group's utility is minus the loss minus all players' weight decays. All layers moving at once can know nothing of
one another's moves, so there is no closed loop in parallel, and cooperation is with the last cycle's moves.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.2 and table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from strategic_envs.errors import UnknownNameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import State
from strategic_envs.profile import Profile

__all__ = ["INFORMATION", "OBSERVATIONS", "Views", "state_changes"]

INFORMATION = ("open_loop", "closed_loop", "cooperative")
OBSERVATIONS = ("features", "gradient", "states")


class Views:
    """The observations of all players: float32 vectors.

    `features`: the loss, the share of the episode that is over, the norm of the layer's weights and of its gradient.
    `gradient`: the layer's part of the ascent field. `states`: the features, and for each state `x_0 .. x_t` up to the
    layer's own stage t the root mean square of its change since the cycle began (in the open loop `x_0` alone). With
    `cooperative` information follow, for every other player in order, its last update in full (after `gradient`), or
    that update's norm and its inner product with that player's gradient: what it gains to first order.

    Args:
        game: The game.
        observation: `features`, `gradient` or `states`.
        information: `open_loop`, `closed_loop` or `cooperative`.

    Raises:
        UnknownNameError: If there is no such observation or information.
    """

    def __init__(self, game: DynamicGame, observation: str, information: str) -> None:
        if observation not in OBSERVATIONS:
            raise UnknownNameError("observation", observation, OBSERVATIONS)
        if information not in INFORMATION:
            raise UnknownNameError("information", information, INFORMATION)
        self.observation, self.information = observation, information
        self.cooperative = information == "cooperative"
        self._seen = [1 if information == "open_loop" else t + 1 for t, _ in game.players]
        self.spaces = [self._space(game, i) for i in range(game.n_players)]

    def _space(self, game: DynamicGame, player: int) -> spaces.Box:
        inf, others = np.inf, [d for j, d in enumerate(game.dims) if j != player]
        if self.observation == "gradient":
            size = game.dims[player] + (sum(others) if self.cooperative else 0)
            return spaces.Box(-inf, inf, (size,), np.float32)
        low, high = [0.0, 0.0, 0.0, 0.0], [inf, 1.0, inf, inf]
        if self.observation == "states":
            low, high = low + [0.0] * self._seen[player], high + [inf] * self._seen[player]
        if self.cooperative:
            low, high = low + [0.0, -inf] * len(others), high + [inf, inf] * len(others)
        return spaces.Box(np.array(low, np.float32), np.array(high, np.float32))

    def see(
        self,
        player: int,
        *,
        loss: float,
        share: float,
        weights: Profile,
        field: Profile,
        changes: Sequence[float],
        last: Sequence[NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """What a player sees.

        Args:
            player: Which.
            loss: The loss.
            share: The share of the episode that is over.
            weights: All weights.
            field: The ascent field.
            changes: The change of each state since the cycle began.
            last: Every player's last update.
        """
        others = [j for j in range(len(last)) if j != player] if self.cooperative else []
        if self.observation == "gradient":
            own = field[player].cpu().numpy().astype(np.float32)
            return np.concatenate([own, *(last[j] for j in others)])
        values = [loss, share, float(weights[player].norm()), float(field[player].norm())]
        if self.observation == "states":
            values += list(changes[: self._seen[player]])
        for j in others:
            slope = float(field[j].cpu().double() @ torch.from_numpy(last[j]).double())
            values += [float(np.linalg.norm(last[j])), slope]
        return np.array(values, dtype=np.float32)

    def rewards(self, loss: float, utilities: Sequence[float]) -> list[float]:
        """What each player is paid: its own utility, or in cooperation the group's."""
        if not self.cooperative:
            return list(utilities)
        return [sum(u + loss for u in utilities) - loss] * len(utilities)  # the loss counts once, every decay once


def state_changes(now: Sequence[State], before: Sequence[State]) -> list[float]:
    """The root mean square of the change of each state, over samples and slots.

    Example:
        >>> state_changes([(torch.ones(2, 3), torch.zeros(2, 1))], [(torch.zeros(2, 3), torch.zeros(2, 1))])
        [0.8660253882408142]
    """
    return [_root_mean_square([a - b for a, b in zip(x, y, strict=True)]) for x, y in zip(now, before, strict=True)]


def _root_mean_square(slots: Sequence[Tensor]) -> float:
    return float(torch.cat([slot.reshape(-1) for slot in slots]).square().mean().sqrt())
