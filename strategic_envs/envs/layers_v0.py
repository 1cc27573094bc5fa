"""The layers of a network as players that train it together: on handwritten digits, a perceptron with 16 hidden units.

An action is a layer's weight update, float32 `(d,)`, each number at most `max_update` in size, or the size of its step;
the reward is minus the loss after the update. Turn by turn, the layers move stage by stage, each seeing the earlier
ones moved. See `strategic_envs.envs.faces.layers` for observations and data, for who knows what
`strategic_envs.envs.faces.layers_information`, and for the networks `strategic_envs.games.layers`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from strategic_envs.envs.faces.layers import LayersParallelEnv, LayersTurnEnv
from strategic_envs.games.layers import layers

__all__ = ["MODES", "SUMMARY", "env", "game", "parallel_env", "raw_env"]

SUMMARY = "The layers of a network as players on real data (digits, MNIST): actions are weight updates."
MODES = ("aec", "parallel")


game = layers  # the game itself, with all its options


class ParallelLayersEnv(LayersParallelEnv):
    """The parallel environment; see `parallel_env`."""

    metadata: ClassVar[dict[str, Any]] = {**LayersParallelEnv.metadata, "name": "layers_v0"}


class TurnLayersEnv(LayersTurnEnv):
    """The turn-based environment; see `raw_env`."""

    metadata: ClassVar[dict[str, Any]] = {**LayersTurnEnv.metadata, "name": "layers_v0"}


def parallel_env(
    *,
    max_cycles: int = 20,
    max_update: float = 0.1,
    batch: int | None = None,
    observation: str = "features",
    information: str = "open_loop",
    actions: str = "updates",
    max_step: float = 1.0,
    direction: str = "gradient",
    render_mode: str | None = None,
    **options: Any,
) -> ParallelLayersEnv:
    """The environment in which all layers move at once.

    Args:
        max_cycles: Updates in an episode.
        max_update: How far a weight may move in one update.
        batch: The size of the minibatch of a cycle; None means all data.
        observation: `"features"` (four numbers), `"gradient"` (the layer's part of the ascent field) or `"states"` (the
            features, and how far each state up to the layer has moved since the cycle began).
        information: `"open_loop"`, or `"cooperative"`: all are paid the group's utility and see the others' last
            updates; turn by turn also `"closed_loop"`, the default there: each stage sees the earlier ones moved.
        actions: `"updates"`, a Box of d numbers in `[-max_update, max_update]`, or `"step_sizes"`, a Box of one number
            in `[0, max_step]`, by which the layer's direction is multiplied.
        max_step: The largest step size.
        direction: `"gradient"`, or `"rms"`: divided by the root of its running mean square.
        render_mode: None, `"ansi"` or `"human"`.
        **options: Options of the game: `hidden`, `data`, `data_dir`, `network`, `alignment`, `fictitious`, `split`,
            `activation`, `loss`, `samples`, `weight_decay`, `seed`; see `strategic_envs.games.layers.layers`.

    Raises:
        InvalidGameError: If an option has a value that makes no game.
        DataError: If the data cannot be read.

    Example:
        >>> env = parallel_env(max_cycles=3)
        >>> env.action_space("player_1").shape
        (170,)
    """
    return ParallelLayersEnv(
        game(**options),
        max_cycles=max_cycles,
        max_update=max_update,
        batch=batch,
        observation=observation,
        information=information,
        actions=actions,
        max_step=max_step,
        direction=direction,
        render_mode=render_mode,
    )


def raw_env(
    *,
    max_cycles: int = 20,
    max_update: float = 0.1,
    batch: int | None = None,
    observation: str = "features",
    information: str = "closed_loop",
    actions: str = "updates",
    max_step: float = 1.0,
    direction: str = "gradient",
    render_mode: str | None = None,
    **options: Any,
) -> TurnLayersEnv:
    """The environment stage by stage, without PettingZoo's wrapper; options as of `parallel_env`, cycles are sweeps."""
    return TurnLayersEnv(
        game(**options),
        max_cycles=max_cycles,
        max_update=max_update,
        batch=batch,
        observation=observation,
        information=information,
        actions=actions,
        max_step=max_step,
        direction=direction,
        render_mode=render_mode,
    )


def env(**options: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The stage-by-stage environment in PettingZoo's order-enforcing wrapper; options as of `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**options))
