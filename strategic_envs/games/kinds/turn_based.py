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

from strategic_envs.errors import IllegalActionError, InvalidStrategyError
from strategic_envs.games.kinds import sweeps
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.state_graph import StateGraph, explore

__all__ = ["Responses", "StateGraph", "TurnBasedGame"]

_TOLERANCE = 1e-5  # by which the probabilities of a policy may miss a sum of one; they are normalised


@dataclass(frozen=True, eq=False)
class Responses:
    """What a policy pays, and every player's best response to it.

    Args:
        values: Expected payoffs under the policy `(S, n)`.
        best: For each player what its best response pays `(S, n)`.
        tables: For each player the policy with its rows replaced by a best action (ties to the lowest).
    """

    values: Float[Tensor, "S n"]
    best: Float[Tensor, "S n"]
    tables: tuple[Float[Tensor, "S A"], ...]


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
        return explore(self)

    def state_graph(self) -> StateGraph:
        """The graph of all reachable states, built once."""
        return self._graph

    def uniform_policy(self) -> Float[Tensor, "S A"]:
        """The policy that draws a legal action uniformly, as a table over the state graph."""
        return self.state_graph().uniform.clone()

    def validate_policy(self, policy: Float[Tensor, "S A"], who: str | None = None) -> Float[Tensor, "S A"]:
        """Returns a policy table in float64 if it is a distribution over legal actions at every non-terminal state.

        Args:
            policy: The table; rows of terminal states may hold anything.
            who: Whose it is, for the message; by default the player that moves where it is wrong.

        Raises:
            InvalidStrategyError: If a shape, a sum, a sign or a probability of an illegal action is wrong.
        """
        graph = self.state_graph()
        if policy.shape != graph.legal.shape:
            raise InvalidStrategyError(
                f"{self.name}, {who or 'the policy'}: got shape {tuple(policy.shape)}, "
                f"expected {tuple(graph.legal.shape)} (states, actions)"
            )
        given = policy.double()
        table = given * graph.allowed
        low = table.amin()
        if not bool(low >= 0):  # NaN: perhaps only in rows of terminal states, which may hold anything
            table = torch.where(graph.legal, given, 0.0)
            low = table.amin()
        total = table.sum(-1) + graph.terminal
        proper = low >= 0 and (total - 1).abs().amax() <= _TOLERANCE
        if not proper or _flat(given).take(graph.forbidden).any():
            raise InvalidStrategyError(f"{self.name}, {self._fault(given, who)}")
        return table.div_(total.unsqueeze(-1))

    def _fault(self, table: Tensor, who: str | None) -> str:
        """What is wrong with a policy table, and where first."""
        graph = self.state_graph()
        live, total = ~graph.terminal, (table * graph.legal).sum(-1)
        for wrong, text in (
            (~(table.isfinite() & (table >= 0)).all(-1), "got a probability that is negative, NaN or infinite"),
            (((table != 0) & ~graph.legal).any(-1), "got probability on an illegal action: mask them and normalise"),
            (~((total - 1).abs() <= _TOLERANCE), "got probabilities that sum to {:.6g}, not to 1"),
        ):
            rows = (wrong & live).nonzero()
            if len(rows):
                row = int(rows[0])
                owner = who or f"player_{int(graph.mover[row])}"
                return f"{owner}: {text.format(float(total[row]))} (at state {int(graph.states[row])}, row {row})"
        raise AssertionError("a policy was refused that has no fault")

    def merge(self, policies: tuple[Tensor, ...]) -> Float[Tensor, "S A"]:
        """One table from one policy a player: at each state the mover's row."""
        merged = policies[0].double()
        for rows, policy in zip(self.state_graph().rows_of[1:], policies[1:], strict=True):
            merged = merged.index_copy(0, rows, policy.double().index_select(0, rows))
        return merged

    def values(self, policy: Float[Tensor, "S A"]) -> Float[Tensor, "S n"]:
        """Expected payoffs of every player from every state when all follow the merged table `policy`.

        Differentiable in the policy.
        """
        graph = self.state_graph()
        if policy.requires_grad and torch.is_grad_enabled():
            return sweeps.backward_torch(graph.sweep_levels, graph.returns, policy.double())
        found = sweeps.backward(graph.sweep_levels, graph.returns_of_players, _flat(policy))
        return torch.from_numpy(found.values).T

    def responses(self, policy: Float[Tensor, "S A"]) -> Responses:
        """The values of a merged table and every player's exact best response to it, in one sweep.

        Example:
            >>> from strategic_envs.games.tic_tac_toe import TicTacToe
            >>> game = TicTacToe()
            >>> [round(v, 6) for v in game.responses(game.uniform_policy()).best[0].tolist()]
            [0.994792, 0.924868]
        """
        graph, players = self.state_graph(), range(self.n_players)
        found = sweeps.backward(graph.sweep_levels, graph.returns_of_players, _flat(policy), players)
        tables = tuple(self._replied(policy, i, found.chosen[i]) for i in players)
        return Responses(torch.from_numpy(found.values).T, torch.from_numpy(found.best).T, tables)

    def gains(self, policy: Float[Tensor, "S A"]) -> tuple[float, ...]:
        """What each player gains from the initial state by a best response to a merged table of all.

        Example:
            >>> from strategic_envs.games.tic_tac_toe import TicTacToe
            >>> game = TicTacToe()
            >>> round(sum(game.gains(game.uniform_policy())), 12)  # 116101 / 60480
            1.919659391534
        """
        graph, players = self.state_graph(), range(self.n_players)
        found = sweeps.backward(graph.sweep_levels, graph.returns_of_players, _flat(policy), players, choose=False)
        return tuple((found.best[:, 0] - found.values[:, 0]).tolist())

    def best_response(
        self, policy: Float[Tensor, "S A"], player: int
    ) -> tuple[Float[Tensor, "S A"], Float[Tensor, " S"]]:
        """An exact best response of one player to the merged table of all, and its value at every state.

        Returns:
            The table with the player's rows replaced by a best action (ties to the lowest), and the player's values.
        """
        graph = self.state_graph()
        found = sweeps.backward(graph.sweep_levels, graph.returns_of_players, _flat(policy), [player])
        return self._replied(policy, player, found.chosen[0]), torch.from_numpy(found.best[0])

    def _replied(self, policy: Tensor, player: int, chosen: sweeps.Places) -> Tensor:
        graph = self.state_graph()
        table = policy.detach().double() * graph.theirs[player]
        table.view(-1)[torch.from_numpy(chosen)] = 1.0
        return table

    def reach(self, policy: Float[Tensor, "S A"]) -> Float[Tensor, " S"]:
        """The probability that play by the merged table `policy` comes through each state.

        Example:
            >>> from strategic_envs.games.tic_tac_toe import TicTacToe
            >>> game = TicTacToe()
            >>> reach = game.reach(game.uniform_policy())
            >>> round(float(reach[game.state_graph().terminal].sum()), 12)
            1.0
        """
        graph = self.state_graph()
        return torch.from_numpy(sweeps.forward(graph.sweep_levels, _flat(policy), len(graph.states)))

    def optimal_values(self) -> Float[Tensor, "S n"]:
        """Payoffs from every state under perfect play (backward induction; ties to the lowest action)."""
        graph = self.state_graph()
        return torch.from_numpy(sweeps.optimal(graph.sweep_levels, graph.returns_of_players)).T


def _flat(policy: Tensor) -> sweeps.Numbers:
    return policy.detach().double().reshape(-1).numpy()
