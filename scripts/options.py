"""Options that belong to an environment or an agent: `--env.KEY VALUE` and `--agent.KEY VALUE`.

Which keys there are depends on the environment and the agent, so they are taken out before a command parses its own
options. Values are read as Python literals (`3`, `1e-3`, `[1, 2]`, `"text"`, `true`, `none`); anything else is text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strategic_envs.errors import UnknownNameError

__all__ = ["InputError", "Options", "check_keys", "literal", "take_options"]


class InputError(ValueError):
    """What a user typed cannot be run: the message is one line and says how to mend it."""


@dataclass(frozen=True)
class Options:
    """The options of the environment and of the agent, by key.

    Args:
        env: What followed `--env.`.
        agent: What followed `--agent.`.
    """

    env: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)


_WORDS: dict[str, object] = {"true": True, "false": False, "none": None, "inf": float("inf"), "-inf": -float("inf")}


def literal(text: str) -> Any:
    """A value as a user types it.

    Example:
        >>> [literal(t) for t in ("3", "1e-3", "true", "[1, 2]", "forsaken")]
        [3, 0.001, True, [1, 2], 'forsaken']
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def take_options(words: Sequence[str]) -> tuple[list[str], Options]:
    """Takes `--env.KEY VALUE` and `--agent.KEY VALUE` (or `--env.KEY=VALUE`) out of a command's words.

    A dash in a key is an underscore.

    Returns:
        The other words, and the options.

    Raises:
        InputError: If a key has no value, or is given twice.

    Example:
        >>> take_options(["layers_v0", "--env.depth", "2", "--seed", "1"])
        (['layers_v0', '--seed', '1'], Options(env={'depth': 2}, agent={}))
    """
    rest, options, left = [], Options(), list(words)
    while left:
        word = left.pop(0)
        group = next((g for g in ("env", "agent") if word.startswith(f"--{g}.")), None)
        if group is None:
            rest.append(word)
            continue
        name, separator, value = word.partition("=")
        key = name[len(group) + 3 :].replace("-", "_")
        if not separator:
            if not left or left[0].startswith("--"):
                raise InputError(f"{name} has no value: write {name} VALUE")
            value = left.pop(0)
        target: dict[str, Any] = getattr(options, group)
        if not key.isidentifier():
            raise InputError(f"got {name}, expected --{group}.KEY VALUE")
        if key in target:
            raise InputError(f"{name} is given twice: {target[key]!r} and {value!r}")
        target[key] = literal(value)
    return rest, options


def check_keys(given: Mapping[str, Any], there_are: Iterable[str], owner: str) -> None:
    """Refuses an option that its owner does not have.

    Args:
        given: The options by name.
        there_are: The names there are.
        owner: Whose options they are.

    Raises:
        UnknownNameError: Naming the options there are.

    Example:
        >>> check_keys({"stepsize": 1}, ["step_size"], "extragradient")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        strategic_envs.errors.UnknownNameError: unknown option of extragradient 'stepsize': did you mean ...
    """
    names = list(there_are)
    for key in given:
        if key not in names:
            raise UnknownNameError(f"option of {owner}", key, names)
