"""Mean positive activations: what is recorded of which layer, dead neurons, and a network left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategic_envs.errors import DataError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure import neuron_microstructure
from strategic_envs.evaluators.microstructure.neurons import mean_activations

X = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(10, 300), nn.ReLU(), nn.Dropout(0.5), nn.Linear(300, 60), nn.Tanh(), nn.Linear(60, 2)
        )


def test_means_are_those_of_the_positive_part() -> None:
    net = network()
    found = mean_activations(net, X)
    assert list(found) == ["1", "4"]
    hidden = net[0](X).clamp(min=0)
    torch.testing.assert_close(found["1"], hidden.double().mean(0), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found["4"], net[4](net[3](hidden)).clamp(min=0).double().mean(0), rtol=1e-5, atol=1e-6)


def test_the_network_is_left_as_it_was() -> None:
    net = network()
    net[2].eval()
    neuron_microstructure(net, X, controls=False)
    assert [module.training for module in net] == [True, True, False, True, True, True]
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(RuntimeError):
        neuron_microstructure(net, torch.randn(3, 4))
    assert not any(module._forward_hooks for module in net.modules())


def test_dead_neurons_are_counted_and_dropped() -> None:
    net = network()
    with torch.no_grad():
        net[0].bias[:30] = -1e3
    report = neuron_microstructure(net, X, layers=["1"], baseline=network())
    row = report.rows[0]
    assert (row.n, row.zero_share) == (270, pytest.approx(0.1))
    assert row.J_init is not None
    assert report.note.startswith("30 of 300 neurons are dead and were dropped. A layer has few neurons: low power.")
    assert "Low power at these sizes" in report.note  # 270 lognormal draws are not `supported` either
    assert row.verdict != "supported"


def test_layers_too_small_or_dead_are_skipped() -> None:
    net = nn.Sequential(nn.Linear(10, 15), nn.ReLU(), nn.Linear(15, 40), nn.ReLU(), nn.Linear(40, 2))
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.fill_(-1.0)
    report = neuron_microstructure(net, X)
    assert report.rows == ()
    assert [(s.name, s.shape) for s in report.skipped] == [("1", (15,)), ("3", (40,))]


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(10, 50), nn.Linear(50, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def test_activations_that_are_no_modules() -> None:
    net = Functional()
    found = mean_activations(net, X)
    assert list(found) == ["first"]
    torch.testing.assert_close(found["first"], torch.relu(net.first(X)).double().mean(0), rtol=1e-5, atol=1e-7)


def test_channels_of_convolutions_and_features_of_sequences() -> None:
    images = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        mean_activations(images, x)["1"].float(), images(x).mean((0, 2, 3)), rtol=1e-5, atol=1e-6
    )
    sequences = nn.Sequential(nn.Linear(8, 7), nn.ReLU())
    x = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        mean_activations(sequences, x)["1"].float(), sequences(x).mean((0, 1)), rtol=1e-5, atol=1e-6
    )


def test_a_layer_used_twice_is_recorded_twice() -> None:
    relu = nn.ReLU()
    found = mean_activations(nn.Sequential(nn.Linear(10, 20), relu, nn.Linear(20, 30), relu), X)
    assert {name: len(means) for name, means in found.items()} == {"1": 20, "1 (call 2)": 30}


def test_recorded_activations() -> None:
    random = torch.Generator().manual_seed(0)
    report = neuron_microstructure({"h": torch.randn(500, 200, generator=random).exp()}, controls=False)
    assert report.rows[0].n == 200


@pytest.mark.usefixtures("unchecked")
def test_bad_input() -> None:
    net = network()
    with pytest.raises(InvalidSettingError, match="got no inputs"):
        neuron_microstructure(net)
    with pytest.raises(InvalidSettingError, match="recorded activations"):
        neuron_microstructure({"h": X}, X)
    with pytest.raises(InvalidSettingError, match=r"shape \(10,\), expected \(inputs, neurons\)"):
        neuron_microstructure({"h": X[0]})
    with pytest.raises(UnknownNameError, match="unknown layer '7'"):
        neuron_microstructure(net, X, layers=["7"])
    with pytest.raises(InvalidSettingError, match="found no hidden layer"):
        neuron_microstructure(nn.Linear(10, 3), X)
    with pytest.raises(DataError, match="layer '1': an activation is NaN or infinite"):
        neuron_microstructure(net, X * float("inf"))
    with pytest.raises(InvalidSettingError, match="got tuple as output"):
        mean_activations(nn.Sequential(nn.LSTM(10, 4)), X[None], layers=["0"])
