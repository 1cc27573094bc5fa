"""Atomic congestion games: finitely many players, each of whom chooses a set of resources.

A resource costs each of its users `c_e(number of users)`, and a player pays the sum over what it chose. Every such game
has an exact potential `Phi(a) = sum_e sum_{t=1..n_e} c_e(t)`: a player's move changes it by just what the mover's own
cost changes (Rosenthal 1973). So there are pure equilibria, and improving moves find one.

As a finite game it is a `NormalFormGame`, whose table of payoffs is made only when somebody asks for it. Utilities and
payoffs of deviations against mixed strategies need no table: they are exact sums over the distributions of loads, so
games of a hundred players are played, judged and learnt in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.congestion.atomic_input import cost_table, usage
from strategic_envs.games.kinds.congestion.better_response import BetterResponsePath, better_response
from strategic_envs.games.kinds.congestion.costs import Costs
from strategic_envs.games.kinds.congestion.poisson_binomial import cost_beside_others, costs_beside_others
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Simplex

__all__ = ["AtomicCongestionGame"]

_LARGEST_TABLE = 2**24  # entries
_LARGEST_STEP = 2**22  # numbers that one call holds at once
_ROUNDING = 1e-12  # relative: costs nearer than this count as equal


class AtomicCongestionGame(NormalFormGame):
    """An atomic congestion game of players of equal weight.

    Args:
        strategies: For each player its strategies, each a list of the resources `0..E-1` that it uses; a list may be
            empty. The players' actions are the numbers of their strategies.
        costs: The cost functions of the E resources, or a table `(E, n)` whose entry `[e, k - 1]` is what each of k
            users of resource e pays.
        weights: None. Players of unequal weights are refused: their games need have no potential.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.

    Raises:
        InvalidGameError: If a strategy is none, or costs are not finite, decrease, are negative, or do not fit.

    Example:
        >>> game = AtomicCongestionGame([[[0], [1]]] * 2, [[1.0, 2.0], [1.5, 1.5]], name="two_roads")
        >>> game.payoffs_of([torch.tensor([0, 0]), torch.tensor([0, 1])]).tolist()
        [[-2.0, -2.0], [-1.0, -1.5]]
        >>> game.pure_equilibria().tolist(), game.price_of_anarchy()
        ([[0, 1], [1, 0]], 1.0)
    """

    def __init__(
        self,
        strategies: Sequence[Sequence[Sequence[int]]],
        costs: Costs | Tensor | np.ndarray | Sequence[Sequence[float]],
        *,
        weights: Sequence[float] | None = None,
        name: str = "atomic_congestion",
        known: Known | None = None,
    ) -> None:
        if weights is not None and any(w != 1 for w in weights):
            raise InvalidGameError(
                f"{name}: got players of weights {list(weights)[:6]}, expected none: with unlike weights there need be "
                "no potential and no pure equilibrium; let each unit of weight be a player"
            )
        self.costs = cost_table(costs, len(strategies), name)
        self.strategies = tuple(tuple(tuple(s) for s in own) for own in strategies)
        self.uses: tuple[Float[Tensor, "_ E"], ...] = usage(strategies, len(self.costs), name)
        Game.__init__(self, self._mixed_utilities, [Simplex(len(u)) for u in self.uses], name=name, known=known)
        self._table: Tensor | None = None
        rows = max(len(u) for u in self.uses)
        self._padded = torch.stack([torch.nn.functional.pad(u, (0, 0, 0, rows - len(u))) for u in self.uses])

    @property
    def n_resources(self) -> int:
        """E, the number of resources."""
        return len(self.costs)

    # Joint actions

    def loads(self, actions: Sequence[Tensor | int]) -> Float[Tensor, "*batch E"]:
        """How many players use each resource.

        Args:
            actions: The number of each player's strategy: one tensor a player, whose shapes are broadcast.

        Raises:
            InvalidStrategyError: If there is not one action a player, or one is no strategy's number.

        Example:
            >>> game = AtomicCongestionGame([[[0], [0, 1]]] * 2, [[1.0, 2.0], [0.0, 0.0]])
            >>> game.loads([0, 1]).tolist()
            [2.0, 1.0]
        """
        return self._choices(self._checked(actions)).sum(-2)

    def total_cost(self, actions: Sequence[Tensor | int]) -> Float[Tensor, "*batch"]:
        """What all players pay together: the sum over resources of `n_e c_e(n_e)`. Arguments as for `loads`."""
        load = self.loads(actions)
        return (load * self._at(self.costs, load - 1)).sum(-1)

    def rosenthal_potential(self, actions: Sequence[Tensor | int]) -> Float[Tensor, "*batch"]:
        """Rosenthal's exact potential `sum_e sum_{t=1..n_e} c_e(t)`. Arguments as for `loads`.

        Example:
            >>> game = AtomicCongestionGame([[[0], [1]]] * 2, [[1.0, 2.0], [5.0, 5.0]])
            >>> game.rosenthal_potential([torch.tensor([0, 0]), torch.tensor([0, 1])]).tolist()
            [3.0, 6.0]
        """
        sums = torch.nn.functional.pad(self.costs.cumsum(-1), (1, 0))
        return self._at(sums, self.loads(actions)).sum(-1)

    def payoffs_of(self, actions: Sequence[Tensor | int]) -> Float[Tensor, "*batch n"]:
        """What everybody gets at joint actions: minus the costs. Arguments as in `NormalFormGame.payoffs_of`.

        Example:
            >>> game = AtomicCongestionGame([[[0], [1]]] * 100, torch.arange(1.0, 101.0).expand(2, 100))
            >>> game.payoffs_of([i % 2 for i in range(100)])[:3].tolist()
            [-50.0, -50.0, -50.0]
        """
        joint = self._joint(actions)
        rows = joint.reshape(-1, self.n_players).split(max(1, _LARGEST_STEP // (self.n_players * self.n_resources)))
        return torch.cat([self._paid(part) for part in rows]).reshape(joint.shape)

    def _paid(self, joint: Tensor) -> Tensor:
        chosen = self._choices(joint)
        price = self._at(self.costs, chosen.sum(-2) - 1)
        return -(chosen @ price.unsqueeze(-1)).squeeze(-1)

    def _choices(self, joint: Tensor) -> Tensor:
        """What each player uses, ones and zeros `(*batch, n, E)`."""
        players = torch.arange(self.n_players, device=joint.device)
        return self._padded.to(joint.device)[players, joint]

    @staticmethod
    def _at(table: Tensor, column: Tensor) -> Tensor:
        """`table[e, column_e]` of columns `(*batch, E)`; below zero, where nobody is, the first."""
        rows = torch.arange(len(table), device=column.device)
        return table.to(column.device)[rows, column.long().clamp(min=0)]

    def _joint(self, actions: Sequence[Tensor | int]) -> Int[Tensor, "*batch n"]:
        self._check_actions(actions)
        device = next((a.device for a in actions if isinstance(a, Tensor)), None)
        given = [a if isinstance(a, Tensor) else torch.tensor(a, device=device) for a in actions]
        return torch.stack(torch.broadcast_tensors(*given), -1)

    def _checked(self, actions: Sequence[Tensor | int]) -> Int[Tensor, "*batch n"]:
        joint = self._joint(actions)
        most = torch.tensor(self.n_actions, device=joint.device)
        if bool(((joint < 0) | (joint >= most)).any()):
            player = int(((joint < 0) | (joint >= most)).reshape(-1, self.n_players).any(0).nonzero()[0])
            worst = joint[..., player].flatten()[:6].tolist()
            raise InvalidStrategyError(
                f"{self.name}, player_{player}: got the strategies {worst}, expected numbers 0..{int(most[player]) - 1}"
            )
        return joint

    # Mixed strategies

    def _coins(self, x: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """How likely each player is to use each resource, and not to: `(*batch, n, E)` each."""
        batch = torch.broadcast_shapes(*(t.shape[:-1] for t in x))
        both = [t @ torch.cat([u, 1 - u], 1).to(t) for t, u in zip(x, self.uses, strict=True)]
        use, skip = torch.stack([t.expand(*batch, t.shape[-1]) for t in both], -2).chunk(2, -1)
        return use, skip

    def expected_loads(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch E"]:
        """How many players use each resource on average under mixed strategies x.

        Example:
            >>> game = AtomicCongestionGame([[[0], [1]]] * 2, [[1.0, 2.0], [1.0, 2.0]])
            >>> game.expected_loads(game.profile([0.5, 0.5], [1.0, 0.0])).tolist()
            [1.5, 0.5]
        """
        return self._coins(x)[0].sum(-2)

    def _mixed_utilities(self, x: tuple[Tensor, ...]) -> Tensor:
        use, skip = self._coins(x)
        return -(use * costs_beside_others(use, skip, self.costs.to(use))).sum(-1)

    def deviation_payoffs(self, x: Sequence[Tensor], player: int) -> Float[Tensor, "*batch actions"]:
        """The payoff of each pure action of `player` against the others' mixed strategies: its exact field."""
        use, skip = self._coins(x)
        others = [j for j in range(self.n_players) if j != player]
        price = cost_beside_others(use[..., others, :], skip[..., others, :], self.costs.to(use))
        return -price @ self.uses[player].to(price).mT

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field: the payoffs of each player's pure actions."""
        if player is not None:
            return super().field(x, player)
        use, skip = self._coins(x)
        price = costs_beside_others(use, skip, self.costs.to(use)).detach()
        return Profile(-price[..., i, :] @ u.to(price).mT for i, u in enumerate(self.uses))

    # The table, and what is found by looking at all of it

    @property
    def tabulated(self) -> bool:
        """Whether the joint actions are few enough for a table of all payoffs."""
        return self.n_players < 64 and self.n_players * math.prod(self.n_actions) <= _LARGEST_TABLE

    @property
    def payoffs(self) -> Float[Tensor, "n *actions"]:
        """The table of all payoffs, made when it is first asked for.

        Raises:
            InvalidGameError: If it would have more than 2^24 entries.
        """
        if not self.tabulated:
            size = math.log10(self.n_players) + sum(math.log10(a) for a in self.n_actions)
            raise InvalidGameError(
                f"{self.name}: {self.n_players} players with up to {max(self.n_actions)} strategies would need a table "
                f"of 10^{size:.1f} payoffs, more than the {_LARGEST_TABLE} that are made: use payoffs_of, utilities "
                "and deviation_payoffs, which need none, or fewer players or strategies"
            )
        if self._table is None:
            grid = torch.meshgrid(*(torch.arange(a) for a in self.n_actions), indexing="ij")
            self._table = self.payoffs_of(grid).movedim(-1, 0).contiguous()
        return self._table

    def pure_equilibria(self) -> Int[Tensor, "count n"]:
        """All pure Nash equilibria, as joint actions in lexicographic order; there is always one (Rosenthal 1973).

        Raises:
            InvalidGameError: If the joint actions are too many to look at; use `better_response`.
        """
        stays = [u >= u.amax(i, keepdim=True) - _ROUNDING * u.abs() for i, u in enumerate(self.payoffs)]
        return torch.stack(stays).all(0).nonzero()

    def optimum(self) -> tuple[Int[Tensor, " n"], float]:
        """Joint actions of the least total cost, the first of them, and that cost.

        Raises:
            InvalidGameError: If the joint actions are too many to look at.
        """
        cost = -self.payoffs.sum(0)
        best = int(cost.argmin())
        return torch.stack(torch.unravel_index(torch.tensor(best), self.n_actions)), float(cost.flatten()[best])

    def price_of_anarchy(self) -> float:
        """The total cost of the worst pure equilibrium, divided by the least total cost (Koutsoupias et al. 1999).

        Raises:
            InvalidGameError: If the joint actions are too many to look at, or costs may be negative.
        """
        return self._price(float(self._equilibrium_costs().max()))

    def price_of_stability(self) -> float:
        """The total cost of the best pure equilibrium, divided by the least total cost; errors as above."""
        return self._price(float(self._equilibrium_costs().min()))

    def _equilibrium_costs(self) -> Tensor:
        return self.total_cost(self.pure_equilibria().unbind(-1))

    def _price(self, cost: float) -> float:
        if bool((self.costs < 0).any()):
            raise InvalidGameError(f"{self.name}: with negative costs a ratio of total costs says nothing")
        least = self.optimum()[1]
        if least == 0:
            return 1.0 if cost == 0 else math.inf
        return cost / least

    def better_response(
        self,
        start: Sequence[int] | Tensor | None = None,
        *,
        order: str = "round_robin",
        reply: str = "best",
        seed: int = 0,
        max_steps: int = 100_000,
    ) -> BetterResponsePath:
        """A path of improving moves, one player at a time, from `start` on; see `better_response.better_response`.

        Example:
            >>> game = AtomicCongestionGame([[[0], [1]]] * 4, [[1.0, 2.0, 3.0, 4.0]] * 2)
            >>> path = game.better_response([0, 0, 0, 0])
            >>> path.outcome, path.actions[-1].tolist(), path.potential.tolist()
            ('converged', [1, 1, 0, 0], [10.0, 7.0, 6.0])
        """
        return better_response(self, start, order=order, reply=reply, seed=seed, max_steps=max_steps)
