"""Errors that say what was got, what was expected and how to mend it.

Every error of this project that a user's input can cause is one of the classes below. They derive from the built-in
class that Python code would expect (`ValueError`, `KeyError`, `ImportError`); ordinary `except` clauses keep working.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

__all__ = [
    "CheckpointError",
    "DataError",
    "IllegalActionError",
    "InvalidGameError",
    "InvalidSettingError",
    "InvalidStrategyError",
    "MissingExtraError",
    "OracleError",
    "OutOfBoundsActionError",
    "OutOfOrderError",
    "UnknownNameError",
    "require",
]


class UnknownNameError(KeyError):
    """A name that is in no list: the message offers the nearest names.

    Args:
        kind: What was looked up, in the singular (`"environment"`).
        name: The name that was asked for.
        options: The names there are.

    Example:
        >>> str(UnknownNameError("game", "forsakn", ["forsaken", "f1"]))
        "unknown game 'forsakn': did you mean 'forsaken'? There are: f1, forsaken"
    """

    def __init__(self, kind: str, name: object, options: Iterable[str]) -> None:
        self.options = sorted(options)
        close = difflib.get_close_matches(str(name), self.options, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
        self.message = f"unknown {kind} {name!r}: {hint}There are: {', '.join(self.options) or 'none'}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_unknown_name, (self.message, self.options))


def _rebuild_unknown_name(message: str, options: list[str]) -> UnknownNameError:
    error = UnknownNameError.__new__(UnknownNameError, message)
    error.message, error.options = message, options
    return error


class InvalidGameError(ValueError):
    """A game whose description is not one: a wrong shape, a negative cost, no players."""


class InvalidStrategyError(ValueError):
    """A strategy of the wrong shape or dtype, not finite, or outside its set."""


class InvalidSettingError(ValueError):
    """A hyper-parameter or option that makes no sense: a step size <= 0, a negative number of steps."""


class IllegalActionError(InvalidStrategyError):
    """An action that the rules do not allow in this state."""


class OutOfBoundsActionError(IllegalActionError, AssertionError):
    """An action outside the action space; PettingZoo's AssertOutOfBoundsWrapper raises an AssertionError."""


class OutOfOrderError(IllegalActionError, AssertionError):
    """A call before `reset()`, or out of order; PettingZoo's OrderEnforcingWrapper raises an AssertionError."""


class OracleError(TypeError):
    """A dynamic asked its oracle for something that the oracle cannot give."""


class DataError(ValueError):
    """A data folder or file that is missing, empty, truncated or of another format."""


class CheckpointError(ValueError):
    """A checkpoint or result that is missing, damaged, or belongs to something else."""


class MissingExtraError(ImportError):
    """An optional dependency that is not installed: the message names the extra."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports an optional dependency, or says which extra brings it.

    Args:
        module: The module to import, such as `"matplotlib"`.
        extra: The extra of this distribution that installs it.
        purpose: What needs it, as the start of a sentence.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: If the module is not installed.

    Example:
        >>> require("json", "plots", "Drawing").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise  # the dependency is there, and something of its own is missing
        raise MissingExtraError(
            f"{purpose} needs the package {error.name!r}, which is not installed: "
            f'run pip install "strategic-envs[{extra}]"'
        ) from error
