"""From a congestion game to a flow: settings are checked, a method runs, and its answer is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from strategic_envs.errors import InvalidSettingError, InvalidStrategyError, UnknownNameError
from strategic_envs.games.kinds.congestion.flow import Flow
from strategic_envs.games.kinds.congestion.frank_wolfe import frank_wolfe
from strategic_envs.games.kinds.congestion.gradient_projection import gradient_projection

if TYPE_CHECKING:
    from strategic_envs.games.kinds.congestion.nonatomic import CongestionGame

__all__ = ["check_settings", "solve"]

_METHODS = {"gp": gradient_projection, "fw": frank_wolfe}
_STEPS = 10_000


def check_settings(name: str, tol: float, method: str, max_steps: int | None) -> None:
    """Refuses settings of a solver that make no sense.

    Raises:
        InvalidSettingError: If the tolerance or the number of steps is negative.
        UnknownNameError: If there is no such method.
    """
    if method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    if not (isinstance(tol, int | float) and 0 <= tol < math.inf):
        raise InvalidSettingError(f"{name}: got tol={tol!r}, expected a finite number >= 0")
    if max_steps is not None and not (isinstance(max_steps, int) and max_steps >= 0):
        raise InvalidSettingError(f"{name}: got max_steps={max_steps!r}, expected a whole number >= 0")


def solve(
    game: CongestionGame, *, tol: float, method: str, max_steps: int | None, start: Sequence[Tensor] | None
) -> Flow:
    """A Wardrop equilibrium of a game with explicit strategies; see `CongestionGame.wardrop`."""
    check_settings(game.name, tol, method, max_steps)
    shares = [s.centre() for s in game.sets] if start is None else game.validate([t.double().cpu() for t in start])
    flows = game.flows(shares)
    if not game.costs.finite and bool((torch.cat(game.path_costs(shares)) == -torch.inf).any()):
        raise InvalidStrategyError(
            f"{game.name}: got a start that leaves a resource empty which costs minus infinity then; expected some "
            "flow on every strategy, such as even shares"
        )
    steps = _STEPS if max_steps is None else max_steps
    found, outcome, history = _METHODS[method](
        game.incidence, game.dims, game.costs, flows.numpy(), tol=tol, max_steps=steps
    )
    flows = torch.from_numpy(found)
    loads = game.incidence.loads(flows)
    paths = game.incidence.path_costs(game.costs.value(loads))
    return Flow.judged(game.costs, loads, game.split(flows), game.split(paths), outcome, torch.from_numpy(history))
