"""Which alignment is played in a step: always one, or a choice anew every time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from strategic_envs.agents.dgnopt.bandit import Bandit, Exp3PP, FixedArm, RandomArm
from strategic_envs.games.networks import StagedNet, alignments, from_module

__all__ = ["CHOICES", "choices"]

CHOICES = ("random", "exp3++")


def choices(
    net: nn.Module | StagedNet, alignment: str | Mapping[str, int] | None, unsupported: str, seed: int
) -> tuple[list[StagedNet], Bandit]:
    """The alignments to play, and who chooses among them.

    Args:
        net: A module, or a staged network.
        alignment: `late`, `early`, a mapping, `random`, `exp3++`, or None: that of the staged network, or `late`.
        unsupported: See `from_module`.
        seed: The seed of the draws.

    Example:
        >>> from strategic_envs.games.networks import residual_mlp
        >>> nets, bandit = choices(residual_mlp(widths=(8, 8)), "random", "refuse", 0)
        >>> len(nets), type(bandit).__name__
        (4, 'RandomArm')
    """
    fixed = alignment if alignment not in CHOICES else None
    if isinstance(net, StagedNet):
        staged = net if fixed is None else net.realign(fixed)
    else:
        staged = from_module(net, "late" if fixed is None else fixed, unsupported=unsupported)
    if alignment not in CHOICES:
        return [staged], FixedArm(1)
    nets = [staged.realign(one) for one in alignments(staged)]
    return nets, (Exp3PP if alignment == "exp3++" else RandomArm)(len(nets), seed=seed)
