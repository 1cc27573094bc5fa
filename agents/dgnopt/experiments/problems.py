"""What networks are trained on: data in three parts, centred, and networks of its shape by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from strategic_envs.data import Dataset, load
from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.seeding import numpy_stream

__all__ = ["DATA", "NETWORKS", "Problem", "problem"]

DATA = ("digits", "mnist", "cifar10")
NETWORKS = ("mlp", "paired", "residual", "conv", "inception", "resnet18")
_OF_VECTORS = ("mlp", "paired", "residual")
_DIGITS = (1100, 297)  # of 1,797: training, validation; 400 are left to test
_VALIDATION = {"mnist": 5000, "cifar10": 2500}  # the last of the training samples


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and a network to train on them.

    Args:
        data: The name of the data.
        network: The name of the network.
        make: Makes the network, with weights that are to be drawn anew.
        train: What it is trained on.
        validation: What settings are chosen by.
        test: What is reported; no choice may depend on it.
        gain: Its first weights are He's times this.
    """

    data: str
    network: str
    make: Callable[[], nn.Module]
    train: Dataset
    validation: Dataset
    test: Dataset
    gain: float = 0.8


def problem(network: str = "residual", data: str = "digits", folder: str | Path | None = None) -> Problem:
    """Data and a network of their shape.

    Digits: 1,100 samples to train on, 297 to validate, 400 to test, centred by the mean of the training pixels. MNIST
    and CIFAR-10: their own test set, the last 5,000 (2,500) training samples to validate, standardised by channel.

    Args:
        network: `mlp` (plain), `paired` (every layer the sum of two), `residual` (three blocks with projections),
            `conv` (the same of convolutions), `inception`, or `resnet18`.
        data: `digits`, `mnist` or `cifar10`.
        folder: Where the files of MNIST or CIFAR-10 are; the folder that `STRATEGIC_ENVS_DATA` names by default.

    Raises:
        UnknownNameError: If there is no such network or data.
        InvalidSettingError: If the network does not fit the data.
        DataError: If the data are not where they are said to be.

    Example:
        >>> digits = problem("residual")
        >>> len(digits.train), len(digits.validation), len(digits.test), digits.make()(digits.test.inputs).shape
        (1100, 297, 400, torch.Size([400, 10]))
    """
    if data not in DATA:
        raise UnknownNameError("data set", data, DATA)
    if network not in NETWORKS:
        raise UnknownNameError("network", network, NETWORKS)
    if network == "resnet18" and data != "cifar10":
        raise InvalidSettingError(f"got resnet18 for {data}, expected cifar10: it is made for 32 x 32 pixels")
    parts = _digits() if data == "digits" else _files(data, folder)
    train, validation, test = (_shaped(part, flat=network in _OF_VECTORS) for part in parts)
    gain = 1.0 if network == "inception" else 0.8  # deeper: with smaller weights it stands still at first
    return Problem(data, network, _maker(network, data, train), train, validation, test, gain)


def _maker(network: str, data: str, train: Dataset) -> Callable[[], nn.Module]:
    from strategic_envs.games.networks import inception, mlp, paired_mlp, residual_conv, residual_mlp, resnet18

    inputs, classes, small = train.inputs.shape[1], train.n_classes, data == "digits"
    if network in ("mlp", "paired"):
        make = mlp if network == "mlp" else paired_mlp
        return lambda: make((inputs, 64, 64, classes) if small else (inputs, 128, 128, 128, classes))
    if network == "residual":
        widths, stem = ((64, 48, 32), 64) if small else ((128, 128, 128), 128)
        return lambda: residual_mlp(inputs=inputs, widths=widths, stem=stem, classes=classes)
    if network == "conv":
        widths = (8, 16, 16) if small else (8, 16, 32)
        return lambda: residual_conv(channels_in=inputs, widths=widths, classes=classes)
    if network == "inception":
        stride = 1 if small else 2
        return lambda: inception(channels_in=inputs, widths=(8,), stem=16, stride=stride, grid=4, classes=classes)
    return lambda: resnet18(classes=classes)


def _digits() -> tuple[Dataset, Dataset, Dataset]:
    first, last = load("digits"), load("digits", split="test")
    inputs, targets = torch.cat([first.inputs, last.inputs]), torch.cat([first.targets, last.targets])
    order = torch.as_tensor(numpy_stream(0, "digits", "three parts").permutation(len(targets)))
    n_train, n_validation = _DIGITS
    inputs = inputs - inputs[order[:n_train]].mean(0)
    rows = order[:n_train], order[n_train : n_train + n_validation], order[n_train + n_validation :]
    train, validation, test = (
        Dataset(inputs[kept], targets[kept], 10, "digits", split)
        for kept, split in zip(rows, ("train", "train", "test"), strict=True)
    )
    return train, validation, test


def _files(data: str, folder: str | Path | None) -> tuple[Dataset, Dataset, Dataset]:
    whole, test = load(data, folder), load(data, folder, split="test")
    kept = len(whole) - _VALIDATION[data]
    axes = (0, *range(2, whole.inputs.dim())) if whole.inputs.dim() == 4 else tuple(range(whole.inputs.dim()))
    mean = whole.inputs[:kept].mean(axes, keepdim=True)
    scale = whole.inputs[:kept].std(axes, keepdim=True)
    standard = (whole.inputs - mean) / scale
    train = replace(whole, inputs=standard[:kept], targets=whole.targets[:kept])
    validation = replace(whole, inputs=standard[kept:], targets=whole.targets[kept:])
    return train, validation, replace(test, inputs=(test.inputs - mean) / scale)


def _shaped(part: Dataset, *, flat: bool) -> Dataset:
    if flat:
        return part.flatten()
    return part if part.inputs.dim() == 4 else replace(part, inputs=part.inputs.unsqueeze(1))
