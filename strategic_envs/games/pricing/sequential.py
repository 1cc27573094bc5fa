"""Sequential pricing of a homogeneous good: firms take turns, and a price stands for two periods.

The game of Maskin and Tirole (Econometrica 56, 1988, part II), in which Klein (RAND Journal of Economics 52, 2021)
lets Q-learning compete. Two firms without costs charge prices from {0, 1/k, ..., 1}. In each period one of them sets a
new price, the other's stands; customers demand `1 - p` at the lower price p, all from the cheaper firm, half from each
at a tie. A Markov strategy depends on the rival's standing price alone. On the grid of sixths the game has exact
equilibria of two kinds (`strategic_envs.games.pricing.maskin_tirole`): constant prices that nobody undercuts, for a
price war would follow, and *Edgeworth cycles*, in which firms undercut each other step by step until one jumps up.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.markov import MarkovGame, Outcomes

__all__ = ["SequentialPricing", "sequential_pricing"]

_PRICE_LIMIT = 2**12  # the table of profits has so many rows and columns at most


class SequentialPricing(MarkovGame):
    """The game as a Markov game in which only the firm whose turn it is decides; the other's action is not looked at.

    A state is whose turn it is and the rival's standing price: `s = mover (k + 1) + index of the standing price`. What
    the mover charged before is about to be replaced and does not matter. A game begins in any state, all equally
    likely.

    Args:
        k: The number of steps of the price grid {0, 1/k, ..., 1}; 6, 12 and 24 are those of the literature.
        delta: The discount factor of a period, in [0, 1).

    Raises:
        InvalidGameError: Naming the parameter that is not possible, what was got and what is expected.

    Example:
        >>> game = SequentialPricing(k=6)
        >>> game.n_states, round(game.joint_maximum, 12)
        (14, 0.125)
    """

    name = "sequential_pricing"
    periods_between_moves = 2  # of one firm

    def __init__(self, k: int = 6, delta: float = 0.95) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < _PRICE_LIMIT:
            raise InvalidGameError(
                f"{self.name}: got k={k!r}, expected a whole number of price steps 1 <= k < {_PRICE_LIMIT} "
                "(6, 12 or 24 in the literature)"
            )
        if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 <= delta < 1:
            raise InvalidGameError(f"{self.name}: got delta={delta!r}, expected a discount factor 0 <= delta < 1")
        self.k, self.discount = k, float(delta)
        self.n_actions = (k + 1, k + 1)
        self.n_states = 2 * (k + 1)
        self.prices: Float[Tensor, " m"] = torch.arange(k + 1, dtype=torch.float64) / k
        own, rival = self.prices.unsqueeze(1), self.prices
        share = (own < rival).double() + 0.5 * (own == rival)
        self.profit: Float[Tensor, "m m"] = own * (1 - own) * share  # [own price, rival's price]

    def __repr__(self) -> str:
        return f"SequentialPricing(k={self.k}, delta={self.discount})"

    @property
    def joint_maximum(self) -> float:
        """What each firm earns a period when both charge the price that is best for them together."""
        return float(self.profit.diagonal().max())

    # --- the rules -----------------------------------------------------------------------------------------------

    def mover(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """Whose turn it is."""
        return state // (self.k + 1)

    def standing(self, state: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The index of the price that stands: that of the firm whose turn it is not."""
        return state % (self.k + 1)

    def initial(self) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """All states, equally likely."""
        return torch.arange(self.n_states), torch.full((self.n_states,), 1.0 / self.n_states, dtype=torch.float64)

    def sample_initial(self, batch: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        return torch.randint(self.n_states, (batch,), generator=generator, device=generator.device)

    def outcomes(self, state: Int[Tensor, "*batch"], actions: Int[Tensor, "*batch n"]) -> Outcomes:
        state = state.expand(actions.shape[:-1])
        mover, standing = self.mover(state), self.standing(state)
        new = actions.gather(-1, mover.unsqueeze(-1)).squeeze(-1)
        profit = self.profit.to(state.device)
        gets, other = profit[new, standing], profit[standing, new]
        first = mover == 0
        payoff = torch.stack([torch.where(first, gets, other), torch.where(first, other, gets)], -1)
        following = (1 - mover) * (self.k + 1) + new
        return Outcomes(following.unsqueeze(-1), torch.ones_like(payoff[..., :1]), payoff)

    def observe(self, state: Int[Tensor, "*batch"], player: int) -> Float[Tensor, "*batch obs"]:
        """Whether it is the player's turn, 1 or 0, and the standing price as a one-hot vector of k + 1 entries."""
        turn = (self.mover(state) == player).to(torch.float32).unsqueeze(-1)
        return torch.cat([turn, torch.nn.functional.one_hot(self.standing(state), self.k + 1).to(torch.float32)], -1)

    # --- strategies ----------------------------------------------------------------------------------------------

    def policies(self, *replies: Tensor) -> tuple[Float[Tensor, "S A"], ...]:
        """Policy tables of firms that answer the rival's standing price.

        Args:
            *replies: For each firm, or once for both, the chances of its prices `(k + 1, k + 1)` by the rival's
                standing price (rows), or its price index `(k + 1,)` where it does not mix.

        Raises:
            InvalidStrategyError: If a reply has another shape or an index is out of range.

        Example:
            >>> game = SequentialPricing(k=2)
            >>> always_half = game.policies(torch.tensor([1, 1, 1]))
            >>> [round(float(v), 6) for v in (1 - game.discount) * game.values(always_half)[1]]
            [0.125, 0.125]
        """
        m = self.k + 1
        pair = replies * 2 if len(replies) == 1 else replies
        if len(pair) != 2:
            raise InvalidStrategyError(f"{self.name}: got {len(replies)} replies, expected one for both firms or two")
        tables = []
        for i, reply in enumerate(pair):
            if reply.ndim == 1 and not reply.is_floating_point() and reply.shape == (m,):
                if bool(((reply < 0) | (reply >= m)).any()):
                    raise InvalidStrategyError(
                        f"{self.name}, player_{i}: got price indices {reply.tolist()}, expected 0..{self.k}"
                    )
                reply = torch.nn.functional.one_hot(reply.long(), m).double()
            if reply.shape != (m, m):
                raise InvalidStrategyError(
                    f"{self.name}, player_{i}: got a reply of shape {tuple(reply.shape)}, expected {(m,)} price "
                    f"indices or {(m, m)} chances, one row a standing price"
                )
            table = torch.full((self.n_states, m), 1.0 / m, dtype=torch.float64)
            table[i * m : (i + 1) * m] = reply.double()
            tables.append(table)
        return self.validate_policies(tuple(tables))

    def known(self) -> Known:
        """The joint maximum, and the profit in the Edgeworth cycle where it is known."""
        from strategic_envs.games.pricing.maskin_tirole import edgeworth_cycle, mean_profit

        values = {"joint_maximum": self.joint_maximum}
        if self.k == 6 and self.discount > 0.8:
            values["edgeworth_profit"] = mean_profit(self, edgeworth_cycle(self.discount))
        return Known(
            values=values,
            constants={"discount": self.discount, "states": float(self.n_states)},
            source="Maskin and Tirole, Econometrica 56, 1988; Klein, RAND Journal of Economics 52, 2021",
            note="Profits are per firm and period. Markov perfect equilibria on the grid of sixths are in "
            "strategic_envs.games.pricing.maskin_tirole.",
        )


def sequential_pricing(*, k: int = 6, delta: float = 0.95) -> SequentialPricing:
    """The game from plain numbers; the arguments are those of `SequentialPricing`.

    Example:
        >>> sequential_pricing(k=12).n_actions
        (13, 13)
    """
    return SequentialPricing(k, delta)
