"""Training runs: the same start and batches for every method, divergence as an outcome, equal tuning, runs kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.experiments.methods import TRIALS, Method, Stepper, StepReport, method, methods
from strategic_envs.agents.dgnopt.experiments.metrics import wardrop_metrics
from strategic_envs.agents.dgnopt.experiments.problems import Problem, problem
from strategic_envs.agents.dgnopt.experiments.study import Study
from strategic_envs.agents.dgnopt.experiments.training import Epoch, Run, evaluate, fit
from strategic_envs.agents.dgnopt.experiments.tuning import Trial, Tuning, tune
from strategic_envs.agents.dgnopt.optimizer import DGNOpt
from strategic_envs.agents.dgnopt.settings import DAMPING, trust_region
from strategic_envs.data import MinibatchSampler
from strategic_envs.errors import CheckpointError, DataError, InvalidSettingError, UnknownNameError
from strategic_envs.games.networks import initialise, mlp
from strategic_envs.seeding import child_seed


@pytest.fixture(scope="module")
def small() -> Problem:
    whole = problem("mlp")
    return replace(whole, make=lambda: mlp((64, 16, 10)))


class Scripted:
    """A stepper that moves nothing and reports what it is told."""

    def __init__(self, losses: list[float], outcomes: list[str]) -> None:
        self.losses, self.outcomes = losses, outcomes

    def step(self, inputs: Tensor, targets: Tensor) -> StepReport:
        return StepReport(torch.tensor(self.losses.pop(0)), self.outcomes.pop(0))


def scripted(losses: list[float], outcomes: list[str]) -> Method:
    def make(module: nn.Module, seed: int, settings: Mapping[str, Any]) -> Stepper:
        return Scripted(list(losses), list(outcomes))

    return Method("scripted", "what it is told", {}, ({},) * TRIALS, make)


def run_of(accuracies: list[float], *, seed: int = 0, outcome: str = "finished", loss: float = 0.5) -> Run:
    rows = tuple(Epoch(k, loss, share, 10.0 * k, 9.0 * k) for k, share in enumerate(accuracies, start=1))
    return Run("sgd", {"lr": 0.1}, seed, rows, outcome)


def test_fit_is_the_plain_loop_of_torch(small: Problem) -> None:
    module = initialise(small.make(), 3, gain=0.8)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
    sampler, losses = MinibatchSampler(1100, 100, child_seed(3, "training")), []
    for _ in range(22):
        rows = sampler.next()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(small.train.inputs[rows]), small.train.targets[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net = small.make()
    found = fit(net, "sgd", small.train, small.test, epochs=2, batch=100, seed=3, settings={"lr": 0.2})
    assert [row.epoch for row in found.rows] == [1.0, 2.0]
    assert found.rows[0].loss == pytest.approx(sum(losses[:11]) / 11, rel=1e-6)
    assert found.loss == pytest.approx(sum(losses[11:]) / 11, rel=1e-6)
    assert found.accuracy == evaluate(module, small.test)[0]
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), module.parameters(), strict=True))


def test_the_same_seed_gives_the_same_run_and_another_seed_another(small: Problem) -> None:
    def one(seed: int) -> list[tuple[float, float]]:
        run = fit(small.make, "adam", small.train, small.test, epochs=2, seed=seed, threads=1)
        return [(row.loss, row.accuracy) for row in run.rows]

    assert one(0) == one(0) != one(1)


def test_rows_within_an_epoch_and_a_part_of_the_last_one(small: Problem) -> None:
    data = small.train, small.test
    run = fit(small.make, "sgd", *data, epochs=1.5, batch=275, per_epoch=2)
    assert [row.epoch for row in run.rows] == [0.5, 1.0, 1.5]
    assert [row.epoch for row in fit(small.make, "sgd", *data, epochs=0.25, batch=275).rows] == [0.25]
    whole = fit(small.make, "sgd", *data, epochs=1, batch=275)
    assert run.rows[1].accuracy == whole.accuracy
    assert whole.loss == pytest.approx((run.rows[0].loss + run.rows[1].loss) / 2, rel=1e-6)
    times = [(row.seconds, row.cpu_seconds) for row in run.rows]
    assert times == sorted(times)
    assert times[0] > (0, 0)


def test_training_ends_at_the_mark(small: Problem) -> None:
    run = fit(small.make, "adam", small.train, small.test, epochs=50, settings={"lr": 0.01}, mark=0.8)
    assert len(run.rows) < 50
    assert run.accuracy >= 0.8 > max((row.accuracy for row in run.rows[:-1]), default=0)
    assert run.epochs_to(0.8) == run.rows[-1].epoch


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(small: Problem) -> None:
    run = fit(small.make, scripted([1.0, 2.0, float("nan"), 1.0], ["ok"] * 4), *parts(small), epochs=2, batch=550)
    assert (run.outcome, len(run.rows)) == ("diverged", 1)
    assert run.accuracy != run.accuracy
    assert run.loss != run.loss
    assert run.rows[0].loss == 1.5


def test_a_refused_step_ends_the_run_at_once(small: Problem) -> None:
    run = fit(small.make, scripted([1.0, 1.0], ["ok", "diverged"]), *parts(small), epochs=5, batch=275)
    assert (run.outcome, run.rows) == ("diverged", ())  # a third step would find no loss


def test_outputs_that_are_not_finite_are_a_divergence(small: Problem) -> None:
    net = small.make()
    next(net.parameters()).data.fill_(float("inf"))
    run = fit(net, scripted([1.0] * 2, ["ok"] * 2), *parts(small), epochs=1, batch=550, gain=None)
    assert run.outcome == "diverged"


def test_sgd_with_too_large_steps_diverges() -> None:
    large = problem("residual")
    run = fit(large.make, "sgd", large.train, large.test, epochs=10, settings={"lr": 20.0})
    assert run.diverged


def test_marks_and_records() -> None:
    run = run_of([0.5, 0.9, 0.8])
    assert (run.epochs_to(0.9), run.seconds_to(0.9), run.epochs_to(0.95), run.seconds_to(0.95)) == (2, 20.0, None, None)
    assert run.loss_at(2) == 0.5
    assert run.loss_at(7) != run.loss_at(7)
    assert Run.restore(run.record()) == run


def test_every_method_has_a_grid_of_the_same_size_and_settings_of_numbers() -> None:
    for name, one in methods().items():
        assert one.name == name
        assert len(one.grid) == TRIALS
        assert len({tuple(sorted(settings.items())) for settings in one.grid}) == TRIALS, name
        values = [value for settings in (*one.grid, one.defaults) for value in settings.values()]
        assert all(isinstance(value, int | float | str | bool | None) for value in values)


def test_the_presets_have_the_defaults_of_the_optimizer() -> None:
    own = {
        "lr": DGNOpt(mlp((2, 2))).defaults["lr"],
        "damping": DAMPING["kfac"],
        "kl_clip": trust_region("auto", "kfac"),
    }
    for name, info in (("olne", "OLNE"), ("fne", "FNE"), ("gr", "GR"), ("o-cg", "O-CG")):
        assert method(name).defaults == {**own, "info": info}


def test_the_best_trial_is_the_most_accurate_of_those_that_never_diverged() -> None:
    edge = Trial({"lr": 1.0}, (run_of([0.99]), run_of([0.99], outcome="diverged")))
    good = Trial({"lr": 0.1}, (run_of([0.9], loss=0.2), run_of([0.92], loss=0.2)))
    slower = Trial({"lr": 0.01}, (run_of([0.9]), run_of([0.92])))
    tuning = Tuning("sgd", (edge, slower, good))
    assert edge.rejected
    assert tuning.best is good
    assert [row["chosen"] for row in tuning.table()] == [False, False, True]
    assert [row["diverged"] for row in tuning.table()] == [1, 0, 0]
    assert Tuning("sgd", (edge,)).best is None


def test_tune_tries_as_many_settings_as_it_is_told_with_every_seed() -> None:
    asked: list[tuple[float, int]] = []

    def one(how: Method, settings: Mapping[str, Any], seed: int) -> Run:
        asked.append((settings["lr"], seed))
        return run_of([settings["lr"]])

    tuning = tune("sgd", one, seeds=(5, 7), trials=2)
    rates = [settings["lr"] for settings in method("sgd").grid[:2]]
    assert asked == [(rate, seed) for rate in rates for seed in (5, 7)]
    assert tuning.best is not None
    assert tuning.best.settings == {"lr": max(rates)}


def test_a_study_trains_only_what_it_does_not_have(tmp_path: Path, small: Problem) -> None:
    said: list[str] = []
    first = Study(tmp_path / "runs", small, said=said.append).run("sgd", seed=0, epochs=1)
    study = Study(tmp_path / "runs", small, said=said.append)
    assert study.run("sgd", seed=0, epochs=1) == first
    assert len(said) == 1
    study.run("sgd", seed=0, epochs=1, settings={"lr": 0.1})
    study.run("sgd", seed=0, epochs=1, validate=True)
    study.tune("sgd", seeds=(0,), epochs=1, trials=1)
    assert len(said) == 4
    assert "sgd (lr=0.2), seed 0: " in said[0]


def test_a_study_refuses_the_folder_of_another(tmp_path: Path, small: Problem) -> None:
    Study(tmp_path / "runs", small)
    with pytest.raises(CheckpointError, match="holds another run"):
        Study(tmp_path / "runs", small, batch=64)


def test_problems_have_three_parts_that_share_no_sample() -> None:
    whole = problem("conv")
    assert whole.train.inputs.shape == (1100, 1, 8, 8)
    every = torch.cat([part.inputs.flatten(1) for part in (whole.train, whole.validation, whole.test)])
    assert len(every.unique(dim=0)) == 1797
    assert whole.train.inputs.mean(0).abs().max() < 1e-6
    for name in ("mlp", "residual", "conv", "inception"):
        one = problem(name)
        assert one.make()(one.test.inputs[:2]).shape == (2, 10)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda p: fit(p.make, "sdg", *parts(p), epochs=1), UnknownNameError, "did you mean 'sgd'"),
        (lambda p: fit(p.make, "sgd", *parts(p), epochs=0), InvalidSettingError, "expected one step and one row"),
        (lambda p: fit(p.make, "sgd", *parts(p), epochs=1, per_epoch=0), InvalidSettingError, "per_epoch=0"),
        (lambda p: fit(p.make, "sgd", *parts(p), epochs=1, batch=5000), DataError, "minibatch size of 5000"),
        (
            lambda p: fit(p.make, "sgd", *parts(p), epochs=1, settings={"damping": 1}),
            InvalidSettingError,
            "sgd: got the settings lr, damping",
        ),
        (lambda p: tune("sgd", lambda *_: run_of([1.0]), trials=9), InvalidSettingError, "expected 1 to 6"),
        (lambda p: tune("sgd", lambda *_: run_of([1.0]), seeds=()), InvalidSettingError, "no seed to tune with"),
        (lambda p: problem("lenet"), UnknownNameError, "unknown network"),
        (lambda p: problem("mlp", "svhn"), UnknownNameError, "unknown data set"),
        (lambda p: problem("resnet18"), InvalidSettingError, "made for 32 x 32"),
    ],
)
def test_bad_input_is_refused(call: Any, error: type[Exception], says: str, small: Problem) -> None:
    with pytest.raises(error, match=says):
        call(small)


def parts(one: Problem) -> tuple[Any, Any]:
    return one.train, one.test


def test_metrics_are_logged_beside_every_row_and_change_nothing(small: Problem) -> None:
    told = {"epochs": 1, "per_epoch": 2, "seed": 1}
    plain = fit(small.make, "adam", small.train, small.test, **told)
    measured = fit(
        small.make, "adam", small.train, small.test, **told, metrics=wardrop_metrics(small.train, samples=30)
    )
    assert [row.loss for row in measured.rows] == [row.loss for row in plain.rows]
    assert all(row.metrics == {} for row in plain.rows)
    epochs, gaps = measured.metric("path_gap")
    assert len(epochs) == len(measured.rows) and all(gap > 0 for gap in gaps)
    assert all(row.metrics["identity_error"] < 1e-12 for row in measured.rows)
    assert Run.restore(measured.record()) == measured
    record = measured.record()
    for row in record["rows"]:
        del row["metrics"]  # as runs of older versions have none
    assert Run.restore(record).metric("path_gap") == ([], [])


def test_wardrop_metrics_of_blocks_are_those_of_their_layers() -> None:
    block = problem("residual")
    found = wardrop_metrics(block.train, samples=20)(initialise(block.make(), 0))
    assert set(found) == {"layer_gap", "layer_excess"}
