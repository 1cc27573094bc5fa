"""The dynamics as a table: what each does, what it asks of a game, and how often in a step."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

from strategic_envs.scripts.tables import number

__all__ = ["COLUMNS", "calls_a_step", "dynamics_rows"]

COLUMNS = ("name", "what it does", "calls a step", "settings and defaults")

_GAMES = ("forsaken", "matching_pennies")  # two players with intervals, two with simplices
_STEPS = 5
_LONG = 300  # for methods whose steps differ as they go along


def dynamics_rows() -> list[list[str]]:
    """A row for each dynamic of the project.

    Example:
        >>> {row[0]: row[2] for row in dynamics_rows()}["extragradient"]
        '2 field'
    """
    from strategic_envs.agents.dynamics import dynamics
    from strategic_envs.agents.roster import agents
    from strategic_envs.agents.roster.scan import described

    played_by = {getattr(agent, "dynamic", None): agent.name for agent in agents().values()}
    rows = []
    for name, kind in dynamics().items():
        about = described()[name]
        alias, sets = played_by.get(name, name), _plays_on(name)
        notes = [f"for {sets}"] * (sets != "any sets") + ["experimental"] * (
            kind.experimental and "experimental" not in kind.summary
        )
        notes += [f"--agent {alias}"] * (alias != name)
        settings = ", ".join(k if v is None else f"{k}={number(v)}" for k, v in about.settings.items())
        rows.append([name, "; ".join([kind.summary, *notes]), calls_a_step(name), settings or "none"])
    return rows


def calls_a_step(name: str) -> str:
    """How often a dynamic calls its oracle in a step, as counted in its first steps on a small game.

    Args:
        name: The dynamic's name.

    Returns:
        Such as `"1 field, 1 vjp"`; a plus says that some steps take more.
    """
    from strategic_envs.agents.dynamics import GameOracle
    from strategic_envs.games import catalogue

    rule = _made(name)
    for game in map(catalogue.game, _GAMES):
        oracle = GameOracle(game)
        if rule.suits(oracle.sets) is not None or not all(map(oracle.provides, rule.needs)):
            continue
        state = rule.init(_near_the_centre(game), oracle)
        made: list[Counter[str]] = []
        for _ in range(_STEPS if rule.batched else _LONG):
            before = oracle.calls.copy()
            state = rule.step(state, oracle)
            made.append(oracle.calls - before)
        return _shown([step for step in made[1:] if step])  # a path that has ended asks for nothing more
    return "not known"


def _shown(made: list[Counter[str]]) -> str:
    what = sorted({name for step in made for name in step})
    least, most = ({name: pick(step[name] for step in made) for name in what} for pick in (min, max))
    words = [f"{least[n]}{'+' if most[n] > least[n] else ''} {n.replace('_', ' ')}" for n in what]
    return ", ".join(words)


def _plays_on(name: str) -> str:
    """What kind of set the dynamic is made for, as far as it says."""
    from strategic_envs.sets import Box, Simplex

    rule = _made(name)
    tried = {"intervals": (Box(-1, 1),) * 2, "simplices": (Simplex(2),) * 2, "the whole space": (Box(-inf, inf),) * 2}
    fits = [kind for kind, sets in tried.items() if rule.suits(sets) is None]
    if not fits:
        return "special sets"
    players = "" if rule.suits((tried[fits[0]][0],) * 3) is None else "two players: "
    return players + ("any sets" if len(fits) == len(tried) else " and ".join(fits))


def _made(name: str) -> Any:
    from strategic_envs.agents.dynamics import dynamic
    from strategic_envs.agents.roster.scan import described

    return dynamic(name, **({"step_size": 0.05} if "step_size" in described()[name].settings else {}))


def _near_the_centre(game: Any) -> Any:
    """A start inside the sets where nothing is symmetric."""
    from strategic_envs.profile import Profile
    from strategic_envs.seeding import torch_stream

    stream = torch_stream(0, "start")
    drawn = game.sample(generator=stream)
    return Profile(0.9 * s.centre().to(t) + 0.1 * t for s, t in zip(game.sets, drawn, strict=True))
