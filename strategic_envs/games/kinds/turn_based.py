"""Turn-based games of perfect information: batched rules on integer states, and the state graph they span.

A state is one int64 code, so a batch of games is one int64 tensor `(*batch,)`. The rules are a few pure functions.
From them the library derives the graph of reachable states, in which one vectorised sweep from the last move to the
first gives values and exact best responses. With perfect information a best response does not depend on how often a
state is reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Known

__all__ = ["StateGraph", "TurnBasedGame"]


@dataclass(frozen=True, eq=False)
class StateGraph:
    """All reachable states, in order of moves made (a *level* is the states after the same number of moves).

    Args:
        states: Codes `(S,)`; the initial state is row 0.
        mover: Whose turn it is `(S,)`; at terminal states, meaningless.
        terminal: `(S,)`.
        legal: `(S, A)`, all False at terminal states.
        child: Row of the state each action leads to `(S, A)`; 0 where illegal.
        returns: Payoffs at terminal states `(S, n)`, zero elsewhere.
        levels: Row ranges, one a level.
    """

    states: Int[Tensor, " S"]
    mover: Int[Tensor, " S"]
    terminal: Bool[Tensor, " S"]
    legal: Bool[Tensor, "S A"]
    child: Int[Tensor, "S A"]
    returns: Float[Tensor, "S n"]
    levels: tuple[slice, ...]

    @cached_property
    def _order(self) -> tuple[Tensor, Tensor]:
        order = self.states.argsort()
        return self.states[order], order

    def index(self, states: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The rows of given states.

        Raises:
            InvalidStrategyError: If a state is not reachable.
        """
        codes, order = self._order
        position = torch.searchsorted(codes, states).clamp(max=len(codes) - 1)
        if not bool((codes[position] == states).all()):
            raise InvalidStrategyError("got a state that cannot be reached from the initial state")
        return order[position]


