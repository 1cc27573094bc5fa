"""Players that read a position as text and answer in words, how they are asked, and how their answers are judged.

Nothing here needs Ray. A model is anything with `complete(messages) -> str`; `ChatEndpoint` is one behind an
OpenAI-compatible HTTP endpoint. `TextPlayer` asks it, reads its answers strictly, explains what was wrong with them and
asks again; what is still no legal move is a forfeit, with its reason.
"""

from __future__ import annotations

from strategic_envs.agents.text.answers_file import read_answers, write_answers
from strategic_envs.agents.text.board import ask, numbered_board
from strategic_envs.agents.text.endpoint import ChatEndpoint
from strategic_envs.agents.text.examination import Examination, choose_positions, examine, judge_turns
from strategic_envs.agents.text.match import GameRecord, Match, TablePlayer, play_game, play_games
from strategic_envs.agents.text.player import Completes, TextPlayer
from strategic_envs.agents.text.reading import Reading, read_answer
from strategic_envs.agents.text.turns import FAULTS, Attempt, NoAnswerError, Tally, Turn

__all__ = [
    "FAULTS",
    "Attempt",
    "ChatEndpoint",
    "Completes",
    "Examination",
    "GameRecord",
    "Match",
    "NoAnswerError",
    "Reading",
    "TablePlayer",
    "Tally",
    "TextPlayer",
    "Turn",
    "ask",
    "choose_positions",
    "examine",
    "judge_turns",
    "numbered_board",
    "play_game",
    "play_games",
    "read_answer",
    "read_answers",
    "write_answers",
]
