"""The three sweeps of one step: nominal pass, value functions backwards, updates forwards.

Liu, Chen and Theodorou (2021), Algorithm 1. The derivatives of a stage are vector-Jacobian products of its own graph,
which is freed as soon as they are taken: one product for `V_x`, which also gives the players' gradients, and one for
every column `Z_j`, which stops at the layers' inputs and pre-activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.norm import Switch, batch_norm, couples_samples, dropout_mask
from strategic_envs.agents.dgnopt.records import Seats, StageRecord, Trace
from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.games.networks import NetStage, StagedNet, State, Unit

__all__ = ["forward_trace", "pull_back", "pull_through", "run_again", "spread"]

_BATCHED = 4  # from more columns on, all products of a stage are taken at once


def forward_trace(
    net: StagedNet, inputs: Tensor, switch: Switch, generator: torch.Generator, *, linked: bool = False
) -> Trace:
    """The nominal pass: graphs are recorded, running statistics moved, dropout masks drawn.

    Args:
        net: The network.
        inputs: `x_0`, samples first.
        switch: What the BatchNorm layers will ask in the backward passes.
        generator: Where dropout draws from.
        linked: Whether the stages' graphs hang together, for `pull_through`; else each is apart, for `pull_back`.
    """
    masks: dict[str, Tensor | None] = {}
    records: list[StageRecord] = []
    state: State = (inputs,)
    for t, stage in enumerate(net.stages):
        nominal = tuple(x.detach() for x in state)
        record = StageRecord(stage, nominal)
        apply = _recorder(record, masks, switch, generator)
        with torch.enable_grad():
            if t == 0:
                record.leaves = nominal
            elif linked:  # nodes of their own, because a slot that is carried on is the same tensor in the next stage
                record.leaves = tuple(x.view_as(x) for x in state)
            else:
                record.leaves = tuple(x.detach().requires_grad_(x.is_floating_point()) for x in state)
            record.outputs = state = stage.run(record.leaves, apply)
        records.append(record)
    return Trace(records, state[0].detach(), masks)


def _recorder(
    record: StageRecord, masks: dict[str, Tensor | None], switch: Switch, generator: torch.Generator
) -> Callable[[Unit, Tensor], Tensor]:
    """Runs units and notes what they read and wrote."""

    def apply(unit: Unit, a: Tensor) -> Tensor:
        module = unit.module
        if unit.kind == "dropout":
            masks[unit.name] = mask = dropout_mask(module, a, generator)
            return a if mask is None else a * mask
        if unit.kind == "norm" and couples_samples(module):
            written = batch_norm(module, a, switch, update=True)
        else:
            written = module(a)
        record.inputs[unit.name], record.written[unit.name] = a.detach(), written
        return written

    return apply


def pull_through(
    records: Sequence[StageRecord],
    value: Value,
    seats: Mapping[NetStage, Seats],
    observed: bool,
    switch: Switch,
    *,
    first: bool = False,
) -> dict[str, list[Tensor]]:
    """All stages backwards at once, where no stage corrects the value function: what `pull_back` does one by one.

    Args:
        records: The stages of a linked nominal pass.
        value: The value function of the last state.
        seats: Who is trained in each stage.
        observed: Whether `h` is wanted.
        switch: The derivative that BatchNorm takes.
        first: Whether the first stage needs its columns too.

    Returns:
        For every trained unit the gradients of its parameters, summed over the samples.
    """
    outputs, own = list(records[-1].outputs), [(record, seats[record.stage]) for record in records]
    curved = own if first else own[1:]
    curved = curved if value.columns and outputs[0].requires_grad else []
    # V_x: the players' gradients
    written = [record.written[name] for record, seat in own for name in seat.names] if observed else []
    parameters = [p for _, seat in own for ps in seat.parameters for p in ps]
    found = iter(_product(outputs, [*written, *parameters], list(value.gradient), keep=bool(curved)))
    for record, seat in own if observed else ():
        record.h.update((name, next(found)) for name in seat.names)
    pairs = [pair for _, seat in own for pair in zip(seat.names, seat.parameters, strict=True)]
    gradients = {name: [next(found) for _ in ps] for name, ps in pairs}
    # Z: states and pre-activations only
    if curved:
        wanted = []
        for record, seat in curved:
            wanted += [x for x in record.leaves if x.requires_grad]
            wanted += [record.written[name] for name in seat.reacting]
        switch.constant = True
        products = [iter(row) for row in _products(outputs, wanted, [list(z) for z in value.columns], keep=False)]
        switch.constant = False
        for record, seat in curved:
            qz = tuple(_filled(record.leaves, row) for row in products)
            record.hz.update((name, tuple(next(row) for row in products)) for name in seat.reacting)
            record.pulled.append(Value((), qz, value.core))
    for record in records:
        record.free()
    return gradients


def pull_back(
    record: StageRecord,
    values: Sequence[Value],
    seats: Seats,
    observed: bool,
    switch: Switch,
    *,
    columns: bool = True,
) -> dict[str, list[Tensor]]:
    """One stage backwards: fills `pulled`, `h` and `hz` of the record, and frees the stage's graph.

    Args:
        record: A stage of the nominal pass, with its graph.
        values: The value functions of the next state: one, or one for each player number.
        seats: Who is trained in the stage.
        observed: Whether `h` is wanted.
        switch: The derivative that BatchNorm takes.
        columns: Whether the columns `Z` are pulled back too; nobody needs them at the first stage.

    Returns:
        For every trained unit the gradients of its parameters, summed over the samples.
    """
    leaves = [x for x in record.leaves if x.requires_grad]
    kept = [k for k, out in enumerate(record.outputs) if out.requires_grad]
    outputs = [record.outputs[k] for k in kept]
    gradients: dict[str, list[Tensor]] = {}
    for n, value in enumerate(values):
        own = seats if len(values) == 1 else seats.of(n)
        written = [record.written[name] for name in own.names] if observed else []
        last = n == len(values) - 1
        curved = columns and bool(value.columns) and bool(leaves or own.reacting)
        # V_x: the players' gradients come with it
        wanted = [*leaves, *written, *(p for parameters in own.parameters for p in parameters)]
        found = iter(_product(outputs, wanted, [value.gradient[k] for k in kept], keep=curved or not last))
        qx = _filled(record.leaves, found)
        if observed:
            record.h.update((name, next(found)) for name in own.names)
        gradients.update((name, [next(found) for _ in ps]) for name, ps in zip(own.names, own.parameters, strict=True))
        # Z: inputs and pre-activations only
        qz: list[State] = []
        if curved:
            wanted = [*leaves, *(record.written[name] for name in own.reacting)]
            switch.constant = True
            cotangents = [[z[k] for k in kept] for z in value.columns]
            products = [iter(row) for row in _products(outputs, wanted, cotangents, keep=not last)]
            switch.constant = False
            qz = [_filled(record.leaves, row) for row in products]
            record.hz.update((name, tuple(next(row) for row in products)) for name in own.reacting)
        record.pulled.append(Value(qx, tuple(qz), value.core))
    record.free()
    return gradients


def run_again(record: StageRecord, state: State, masks: dict[str, Tensor | None], switch: Switch) -> State:
    """The stage on another state with its parameters as they are now: the same masks, no running statistics moved."""

    def apply(unit: Unit, a: Tensor) -> Tensor:
        module = unit.module
        if unit.kind == "dropout":
            mask = masks[unit.name]
            return a if mask is None else a * mask
        if unit.kind == "norm" and couples_samples(module):
            return batch_norm(module, a, switch, update=False)
        return module(a)

    return record.stage.run(state, apply)


def spread(weights: Tensor, column: Tensor) -> Tensor:
    """A weight a sample times a column: `(B,)` and `(B, ...)`."""
    return column * weights.to(column.dtype).view(-1, *[1] * (column.ndim - 1))


def _product(outputs: list[Tensor], wanted: list[Tensor], cotangents: list[Tensor], *, keep: bool) -> list[Tensor]:
    """A vector-Jacobian product; zeros where nothing arrives."""
    if not wanted or not outputs:
        return [torch.zeros_like(x) for x in wanted]
    found = torch.autograd.grad(outputs, wanted, cotangents, retain_graph=keep, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, wanted, strict=True)]


def _products(
    outputs: list[Tensor], wanted: list[Tensor], cotangents: list[list[Tensor]], *, keep: bool
) -> list[list[Tensor]]:
    """One product for every row of cotangents."""
    if len(cotangents) <= _BATCHED:
        last = len(cotangents) - 1
        return [_product(outputs, wanted, row, keep=keep or j < last) for j, row in enumerate(cotangents)]
    stacked = [torch.stack(column) for column in zip(*cotangents, strict=True)]
    found = torch.autograd.grad(outputs, wanted, stacked, retain_graph=keep, allow_unused=True, is_grads_batched=True)
    rows = [x.new_zeros(len(cotangents), *x.shape) if g is None else g for g, x in zip(found, wanted, strict=True)]
    return [list(row) for row in zip(*(g.unbind(0) for g in rows), strict=True)]


def _filled(state: State, found: Iterator[Tensor]) -> State:
    """A cotangent for every slot, taken from what was found: zeros for slots that carry no derivative."""
    return tuple(next(found) if x.requires_grad else x.new_zeros(()).expand_as(x) for x in state)
