"""The best response of a network's last layer where it is exact: a linear layer under the squared error.

Against fixed weights of the other layers its outputs are linear in its own weights, so that minus its utility is a
least-squares problem with a ridge penalty. Under cross-entropy the problem is convex, but has no closed form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.play import BestResponse, Empirical, Independent

if TYPE_CHECKING:
    from strategic_envs.games.kinds.dynamic import DynamicGame

__all__ = ["last_layer_response"]

_PROFILES = 2**12
_MOST = 2**24  # numbers in the matrix of the least-squares problem


class _Reader(nn.Module):
    """Stands in for the last layer, to see what it reads."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.seen = torch.empty(0)

    def forward(self, value: Tensor) -> Tensor:
        """Keeps the input; the output is not used."""
        self.seen = value
        return value.new_zeros(*value.shape[:-1], self.outputs)


def last_layer_response(game: DynamicGame, player: int, play: object) -> BestResponse | None:
    """The exact best response, or None where there is no closed form.

    Args:
        game: A network's game.
        player: Whose response; there is one for the last player, if its stage has no other, it is a linear layer whose
            output is the network's, and the loss is `mse`.
        play: `Empirical`, or `Independent` of at most 4,096 profiles; the player's own part is not used.

    Example:
        >>> from strategic_envs.games.kinds.dynamic import DynamicGame
        >>> inputs, targets = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]])
        >>> game = DynamicGame.from_sequential([nn.Linear(1, 1)], inputs, targets, "mse")
        >>> reply = last_layer_response(game, 0, Empirical.uniform([torch.zeros(1, 2, dtype=torch.float64)]))
        >>> reply.strategy.round(decimals=6).tolist(), round(abs(reply.value), 12)
        ([2.0, 1.0], 0.0)
    """
    if isinstance(play, Independent):
        play = play.joint() if play.size <= _PROFILES else None
    if not isinstance(play, Empirical):
        return None
    last = game.stages[-1]
    layer = last.players[0] if len(last.players) == 1 else None
    if player != game.n_players - 1 or game.objective.loss != "mse":
        return None
    if not isinstance(layer, nn.Linear) or not last.ends_linear or len(game.output_shape) != 1:
        return None
    columns = layer.in_features + (layer.bias is not None)
    if len(play) * len(game.objective) * columns > _MOST:
        return None

    def read(*weights: Tensor) -> Tensor:
        inputs, _ = game.objective.data(weights[0])
        reader = _Reader(layer.out_features)
        game.stages[-1].run(game._run(weights, inputs)[-2], [reader])
        return reader.seen

    points = [p.to(torch.float64) for p in play.points]
    with torch.no_grad():
        features = game._each(read, points)  # (P, N, in)
    if layer.bias is not None:
        features = functional.pad(features, (0, 1), value=1.0)
    _, targets = game.objective.data(features)
    if not targets.is_floating_point():
        targets = functional.one_hot(targets, layer.out_features).to(features)
    scale = (play.weights.to(features) / targets.numel()).sqrt()[:, None, None]
    decay = (game.weight_decay[player] / 2) ** 0.5
    rows = torch.cat([(scale * features).flatten(0, 1), decay * torch.eye(columns).to(features)]).cpu()
    wanted = torch.cat([(scale * targets).flatten(0, 1), targets.new_zeros(columns, layer.out_features)]).cpu()
    solution = torch.linalg.lstsq(rows, wanted, driver="gelsd").solution  # (in + 1, out), of least norm
    value = -float((rows @ solution - wanted).square().sum())
    parts = [solution[: layer.in_features].T.reshape(-1), solution[layer.in_features :].reshape(-1)]
    strategy = torch.cat(parts).to(features.device)
    return BestResponse(strategy, value, value, value, exact=True, attained=True)
