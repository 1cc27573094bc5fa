"""The three sweeps of one step: nominal pass, value functions backwards, updates forwards.

Liu, Chen and Theodorou (2021), Algorithm 1. The derivatives of a stage are vector-Jacobian products of its own graph,
which is freed as soon as they are taken: one product for `V_x`, which also gives the players' gradients, and one for
every column `Z_j`, which stops at the layers' inputs and pre-activations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.norm import Switch, batch_norm, couples_samples, dropout_mask
from strategic_envs.agents.dgnopt.records import StageRecord, Trace
from strategic_envs.agents.dgnopt.value import Value
from strategic_envs.games.networks import StagedNet, State, Unit

__all__ = ["forward_trace", "pull_back", "run_again", "spread"]

_BATCHED = 4  # from more columns on, all products of a stage are taken at once


def forward_trace(net: StagedNet, inputs: Tensor, switch: Switch, generator: torch.Generator) -> Trace:
    """The nominal pass: every stage on a graph of its own, running statistics moved, dropout masks drawn.

    Args:
        net: The network.
        inputs: `x_0`, samples first.
        switch: What the BatchNorm layers will ask in the backward passes.
        generator: Where dropout draws from.
    """
    masks: dict[str, Tensor | None] = {}
    records: list[StageRecord] = []
    state: State = (inputs,)
    for t, stage in enumerate(net.stages):
        leaves = tuple(x.detach() for x in state)
        if t:
            leaves = tuple(x.requires_grad_() if x.is_floating_point() else x for x in leaves)
        record = StageRecord(stage, leaves)

        def apply(unit: Unit, a: Tensor, record: StageRecord = record) -> Tensor:
            module = unit.module
            if unit.kind == "dropout":
                masks[unit.name] = mask = dropout_mask(module, a, generator)
                return a if mask is None else a * mask
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and couples_samples(module):
                written = batch_norm(module, a, switch, update=True)
            else:
                written = module(a)
            record.inputs[unit.name], record.written[unit.name] = a.detach(), written
            return written

        with torch.enable_grad():
            record.outputs = state = stage.run(leaves, apply)
        records.append(record)
    return Trace(records, state[0].detach(), masks)


def pull_back(
    record: StageRecord,
    values: Sequence[Value],
    trained: Callable[[Unit], bool],
    observed: Collection[str],
    switch: Switch,
    *,
    columns: bool = True,
) -> dict[str, list[Tensor]]:
    """One stage backwards: fills `pulled`, `h` and `hz` of the record, and frees the stage's graph.

    Args:
        record: A stage of the nominal pass, with its graph.
        values: The value functions of the next state: one, or one for each player number.
        trained: Whether a unit is trained.
        observed: The names of the units whose `h` is wanted.
        switch: The derivative that BatchNorm takes.
        columns: Whether the columns `Z` are pulled back too; nobody needs them at the first stage.

    Returns:
        For every trained unit the gradients of its parameters, summed over the samples.
    """
    leaves = [x for x in record.state if x.requires_grad]
    kept = [k for k, out in enumerate(record.outputs) if out.requires_grad]
    outputs = [record.outputs[k] for k in kept]
    gradients: dict[str, list[Tensor]] = {}
    for n, value in enumerate(values):
        players = [p for p in record.stage.players if len(values) == 1 or p.number == n]
        units = [unit for player in players for unit in player.units if unit.name in record.written and trained(unit)]
        watched = [unit.name for unit in units if unit.name in observed]
        parameters = [list(unit.module.parameters()) for unit in units]
        last = n == len(values) - 1
        # V_x: the players' gradients come with it
        wanted = [*leaves, *(record.written[name] for name in watched), *(p for ps in parameters for p in ps)]
        reacting = [unit.name for unit in units if unit.kind != "other"]
        curved = columns and bool(value.columns) and bool(leaves or reacting)
        found = _product(outputs, wanted, [value.gradient[k] for k in kept], keep=curved or not last)
        qx, rest = found[: len(leaves)], found[len(leaves) :]
        record.h.update(zip(watched, rest, strict=False))
        rest = rest[len(watched) :]
        for unit, ps in zip(units, parameters, strict=True):
            gradients[unit.name], rest = list(rest[: len(ps)]), rest[len(ps) :]
        # Z: inputs and pre-activations only
        qz: list[State] = []
        if curved:
            wanted = [*leaves, *(record.written[name] for name in reacting)]
            switch.constant = True
            cotangents = [[z[k] for k in kept] for z in value.columns]
            products = _products(outputs, wanted, cotangents, keep=not last)
            switch.constant = False
            qz = [_filled(record.state, product[: len(leaves)]) for product in products]
            for i, name in enumerate(reacting, start=len(leaves)):
                record.hz[name] = tuple(product[i] for product in products)
        record.pulled.append(Value(_filled(record.state, qx), tuple(qz), value.core))
    record.free()
    return gradients


def run_again(record: StageRecord, state: State, masks: dict[str, Tensor | None], switch: Switch) -> State:
    """The stage on another state with its parameters as they are now: the same masks, no running statistics moved."""

    def apply(unit: Unit, a: Tensor) -> Tensor:
        module = unit.module
        if unit.kind == "dropout":
            mask = masks[unit.name]
            return a if mask is None else a * mask
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and couples_samples(module):
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


def _filled(state: State, found: Sequence[Tensor]) -> State:
    """A cotangent for every slot: zeros for those that carry no derivative."""
    rest = iter(found)
    return tuple(next(rest) if x.requires_grad else torch.zeros_like(x) for x in state)
