"""Players as they are named on the command line: a fixed one, what was trained, or a model that is asked in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from strategic_envs.errors import CheckpointError, InvalidStrategyError, UnknownNameError, require
from strategic_envs.results import RunFolder
from strategic_envs.scripts.cells import ray_session
from strategic_envs.scripts.options import InputError

if TYPE_CHECKING:
    from strategic_envs.agents.text import TextPlayer
    from strategic_envs.games.kinds.turn_based import TurnBasedGame
    from strategic_envs.play import TabularPlay

__all__ = ["Asking", "locate_checkpoint", "named_play"]


@dataclass(frozen=True)
class Asking:
    """A model behind an HTTP endpoint, if one is to be asked."""

    endpoint: str | None = None
    """The address of an OpenAI-compatible endpoint, such as http://localhost:8000/v1: a model plays in words."""
    model: str | None = None
    """The name of the model at the endpoint."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key; none is sent if not given."""
    timeout: float = 60.0
    """Seconds that one request to the endpoint may take."""
    temperature: float | None = 0.0
    """The temperature of the model; None leaves it to the endpoint."""
    retries: int = 2
    """How often the model may mend an answer that is no legal move."""

    def player(self) -> TextPlayer | None:
        """The player that asks the model; None if there is no endpoint.

        Raises:
            InputError: If only one of endpoint and model is given.
            InvalidSettingError: If a setting makes no sense, or the key's variable is not set.
        """
        if self.endpoint is None:
            given = [name for name in ("model", "key_env") if getattr(self, name) is not None]
            if given:
                raise InputError(
                    f"--{given[0].replace('_', '-')} is of a model at an endpoint: give --endpoint URL too"
                )
            return None
        if self.model is None:
            raise InputError("--endpoint needs the name of the model there: give --model NAME")
        from strategic_envs.agents.text import ChatEndpoint, TextPlayer

        endpoint = ChatEndpoint(
            self.endpoint,
            self.model,
            key_variable=self.key_env,
            timeout=self.timeout,
            temperature=self.temperature,
        )
        return TextPlayer(endpoint, retries=self.retries, name=self.model)


def locate_checkpoint(path: Path) -> tuple[Path, str | None]:
    """The checkpoint inside a run folder, and the agent that made it; a checkpoint itself as it is.

    Raises:
        CheckpointError: If there is none.
    """
    if not path.exists():
        raise CheckpointError(f"there is no {path}: give a checkpoint, or the folder that train wrote")
    if not (path / "run.json").is_file():
        return path, None
    agent = RunFolder.open(path).config.get("agent")
    try:
        inner = json.loads((path / "result.json").read_text(encoding="utf-8"))["checkpoint"]
    except OSError as error:
        raise CheckpointError(f"{path} holds a run that did not finish: train it again into another folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}/result.json is damaged: give the checkpoint's own folder instead") from error
    if inner is None:
        raise CheckpointError(f"{path} holds a run of {agent}, which learns nothing and so leaves no checkpoint")
    return path / inner, agent


def named_play(name: str, game: TurnBasedGame, address: str | None = None) -> TabularPlay:
    """What a player does in every state, as either side.

    Args:
        name: A fixed player, a checkpoint, or the folder that train wrote. What exists as a path is one.
        game: The game.
        address: A Ray cluster that restores the checkpoint.

    Raises:
        UnknownNameError: If it is none of these.
        InputError: If it is an agent that must be trained first.
        CheckpointError: If a checkpoint is damaged, or of another game.

    Example:
        >>> from strategic_envs.games.tic_tac_toe import TicTacToe
        >>> named_play("optimal", TicTacToe()).policies[0].shape
        torch.Size([5478, 9])
    """
    from strategic_envs.baselines.turn_based import FIXED_PLAYERS, fixed_player
    from strategic_envs.play import TabularPlay

    if Path(name).exists():
        return _trained(Path(name), game, address)
    if name in FIXED_PLAYERS:
        return TabularPlay((fixed_player(game, name),) * game.n_players)
    from strategic_envs.agents.roster import agents

    if name in agents():
        raise InputError(
            f"{name} must be trained first: strategic-envs train {game.name}_v0 --agent {name} --out FOLDER, "
            "and then give FOLDER"
        )
    if len(Path(name).parts) > 1:
        raise CheckpointError(f"there is no {name}: give a checkpoint, or the folder that train wrote")
    raise UnknownNameError("player or path", name, FIXED_PLAYERS)


def _trained(path: Path, game: TurnBasedGame, address: str | None) -> TabularPlay:
    from strategic_envs.agents.roster import checkpoint_play
    from strategic_envs.evaluators.expectation import tabulate

    checkpoint, _ = locate_checkpoint(path)
    require("ray.rllib", "rllib", "A checkpoint")
    with ray_session([], address):
        _, play = checkpoint_play(checkpoint, f"{game.name}_v0")
    try:
        return tabulate(game, play)
    except InvalidStrategyError as error:
        raise CheckpointError(f"{path} holds no play of {game.name}: {error}") from error
