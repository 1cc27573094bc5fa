"""Small games, one kind each, and one Ray session for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from strategic_envs.games.kinds.markov import MarkovGame, Outcomes
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame


class TwoRooms(MarkovGame):
    """Two rooms, two players: equal actions keep the room, different ones change it with probability `slip`."""

    name = "two_rooms"
    n_states = 2
    n_actions = (2, 2)
    discount = 0.5

    def __init__(self, slip: float = 1.0) -> None:
        self.slip = slip

    def initial(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([0]), torch.tensor([1.0], dtype=torch.float64)

    def outcomes(self, state: Tensor, actions: Tensor) -> Outcomes:
        differ = (actions[..., 0] != actions[..., 1]).to(torch.int64)
        moved = torch.where(differ == 1, 1 - state, state)
        slip = torch.full(state.shape, self.slip, dtype=torch.float64)
        bonus = 1.0 + state.double()
        payoff = torch.stack([bonus * (1 - differ), 2 * bonus * differ + actions[..., 1]], dim=-1)
        if self.slip == 1.0:
            return Outcomes(moved.unsqueeze(-1), torch.ones_like(slip).unsqueeze(-1), payoff)
        return Outcomes(torch.stack([moved, state], -1), torch.stack([slip, 1 - slip], -1), payoff)

    def observe(self, state: Tensor, player: int) -> Tensor:
        return torch.nn.functional.one_hot(state, 2).float()


class Nim(TurnBasedGame):
    """Take one or two of four stones; who takes the last wins. A state is `stones + 8 * moves`."""

    name = "nim"
    n_players = 2
    n_actions = 2
    max_moves = 4

    def initial(self) -> int:
        return 4

    def mover(self, state: Tensor) -> Tensor:
        return (state // 8) % 2

    def legal(self, state: Tensor) -> Tensor:
        return (state % 8).unsqueeze(-1) >= torch.tensor([1, 2], device=state.device)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        return state + 8 - (action + 1)

    def terminal(self, state: Tensor) -> Tensor:
        return state % 8 == 0

    def returns(self, state: Tensor) -> Tensor:
        winner = torch.nn.functional.one_hot((state // 8 + 1) % 2, 2).double()
        return (2 * winner - 1) * self.terminal(state).unsqueeze(-1)

    def observe(self, state: Tensor, player: Tensor | int) -> Tensor:
        return torch.nn.functional.one_hot(state % 8, 5).float()


@pytest.fixture
def two_rooms() -> TwoRooms:
    return TwoRooms()


@pytest.fixture
def slippery_rooms() -> TwoRooms:
    return TwoRooms(slip=0.7)


@pytest.fixture
def nim() -> Nim:
    return Nim()


@pytest.fixture
def pennies() -> NormalFormGame:
    return NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]], name="pennies")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    from strategic_envs.agents.rllib import session

    with session():
        yield
