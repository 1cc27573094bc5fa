"""`strategic-envs list`: what there is, and what trains what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from strategic_envs.scripts.tables import console, number, print_table


@dataclass(frozen=True)
class Command:
    """Lists environments, games and agents.

    With no option all three are listed.
    """

    environments: bool = False
    """Only the environments."""
    games: bool = False
    """Only the games of the catalogue, which continuous_game_v0 plays by name."""
    agents: bool = False
    """Only the agents."""
    matrix: bool = False
    """Which agent trains which environment: with which preset, or why not."""

    def run(self) -> None:
        """Prints the tables."""
        out = console()
        everything = not (self.environments or self.games or self.agents or self.matrix)
        if self.environments or everything:
            _print_environments(out)
        if self.games or everything:
            _print_games(out)
        if self.agents or everything:
            _print_agents(out)
        if self.matrix:
            _print_matrix(out)


def _print_environments(out: Console) -> None:
    from strategic_envs.registry import describe, list_environments

    about = {name: describe(name) for name in list_environments()}
    rows = [[name, ", ".join(one.modes), one.summary] for name, one in about.items()]
    print_table(out, "environments", ["id", "modes", "what it is"], rows)


def _print_games(out: Console) -> None:
    from strategic_envs.games.catalogue import factories

    rows = [[name, _first_sentence(factory)] for name, factory in factories().items()]
    print_table(out, 'games: strategic_envs.game("NAME")', ["name", "what it is"], rows)


def _print_agents(out: Console) -> None:
    from strategic_envs.agents.roster import agents

    rows = [[agent.name, "rllib" if agent.needs_ray else "none", agent.summary] for agent in agents().values()]
    print_table(out, "agents", ["name", "extra", "what it is"], rows)


def _print_matrix(out: Console) -> None:
    from strategic_envs.agents.roster import agents
    from strategic_envs.registry import list_environments

    rows = []
    for environment in list_environments():
        for agent in agents().values():
            reason = agent.refuses(environment)
            rows.append([environment, agent.name, f"no: {reason}" if reason else _settings(agent.preset(environment))])
    print_table(
        out, "which agent trains which environment", ["environment", "agent", "preset, or why not"], rows, grouped=True
    )


def _settings(preset: dict[str, Any]) -> str:
    return (
        ", ".join(f"{key}={number(value)}" for key, value in preset.items() if value is not None)
        or "yes, with nothing to set"
    )


def _first_sentence(thing: object) -> str:
    text = " ".join((thing.__doc__ or "").split("\n\n")[0].split())
    return text if len(text) <= 110 else text[:107].rsplit(" ", 1)[0] + " ..."
