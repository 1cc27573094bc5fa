"""Units and players: the layers of a torch network that a staged network knows by name.

A *unit* is a layer of the user's module that a caller may want to run differently: with other weights, with a repeated
dropout mask, with statistics of its own. A *player* owns the parameters of one unit, or of a layer and the norm that
directly normalises its output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["KINDS", "Apply", "Player", "State", "Unit", "kind_of"]

KINDS = ("linear", "conv", "norm", "dropout", "other")
_NORMS = (
    *(nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm),
    *(nn.GroupNorm, nn.LayerNorm, nn.RMSNorm),
)
_MATRICES: tuple[tuple[type[nn.Module], str], ...] = (
    *((nn.Linear, "linear"), (nn.Conv1d, "conv"), (nn.Conv2d, "conv")),
    *((norm, "norm") for norm in _NORMS),
)

State = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Unit:
    """One layer of the module, at one place of its forward pass.

    Args:
        name: Its path in the module, such as `blocks.0.conv1`. A dropout layer that is run more than once is one unit
            a run: the later ones are called `drop:2`, `drop:3`.
        module: The layer itself, not a copy: its parameters and buffers are what they are when it is run.
        kind: `linear`, `conv` (one or two dimensions), `norm` (batch, instance, group, layer, root mean square),
            `dropout`, or `other`: a layer with parameters that takes plain gradient steps.
        player: The number of its player in `StagedNet.players`; -1 if it has none: dropout, frozen layers (none of
            whose parameters requires a gradient), and norms without parameters.
    """

    name: str
    module: nn.Module
    kind: str
    player: int = -1


@dataclass(frozen=True, eq=False)
class Player:
    """The owner of some parameters.

    Args:
        name: The name of its first unit.
        units: Its units, in the order they run.
        stage: The stage t that it moves in.
        number: Its number n among the players of the stage.
    """

    name: str
    units: tuple[Unit, ...]
    stage: int
    number: int


Apply = Callable[[Unit, Tensor], Tensor]


def kind_of(module: nn.Module) -> str | None:
    """The kind of a layer; `other` if it has parameters in no form that is known here, None if it is no unit.

    A subclass counts as its base if it runs the base's own `forward`. A norm that keeps running statistics is a unit
    even without parameters, because running it twice changes it.

    Example:
        >>> [kind_of(m) for m in (nn.Linear(2, 2), nn.BatchNorm2d(3), nn.Dropout(), nn.ReLU(), nn.PReLU())]
        ['linear', 'norm', 'dropout', None, 'other']
    """
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return "dropout"
    parameters = {name for name, _ in module.named_parameters()}
    known = next((kind for base, kind in _MATRICES if isinstance(module, base) and _runs(module, base)), None)
    if known == "norm" and not parameters and not any(True for _ in module.buffers()):
        return None
    plain = parameters <= {"weight", "bias"} and not parametrize.is_parametrized(module)
    if known == "norm" or (known and parameters):
        return known if plain else "other"
    return "other" if parameters else None


def _runs(module: nn.Module, base: type[nn.Module]) -> bool:
    own = type(module).forward
    return any(own is vars(parent).get("forward") for parent in type(module).__mro__ if _from_torch(parent, base))


def _from_torch(parent: type, base: type[nn.Module]) -> bool:
    return parent.__module__.startswith("torch.") and (issubclass(parent, base) or issubclass(base, parent))
