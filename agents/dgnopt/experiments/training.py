"""Training runs that can be compared: same batches, same first weights, time beside loss and accuracy.

`fit` trains one network with one method and one seed. For the same seed every method starts at the same weights and
sees the same minibatches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.experiments.methods import Method, Settings, method
from strategic_envs.data import Dataset, MinibatchSampler
from strategic_envs.errors import InvalidSettingError
from strategic_envs.seeding import child_seed

__all__ = ["Epoch", "Run", "evaluate", "fit"]

_EVALUATED_AT_ONCE = 1000


@dataclass(frozen=True)
class Epoch:
    """What training gave up to the end of an epoch, or of a part of one.

    Args:
        epoch: Passes over the training samples up to here.
        loss: Mean training loss over the minibatches since the row before, each before its step.
        accuracy: The share of test samples that are classified correctly.
        seconds: Wall time of training up to here, in seconds; evaluation is not counted.
        cpu_seconds: The same, of the processor.
        metrics: What else was measured of the network here, by name.
    """

    epoch: float
    loss: float
    accuracy: float
    seconds: float
    cpu_seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One network trained with one method and one seed.

    Args:
        method: The method's name.
        settings: All its settings.
        seed: The seed.
        rows: One for every finished epoch, or for parts of epochs.
        outcome: `finished`, or `diverged` if a number was not finite: then `rows` end before.

    Example:
        >>> run = Run("sgd", {}, 0, (Epoch(1, 1.2, 0.7, 2.0, 2.0), Epoch(2, 0.3, 0.9, 4.0, 4.0)), "finished")
        >>> run.epochs_to(0.8), run.seconds_to(0.8), run.epochs_to(0.95), run.accuracy
        (2, 4.0, None, 0.9)
    """

    method: str
    settings: Settings
    seed: int
    rows: tuple[Epoch, ...]
    outcome: str

    @property
    def diverged(self) -> bool:
        """Whether a number was not finite."""
        return self.outcome == "diverged"

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch; NaN if the run diverged."""
        return self.rows[-1].accuracy if self.rows and not self.diverged else float("nan")

    @property
    def loss(self) -> float:
        """Mean training loss of the last row; NaN if the run diverged."""
        return self.rows[-1].loss if self.rows and not self.diverged else float("nan")

    def loss_at(self, epoch: float) -> float:
        """Mean training loss of the row that ends with this epoch; NaN if there is none."""
        return next((row.loss for row in self.rows if row.epoch == epoch), float("nan"))

    def epochs_to(self, mark: float) -> float | None:
        """The epochs until the test accuracy is at least `mark`; None if it never is."""
        return next((row.epoch for row in self.rows if row.accuracy >= mark), None)

    def seconds_to(self, mark: float) -> float | None:
        """Wall time of training, in seconds, until the test accuracy is at least `mark`; None if it never is."""
        return next((row.seconds for row in self.rows if row.accuracy >= mark), None)

    def metric(self, name: str) -> tuple[list[float], list[float]]:
        """The epochs of the rows in which this was measured, and what it was: as `plots.draw_curves` takes them.

        Example:
            >>> Run("sgd", {}, 0, (Epoch(1, 1.2, 0.7, 2.0, 2.0, {"path_gap": 0.1}),), "finished").metric("path_gap")
            ([1], [0.1])
        """
        rows = [row for row in self.rows if name in row.metrics]
        return [row.epoch for row in rows], [row.metrics[name] for row in rows]

    def record(self) -> dict[str, Any]:
        """The run in JSON's types; `Run.restore` reads it."""
        return {**asdict(self), "settings": dict(self.settings)}

    @classmethod
    def restore(cls, record: dict[str, Any]) -> Run:
        """The run of a `record`.

        Example:
            >>> run = Run("sgd", {"lr": 0.1}, 0, (Epoch(1, 1.2, 0.7, 2.0, 2.0),), "finished")
            >>> Run.restore(run.record()) == run
            True
        """
        rows = tuple(Epoch(**row) for row in record["rows"])
        return cls(record["method"], record["settings"], record["seed"], rows, record["outcome"])


