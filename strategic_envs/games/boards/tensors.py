"""The same rules and draws as torch operations, for boards on any device, and the yardstick of the compiled loops."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from strategic_envs.games.boards.counter import draw_words, mix_words
from strategic_envs.games.boards.lines import FULL, cells_of, has_line

__all__ = ["describe", "draw", "step"]

Description = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # the fields of `Boards`


def describe(state: Int[Tensor, "*batch"]) -> Description:
    """The fields of `Boards` for given codes, before anything is paid."""
    wins, cells = has_line(state.device), cells_of(state.device)
    x, o = state & FULL, state >> 9
    terminated = wins[x] | wins[o] | ((x | o) == FULL)
    free = torch.where(terminated, 0, FULL & ~(x | o))
    rewards = torch.zeros(*state.shape, 2, device=state.device)
    return state, cells[x | o].sum(-1) % 2, cells[free], free.to(torch.int16), terminated, rewards


def step(state: Int[Tensor, "*batch"], action: Int[Tensor, "*batch"], restart: bool) -> Description | None:
    """The fields of `Boards` after the actions, or None if one of them is illegal."""
    wins, cells = has_line(state.device), cells_of(state.device)
    x, o = state & FULL, state >> 9
    ended = wins[x] | wins[o] | ((x | o) == FULL)
    passes = ended & (action == -1)
    cell = torch.ones_like(state) << action.clamp(0, 8)
    fits = ~ended & (action >= 0) & (action < 9) & ((x | o) & cell == 0)
    if not bool((fits | passes).all()):
        return None
    turn = cells[x | o].sum(-1) % 2
    cell = torch.where(passes, 0, cell)
    after, own = state | cell << 9 * turn, torch.where(turn == 1, o, x) | cell
    won = wins[own] & ~passes
    terminated = won | passes | ((x | o | cell) == FULL)
    gain = torch.where(won, 1 - 2 * turn, 0).float()
    if restart:
        after = torch.where(terminated, 0, after)
    free = FULL & ~(after | after >> 9)
    free = free if restart else torch.where(terminated, 0, free)
    mover = cells[(after | after >> 9) & FULL].sum(-1) % 2
    return after, mover, cells[free], free.to(torch.int16), terminated, torch.stack([gain, 0 - gain], -1)


def draw(legal_bits: Int[Tensor, "*batch"], lane_seed: int, word: int) -> Int[Tensor, "*batch"]:
    """A uniform legal action of each board, -1 where there is none."""
    lane = mix_words(torch.arange(legal_bits.numel(), device=legal_bits.device) ^ lane_seed)
    words = draw_words(lane, word).view(legal_bits.shape)
    legal = cells_of(legal_bits.device)[legal_bits.long()]
    count = legal.sum(-1)
    chosen = (words >> 5) * count >> 27
    hit = legal & (legal.cumsum(-1) == (chosen + 1).unsqueeze(-1))
    return torch.where(count > 0, hit.int().argmax(-1), -1)
