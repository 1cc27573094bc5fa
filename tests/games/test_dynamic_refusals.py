"""Networks, data and stages that are no game are refused, and the error names the layer, the shape or the number."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.stages import Chain, Stage


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(3, (12,), generator=generator)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)
        ).double()


def sum_of_slots(state: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (torch.relu(sum(outputs, start=torch.zeros(()))),)


def carry_input(state: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (torch.relu(outputs[0]), state[0])


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def shared() -> list[nn.Module]:
    one, two = nn.Linear(5, 5), nn.Linear(5, 5)
    two.weight = one.weight
    return [one, nn.ReLU(), two]


def hooked() -> list[nn.Module]:
    layer = nn.Linear(5, 3)
    layer.register_forward_hook(lambda *_: None)
    return [layer]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)], r"layer 1 \(ReLU\) works in place"),
        ([nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)], r"layer 1 \(BatchNorm1d\).*couples the samples"),
        (
            [nn.Linear(5, 4), nn.Dropout(), nn.Linear(4, 3)],
            r"layer 1 \(Dropout\) is not supported: its output is random",
        ),
        (
            [nn.Linear(5, 4), nn.Sequential(nn.LSTM(4, 3))],
            r"layer 1.0 \(LSTM\) is not supported: its output is a tuple",
        ),
        ([Unknown(), nn.Linear(5, 3)], r"layer 0 \(Unknown\) is not supported: it is not known here"),
        (shared(), r"layer 2 \(Linear\) shares a parameter with layer 0 \(Linear\)"),
        ([layer := nn.Linear(5, 5), layer], r"layer 1 \(Linear\) shares a parameter with layer 0"),
        (hooked(), r"layer 0 \(Linear\) has forward hooks"),
        (iter([torch.relu]), r"layer 0 .*expected a torch.nn.Module"),
        ([nn.ReLU()], "no layer with parameters"),
        ([], "no layer with parameters"),
        ([nn.Linear(5, 4), nn.Linear(3, 3)], r"stage 1 \['1: Linear'\]: got a state of shapes \[\(2, 4\)\]"),
        ([nn.Linear(5, 2)], "from 0 to 2 for outputs of shape .2,."),
    ],
)
def test_networks_that_are_no_game_are_refused_by_name(layers: Iterable[nn.Module], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        DynamicGame.from_sequential(layers, *data())


def test_data_that_do_not_fit_are_refused() -> None:
    net, (inputs, targets) = network(), data()
    with pytest.raises(InvalidGameError, match="12 inputs and 11 targets"):
        DynamicGame.from_sequential(net, inputs, targets[:11])
    with pytest.raises(InvalidGameError, match="0 inputs"):
        DynamicGame.from_sequential(net, inputs[:0], targets[:0])
    with pytest.raises(InvalidGameError, match="finite floating-point"):
        DynamicGame.from_sequential(net, inputs * torch.nan, targets)
    with pytest.raises(InvalidGameError, match="got inputs of torch.int64"):
        DynamicGame.from_sequential(net, inputs.long(), targets)
    with pytest.raises(InvalidGameError, match="targets that are NaN"):
        DynamicGame.from_sequential(net, inputs, torch.full((12, 3), torch.nan), "mse")
    with pytest.raises(InvalidGameError, match="expected one of cross_entropy, mse"):
        DynamicGame.from_sequential(net, inputs, targets, "hinge")
    with pytest.raises(InvalidGameError, match="weight_decay"):
        DynamicGame.from_sequential(net, inputs, targets, weight_decay=[0.1])
    with pytest.raises(InvalidGameError, match=r"or numbers of shape \(N, 3\)"):
        DynamicGame.from_sequential(net, inputs, torch.zeros(12, 4), "mse")
    game = DynamicGame.from_sequential(net, inputs, targets)
    with pytest.raises(InvalidGameError, match="expected .'N', 5."):
        game.on(inputs[:, :4], targets)
    with pytest.raises(InvalidGameError, match="from 0 to 7"):
        game.on(inputs[:2], torch.tensor([0, 7]))
    with pytest.raises(InvalidStrategyError, match="expected .*6, 4"):
        game.load(nn.Linear(5, 3))
    with pytest.raises(InvalidStrategyError, match="NaN"):
        game.module(game.initial(0) * torch.nan)


def test_stages_that_do_not_fit_together_are_refused() -> None:
    inputs, targets = data()
    with pytest.raises(InvalidGameError, match="without parameters"):
        Stage((nn.ReLU(),), Chain())
    with pytest.raises(InvalidGameError, match="2 players got 1 reads"):
        Stage((nn.Linear(5, 3), nn.Linear(5, 3)), sum_of_slots, reads=(0,))
    with pytest.raises(InvalidGameError, match="stage 0"):
        DynamicGame([Stage((nn.Linear(5, 3),), Chain(), reads=(1,))], inputs, targets)
    with pytest.raises(InvalidGameError, match="2 slots in the last state"):
        DynamicGame([Stage((nn.Linear(5, 3),), carry_input)], inputs, targets)
