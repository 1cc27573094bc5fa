"""`strategic-envs list`: what there is, and what trains what."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from strategic_envs.scripts.tables import console, print_table


@dataclass(frozen=True)
class Command:
    """Lists environments, games, agents, dynamics and gaps.

    With no option environments, games and agents are listed.
    """

    environments: bool = False
    """Only the environments."""
    games: bool = False
    """Only the games of the catalogue, which continuous_game_v0 plays by name."""
    agents: bool = False
    """Only the agents."""
    dynamics: bool = False
    """The learning dynamics: what they do, what they ask of a game, their settings. All of them are agents too."""
    gaps: bool = False
    """The gaps that judge play: which question each answers, and where it is exact."""
    matrix: bool = False
    """Which agent trains which environment: with which preset, or why not."""

    def run(self) -> None:
        """Prints the tables."""
        out = console()
        asked = (self.environments, self.games, self.agents, self.dynamics, self.gaps, self.matrix)
        everything = not any(asked)
        if self.environments or everything:
            _print_environments(out)
        if self.games or everything:
            _print_games(out)
        if self.agents or everything:
            _print_agents(out)
        if self.dynamics:
            _print_dynamics(out)
        if self.gaps:
            _print_gaps(out)
        if self.matrix:
            _print_matrix(out)


def _print_environments(out: Console) -> None:
    from strategic_envs.registry import describe, list_environments

    about = {name: describe(name) for name in list_environments()}
    rows = [[name, ", ".join(one.modes), one.summary] for name, one in about.items()]
    print_table(out, "environments", ["id", "modes", "what it is"], rows)


def _print_games(out: Console) -> None:
    from strategic_envs.games.catalogue import list_games
    from strategic_envs.games.describe import describe_game

    rows = []
    for one in map(describe_game, list_games()):
        players = "" if one.players is None else str(one.players)
        dims = str(one.dims[0]) if len(set(one.dims)) == 1 else ", ".join(map(str, one.dims))
        rows.append([one.name, players, dims, one.domain, one.known, _shortened(one.summary)])
    columns = ["name", "players", "dims", "domain", "known", "what it is"]
    print_table(out, 'games: strategic_envs.game("NAME")', columns, rows)


def _print_agents(out: Console) -> None:
    from strategic_envs.agents.roster import agents

    rows = [[agent.name, "rllib" if agent.needs_ray else "none", agent.summary] for agent in agents().values()]
    print_table(out, "agents", ["name", "extra", "what it is"], rows)


def _print_dynamics(out: Console) -> None:
    from strategic_envs.scripts.dynamics_table import COLUMNS, dynamics_rows

    print_table(out, "learning dynamics: strategic_envs.agents.dynamics, and --agent NAME", COLUMNS, dynamics_rows())


def _print_gaps(out: Console) -> None:
    from strategic_envs.scripts.gaps_table import COLUMNS, gaps_rows

    print_table(out, "gaps: strategic_envs.evaluators", COLUMNS, gaps_rows())


def _print_matrix(out: Console) -> None:
    from strategic_envs.scripts.matrix import matrix_rows

    columns = ["environment", "agents", "preset, or why not"]
    print_table(out, "which agent trains which environment", columns, matrix_rows(), grouped=1)


def _shortened(text: str) -> str:
    return text if len(text) <= 110 else text[:107].rsplit(" ", 1)[0] + " ..."
