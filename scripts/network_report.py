"""`evaluate --network FILE`: how the weights of a network are distributed, and, given data, its gaps as a game.

Every table stands beside its controls and beside the initialisation, or says that this was not given; what the numbers
do not say is printed with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from strategic_envs.errors import DataError
from strategic_envs.scripts.network_chain import linear_chain, options_of_run
from strategic_envs.scripts.options import InputError
from strategic_envs.scripts.tables import console, print_table

if TYPE_CHECKING:
    from torch import Tensor

    from strategic_envs.evaluators.microstructure import Microstructure, WeightRow
    from strategic_envs.evaluators.wardrop import LayerEquilibrium, PathWardrop

__all__ = ["NetworkOptions", "run_network"]

DATA = ("digits", "mnist", "cifar10")
LOSSES = ("cross_entropy", "mse")

ABOUT_WEIGHTS = (
    "The verdict is about the lognormal alone, by thresholds of our own: supported if it wins BIC, z >= 2 against all "
    "other families and D <= .02; compatible if it wins all the same, or |z| < 2 to the winner; else rejected. A curve "
    "fitted to a histogram is no evidence: its R^2 reads .87 even on Gaussian weights."
)
ABOUT_GAPS = (
    "A path gap of 0 is a global minimum for linear networks that are wide enough, and on these samples; for ReLU it "
    "is a minimum with the gates as they are, and experimental.",
    "A small path gap is no score of quality: it falls with the loss in every network that fits its data, so read "
    "norm_gap beside it. No price of anarchy follows for a network.",
)
"""What the numbers do not say."""


@dataclass(frozen=True)
class NetworkOptions:
    """What is looked at in a file of weights."""

    initial: Path | None = None
    """The weights that training began with, in the same formats; a run of layers_v0 has them with it."""
    minimum: int = 500
    """Tensors with fewer numbers are left out of the table of weights."""
    fixed: tuple[str, ...] = ()
    """Names of tensors that were not trained, in place of those that are guessed by their names."""
    bootstrap: int = 0
    """Draws of the bootstrap for p-values that allow for fitted parameters, such as 199; 0 for none."""
    data: str | None = None
    """digits, mnist or cifar10: also measures the gaps of a chain of linear layers on this data."""
    data_dir: Path | None = None
    """The folder of the data; the one that STRATEGIC_ENVS_DATA names if not given."""
    activation: str | None = None
    """What is between the layers, relu or identity: a file does not say it."""
    loss: str | None = None
    """cross_entropy (if not given) or mse against one-hot classes."""
    samples: int | None = None
    """On how many samples the gaps are measured, 300 if not given; 0 for all."""

    def given(self) -> list[str]:
        """The options that differ from their defaults, as they are typed."""
        changed = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        return [f"--{name.replace('_', '-')}" for name in changed]

    def check(self) -> None:
        """Refuses options that fit neither each other nor what there is.

        Raises:
            InputError: Naming the option.
        """
        alone = [name for name in ("data_dir", "activation", "loss", "samples") if getattr(self, name) is not None]
        if self.data is None and alone:
            raise InputError(f"--{alone[0].replace('_', '-')} is of gaps on data: give --data {'|'.join(DATA)} too")
        if self.data is not None and self.data not in DATA:
            raise InputError(f"got --data {self.data}, expected {', '.join(DATA)}")
        if self.loss is not None and self.loss not in LOSSES:
            raise InputError(f"got --loss {self.loss}, expected {' or '.join(LOSSES)}")
        if self.samples is not None and self.samples < 0:
            raise InputError(f"got --samples {self.samples}, expected a whole number from 0")


@dataclass(frozen=True)
class Gaps:
    """A network's gaps on data.

    Args:
        paths: Those of the paths.
        layers: Those of each layer.
        about: The data, the layers in their order and the activation, in words.
    """

    paths: PathWardrop
    layers: tuple[LayerEquilibrium, ...]
    about: str


def run_network(file: Path, options: NetworkOptions, *, as_json: bool = False) -> int:
    """Measures a file of weights and prints the result.

    Args:
        file: What `strategic_envs.data.weights.read_weights` reads.
        options: What is looked at.
        as_json: Whether to print one JSON object.

    Returns:
        The exit code.

    Raises:
        InputError: If the options do not fit.
        DataError: If a file cannot be read.
        InvalidGameError: If the network is none that the gaps cover.
    """
    options.check()
    from strategic_envs.data.weights import initial_of, read_weights
    from strategic_envs.evaluators.microstructure import weight_microstructure

    weights = read_weights(file)
    gaps = None if options.data is None else _gaps(file, weights, options)  # first: it may be refused
    began = initial_of(file) if options.initial is None else read_weights(options.initial)
    where = None if began is None else str(options.initial or f"{file}, as training began")
    try:
        found = weight_microstructure(
            weights,
            baseline=began,
            minimum=options.minimum,
            fixed=options.fixed or None,
            bootstrap=options.bootstrap,
        )
    except DataError as error:
        raise DataError(f"{file}{f' or {where}' if where else ''}: {error}") from error
    if as_json:
        print(json.dumps(_record(file, found, where, gaps)))
    else:
        _print(file, found, where, gaps)
    return 0


def _gaps(file: Path, weights: Mapping[str, Tensor], options: NetworkOptions) -> Gaps:
    from strategic_envs.data import MinibatchSampler, load
    from strategic_envs.data.weights import judged_weights
    from strategic_envs.evaluators.wardrop import layer_equilibrium, path_wardrop

    told = options_of_run(file)
    activation = options.activation or told.get("activation")
    if activation is None:
        raise InputError(
            "a file of weights does not say what is between its layers: give --activation relu or identity"
        )
    if told.get("network") not in (None, "mlp") or told.get("fictitious", 1) != 1:
        raise InputError(
            f"{file}: a network of blocks, or of fictitious players, is no chain of layers: leave --data out"
        )
    network, order = linear_chain(judged_weights(weights, str(file)), str(activation), str(file))
    data = load(str(options.data), options.data_dir).flatten()
    inputs, targets = data.inputs, data.targets
    size = 300 if options.samples is None else options.samples
    if 0 < size < len(data):
        rows = MinibatchSampler(len(data), size, seed=0).indices(0)
        inputs, targets = inputs[rows], targets[rows]
    loss = options.loss or str(told.get("loss", "cross_entropy"))
    found = layer_equilibrium(network, inputs, targets, loss)
    return Gaps(
        path_wardrop(network, inputs, targets, loss),
        tuple(replace(one, name=name) for one, name in zip(found, order, strict=True)),
        f"{loss} on {len(inputs)} training samples of {options.data} (pixels from 0 to 1), layers {', '.join(order)}, "
        f"{activation} between them",
    )


def _record(file: Path, found: Microstructure, initial: str | None, gaps: Gaps | None) -> dict[str, Any]:
    """All of it in JSON's types."""
    record: dict[str, Any] = {
        "network": str(file),
        "initial": initial,
        "rows": [
            {**row.row(), "sentence": row.sentence, "initial": None if row.initial is None else row.initial.row()}
            for row in found.rows
        ],
        "controls": [row.row() for row in found.controls],
        "skipped": [asdict(one) for one in found.skipped],
        "note": found.note,
        "cautions": [ABOUT_WEIGHTS],
    }
    if gaps is not None:
        record |= {
            "measured_on": gaps.about,
            "path_wardrop": {**gaps.paths.row(), "method": gaps.paths.method, "global_claim": gaps.paths.global_claim},
            "layer_equilibrium": [{"name": one.name, **one.row()} for one in gaps.layers],
            "cautions": [ABOUT_WEIGHTS, *ABOUT_GAPS],
        }
    return record


