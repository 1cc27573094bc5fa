"""What a learner can ask of an environment, told by the kind of its game; no environment with data is built for it."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from strategic_envs.agents.roster.scan import described

if TYPE_CHECKING:
    from strategic_envs.sets import StrategySet

__all__ = [
    "any_game",
    "finite_actions",
    "forgetful",
    "lacking",
    "layered",
    "one_shot",
    "own_sets",
    "prices",
    "unbounded_sets",
    "unsuited",
]

_NETWORKS = "strategies are networks, whose policy gradients are not differentiated again"
_WEIGHTS = "strategies are all weights of a network, too many for matrices of second derivatives"
_OF_WEIGHTS = ("jvp", "vjp", "welfare_gradient")
_OF_TABLES = ("welfare_gradient",)  # by dynamic programming over the states of a Markov game


def lacking(environment: str, needs: Iterable[str]) -> str | None:
    """Why an environment cannot give what a dynamic needs, in one line; None where it can.

    Args:
        environment: Its id.
        needs: What the dynamic asks of an oracle, such as `("field", "project", "jvp")`.

    Raises:
        UnknownNameError: If there is no such environment.

    Example:
        >>> lacking("continuous_game_v0", ["field", "jvp"]) is None
        True
        >>> lacking("tic_tac_toe_v0", ["field", "jvp"])
        'strategies are networks, whose policy gradients are not differentiated again (it needs jvp)'
    """
    from strategic_envs.games.kinds.game import Game

    more = [need for need in needs if need not in ("field", "project", "sets")]
    if one_shot(environment) or not more:
        return None
    given, reason = (_OF_TABLES if _markov(environment) else ()), _NETWORKS
    if any(issubclass(kind, Game) for kind in _kinds(environment)):
        given, reason = _OF_WEIGHTS, _WEIGHTS
    more = [need for need in more if need not in given]
    return f"{reason} (it needs {' and '.join(more)})" if more else None


def one_shot(environment: str) -> bool:
    """Whether strategies may be points of the game's own sets, with an exact field that has derivatives.

    Example:
        >>> one_shot("larger_number_v0"), one_shot("layers_v0")
        (True, False)
    """
    from strategic_envs.games.kinds.game import Game

    return any(issubclass(kind, Game) for kind in _kinds(environment)) and not layered(environment)


def layered(environment: str) -> bool:
    """Whether the players are the layers of a network.

    Example:
        >>> layered("larger_number_v0"), layered("layers_v0")
        (False, True)
    """
    from strategic_envs.games.kinds.dynamic import DynamicGame

    return any(issubclass(kind, DynamicGame) for kind in _kinds(environment))


def finite_actions(environment: str) -> bool:
    """Whether players choose among finitely many actions, in some games of the environment at least.

    Example:
        >>> finite_actions("duopoly_pricing_v0"), finite_actions("layers_v0")
        (True, False)
    """
    from strategic_envs.games.kinds.markov import MarkovGame
    from strategic_envs.games.kinds.normal_form import NormalFormGame
    from strategic_envs.games.kinds.turn_based import TurnBasedGame

    return any(issubclass(kind, MarkovGame | NormalFormGame | TurnBasedGame) for kind in _kinds(environment))


def prices(environment: str) -> bool:
    """Whether the players are firms of the repeated price game.

    Example:
        >>> prices("duopoly_pricing_v0"), prices("tic_tac_toe_v0")
        (True, False)
    """
    from strategic_envs.games.pricing import PricingGame

    return any(issubclass(kind, PricingGame) for kind in _kinds(environment))


def forgetful(environment: str) -> bool:
    """Whether these are firms that remember no past prices, unless they are told to.

    Example:
        >>> forgetful("bertrand_pricing_v0"), forgetful("duopoly_pricing_v0")
        (True, False)
    """
    return prices(environment) and _module(environment).game().memory == 0


def any_game(environment: str) -> bool:
    """Whether the environment plays a game of one's choice, so that its sets are not known beforehand."""
    return "game" in inspect.signature(_module(environment).game).parameters


def own_sets(environment: str) -> tuple[StrategySet, ...]:
    """The sets of the default game of an environment whose strategies may be points of them.

    Example:
        >>> [s.dim for s in own_sets("larger_number_v0")]
        [10, 10]
    """
    return tuple(_module(environment).game().sets)


def unbounded_sets() -> tuple[StrategySet, ...]:
    """Where parameters live: everywhere, for two players."""
    from strategic_envs.sets import Box

    return (Box(-math.inf, math.inf, dim=2),) * 2


@functools.cache
def unsuited(dynamic: str, sets: tuple[StrategySet, ...]) -> str | None:
    """Why a dynamic of this name cannot play on such sets; None where it can."""
    from strategic_envs.agents import dynamics

    required = {"step_size": 0.1} if described()[dynamic].settings.get("step_size", 0.1) is None else {}
    return dynamics.dynamic(dynamic, **required).suits(sets)


def _markov(environment: str) -> bool:
    from strategic_envs.games.kinds.markov import MarkovGame

    return any(issubclass(kind, MarkovGame) for kind in _kinds(environment))


def _module(environment: str) -> Any:
    from strategic_envs.registry import describe

    describe(environment)  # names the environments there are, if there is none of this name
    return importlib.import_module(f"strategic_envs.envs.{environment}")


@functools.cache
def _kinds(environment: str) -> tuple[type, ...]:
    """The classes that the environment's `game(...)` says it returns."""
    made = _module(environment).game
    said = made if inspect.isclass(made) else typing.get_type_hints(made)["return"]
    return tuple(one for one in (typing.get_args(said) or (said,)) if inspect.isclass(one))
