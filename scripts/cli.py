"""`strategic-envs COMMAND ...`: finds the command, parses its options, and says in one line what cannot be run.

Exit codes: 0 done, 1 something failed while it ran, 2 what was typed cannot be run, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from strategic_envs import __version__, errors
from strategic_envs.errors import UnknownNameError
from strategic_envs.scripts.discover import find, names
from strategic_envs.scripts.options import InputError, take_options

__all__ = ["main"]

_USER_ERRORS = (
    InputError,
    *(e for n in errors.__all__ if isinstance(e := getattr(errors, n), type) and issubclass(e, Exception)),
)
_WITH_OPTIONS = ("train",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after the program's name; None takes them from the command line.

    Returns:
        The exit code.

    Example:
        >>> main(["--version"]) == 0  # doctest: +ELLIPSIS
        strategic-envs ...
        True
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is there: small networks, the same numbers everywhere
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            _print_help()
            return 0
        if words[0] == "--version":
            print(f"strategic-envs {__version__}")
            return 0
        return _run(words[0], words[1:])
    except _USER_ERRORS as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted; what was finished is saved", 130)
    except BrokenPipeError:  # the reader, such as head, went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(name: str, words: list[str]) -> int:
    if name not in names("commands"):
        raise UnknownNameError("command", name, names("commands"))
    module = find("commands", name, "command")
    words, options = take_options(words)
    command_type = module.command_for(words) if hasattr(module, "command_for") else module.Command
    if name not in _WITH_OPTIONS and (options.env or options.agent):
        raise InputError(f"{name} takes no --env.KEY and no --agent.KEY: they belong to train")
    command = _parse(command_type, words, f"strategic-envs {name}")
    return int(command.run(options) or 0) if name in _WITH_OPTIONS else int(command.run() or 0)


def _parse(command_type: type, words: list[str], program: str) -> Any:
    """Reads a command's own options; tyro's framed complaint becomes one line."""
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(command_type, prog=program, args=words, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as stop:
        if not stop.code:
            raise
        text = _one_line(complaint.getvalue())
        raise InputError(f"{text} (see {program} --help)") from None


def _one_line(complaint: str) -> str:
    lines = [
        line.strip(" │╭╮╰╯─-") if not any(c.isalnum() for c in line) else line.strip(" │")
        for line in complaint.splitlines()
    ]
    lines = [line for line in lines if line][1:]  # the first one is the frame's title
    end = next((i for i, line in enumerate(lines) if line.startswith(("For full helptext", "Argument helptext"))), None)
    return " ".join(lines[:end])


def _complain(message: str, code: int) -> int:
    print(f"strategic-envs: {' '.join(message.split())}", file=sys.stderr)
    return code


def _print_help() -> None:
    print("usage: strategic-envs COMMAND [options]\n\ncommands:")
    for name in names("commands"):
        summary = (find("commands", name, "command").Command.__doc__ or "").strip().splitlines()[0]
        print(f"  {name:<12}{summary}")
    print("\nstrategic-envs COMMAND --help says more.")


if __name__ == "__main__":
    sys.exit(main())
