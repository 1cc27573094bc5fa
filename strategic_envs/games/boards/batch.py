"""The batched step: boards in, actions in, new boards out, with everything that a learner asks of an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from strategic_envs.errors import IllegalActionError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.boards import tensors
from strategic_envs.games.boards.counter import round_word, seed_words

__all__ = ["Boards"]

PASS = -1  # the action of a board that is over


@dataclass(frozen=True, eq=False)
class Boards:
    """A batch of boards `(*batch,)`, and what the step that led to them has paid.

    Nothing is changed in place: `step` returns new boards, and the old ones remain. The last two axes of `legal` and
    `rewards` are views of memory in which the batch comes last.

    Args:
        state: The codes, int64, as in `TicTacToe`: bit c if X holds cell c, bit 9 + c if O does.
        mover: Whose turn it is, int64, 0 for X.
        legal: The empty cells `(*batch, 9)`; none if the game is over.
        legal_bits: The same as int16 with bit c for cell c.
        terminated: Whether the last step ended the game. If the board was restarted, `state`, `mover` and `legal` are
            of the new game already.
        rewards: What the last step paid X and O `(*batch, 2)`, float32: +1, -1, or 0.

    Example:
        >>> boards = Boards.start(4096)
        >>> for turn in range(20):
        ...     boards = boards.step(boards.draw(seed=0, turn=turn), restart=True)
        >>> boards.state.shape, boards.legal.shape, boards.rewards.shape
        (torch.Size([4096]), torch.Size([4096, 9]), torch.Size([4096, 2]))
    """

    state: Int[Tensor, "*batch"]
    mover: Int[Tensor, "*batch"]
    legal: Bool[Tensor, "*batch 9"]
    legal_bits: Int[Tensor, "*batch"]
    terminated: Bool[Tensor, "*batch"]
    rewards: Float[Tensor, "*batch 2"]

    @staticmethod
    def start(batch: int | Sequence[int], device: torch.device | str = "cpu") -> Boards:
        """Empty boards.

        Args:
            batch: How many, or the shape of the batch.
            device: Where they live; on the CPU the steps are compiled by numba.

        Raises:
            InvalidSettingError: If a size is negative.
        """
        shape = (batch,) if isinstance(batch, int) else tuple(batch)
        if any(size < 0 for size in shape):
            raise InvalidSettingError(f"tic_tac_toe: got a batch of {batch}, expected sizes >= 0")
        return Boards.of(torch.zeros(shape, dtype=torch.int64, device=device))

    @staticmethod
    def of(state: Int[Tensor, "*batch"]) -> Boards:
        """Boards of given codes; nothing has been paid, and `terminated` says which are over.

        Raises:
            InvalidStrategyError: If a code is not one of a board: out of range, or a cell held by both.
        """
        state = state.long()
        wrong = (state < 0) | (state >= 1 << 18) | ((state & state >> 9 & 511) != 0)
        if bool(wrong.any()):
            code = int(state.reshape(-1)[_first(wrong)])
            raise InvalidStrategyError(
                f"tic_tac_toe: got the code {code}, expected X's cells + 512 * O's cells, each cell held once"
            )
        return Boards(*tensors.describe(state))

    def draw(self, seed: int, turn: int) -> Int[Tensor, "*batch"]:
        """A uniform legal action of each board, int64, -1 where the game is over.

        The number behind it is a function of the seed, the turn and the place in the batch alone (`counter.py`), so
        count the turns up, and the draws are independent.

        Args:
            seed: The seed of the run.
            turn: Which draw this is, 0, 1, 2, ...

        Example:
            >>> Boards.start(3).draw(seed=0, turn=0).shape
            torch.Size([3])
        """
        lane, word = seed_words(seed)[0], round_word(seed, turn)
        if self.state.device.type != "cpu":
            return tensors.draw(self.legal_bits, lane, word)
        from strategic_envs.games.boards import compiled  # late, because numba is slow to import

        action = torch.empty(self.state.shape, dtype=torch.int64)
        compiled.draw_moves(_flat(self.legal_bits), np.uint32(lane), np.uint32(word), _flat(action))
        return action

    def step(self, action: Int[Tensor, "*batch"], *, restart: bool = False) -> Boards:
        """Makes one move on every board.

        Args:
            action: A cell 0..8 for each board; -1 leaves a board alone whose game is over.
            restart: Whether a game that is over makes way for an empty board. What it paid and that it has ended is
                still said by `rewards` and `terminated`.

        Returns:
            The boards afterwards.

        Raises:
            IllegalActionError: Naming the first board whose action is not legal. No board has moved.
            InvalidStrategyError: If the actions are not integers, one a board, on the boards' device.

        Example:
            >>> boards = Boards.of(torch.tensor([0b011, 0b100]) | 0b011_000 << 9)
            >>> boards.step(torch.tensor([2, 8])).rewards.tolist()
            [[1.0, -1.0], [0.0, 0.0]]
        """
        self._check_form(action)
        action = action.long()
        if self.state.device.type != "cpu":
            found = tensors.step(self.state, action, restart)
        else:
            found = self._compiled_step(action, restart)
        if found is None:
            raise IllegalActionError(self._complaint(action))
        return Boards(*found)

    def _compiled_step(self, action: Tensor, restart: bool) -> tuple[Tensor, ...] | None:
        from strategic_envs.games.boards import compiled  # late, because numba is slow to import

        shape, count = self.state.shape, self.state.numel()
        state, mover = torch.empty(count, dtype=torch.int64), torch.empty(count, dtype=torch.int64)
        bits, terminated = torch.empty(count, dtype=torch.int16), torch.empty(count, dtype=torch.bool)
        legal, rewards = torch.empty(9, count, dtype=torch.bool), torch.empty(2, count)
        outputs = [t.numpy() for t in (state, mover, bits, legal, terminated, rewards)]
        if compiled.make_moves(_flat(self.state), _flat(action), np.uint32(restart), *outputs):
            return None
        if len(shape) == 1:
            return state, mover, legal.T, bits, terminated, rewards.T
        flat = (t.view(shape) for t in (state, mover, bits, terminated))
        state, mover, bits, terminated = flat
        return state, mover, legal.T.reshape(*shape, 9), bits, terminated, rewards.T.reshape(*shape, 2)

    def _check_form(self, action: Tensor) -> None:
        if action.is_floating_point() or action.dtype == torch.bool:
            raise InvalidStrategyError(f"tic_tac_toe: got actions of dtype {action.dtype}, expected integers in 0..8")
        if action.shape != self.state.shape or action.device != self.state.device:
            raise InvalidStrategyError(
                f"tic_tac_toe: got actions {tuple(action.shape)} on {action.device}, "
                f"expected one a board, {tuple(self.state.shape)} on {self.state.device}"
            )

    def _complaint(self, action: Tensor) -> str:
        live = self.legal_bits != 0
        inside = (action >= 0) & (action < 9)
        fits = self.legal.gather(-1, action.clamp(0, 8).unsqueeze(-1)).squeeze(-1) & inside
        row = _first(~torch.where(live, fits, action == PASS))
        place = np.unravel_index(row, self.state.shape)
        legal = self.legal.reshape(-1, 9)[row].nonzero().flatten().tolist()
        wanted = f"one of the legal actions {legal}" if legal else f"{PASS}: its game is over"
        where = f"board {', '.join(str(int(k)) for k in place)}, " if place else ""
        return (
            f"tic_tac_toe, {where}state {int(self.state.reshape(-1)[row])}: "
            f"got action {int(action.reshape(-1)[row])}, expected {wanted}"
        )


def _flat(tensor: Tensor) -> Any:
    # contiguous, or numba would compile the loops once more for strides
    return (tensor if tensor.ndim == 1 and tensor.is_contiguous() else tensor.reshape(-1).contiguous()).numpy()


def _first(wrong: Tensor) -> int:
    return int(wrong.reshape(-1).nonzero()[0])
