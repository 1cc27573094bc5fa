"""PGD with restarts against what is known in closed form, and the signs of hidden gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.robustness import gradient_masking, pgd_accuracy, robustness_curve


def linear(seed: int = 0) -> tuple[nn.Linear, Tensor, Tensor]:
    """A linear classifier of two classes, and samples that it gets right."""
    stream = torch.Generator().manual_seed(seed)
    line = nn.Linear(6, 2).double()
    with torch.no_grad():
        line.weight.copy_(torch.randn(2, 6, generator=stream))
        line.bias.zero_()
        inputs = torch.rand(200, 6, generator=stream, dtype=torch.float64)
        return line, inputs, line(inputs).argmax(-1)


def network(classes: int = 3) -> tuple[nn.Sequential, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(1)
    last = nn.Linear(16, classes)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), last)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=stream))
        inputs = torch.rand(80, 5, generator=stream)
        last.bias.sub_(net(inputs).mean(0))  # so that every class occurs
        return net, inputs, net(inputs).argmax(-1)


def worst_case(line: nn.Linear, inputs: Tensor, targets: Tensor, radius: float) -> Tensor:
    """The worst inputs of a linear classifier of two classes: every coordinate against the right class, clipped."""
    difference = line.weight[1 - targets] - line.weight[targets]
    return (inputs + radius * difference.sign()).clamp(0, 1).detach()


@pytest.mark.parametrize("radius", [0.02, 0.1, 0.3])
def test_on_a_linear_classifier_pgd_finds_the_closed_form_worst_case(radius: float) -> None:
    line, inputs, targets = linear()
    report = pgd_accuracy(line, inputs, targets, radius=radius, restarts=1)
    worst = worst_case(line, inputs, targets, radius)
    expected = (line(worst).argmax(-1) == targets).double().mean()
    assert report.clean == 1.0 and report.robust == float(expected)
    torch.testing.assert_close(report.adversarial, worst, atol=1e-12, rtol=0)


def test_a_radius_of_zero_is_clean_accuracy_and_moves_nothing() -> None:
    net, inputs, targets = network()
    targets = targets.clone()
    targets[:20] = (targets[:20] + 1) % 3
    report = pgd_accuracy(net, inputs, targets, radius=0.0, restarts=2)
    assert report.robust == report.clean == 0.75
    assert torch.equal(report.adversarial, inputs.double())


def test_more_restarts_never_help_the_defender_and_begin_alike() -> None:
    net, inputs, targets = network()
    few, many = (pgd_accuracy(net, inputs, targets, radius=0.1, steps=3, restarts=n) for n in (3, 8))
    assert many.by_restart[:3] == few.by_restart
    assert list(many.by_restart) == sorted(many.by_restart, reverse=True)
    assert many.robust == many.by_restart[-1] <= few.robust and not many.exact


def test_one_seed_gives_the_same_bytes_and_another_seed_other_points() -> None:
    net, inputs, targets = network()
    first, again, other = (
        pgd_accuracy(net, inputs, targets, radius=0.1, steps=2, restarts=1, seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(first.adversarial, again.adversarial)
    assert not torch.equal(first.adversarial, other.adversarial)


def test_attacked_inputs_stay_in_the_ball_and_in_the_range() -> None:
    net, inputs, targets = network()
    report = pgd_accuracy(net, inputs, targets, radius=0.3)
    moved = (report.adversarial - inputs.double()).abs()
    assert float(moved.max()) <= 0.3 + 1e-12
    assert float(report.adversarial.min()) >= 0.0 and float(report.adversarial.max()) <= 1.0
    wide = pgd_accuracy(net, 4 * inputs - 2, targets, radius=0.3, low=-2.0, high=2.0)
    assert float(wide.adversarial.min()) >= -2.0 and float(wide.adversarial.max()) <= 2.0


def test_the_report_agrees_with_the_network_on_the_inputs_it_returns() -> None:
    net, inputs, targets = network()
    report = pgd_accuracy(net, inputs, targets, radius=0.05)
    right = net.double()(report.adversarial).argmax(-1) == targets
    assert torch.equal(right, report.survived) and report.robust == float(right.double().mean())
    assert 0.0 < report.robust < report.clean


def test_the_accuracy_never_rises_with_the_radius() -> None:
    net, inputs, targets = network()
    curve = robustness_curve(net, inputs, targets, [0.0, 0.02, 0.05, 0.1, 0.4], steps=10, restarts=2)
    robust = [report.robust for report in curve]
    assert robust == sorted(robust, reverse=True) and robust[0] == 1.0
    assert [report.radius for report in curve] == [0.0, 0.02, 0.05, 0.1, 0.4]


def test_the_network_is_not_changed_and_a_function_is_attacked_as_a_module_is() -> None:
    net, inputs, targets = network()
    net.train()
    report = pgd_accuracy(net, inputs, targets, radius=0.05, steps=5)
    assert net.training and net[0].weight.dtype == torch.float32 and net[0].weight.grad is None
    double = nn.Sequential(*net).double()
    assert pgd_accuracy(lambda x: double(x), inputs, targets, radius=0.05, steps=5).robust == report.robust


def test_equal_scores_are_no_right_answer() -> None:
    flat = pgd_accuracy(lambda x: x.sum(-1, keepdim=True) * torch.ones(3).to(x), *network()[1:], radius=0.1, restarts=1)
    assert flat.clean == flat.robust == 0.0


def test_an_honest_network_shows_no_sign_of_hidden_gradients() -> None:
    net, inputs, targets = network()
    found = gradient_masking(net, inputs, targets, radius=0.1, surrogate=network()[0])
    assert not found.masked_gradients and found.reasons == ()
    accuracies = [accuracy for _, accuracy in found.by_steps]
    assert accuracies == sorted(accuracies, reverse=True)
    assert found.transfer is not None and found.transfer >= min(accuracies)


def test_a_network_that_rounds_its_inputs_is_found_to_hide_its_gradients() -> None:
    """Rounding has the gradient zero: white-box attacks stand still, while random points and transfer succeed."""
    line, inputs, targets = linear()

    def rounded(x: Tensor) -> Tensor:
        return line((x * 20).round() / 20 + 0 * x)

    found = gradient_masking(rounded, inputs, targets, radius=0.2, surrogate=line)
    assert found.masked_gradients
    assert any("inputs made against the other network" in reason for reason in found.reasons)
    assert any("every input can become the same" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": -0.1}, r"got radius=-0\.1, expected finite numbers >= 0"),
        ({"radius": float("inf")}, "got radius=inf"),
        ({"steps": -1}, "got steps=-1"),
        ({"restarts": 0}, "restarts=0, expected whole numbers"),
        ({"step_size": 0.0}, r"got step_size=0\.0"),
        ({"low": 1.0}, r"got the range \[1\.0, 1\.0\]"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], message: str) -> None:
    net, inputs, targets = network()
    with pytest.raises(InvalidSettingError, match=message):
        pgd_accuracy(net, inputs, targets, **({"radius": 0.1} | settings))  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("unchecked")
def test_data_that_do_not_fit_are_refused() -> None:
    net, inputs, targets = network()
    for x, y, message in [
        (inputs, targets[:5], "inputs of shape"),
        (inputs[:0], targets[:0], "N >= 1"),
        (inputs, targets.double(), "whole-number classes"),
        (inputs, targets + 1, r"got classes from \d to 3 and 3 scores a sample, expected classes in 0\.\.2"),
        (inputs + 1, targets, r"expected them in \[0, 1\]: scale them"),
        (inputs * float("nan"), targets, "got inputs from nan to nan"),
    ]:
        with pytest.raises(InvalidGameError, match=message):
            pgd_accuracy(net, x, y, radius=0.1)
    with pytest.raises(InvalidGameError, match=r"scores of shape \(1, 1\) for one sample"):
        pgd_accuracy(nn.Linear(5, 1), inputs, targets, radius=0.1)
    with pytest.raises(InvalidGameError, match="NaN or infinite at a clean sample"):
        pgd_accuracy(lambda x: net.double()(x) / 0, inputs, targets, radius=0.1)
    with pytest.raises(InvalidSettingError, match=r"got radii=\[0\.2, 0\.1\].*smallest first"):
        robustness_curve(net, inputs, targets, [0.2, 0.1])
