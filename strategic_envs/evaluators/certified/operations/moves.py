"""Operations that only move numbers, and constants that a utility makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from strategic_envs.evaluators.certified import intervals as iv
from strategic_envs.evaluators.certified.intervals import Interval
from strategic_envs.evaluators.certified.jets import Jet, choose, constant, linear
from strategic_envs.evaluators.certified.operations.reductions import joined
from strategic_envs.evaluators.certified.operations.table import Call, UnsupportedOperation, lifted, operation

__all__ = ["moved"]


def moved(jet: Jet, move: Callable[[np.ndarray], np.ndarray]) -> Jet:
    """The same movement of every bound; derivatives that are zero afterwards are dropped."""

    def both(a: Interval) -> Interval:
        lo = move(a.lo)
        return Interval(lo, lo) if a.is_point else Interval(lo, move(a.hi))

    def kept(part: Interval | None) -> Interval | None:
        if part is None:
            return None
        found = both(part)
        return found if found.lo.any() or found.hi.any() else None

    return Jet(both(jet.value), tuple(map(kept, jet.slopes)), tuple(map(kept, jet.bends)), jet.truth)


@operation("alias", "detach", "clone", "lift_fresh", "lift_fresh_copy", "contiguous", "positive", moves=True)
def _same(call: Call) -> Jet:
    return call.args["self"]


@operation(
    "view",
    "reshape",
    "_unsafe_view",
    "_reshape_alias",
    "unsqueeze",
    "unsqueeze_",
    "squeeze",
    "squeeze_",
    "flatten",
    "unflatten",
    moves=True,
)
def _view(call: Call) -> Jet:
    return linear(lambda a: _reshaped(a, call.shape), call.args["self"])


def _reshaped(a: Interval, shape: tuple[int, ...]) -> Interval:
    lo = a.lo.reshape(*a.lo.shape[:2], *shape)
    return Interval(lo, lo) if a.is_point else Interval(lo, a.hi.reshape(lo.shape))


@operation("expand", "broadcast_to", "expand_as", moves=True)
def _expand(call: Call) -> Jet:
    return lifted(call.args["self"], len(call.shape))  # spread to its full shape by the interpreter


@operation("copy", moves=True)
def _copy(call: Call) -> Jet:
    return lifted(call.args["src"], len(call.shape))


@operation("repeat", moves=True)
def _repeat(call: Call) -> Jet:
    jet = lifted(call.args["self"], len(call.shape))
    return moved(jet, lambda a: np.tile(a, (1, 1, *call.args["repeats"])))


@operation("permute", moves=True)
def _permute(call: Call) -> Jet:
    axes = [0, 1, *(call.axis(d) for d in call.args["dims"])]
    return moved(call.args["self"], lambda a: a.transpose(axes))


@operation("transpose", "t", moves=True)
def _transpose(call: Call) -> Jet:
    if call.rank() < 2:
        return call.args["self"]
    first, second = call.axis(call.get("dim0", 0)), call.axis(call.get("dim1", 1))
    return moved(call.args["self"], lambda a: a.swapaxes(first, second))


@operation("select", moves=True)
def _select(call: Call) -> Jet:
    axis, index = call.axis(call.args["dim"]), call.args["index"]
    return moved(call.args["self"], lambda a: np.take(a, index, axis))


def _cut(call: Call, jet: Jet) -> tuple[int, slice]:
    axis = call.axis(call.get("dim", 0))
    length = jet.value.lo.shape[axis]
    return axis, slice(*slice(call.args.get("start"), call.args.get("end"), call.get("step", 1)).indices(length))


def _sliced(jet: Jet, axis: int, part: slice) -> Jet:
    return moved(jet, lambda a: a[(slice(None),) * axis + (part,)])


@operation("slice", moves=True)
def _slice(call: Call) -> Jet:
    return _sliced(call.args["self"], *_cut(call, call.args["self"]))


@operation("split", "split_with_sizes", moves=True)
def _split(call: Call) -> tuple[Jet, ...]:
    jet, axis = call.args["self"], call.axis(call.get("dim", 0))
    length = jet.value.lo.shape[axis]
    sizes = call.args.get("split_sizes", call.args.get("split_size"))
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    ends = np.cumsum(sizes)
    return tuple(_sliced(jet, axis, slice(int(e - n), int(e))) for e, n in zip(ends, sizes, strict=True))


@operation("unbind", moves=True)
def _unbind(call: Call) -> tuple[Jet, ...]:
    jet, axis = call.args["self"], call.axis(call.get("dim", 0))
    return tuple(moved(jet, lambda a, i=i: np.take(a, i, axis)) for i in range(jet.value.lo.shape[axis]))


@operation("cat", "concat", moves=True)
def _cat(call: Call) -> Jet:
    jets = [j for j in call.args["tensors"] if 0 not in j.value.lo.shape]
    return joined(jets, call.get("dim", 0) % len(call.shape) + 2)


@operation("stack", moves=True)
def _stack(call: Call) -> Jet:
    axis = call.get("dim", 0) % len(call.shape) + 2
    return joined([moved(j, lambda a: np.expand_dims(a, axis)) for j in call.args["tensors"]], axis)


@operation("flip", moves=True)
def _flip(call: Call) -> Jet:
    axes = [call.axis(d) for d in call.args["dims"]]
    return moved(call.args["self"], lambda a: np.flip(a, tuple(axes)))


@operation("roll", moves=True)
def _roll(call: Call) -> Jet:
    axes = [call.axis(d) for d in call.get("dims", [])]
    if not axes:
        raise UnsupportedOperation("a roll over all axes")
    return moved(call.args["self"], lambda a: np.roll(a, call.args["shifts"], axes))


@operation("diagonal", moves=True)
def _diagonal(call: Call) -> Jet:
    first, second = call.axis(call.get("dim1", 0)), call.axis(call.get("dim2", 1))
    return moved(call.args["self"], lambda a: np.diagonal(a, call.get("offset", 0), first, second))


def _whole_numbers(jet: Any) -> np.ndarray:
    if not isinstance(jet, Jet) or jet.varies or not jet.value.is_point or jet.truth:
        raise UnsupportedOperation("an index that is not constant")
    return jet.value.lo[0, 0].astype(np.int64)


@operation("index", moves=True)
def _index(call: Call) -> Jet:
    given = call.args["indices"]
    places = [k for k, index in enumerate(given) if index is not None]
    if places != list(range(places[0], places[-1] + 1)):
        raise UnsupportedOperation("indices with a slice between them")
    where = tuple(slice(None) if index is None else _whole_numbers(index) for index in given)
    return moved(call.args["self"], lambda a: a[(slice(None), slice(None), *where)])


@operation("index_select", moves=True)
def _index_select(call: Call) -> Jet:
    index = np.atleast_1d(_whole_numbers(call.args["index"]))
    axis = call.axis(call.args["dim"])
    return moved(call.args["self"], lambda a: np.take(a, index, axis))


def _scattered(call: Call, axis: int, part: int | slice, source: Jet) -> Jet:
    into = call.args["self"]
    mask = np.zeros((1, 1, *call.shape), dtype=bool)
    mask[(slice(None),) * axis + (part,)] = True

    def placed(a: np.ndarray) -> np.ndarray:
        full = np.zeros((*a.shape[:2], *call.shape))
        full[(slice(None),) * axis + (part,)] = a
        return full

    return choose(mask, ~mask, moved(source, placed), into)


@operation("select_scatter", moves=True)
def _select_scatter(call: Call) -> Jet:
    return _scattered(call, call.axis(call.args["dim"]), call.args["index"], call.args["src"])


@operation("slice_scatter", moves=True)
def _slice_scatter(call: Call) -> Jet:
    return _scattered(call, *_cut(call, call.args["self"]), call.args["src"])


@operation("_to_copy", "to", moves=True)
def _to_copy(call: Call) -> Jet:
    jet, before = call.args["self"], call.dtypes["self"]
    exact = {torch.float64} if before != torch.bool else {torch.float64, torch.float32, torch.int64}
    if before != call.dtype and call.dtype not in exact:
        raise UnsupportedOperation(f"a conversion from {before} to {call.dtype}")
    return Jet(jet.value, jet.slopes, jet.bends, truth=call.dtype == torch.bool)


def _filled(call: Call, value: float) -> Jet:
    if call.dtype not in (torch.float64, torch.int64, torch.bool) and value != float(np.float32(value)):
        raise UnsupportedOperation(f"the constant {value} as {call.dtype}")
    return constant(iv.point(np.full((1, 1, *call.shape), float(value))), call.like, truth=call.dtype == torch.bool)


@operation("zeros", "zeros_like", "new_zeros", moves=True)
def _zeros(call: Call) -> Jet:
    return _filled(call, 0.0)


@operation("ones", "ones_like", "new_ones", moves=True)
def _ones(call: Call) -> Jet:
    return _filled(call, 1.0)


@operation("full", "full_like", "new_full", moves=True)
def _full(call: Call) -> Jet:
    return _filled(call, call.args["fill_value"])


@operation("scalar_tensor", moves=True)
def _scalar_tensor(call: Call) -> Jet:
    return _filled(call, call.args["s"])


@operation("eye", moves=True)
def _eye(call: Call) -> Jet:
    return constant(iv.point(np.eye(call.shape[0], call.shape[1])[None, None]), call.like)


@operation("arange", moves=True)
def _arange(call: Call) -> Jet:
    start, end, step = call.get("start", 0), call.args["end"], call.get("step", 1)
    if not all(float(v).is_integer() for v in (start, end, step)):
        raise UnsupportedOperation("arange with fractions")
    return constant(iv.point(np.arange(start, end, step, dtype=np.float64)[None, None]), call.like)
