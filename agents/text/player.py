"""A player that is asked in words: question, strict reading, explanation of what was wrong, another try."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from strategic_envs.agents.text.board import ask, legal_cells, try_again
from strategic_envs.agents.text.reading import read_answer
from strategic_envs.agents.text.turns import Attempt, Message, NoAnswerError, Turn
from strategic_envs.errors import InvalidSettingError

__all__ = ["Completes", "TextPlayer"]


@runtime_checkable
class Completes(Protocol):
    """Whatever continues a conversation."""

    def complete(self, messages: Sequence[Message]) -> str:
        """The next message.

        Raises:
            NoAnswerError: If there is none.
        """
        ...


@dataclass(frozen=True)
class TextPlayer:
    """Plays tic-tac-toe by asking a model. Whatever goes wrong becomes part of the turn and is never raised.

    Args:
        model: What answers.
        retries: How often an answer that is no legal move may be mended.
        name: What records call the player.

    Raises:
        InvalidSettingError: If `retries` is negative.

    Example:
        >>> class Lowest:
        ...     def complete(self, messages):
        ...         return "MOVE: " + messages[-1]["content"].split("Empty cells: ")[1][0]
        >>> TextPlayer(Lowest()).turn(0b1).action
        1
    """

    model: Completes
    retries: int = 2
    name: str = "text"

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise InvalidSettingError(f"a text player: got retries={self.retries!r}, expected a whole number >= 0")

    def turn(self, state: int, generator: np.random.Generator | None = None) -> Turn:
        """Asks for a move on a board that is not decided.

        Args:
            state: The board as an integer.
            generator: Not used: a model draws for itself.

        Returns:
            The turn; without an action if there was no legal answer.
        """
        messages, attempts, legal = ask(state), list[Attempt](), legal_cells(state)
        for _ in range(self.retries + 1):
            began = time.perf_counter()
            try:
                answer = self.model.complete(messages)
                if not isinstance(answer, str):
                    raise NoAnswerError(
                        "malformed", f"the model answered with a {type(answer).__name__}, expected text"
                    )
            except NoAnswerError as failure:
                attempts.append(Attempt(failure.kind, None, str(failure), time.perf_counter() - began))
                break  # the model itself knows best when to try again
            except Exception as error:  # a player's own fault never ends a run
                told = f"{type(error).__name__}: {error}"
                attempts.append(Attempt("error", None, told, time.perf_counter() - began))
                break
            reading = read_answer(answer, legal)
            kind = reading.fault or "ok"
            attempts.append(Attempt(kind, answer, reading.explain, time.perf_counter() - began))
            if reading.cell is not None:
                return Turn(state, reading.cell, tuple(attempts))
            again = try_again(state, reading.explain)
            messages = [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": again}]
        return Turn(state, None, tuple(attempts))
