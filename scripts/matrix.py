"""Which agent trains which environment: agents with the same settings, or the same reason not to, share a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from strategic_envs.scripts.tables import number

__all__ = ["matrix_rows"]

_MANY = 4  # agents in one cell, from which on they are counted


def matrix_rows() -> list[list[str]]:
    """The rows `[environment, agents, settings or reason]`, the most usual settings first, refusals last.

    The settings that only an agent has are left out as long as they are its defaults: `list --dynamics` shows them.

    Example:
        >>> [row[1:] for row in matrix_rows() if row[0] == "tic_tac_toe_v0" and "random" in row[1]]
        [['uniform_random', 'iterations=1']]
    """
    from strategic_envs.agents.roster import agents
    from strategic_envs.registry import list_environments

    rows = []
    for environment in list_environments():
        groups: dict[str, list[str]] = defaultdict(list)
        for agent in agents().values():
            reason = agent.refuses(environment)
            own = {} if reason else agent.own()
            shown = {} if reason else {k: v for k, v in agent.preset(environment).items() if own.get(k, agent) != v}
            groups[f"no: {reason.partition(' (it ')[0]}" if reason else _settings(shown)].append(agent.name)
        order = sorted(groups, key=lambda text: (text.startswith("no: "), -len(groups[text]), groups[text]))
        rows += [[environment, _names(groups[text]), text] for text in order]
    return rows


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) < _MANY else f"{len(names)}: {', '.join(names)}"


def _settings(preset: Mapping[str, Any]) -> str:
    """The settings that the preset sets, in one line."""
    chosen = [f"{key}={number(value)}" for key, value in preset.items() if value is not None]
    return ", ".join(chosen) or "yes, with nothing to set"
