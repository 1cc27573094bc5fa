"""Markov games with finite states and actions: batched outcomes, tables when small, exact dynamic programming.

A subclass writes `outcomes`: for a batch of states and joint actions, the next states with their probabilities, and
the payoffs. Everything else follows. Values are discounted sums; where they are reported as utilities they are
multiplied by 1 - discount, so that they are averages per period, in the units of a single period's payoff.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.sparse import solve_sparse

__all__ = ["MarkovGame", "MarkovTables", "Outcomes"]

_TABLE_LIMIT = 2**26  # numbers in the largest table: half a gibibyte in float64
_DENSE_LIMIT = 2048  # states up to which values are solved for with a dense matrix


class Outcomes(NamedTuple):
    """What may happen: `next_state` and `probability` of shape `(*batch, K)`, `payoff` of shape `(*batch, n)`."""

    next_state: Tensor
    probability: Tensor
    payoff: Tensor


@dataclass(frozen=True, eq=False)
class MarkovTables:
    """All outcomes: joint actions are numbered row-major, player 0 slowest.

    Args:
        next_state: `(S, J, K)`, `probability`: `(S, J, K)`, `payoff`: `(S, J, n)`, float64.
        actions: The joint actions `(J, n)`.
        initial: The distribution of the initial state `(S,)`.
    """

    next_state: Int[Tensor, "S J K"]
    probability: Float[Tensor, "S J K"]
    payoff: Float[Tensor, "S J n"]
    actions: Int[Tensor, "J n"]
    initial: Float[Tensor, " S"]


class MarkovGame(ABC):
    """A discounted Markov game with simultaneous moves.

    A subclass sets `name`, `n_states`, `n_actions` (one number a player) and `discount` in [0, 1). One in which players
    take turns sets `periods_between_moves` too, and ignores the actions of those whose turn it is not.
    """

    name: str = "markov"
    n_states: int
    n_actions: tuple[int, ...]
    discount: float
    periods_between_moves: int = 1

    @property
    def n_players(self) -> int:
        """The number of players."""
        return len(self.n_actions)

    @property
    def move_discount(self) -> float:
        """The discount factor from a player's move to its next one: that of learners who see only their own turns."""
        return self.discount**self.periods_between_moves

    @abstractmethod
    def initial(self) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """The possible initial states and their probabilities."""

    @abstractmethod
    def outcomes(self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"]) -> Outcomes:
        """Next states, probabilities (float64) and payoffs (float64) of joint actions."""

    @abstractmethod
    def observe(self, state: Int[Tensor, "*batch"], player: int) -> Float[Tensor, "*batch obs"]:
        """What a player sees of a state, float32."""

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k != "_tables"}  # they are built again when they are needed

    def known(self) -> Known:
        """The analytic facts of this game."""
        return Known()

    def check_actions(self, actions: Int[Tensor, "*batch n"]) -> None:
        """Refuses joint actions of the wrong shape or dtype, or out of range.

        Raises:
            InvalidStrategyError: For a wrong shape or dtype.
            IllegalActionError: For an action out of range.
        """
        if actions.is_floating_point() or actions.dtype == torch.bool or actions.shape[-1:] != (self.n_players,):
            raise InvalidStrategyError(
                f"{self.name}: got actions of dtype {actions.dtype} and shape {tuple(actions.shape)}, "
                f"expected integers of shape (*batch, {self.n_players})"
            )
        limits = torch.tensor(self.n_actions, device=actions.device)
        bad = (actions < 0) | (actions >= limits)
        if bool(bad.any()):
            row = bad.reshape(-1, self.n_players).nonzero()[0]
            got = int(actions.reshape(-1, self.n_players)[row[0], row[1]])
            limit = self.n_actions[int(row[1])]
            who = f"{self.name}, player_{int(row[1])}"
            raise IllegalActionError(f"{who}: got action {got}, expected 0..{limit - 1}")

    def sample_initial(self, batch: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """Initial states of `batch` games, on the generator's device."""
        states, probability = self.initial()
        device = generator.device
        if len(states) == 1:
            return states.to(device).expand(batch).clone()
        drawn = torch.multinomial(probability.to(device), batch, replacement=True, generator=generator)
        return states.to(device)[drawn]

    def step(
        self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"], generator: torch.Generator
    ) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch n"]]:
        """One period of a batch of games: next states, drawn, and payoffs."""
        outcome = self.outcomes(state, actions)
        if outcome.next_state.shape[-1] == 1:
            return outcome.next_state.squeeze(-1), outcome.payoff
        flat = outcome.probability.reshape(-1, outcome.probability.shape[-1])
        drawn = torch.multinomial(flat, 1, generator=generator).reshape(*state.shape, 1)
        return outcome.next_state.gather(-1, drawn).squeeze(-1), outcome.payoff

    @cached_property
    def _tables(self) -> MarkovTables:
        joint = math.prod(self.n_actions)
        actions = torch.cartesian_prod(*(torch.arange(a) for a in self.n_actions)).reshape(joint, self.n_players)
        probe = self.outcomes(torch.zeros(1, dtype=torch.int64), actions[:1])
        size = self.n_states * joint * max(probe.next_state.shape[-1], self.n_players)
        if size > _TABLE_LIMIT:
            raise InvalidGameError(
                f"{self.name}: its tables would hold {size:,} numbers ({self.n_states:,} states, "
                f"{joint:,} joint actions), "
                f"more than {_TABLE_LIMIT:,}: exact dynamic programming needs a smaller grid or memory"
            )
        state = torch.arange(self.n_states).unsqueeze(-1).expand(-1, joint)
        outcome = self.outcomes(state, actions.expand(self.n_states, joint, self.n_players))
        states, probability = self.initial()
        initial = torch.zeros(self.n_states, dtype=torch.float64).index_add_(0, states, probability.double())
        return MarkovTables(outcome.next_state, outcome.probability.double(), outcome.payoff.double(), actions, initial)

    def tables(self) -> MarkovTables:
        """All outcomes as tables, built once.

        Raises:
            InvalidGameError: If they would not fit; the message says how large they would be.
        """
        return self._tables

    def uniform_policy(self) -> tuple[Float[Tensor, "S A"], ...]:
        """Every player drawing an action uniformly in every state."""
        return tuple(torch.full((self.n_states, a), 1.0 / a, dtype=torch.float64) for a in self.n_actions)

    def validate_policies(self, policies: tuple[Tensor, ...]) -> tuple[Float[Tensor, "S A"], ...]:
        """Returns one table a player in float64 if each is a distribution over actions in every state.

        Raises:
            InvalidStrategyError: Naming the player and what is wrong.
        """
        if len(policies) != self.n_players:
            raise InvalidStrategyError(
                f"{self.name}: got {len(policies)} policies, expected {self.n_players}, one a player"
            )
        for i, (table, a) in enumerate(zip(policies, self.n_actions, strict=True)):
            if table.shape != (self.n_states, a):
                raise InvalidStrategyError(
                    f"{self.name}, player_{i}: got shape {tuple(table.shape)}, "
                    f"expected {(self.n_states, a)} (states, actions)"
                )
            if not table.isfinite().all() or bool((table < 0).any()) or bool(((table.sum(-1) - 1).abs() > 1e-5).any()):
                raise InvalidStrategyError(f"{self.name}, player_{i}: got a row that is not a probability distribution")
        return tuple(t.double() / t.double().sum(-1, keepdim=True) for t in policies)

    def _joint_probability(self, policies: tuple[Tensor, ...], without: int | None = None) -> Float[Tensor, "S J"]:
        """The probability of each joint action in each state, leaving out one player's own factor."""
        actions = self.tables().actions
        product = torch.ones(self.n_states, len(actions), dtype=torch.float64)
        for j, table in enumerate(policies):
            if j != without:
                product *= table[:, actions[:, j]]
        return product

    def _solve(self, weight: Float[Tensor, "S J"], payoff: Float[Tensor, "S m"]) -> Float[Tensor, "S m"]:
        """Discounted values of a stationary joint policy with per-state payoffs."""
        tables = self.tables()
        flow = (weight.unsqueeze(-1) * tables.probability).reshape(self.n_states, -1)
        if self.n_states > _DENSE_LIMIT:
            return solve_sparse(flow, tables.next_state.reshape(self.n_states, -1), self.discount, payoff)
        transition = torch.zeros(self.n_states, self.n_states, dtype=torch.float64)
        transition.scatter_add_(1, tables.next_state.reshape(self.n_states, -1), flow)
        return torch.linalg.solve(torch.eye(self.n_states, dtype=torch.float64) - self.discount * transition, payoff)

    def values(self, policies: tuple[Tensor, ...]) -> Float[Tensor, "S n"]:
        """Expected discounted payoffs of every player from every state."""
        weight = self._joint_probability(policies)
        payoff = (weight.unsqueeze(-1) * self.tables().payoff).sum(1)
        return self._solve(weight, payoff)

    def best_response(
        self, policies: tuple[Tensor, ...], player: int, max_rounds: int = 1000
    ) -> tuple[Float[Tensor, "S A"], Float[Tensor, " S"]]:
        """An exact best response by policy iteration (Howard 1960), and its discounted value from every state.

        The others' policies are held fixed, which leaves a Markov decision process of the player's own. Every round
        solves for the value of the current pure policy and switches only where a strictly better action exists, so it
        ends at an optimum after finitely many rounds.
        """
        tables, a = self.tables(), self.n_actions[player]
        others = self._joint_probability(policies, without=player)
        mine = tables.actions[:, player]
        gather = torch.nn.functional.one_hot(mine, a).double()
        payoff = (others * tables.payoff[..., player]) @ gather
        policy = policies[player].argmax(-1)
        rows = torch.arange(self.n_states)
        value = torch.zeros(self.n_states, dtype=torch.float64)
        for _ in range(max_rounds):
            weight = others * (mine == policy.unsqueeze(-1))
            value = self._solve(weight, payoff[rows, policy].unsqueeze(-1)).squeeze(-1)
            ahead = (tables.probability * value[tables.next_state]).sum(-1)
            q = payoff + self.discount * ((others * ahead) @ gather)
            best = q.max(-1)
            better = best.values > q[rows, policy] + 1e-12 * (1 + best.values.abs())
            if not bool(better.any()):
                break
            policy = torch.where(better, best.indices, policy)
        return torch.nn.functional.one_hot(policy, a).double(), value
