"""Finite games in normal form: a payoff tensor and its mixed extension.

The mixed extension is a `Game` on simplices, so every dynamic and every gap of continuous games applies. Because
utilities are multilinear, player i's part of the field is the vector of payoffs to each of its actions
(`deviation_payoffs`), best replies are exact, and the local CCE gap equals the CCE gap.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.profile import Profile
from strategic_envs.sets import Simplex

__all__ = ["NormalFormGame"]


class NormalFormGame(Game):
    """A finite game given by the payoff to each player at each joint action.

    Args:
        payoffs: Shape `(n, A_0, ..., A_{n-1})`: `payoffs[i][a]` is player i's payoff at the joint action a.
        name: What errors and tables call the game.
        known: The analytic facts, if there are any.

    Raises:
        InvalidGameError: If the payoffs are not a finite tensor of that shape.

    Example:
        >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
        >>> x = pennies.profile([0.5, 0.5], [1.0, 0.0])
        >>> pennies.utilities(x).tolist(), pennies.deviation_payoffs(x, 0).tolist()
        ([0.0, 0.0], [1.0, -1.0])
    """

    def __init__(
        self, payoffs: Tensor | Sequence[object], *, name: str = "normal_form", known: Known | None = None
    ) -> None:
        try:
            tensor = torch.as_tensor(payoffs, dtype=torch.float64)
        except (ValueError, TypeError) as error:
            raise InvalidGameError(
                f"{name}: payoffs must be one rectangular array of numbers of shape (n, A_0, ..., A_(n-1)): {error}"
            ) from error
        if tensor.ndim < 2 or tensor.shape[0] != tensor.ndim - 1 or 0 in tensor.shape:
            raise InvalidGameError(
                f"{name}: got payoffs of shape {tuple(tensor.shape)}, expected (n, A_0, ..., A_(n-1)), "
                f"one action axis a player"
            )
        if not tensor.isfinite().all():
            raise InvalidGameError(
                f"{name}: payoffs contain a value that is NaN or infinite; every payoff must be a finite number"
            )
        super().__init__(self._mixed_utilities, [Simplex(a) for a in tensor.shape[1:]], name=name, known=known)
        self._payoffs = tensor

    @classmethod
    def zero_sum(
        cls, matrix: Tensor | Sequence[Sequence[float]], *, name: str = "matrix", known: Known | None = None
    ) -> NormalFormGame:
        """The two-player game in which player 0 receives the matrix entry from player 1.

        Args:
            matrix: Payoffs to player 0, `(rows, columns)`.
            name: What errors and tables call the game.
            known: The analytic facts, if there are any.
        """
        try:
            a = torch.as_tensor(matrix, dtype=torch.float64)
        except (ValueError, TypeError) as error:
            raise InvalidGameError(f"{name}: a matrix game needs a rectangular matrix of numbers: {error}") from error
        if a.ndim != 2:
            raise InvalidGameError(f"{name}: got a matrix of shape {tuple(a.shape)}, expected (rows, columns)")
        return cls(torch.stack([a, -a]), name=name, known=known)

    @property
    def payoffs(self) -> Float[Tensor, "n *actions"]:
        """The payoffs to each player at every joint action, `(n, A_0, ..., A_{n-1})`."""
        return self._payoffs

    @property
    def tabulated(self) -> bool:
        """Whether `payoffs` is there: a game with a formula for its payoffs may have too many joint actions."""
        return True

    @property
    def n_actions(self) -> tuple[int, ...]:
        """The number of actions of each player."""
        return self.dims

    def payoffs_of(self, actions: Sequence[Tensor | int]) -> Float[Tensor, "*batch n"]:
        """What everybody gets at joint actions; works where the table of all payoffs would be too large, too.

        Args:
            actions: A whole number, or a tensor of them, a player, on one device; their shapes are broadcast. That
                player i's lie in `0..A_i - 1` is not checked.

        Returns:
            The payoffs on the actions' device, float64, the players last.

        Raises:
            InvalidStrategyError: If there are not whole numbers for each player.

        Example:
            >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
            >>> pennies.payoffs_of([torch.tensor([0, 1]), torch.tensor([0, 0])]).tolist()
            [[1.0, -1.0], [-1.0, 1.0]]
        """
        self._check_actions(actions)
        device = next((a.device for a in actions if isinstance(a, Tensor)), self.payoffs.device)
        return self.payoffs.to(device)[(slice(None), *actions)].movedim(0, -1)

    def _check_actions(self, actions: Sequence[Tensor | int]) -> None:
        if len(actions) != self.n_players or not all(isinstance(a, int) or _whole(a) for a in actions):
            raise InvalidStrategyError(
                f"{self.name}: got actions of dtypes {[str(torch.as_tensor(a).dtype) for a in actions][:6]}, expected "
                f"{self.n_players} tensors of whole numbers, one a player"
            )

    def _contract(self, x: Sequence[Tensor], player: int, keep: int | None) -> Tensor:
        """Player's payoff tensor averaged over the mixed strategies of everyone but `keep`."""
        others = [j for j in range(self.n_players) if j != keep]
        value = self.payoffs[player].to(x[0]).permute([*([] if keep is None else [keep]), *others])
        left = list(value.shape)  # the action axes that are still there, after the batch axes
        for j in reversed(others):
            batch = value.shape[: value.ndim - len(left)]
            actions = left.pop()
            rows = value.reshape((*batch, -1, actions))
            value = (rows @ x[j].unsqueeze(-1)).squeeze(-1) if batch else x[j] @ rows.mT
            value = value.reshape((*value.shape[:-1], *left))
        return value.expand((*torch.broadcast_shapes(*(t.shape[:-1] for t in x)), *left))

    def _mixed_utilities(self, x: tuple[Tensor, ...]) -> Tensor:
        return torch.stack([self._contract(x, i, None) for i in range(self.n_players)], dim=-1)

    def deviation_payoffs(self, x: Sequence[Tensor], player: int) -> Float[Tensor, "*batch actions"]:
        """The payoff of each pure action of `player` against the others' mixed strategies: its exact field."""
        return self._contract(x, player, player)

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """The ascent field: the payoffs of each player's pure actions."""
        players = range(self.n_players) if player is None else [player]
        return Profile(self.deviation_payoffs(x, i).detach() for i in players)

    def best_reply(self, x: Sequence[Tensor], player: int) -> tuple[Tensor, Tensor]:
        """A pure best reply as a simplex vertex `(*batch, A)` and its payoff `(*batch,)`; ties: the lowest action."""
        payoffs = self.deviation_payoffs(x, player)
        best = payoffs.max(-1, keepdim=True).values
        action = (payoffs == best).to(torch.uint8).argmax(-1)
        return torch.nn.functional.one_hot(action, payoffs.shape[-1]).to(payoffs), best.squeeze(-1)


def _whole(actions: Tensor) -> bool:
    return not actions.is_floating_point() and actions.dtype != torch.bool
