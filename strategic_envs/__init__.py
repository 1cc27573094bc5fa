"""Games, learning dynamics and equilibrium gaps for learners that face other learners.

Four words carry the project: a *game* says what players may do and what it pays; an *oracle* answers a learner's
questions about a game; a *dynamic* is a rule by which all players learn at once; a *gap* measures how far play is from
equilibrium.

Names are imported when they are first used: `import strategic_envs` itself loads neither torch nor ray.

Example:
    >>> import strategic_envs as se
    >>> "tic_tac_toe_v0" in se.list_environments()
    True
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategic_envs.evaluators.best_response import best_response
    from strategic_envs.evaluators.congestion import wardrop_excess
    from strategic_envs.evaluators.deviations import delta_regime, local_deviation_gain
    from strategic_envs.evaluators.gap import Gap
    from strategic_envs.evaluators.gaps import cce_gap, ce_gap, exploitability, nash_conv
    from strategic_envs.evaluators.labels import Labels, label
    from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
    from strategic_envs.evaluators.local_ce import local_ce_gap
    from strategic_envs.evaluators.rates import fit_rate, regret_bound
    from strategic_envs.evaluators.report import Report, evaluate
    from strategic_envs.games.catalogue import game, list_games
    from strategic_envs.games.describe import GameDescription, describe_game
    from strategic_envs.games.kinds.congestion.atomic import AtomicCongestionGame
    from strategic_envs.games.kinds.congestion.costs import LogCosts, PowerCosts
    from strategic_envs.games.kinds.congestion.function_costs import FunctionCosts
    from strategic_envs.games.kinds.congestion.nonatomic import CongestionGame
    from strategic_envs.games.kinds.dynamic import DynamicGame
    from strategic_envs.games.kinds.game import Game
    from strategic_envs.games.kinds.known import Known
    from strategic_envs.games.kinds.markov import MarkovGame
    from strategic_envs.games.kinds.normal_form import NormalFormGame
    from strategic_envs.games.kinds.turn_based import TurnBasedGame
    from strategic_envs.games.kinds.vi import VIGame
    from strategic_envs.games.routing.game import RoutingGame
    from strategic_envs.games.routing.network import Network
    from strategic_envs.play import Empirical, Independent, TabularPlay
    from strategic_envs.profile import Profile
    from strategic_envs.registry import list_environments, make
    from strategic_envs.sets import Ball, Box, Joint, Polytope, Product, Simplex, Torus
    from strategic_envs.solvers.correlated import solve_cce, solve_ce
    from strategic_envs.solvers.zero_sum import solve_zero_sum

__version__ = "0.1.0"

__all__ = [
    "AtomicCongestionGame",
    "Ball",
    "Box",
    "CongestionGame",
    "DynamicGame",
    "Empirical",
    "FunctionCosts",
    "Game",
    "GameDescription",
    "Gap",
    "Independent",
    "Joint",
    "Known",
    "Labels",
    "LogCosts",
    "MarkovGame",
    "Network",
    "NormalFormGame",
    "Polytope",
    "PowerCosts",
    "Product",
    "Profile",
    "Report",
    "RoutingGame",
    "Simplex",
    "TabularPlay",
    "Torus",
    "TurnBasedGame",
    "VIGame",
    "__version__",
    "best_response",
    "cce_gap",
    "ce_gap",
    "delta_regime",
    "describe_game",
    "evaluate",
    "exploitability",
    "fit_rate",
    "game",
    "label",
    "list_environments",
    "list_games",
    "local_cce_gap",
    "local_ce_gap",
    "local_deviation_gain",
    "local_nash_gap",
    "make",
    "nash_conv",
    "regret_bound",
    "solve_cce",
    "solve_ce",
    "solve_zero_sum",
    "wardrop_excess",
]

_HOME = {
    "evaluators.best_response": ["best_response"],
    "evaluators.congestion": ["wardrop_excess"],
    "evaluators.deviations": ["delta_regime", "local_deviation_gain"],
    "evaluators.gap": ["Gap"],
    "evaluators.gaps": ["cce_gap", "ce_gap", "exploitability", "nash_conv"],
    "evaluators.labels": ["Labels", "label"],
    "evaluators.local": ["local_cce_gap", "local_nash_gap"],
    "evaluators.local_ce": ["local_ce_gap"],
    "evaluators.rates": ["fit_rate", "regret_bound"],
    "evaluators.report": ["Report", "evaluate"],
    "games.catalogue": ["game", "list_games"],
    "games.describe": ["GameDescription", "describe_game"],
    "games.kinds.congestion.atomic": ["AtomicCongestionGame"],
    "games.kinds.congestion.costs": ["LogCosts", "PowerCosts"],
    "games.kinds.congestion.function_costs": ["FunctionCosts"],
    "games.kinds.congestion.nonatomic": ["CongestionGame"],
    "games.kinds.dynamic": ["DynamicGame"],
    "games.kinds.game": ["Game"],
    "games.kinds.known": ["Known"],
    "games.kinds.markov": ["MarkovGame"],
    "games.kinds.normal_form": ["NormalFormGame"],
    "games.kinds.turn_based": ["TurnBasedGame"],
    "games.kinds.vi": ["VIGame"],
    "games.routing.game": ["RoutingGame"],
    "games.routing.network": ["Network"],
    "play": ["Empirical", "Independent", "TabularPlay"],
    "profile": ["Profile"],
    "registry": ["list_environments", "make"],
    "sets": ["Ball", "Box", "Joint", "Polytope", "Product", "Simplex", "Torus"],
    "solvers.correlated": ["solve_cce", "solve_ce"],
    "solvers.zero_sum": ["solve_zero_sum"],
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _HOME.items() for name in names}


def _heal_tree_without_links() -> None:
    """Finds agents, baselines and scripts in the parent folder when the symbolic links beside this file are missing.

    An unpacked zip has no links, and a checkout on Windows may have small text files in their place.
    """
    here = Path(__file__).resolve().parent
    for name in ("agents", "baselines", "scripts"):
        if not (here / name / "__init__.py").is_file() and (here.parent / name / "__init__.py").is_file():
            __path__.append(str(here.parent))
            return


_heal_tree_without_links()


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})


def _register() -> None:
    """Tells PettingZoo and Gymnasium the ids of the environments; this imports neither torch nor the environments."""
    from strategic_envs.registry import register_all

    register_all()


_register()
