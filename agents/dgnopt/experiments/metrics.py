"""What else can be measured of a network while it trains: its gaps as a game of layers and of paths."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from strategic_envs.data import Dataset, MinibatchSampler
from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.figures import wardrop_figures
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.networks import network_game

__all__ = ["wardrop_metrics"]


def wardrop_metrics(
    data: Dataset, *, loss: str = "cross_entropy", samples: int | None = 300, seed: int = 0
) -> Callable[[nn.Module], dict[str, float]]:
    """Measures a network's Wardrop gaps on some samples: an argument for `fit(..., metrics=)`.

    A call costs some hundred milliseconds for ten thousand paths and 300 samples, and grows with both; training itself
    is not changed by it. Path gaps of ReLU networks are experimental (gates frozen), and small wherever the loss is.

    Args:
        data: The samples, as the network reads them.
        loss: `cross_entropy` or `mse`.
        samples: On how many of them, drawn by `seed`; None for all.
        seed: Which are drawn.

    Returns:
        From a module to `layer_gap`, `layer_excess`, and `path_gap`, `norm_gap` and `identity_error` where paths are
        covered. It raises InvalidGameError for a network that is no game of layers.

    Example:
        >>> from strategic_envs.data import digits
        >>> from strategic_envs.games.networks import mlp
        >>> sorted(wardrop_metrics(digits().flatten(), samples=20)(mlp((64, 4, 10))))
        ['identity_error', 'layer_excess', 'layer_gap', 'norm_gap', 'path_gap']
    """
    size = len(data) if samples is None else min(samples, len(data))
    rows = MinibatchSampler(len(data), size, seed).indices(0)
    inputs, targets = data.inputs[rows], data.targets[rows]

    def measure(module: nn.Module) -> dict[str, float]:
        device = next(module.parameters()).device
        game = _game(module, inputs.to(device), targets.to(device), loss)
        return wardrop_figures(game, game.load(module))

    return measure


def _game(module: nn.Module, inputs: Tensor, targets: Tensor, loss: str) -> DynamicGame:
    """The layers of the module as players: of a plain chain, or of what torch.fx makes of it."""
    if isinstance(module, nn.Sequential):
        try:
            return DynamicGame.from_sequential(module, inputs, targets, loss)
        except InvalidGameError:
            pass  # it has a norm or a block of its own: the general way takes it, or says why not
    return network_game(module, inputs, targets, loss)