class TurnBasedGame(ABC):
    """A turn-based game of perfect information with finitely many moves.

    A subclass sets `name`, `n_players`, `n_actions` and `max_moves` and writes the rules below for a batch of states.
    `step` does not check legality; `check_actions` does.
    """

    name: str = "turn_based"
    n_players: int
    n_actions: int
    max_moves: int

    @abstractmethod
    def initial(self) -> int:
        """The code of the initial state."""

    @abstractmethod
    def mover(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """Whose turn it is."""

    @abstractmethod
    def legal(self, state: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch A"]:
        """Which actions the mover may take; none at a terminal state."""

    @abstractmethod
    def step(self, state: Int[Tensor, "*batch"], action: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The state after a legal action."""

    @abstractmethod
    def terminal(self, state: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
        """Whether the game is over."""

    @abstractmethod
    def returns(self, state: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch n"]:
        """Payoffs (float64) at terminal states, zero elsewhere."""

    @abstractmethod
    def observe(self, state: Int[Tensor, "*batch"], player: Int[Tensor, "*batch"] | int) -> Float[Tensor, "*batch obs"]:
        """What a player sees, float32, from that player's own point of view."""

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k != "_graph"}  # it is built again when it is needed

    def known(self) -> Known:
        """The analytic facts of this game."""
        return Known()

    def check_actions(self, state: Int[Tensor, "*batch"], action: Int[Tensor, "*batch"]) -> None:
        """Refuses actions that are out of range or illegal.

        Raises:
            IllegalActionError: Naming the first such action and the legal ones.
        """
        if action.is_floating_point() or action.dtype == torch.bool:
            raise InvalidStrategyError(
                f"{self.name}: got actions of dtype {action.dtype}, expected integers in 0..{self.n_actions - 1}"
            )
        inside = (action >= 0) & (action < self.n_actions)
        mask = self.legal(state)
        allowed = inside & mask.gather(-1, action.clamp(0, self.n_actions - 1).long().unsqueeze(-1)).squeeze(-1)
        if not bool(allowed.all()):
            row = int((~allowed).reshape(-1).nonzero()[0])
            legal = mask.reshape(-1, self.n_actions)[row].nonzero().flatten().tolist()
            raise IllegalActionError(
                f"{self.name}: got action {int(action.reshape(-1)[row])}, expected one of the legal actions {legal}"
            )

    @cached_property
    def _graph(self) -> StateGraph:
        level = torch.tensor([self.initial()], dtype=torch.int64)
        found: list[Tensor] = []
        while len(level):
            found.append(level)
            if len(found) > self.max_moves + 1:
                raise InvalidGameError(f"{self.name}: a play lasts longer than max_moves={self.max_moves}")
            rows, actions = self.legal(level).nonzero(as_tuple=True)
            level = torch.unique(self.step(level[rows], actions))
        states = torch.cat(found)
        if len(torch.unique(states)) != len(states):
            raise InvalidGameError(
                f"{self.name}: a state is reached after different numbers of moves; its code must count them"
            )
        ends = torch.tensor([len(f) for f in found]).cumsum(0).tolist()
        legal = self.legal(states)
        order = states.argsort()
        child = torch.zeros(len(states), self.n_actions, dtype=torch.int64)
        rows, actions = legal.nonzero(as_tuple=True)
        child[rows, actions] = order[torch.searchsorted(states[order], self.step(states[rows], actions))]
        return StateGraph(
            states=states,
            mover=self.mover(states),
            terminal=self.terminal(states),
            legal=legal,
            child=child,
            returns=self.returns(states),
            levels=tuple(slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)),
        )

    def state_graph(self) -> StateGraph:
        """The graph of all reachable states, built once."""
        return self._graph

    def uniform_policy(self) -> Float[Tensor, "S A"]:
        """The policy that draws a legal action uniformly, as a table over the state graph."""
        legal = self.state_graph().legal.double()
        return legal / legal.sum(-1, keepdim=True).clamp(min=1)

    def validate_policy(self, policy: Float[Tensor, "S A"], who: str = "the policy") -> Float[Tensor, "S A"]:
        """Returns a policy table in float64 if it is a distribution over legal actions at every non-terminal state.

        Raises:
            InvalidStrategyError: If a shape, a sum, a sign or a probability of an illegal action is wrong.
        """
        graph = self.state_graph()
        if policy.shape != graph.legal.shape:
            raise InvalidStrategyError(
                f"{self.name}, {who}: got shape {tuple(policy.shape)}, "
                f"expected {tuple(graph.legal.shape)} (states, actions)"
            )
        table, live = policy.double(), ~graph.terminal
        if not table[live].isfinite().all() or bool((table[live] < 0).any()):
            raise InvalidStrategyError(f"{self.name}, {who}: got a probability that is negative, NaN or infinite")
        if bool((table[live] * ~graph.legal[live]).any()):
            raise InvalidStrategyError(
                f"{self.name}, {who}: got probability on an illegal action: mask them and normalise"
            )
        off = (table[live].sum(-1) - 1).abs().max()
        if off > 1e-5:
            raise InvalidStrategyError(
                f"{self.name}, {who}: probabilities sum to {1 + float(off):.6g} away from 1 at some state"
            )
        table = table * graph.legal
        return table / table.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)

    def merge(self, policies: tuple[Tensor, ...]) -> Float[Tensor, "S A"]:
        """One table from one policy a player: at each state the mover's row."""
        mover = self.state_graph().mover
        stacked = torch.stack([p.double() for p in policies])
        return stacked[mover, torch.arange(len(mover))]

    def values(self, policy: Float[Tensor, "S A"]) -> Float[Tensor, "S n"]:
        """Expected payoffs of every player from every state when all follow the merged table `policy`."""
        graph = self.state_graph()
        value = graph.returns.clone()
        for level in reversed(graph.levels):
            live = ~graph.terminal[level]
            ahead = value[graph.child[level]]
            value[level] = torch.where(live.unsqueeze(-1), (policy[level].unsqueeze(-1) * ahead).sum(-2), value[level])
        return value

    def best_response(
        self, policy: Float[Tensor, "S A"], player: int
    ) -> tuple[Float[Tensor, "S A"], Float[Tensor, " S"]]:
        """An exact best response of one player to the merged table of all, and its value at every state.

        Returns:
            The table with the player's rows replaced by a best action (ties to the lowest), and the player's values.
        """
        graph = self.state_graph()
        value = graph.returns[:, player].clone()
        table = policy.double().clone()
        for level in reversed(graph.levels):
            ahead = value[graph.child[level]]
            mean = (policy[level] * ahead).sum(-1)
            masked = ahead.masked_fill(~graph.legal[level], -torch.inf)
            best, action = masked.max(-1).values, masked.argmax(-1)
            mine = (graph.mover[level] == player) & ~graph.terminal[level]
            value[level] = torch.where(graph.terminal[level], value[level], torch.where(mine, best, mean))
            greedy = torch.nn.functional.one_hot(action, self.n_actions).double()
            table[level] = torch.where(mine.unsqueeze(-1), greedy, table[level])
        return table, value

    def optimal_values(self) -> Float[Tensor, "S n"]:
        """Payoffs from every state under perfect play (backward induction; ties to the lowest action)."""
        graph = self.state_graph()
        value = graph.returns.clone()
        for level in reversed(graph.levels):
            ahead = value[graph.child[level]]
            own = ahead.gather(-1, graph.mover[level].view(-1, 1, 1).expand(-1, self.n_actions, 1)).squeeze(-1)
            action = own.masked_fill(~graph.legal[level], -torch.inf).argmax(-1)
            chosen = ahead[torch.arange(len(action)), action]
            value[level] = torch.where(graph.terminal[level].unsqueeze(-1), value[level], chosen)
        return value