def _print(file: Path, found: Microstructure, initial: str | None, gaps: Gaps | None) -> None:
    out = console()
    columns = ("tensor", "when", "number", "zeros", "mu", "sigma", "J", "D", "winner", "z to it", "verdict")
    rows: list[list[object]] = []
    for row in found.rows:
        rows.append(_cells(row.name, "now", row))
        if row.initial is not None:
            rows.append(_cells(row.name, "at first", row.initial))
    for row in found.controls:
        kind, _, size = row.name.removeprefix("control ").partition(", ")
        rows.append(_cells(f"control, {size}", kind, row))
    print_table(out, f"sizes of the weights of {file}", columns, rows, grouped=1)
    _say(
        out,
        "number: sizes that are not zero; zeros: the share of zeros; mu, sigma: mean and standard deviation of ln|w|; "
        "J: arbitrage gap in nats (0 lognormal, .163 Gaussian, .091 Laplace, .419 uniform); D: Kolmogorov-Smirnov "
        "distance of the lognormal; winner: the family of smallest BIC; z to it: Vuong's z of the lognormal against it",
    )
    for row in found.rows:
        _say(out, f"{row.name}: {row.sentence}")
    for one in found.skipped:
        _say(out, f"left out: {one.name} {list(one.shape)}, {one.reason}")
    told = (
        f"the initialisation is {initial}"
        if initial
        else (
            "the initialisation was not given (--initial FILE): what the weights looked like before training is not "
            "known, and nothing here can be put down to training"
        )
    )
    for line in (told, found.note, ABOUT_WEIGHTS):
        _say(out, line)
    if gaps is not None:
        _print_gaps(out, gaps)


def _cells(name: str, when: str, row: WeightRow) -> list[object]:
    z = row.vuong.get(row.winner)
    measured = [row.n, row.zero_share, row.mu, row.sigma, row.J_corrected, row.ks["lognormal"]]
    return [name, when, *measured, row.winner, "" if z is None else z, row.verdict]


def _print_gaps(out: Console, gaps: Gaps) -> None:
    out.print("\nthe paths as a congestion game", style="italic")
    _say(out, str(gaps.paths))
    out.print("\nthe layers as players", style="italic")
    for one in gaps.layers:
        _say(out, str(one))
    _say(out, f"\n{gaps.about}")
    for line in ABOUT_GAPS:
        _say(out, line)


def _say(out: Console, line: str) -> None:
    if line:
        out.print(line, highlight=False, markup=False)
