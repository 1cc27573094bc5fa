"""Why a torch network cannot be played in stages: one function a reason, each with the way to mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.networks.in_place import OPERATORS, asks_in_place

__all__ = ["RANDOM_REASON", "check_function", "check_method", "check_modules", "in_place_operator", "refuse"]

_RANDOM = frozenset(
    {
        *("rand", "randn", "randint", "randperm", "bernoulli", "normal", "multinomial", "poisson", "gumbel_softmax"),
        *("rand_like", "randn_like", "randint_like", "rrelu", "fractional_max_pool2d", "fractional_max_pool3d"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    }
)
_RANDOM_MODULES = (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
_IN_PLACE = (
    "it works in place: it overwrites a tensor that a backward pass, or a later stage, still needs. Make it out of "
    "place, or give in_place='copy': "
)
RANDOM_REASON = (
    "it draws random numbers that a second pass could not repeat. Use a module such as nn.Dropout for it, whose draws "
    "can be repeated"
)


def refuse(where: str, why: str) -> InvalidGameError:
    """The error to raise.

    Args:
        where: The layer or the place in the module, such as `layer blocks.0.act (ReLU)`.
        why: What is wrong and how to mend it.

    Example:
        >>> str(refuse("layer 1 (LSTM)", "its output is a tuple"))
        'layer 1 (LSTM): its output is a tuple'
    """
    return InvalidGameError(f"{where}: {why}")


def check_modules(module: nn.Module) -> None:
    """Refuses a module some part of which can never be played.

    Raises:
        InvalidGameError: If a part has hooks, parameters without a shape, or random draws that are no dropout.
    """
    if hasattr(module, "_orig_mod") or isinstance(module, torch.jit.ScriptModule):
        raise refuse(type(module).__name__, "it is compiled, and its layers cannot be seen: give the module itself")
    for name, part in module.named_modules():
        what = f"layer {name} ({type(part).__name__})" if name else f"the module ({type(part).__name__})"
        if any(nn.parameter.is_lazy(p) for p in part.parameters(recurse=False)):
            raise refuse(what, "its parameters have no shape yet: run the module once on a batch of the right shape")
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        if any(getattr(part, hook, None) for hook in hooks):
            raise refuse(
                what, "it has hooks, which a stage would not run: remove them, or make a layer of what they do"
            )
        if isinstance(part, _RANDOM_MODULES):
            raise refuse(what, RANDOM_REASON)


def check_function(where: str, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuses a call of a function that works in place or draws random numbers.

    Raises:
        InvalidGameError: Naming the function and what to call instead.
    """
    name = getattr(target, "__name__", str(target))
    if target in OPERATORS:
        raise in_place_operator(where, OPERATORS[target][1])
    if asks_in_place(target, args, kwargs):
        raise refuse(f"{where}, {name}(..., inplace=True)", f"{_IN_PLACE}leave inplace=True out")
    if kwargs.get("out") is not None:
        raise refuse(f"{where}, {name}(..., out=...)", f"{_IN_PLACE}leave out=... out")
    if name.endswith("_") and not name.endswith("__"):
        raise refuse(f"{where}, {name}", f"{_IN_PLACE}call {name.rstrip('_')} instead")
    if target is functional.batch_norm:
        raise refuse(f"{where}, {name}", "it may change running statistics that no stage owns: use nn.BatchNorm")
    if name in _RANDOM:
        raise refuse(f"{where}, {name}", RANDOM_REASON)


def check_method(where: str, name: str, kwargs: dict[str, Any]) -> None:
    """Refuses a call of a tensor's method that works in place or draws random numbers.

    Raises:
        InvalidGameError: Naming the method and what to call instead.
    """
    if name.endswith("_") and not name.endswith("__"):
        raise refuse(f"{where}, .{name}()", f"{_IN_PLACE}call .{name.rstrip('_')}() instead and use what it returns")
    if kwargs.get("out") is not None:
        raise refuse(f"{where}, .{name}(..., out=...)", f"{_IN_PLACE}leave out=... out")
    if name in _RANDOM:
        raise refuse(f"{where}, .{name}()", RANDOM_REASON)
    if name in ("item", "tolist", "numpy"):
        raise refuse(
            f"{where}, .{name}()",
            "it makes numbers of a tensor, which no derivative passes and no stage can be cut through: keep the tensor",
        )


def in_place_operator(where: str, symbol: str) -> InvalidGameError:
    """The error for `x += y` and its like, and for `x[...] = y`."""
    if symbol == "[]":
        return refuse(f"{where}, x[...] = y", f"{_IN_PLACE}torch.where, torch.cat or torch.scatter make a new tensor")
    return refuse(f"{where}, x {symbol}= y", f"{_IN_PLACE}x = x {symbol} y")
