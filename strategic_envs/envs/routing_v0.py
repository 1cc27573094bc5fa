"""Travellers on a network, each way slower the more take it: Pigou's and Braess's roads, or those of a city.

Players are populations, which act with the shares of their paths (float32 arrays `(P_k,)` of a simplex), or atomic
players, who take one path each. Rewards are minus the mean cost. Networks are named, or given as objects. At a Wardrop
equilibrium no traveller has a cheaper path; the excess in every info is how far play is from it.

Who maximises the reward of a *population* thinks for all its members: alone on the roads it finds the system optimum,
not the Wardrop equilibrium, which is where members go who think for themselves, as the game's field does. See
`strategic_envs.games.routing.fleets.SharedGame`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.aec import SimultaneousAEC
from strategic_envs.envs.faces.routing import RoutingParallelEnv
from strategic_envs.errors import DataError, InvalidGameError, UnknownNameError
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
from strategic_envs.games.road_networks import road_network
from strategic_envs.games.routing import Network, RoutingGame
from strategic_envs.games.routing.fleets import AtomicRoutingGame, SharedGame

__all__ = ["MODES", "NETWORKS", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "Congestion on a network (Pigou, Braess, tntp files): populations that split their flow, or atomic players."
MODES = ("aec", "parallel")

NETWORKS = ("anaheim", "braess", "braess_six", "monomial_links", "parallel_links", "pigou", "sioux_falls")
"""Networks of the catalogue; those with a city's name read tntp files."""

_FEW = 4  # atomic players at least, unless somebody says how many


class RoutingEnv(RoutingParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**RoutingParallelEnv.metadata, "name": "routing_v0"}


def game(
    network: str | Network | CongestionGame | AtomicCongestionGame = "braess",
    *,
    players: str = "populations",
    number: int | None = None,
    demands: Mapping[tuple[Any, Any], float] | None = None,
    paths: int | str | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> CongestionGame | AtomicCongestionGame:
    """The game: a network by name, or what is given, with its players.

    Args:
        network: One of `NETWORKS` or another congestion game of the catalogue; or what tntp files are called before
            `_net.tntp`; or a `Network`, a `RoutingGame` or another congestion game.
        players: `"populations"` or `"atomic"`.
        number: Populations: into how many each origin-destination pair is divided; by default one, and two where there
            is one pair only. Atomic: how many players in all; by default four, or one a pair if there are more.
        demands: Of a `Network`: trips by pair of nodes.
        paths: How many paths each pair may choose from, the cheapest of the empty network, or `"generate"`: those of
            the equilibrium. By default as the named network has it, and 4 otherwise.
        data_dir: The folder of the tntp files; by default what `STRATEGIC_ENVS_DATA` names.
        **options: Options of the named network, such as `power` of `pigou` and `shortcut` of `braess`.

    Raises:
        UnknownNameError: If there is no such network or option.
        InvalidGameError: If an option has a value that makes no game, or does not go with the network.
        DataError: If the files of a named network cannot be read.

    Example:
        >>> game("pigou", number=3).masses.tolist()
        [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
        >>> game("braess", players="atomic").n_players
        4
    """
    if players not in ("populations", "atomic"):
        raise InvalidGameError(f"routing_v0: got players={players!r}, expected 'populations' or 'atomic'")
    given = {"demands": demands, "paths": paths, "data_dir": data_dir, **options}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(network, CongestionGame | AtomicCongestionGame):
        if given:
            raise InvalidGameError(f"routing_v0: got a game object and {sorted(given)}: build the game with them")
        base = network
    elif isinstance(network, Network):
        if demands is None or set(given) - {"demands", "paths"}:
            raise InvalidGameError(
                f"routing_v0: got a network and {sorted(given)}, expected demands={{(origin, destination): trips}} and "
                "no other option but paths"
            )
        base = RoutingGame(network, **given)
    else:
        base = _named(network, given)
    if isinstance(base, AtomicCongestionGame):
        if number is not None:
            raise InvalidGameError(
                f"{base.name}: got number={number!r} and a game whose players are there: leave it out"
            )
        return base
    if players == "atomic":
        return AtomicRoutingGame(base, max(_FEW, base.n_players) if number is None else number)
    number = (2 if base.n_players == 1 else 1) if number is None else number
    return base if number == 1 else SharedGame(base, number)


_game = game


def _named(name: str, options: Mapping[str, Any]) -> CongestionGame | AtomicCongestionGame:
    """A congestion game of the catalogue, or a road network from tntp files."""
    if name not in catalogue.factories():
        try:
            return road_network(name, **options)
        except DataError as error:
            if difflib.get_close_matches(name, NETWORKS, n=1, cutoff=0.6):
                raise UnknownNameError("network", name, NETWORKS) from error
            raise
        except TypeError as error:
            raise InvalidGameError(f"routing_v0: got network={name!r} and {sorted(options)}: {error}") from error
    found = catalogue.game(name, **options)
    if not isinstance(found, CongestionGame | AtomicCongestionGame):
        raise InvalidGameError(
            f"routing_v0: got network={name!r}, which is no congestion game: expected one of {', '.join(NETWORKS)}, "
            "what tntp files are called, or an object"
        )
    return found


def parallel_env(
    network: str | Network | CongestionGame | AtomicCongestionGame = "braess",
    *,
    observation: str = "costs",
    max_cycles: int = 1,
    render_mode: str | None = None,
    **options: Any,
) -> RoutingEnv:
    """The environment in which all players choose at once.

    Args:
        network: A name, a `Network` or a congestion game; see `game`.
        observation: `"costs"`: one's own last action and what one's paths cost; `"actions"`: everybody's last actions.
        max_cycles: How often the game is played in an episode.
        render_mode: None, `"ansi"`, `"rgb_array"` (needs the extra `plots`) or `"human"` (and `render`).
        **options: Options of the game: `players`, `number`, `demands`, `paths`, `data_dir` and those of the network.

    Raises:
        UnknownNameError: If there is no such network or option.
        InvalidGameError: If an option has a value that makes no game.
        DataError: If the files of a named network cannot be read.
        MissingExtraError: If pictures are asked for, and what draws them is not installed.

    Example:
        >>> import numpy as np
        >>> env = parallel_env("braess_six", number=1)  # paths 1-3-2, 1-4-2 and 1-3-4-2, each a third of six trips
        >>> _ = env.reset(seed=0)
        >>> _, rewards, *_, infos = env.step({"player_0": np.full(3, 1 / 3, dtype=np.float32)})
        >>> round(rewards["player_0"], 4), round(infos["player_0"]["total_cost"], 3)
        (-92.0, 552.0)
    """
    return RoutingEnv(
        _game(network, **options), observation=observation, max_cycles=max_cycles, render_mode=render_mode
    )


def raw_env(
    network: str | Network | CongestionGame | AtomicCongestionGame = "braess", **options: Any
) -> SimultaneousAEC:
    """The same with players choosing in turn, unseen, without PettingZoo's wrapper; options as of `parallel_env`."""
    return SimultaneousAEC(parallel_env(network, **options))


def env(
    network: str | Network | CongestionGame | AtomicCongestionGame = "braess", **options: Any
) -> OrderEnforcingWrapper[str, Any, Any]:
    """The turn-by-turn environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(network, **options))