def fit(
    network: nn.Module | Callable[[], nn.Module],
    how: str | Method,
    train: Dataset,
    test: Dataset,
    *,
    epochs: float,
    batch: int = 128,
    seed: int = 0,
    settings: Settings | None = None,
    gain: float | None = 0.8,
    mark: float | None = None,
    threads: int | None = None,
    device: str | torch.device = "cpu",
    per_epoch: int = 1,
    metrics: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Run:
    """Trains a network for classification.

    Args:
        network: A module, trained in place, or what makes one.
        how: A method or its name.
        train: What it is trained on; the last incomplete minibatch of an epoch is dropped.
        test: What its accuracy is measured on.
        epochs: How many passes over the training samples; 0.5 for half of one.
        batch: Samples in a minibatch.
        seed: The seed of first weights, of minibatches and of what the method draws.
        settings: What replaces the method's defaults.
        gain: Weights are drawn anew, He's initialisation times this; None keeps the weights that the module has.
        mark: If given, training ends at the first row whose test accuracy reaches it.
        threads: Threads of torch; as they are if not given.
        device: Where to compute.
        per_epoch: How many rows an epoch has.
        metrics: What else to measure of the network for every row, such as `wardrop_metrics` of the same folder gives;
            its time is not counted.

    Returns:
        The run. A loss, an update or an output that is not finite ends it with the outcome `diverged`.

    Raises:
        InvalidSettingError: If there is not one step, `per_epoch` is below 1, or a setting is none of the method's.
        UnknownNameError: If there is no such method.
        DataError: If the minibatch is larger than the data set.

    Example:
        >>> from strategic_envs.data import digits
        >>> net = lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        >>> data = digits().flatten(), digits("test").flatten()
        >>> fit(net, "adam", *data, epochs=3, settings={"lr": 0.01}).accuracy > 0.8
        True
    """
    from strategic_envs.games.networks import initialise

    how = method(how) if isinstance(how, str) else how
    module = (network if isinstance(network, nn.Module) else network()).to(device)
    if gain is not None:
        initialise(module, seed, gain=gain)
    stepper = how.stepper(module, seed=seed, settings=settings)
    sampler = MinibatchSampler(len(train), batch, child_seed(seed, "training"))
    inputs, targets = train.inputs.to(device), train.targets.to(device)
    rows: list[Epoch] = []
    wall = cpu = 0.0
    outcome, done = "finished", 0
    with _threads(threads):
        for end in _ends(sampler.batches_per_epoch, epochs, per_epoch):
            module.train()
            clock, processor = time.perf_counter(), time.process_time()
            losses, sound = [], True
            while sound and done < end:
                chosen = sampler.next().to(device)
                report = stepper.step(inputs[chosen], targets[chosen])
                losses.append(report.loss)
                sound, done = report.outcome != "diverged", done + 1
            loss = float(torch.stack(losses).mean())  # the only wait for the device
            wall, cpu = wall + time.perf_counter() - clock, cpu + time.process_time() - processor
            accuracy, finite = evaluate(module, test)
            if not (sound and finite and math.isfinite(loss)):
                outcome = "diverged"
                break
            more = {} if metrics is None else dict(metrics(module))
            rows.append(Epoch(done / sampler.batches_per_epoch, loss, accuracy, wall, cpu, more))
            if mark is not None and accuracy >= mark:
                break
    return Run(how.name, {**how.defaults, **(settings or {})}, seed, tuple(rows), outcome)


@torch.no_grad()
def evaluate(module: nn.Module, data: Dataset) -> tuple[float, bool]:
    """The accuracy of a network, in evaluation mode, and whether all its outputs are finite.

    Example:
        >>> from strategic_envs.data import digits
        >>> evaluate(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), digits("test"))[1]
        True
    """
    was, device = module.training, next(module.parameters()).device
    module.eval()
    right, finite = torch.zeros((), dtype=torch.long, device=device), torch.ones((), dtype=torch.bool, device=device)
    for begin in range(0, len(data), _EVALUATED_AT_ONCE):
        part = slice(begin, begin + _EVALUATED_AT_ONCE)
        outputs: Tensor = module(data.inputs[part].to(device))
        right += (outputs.argmax(-1) == data.targets[part].to(device)).sum()
        finite &= outputs.isfinite().all()
    module.train(was)
    return float(right) / len(data), bool(finite)


def _ends(batches: int, epochs: float, per_epoch: int) -> list[int]:
    """After which steps there is a row: so many times an epoch, and at the end."""
    total = round(epochs * batches)
    if total < 1 or per_epoch < 1:
        raise InvalidSettingError(
            f"got epochs={epochs} of {batches} minibatches and per_epoch={per_epoch}, expected one step and one row at "
            "least: ask for more epochs"
        )
    ends = {round(k * batches / per_epoch) for k in range(1, math.ceil(epochs * per_epoch) + 1)}
    return sorted({end for end in ends if 0 < end < total} | {total})


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
