"""The same comparison on the outputs of neurons: the mean positive activation of each on held-out data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from strategic_envs.errors import DataError, InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure.families import FAMILIES, choose_families
from strategic_envs.evaluators.microstructure.report import Microstructure, assemble
from strategic_envs.evaluators.microstructure.samples import Sample, sample_of
from strategic_envs.evaluators.microstructure.selection import Skipped

__all__ = ["mean_activations", "neuron_microstructure"]

FEWEST = 20  # alive neurons; below this nothing is fitted
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus)
ACTIVATIONS += (nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.PReLU)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Linear, *CONVOLUTIONS)


def neuron_microstructure(
    network: nn.Module | Mapping[str, Tensor],
    inputs: Tensor | None = None,
    *,
    layers: Sequence[str] | None = None,
    families: Sequence[str] = tuple(FAMILIES),
    baseline: nn.Module | None = None,
    controls: bool = True,
    bootstrap: int = 0,
    seed: int = 0,
) -> Microstructure:
    """Compares families of densities on the mean positive activation of each neuron, layer by layer.

    The measure of a neuron's output is our choice: the mean over the inputs of `max(activation, 0)`, of a channel also
    over its positions. Dead neurons, positive on no input, are counted (`zero_share`) and dropped. A layer has a few
    hundred neurons, so that little can be told apart; the note says it, and the controls show it.

    Args:
        network: A module; or activations by layer, tensors `(inputs, neurons)`, if you recorded them yourself.
        inputs: Held-out inputs, as the module takes them; none with recorded activations.
        layers: Names of submodules whose outputs count. By default the activation functions that are modules; without
            any, every layer with weights but the last.
        families: Names in `FAMILIES`.
        baseline: The same module at initialisation.
        controls: Whether to measure synthetic draws of the same sizes too.
        bootstrap: How many draws the p-values are of; 0 for no p-values.
        seed: Seeds controls, resampling and bootstrap.

    Returns:
        The report; a row is a layer. Layers with fewer than 20 neurons alive are skipped.

    Raises:
        InvalidSettingError: If inputs are missing or superfluous, or no layer was found.
        UnknownNameError: If a layer or family is unknown.
        DataError: If an activation is NaN or infinite.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> report = neuron_microstructure({"hidden": torch.randn(500, 256, generator=random)}, controls=False)
        >>> report.rows[0].n, report.rows[0].zero_share
        (256, 0.0)
    """
    chosen = choose_families(families)
    now = mean_activations(network, inputs, layers)
    then = {} if baseline is None else mean_activations(baseline, inputs, layers)
    pairs: list[tuple[Sample, Sample | None]] = []
    skipped: list[Skipped] = []
    dead = 0
    for name, means in now.items():
        sample = sample_of(name, means)
        dead += means.numel() - sample.n
        if sample.n < FEWEST or sample.constant:
            skipped.append(Skipped(name, tuple(means.shape), f"{sample.n} neurons alive, or all of one output"))
            continue
        first = sample_of(f"{name} at initialisation", then[name]) if name in then else None
        pairs.append((sample, None if first is None or first.n < FEWEST or first.constant else first))
    total = sum(means.numel() for means in now.values())
    about = f"{dead} of {total} neurons are dead and were dropped. A layer has few neurons: low power."
    return assemble(pairs, tuple(skipped), chosen, controls=controls, bootstrap=bootstrap, seed=seed, about=about)


def mean_activations(
    network: nn.Module | Mapping[str, Tensor], inputs: Tensor | None = None, layers: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """The mean positive activation of each neuron by layer, float64; arguments as in `neuron_microstructure`.

    Example:
        >>> mean_activations({"hidden": torch.tensor([[1.0, -1.0], [3.0, -2.0]])})
        {'hidden': tensor([2., 0.], dtype=torch.float64)}
    """
    if not isinstance(network, nn.Module):
        if inputs is not None or not network:
            raise InvalidSettingError(
                f"recorded activations: got {len(network)} layers and inputs={inputs is not None}, "
                "expected at least one and no inputs"
            )
        return {name: _mean(name, _last(name, values)) for name, values in network.items()}
    if inputs is None:
        raise InvalidSettingError(
            "neurons of a module: got no inputs, expected held-out inputs as the module takes them"
        )
    names = _layers(network) if layers is None else list(layers)
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise UnknownNameError("layer", name, filter(None, modules))
    if not names:
        raise InvalidSettingError("neurons of a module: found no hidden layer, expected one; name it by layers=[...]")
    found: dict[str, Tensor] = {}
    state = {"channels": False}  # whether the last layer with weights was a convolution: its neurons are channels

    def weighted(module: nn.Module, args: object, output: object) -> None:
        state["channels"] = isinstance(module, CONVOLUTIONS)

    def record(name: str, output: object) -> None:
        if not isinstance(output, Tensor):
            raise InvalidSettingError(f"layer {name!r}: got {type(output).__name__} as output, expected one tensor")
        calls = sum(key == name or key.startswith(f"{name} (call ") for key in found)
        key = f"{name} (call {calls + 1})" if calls else name
        found[key] = _mean(key, output.movedim(1, -1) if state["channels"] and output.ndim > 2 else _last(key, output))

    with _hooks() as hooks, _evaluated(network), torch.no_grad():
        for module in modules.values():
            if isinstance(module, WEIGHTED):
                hooks.append(module.register_forward_hook(weighted))
        for name in names:
            hooks.append(modules[name].register_forward_hook(lambda _, __, output, name=name: record(name, output)))
        network(inputs)
    return found


def _last(name: str, values: Tensor) -> Tensor:
    if values.ndim < 2:
        raise InvalidSettingError(
            f"layer {name!r}: got activations of shape {tuple(values.shape)}, expected (inputs, neurons)"
        )
    return values


def _mean(name: str, values: Tensor) -> Tensor:
    """Over all dimensions but the last."""
    if not bool(torch.isfinite(values).all()):
        raise DataError(f"layer {name!r}: an activation is NaN or infinite, expected finite ones: check the inputs")
    return values.detach().to(torch.float64).clamp(min=0).flatten(0, -2).mean(0)


def _layers(network: nn.Module) -> list[str]:
    """Activations that are modules; without any, layers with weights but the last."""
    found = [name for name, module in network.named_modules() if isinstance(module, ACTIVATIONS)]
    weighted = [name for name, module in network.named_modules() if isinstance(module, WEIGHTED)]
    return found or weighted[:-1]


@contextmanager
def _hooks() -> Iterator[list[torch.utils.hooks.RemovableHandle]]:
    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        yield hooks
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """In evaluation mode; every submodule's own mode comes back afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
