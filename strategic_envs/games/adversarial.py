"""Adversarial training as a game: a classifier's weights against perturbations of its inputs.

Player 0 owns the weights w of a network, player 1 one perturbation delta_k for each of the N samples, in the
L-infinity ball of radius epsilon around it and such that the perturbed sample stays in the range of inputs. They play

    min_w max_delta  f(w, delta) = (1/N) sum_k loss(network_w(x_k + delta_k), y_k) + (decay / 2) |w|^2,

a zero-sum game that is nonconvex in w and, for networks, nonconcave in delta. Robust training looks for the
classifier's Stackelberg (leader's) solution; `GradientVsBestResponse` is its gradient method, and what it finds is
judged by the first-order conditions of both players.

Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards deep learning models resistant to adversarial attacks", ICLR 2018,
equation 2.1.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad, vmap

from strategic_envs.data import MinibatchSampler, load
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.stages import Chain, Stage
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

__all__ = ["GAMES", "AdversarialGame", "adversarial_digits"]

_CHUNK = 2**24  # numbers held in the inputs of the profiles that are evaluated at once


class AdversarialGame(Game):
    """A network's weights against perturbations of its inputs, one a sample.

    Args:
        network: The classifier, any torch module that maps samples `(N, ...)` to scores `(N, classes)` and treats each
            sample alone. It is a template: the weights come from the profile (`load` reads the module's own).
        inputs: The clean samples `(N, ...)`, in the range `low..high`.
        targets: Their classes `(N,)`.
        radius: epsilon, the largest change of one coordinate of an input; 0 leaves plain training.
        low: The smallest value an input may take.
        high: The largest.
        weight_decay: The decay of the weights; it belongs to f, so the game stays zero-sum.
        batch_size: How many samples `draw` takes; all of them if None.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: If the network, the data, the radius and the range do not fit together.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> game = AdversarialGame(network, torch.rand(5, 2), torch.arange(5) % 2, radius=0.1)
        >>> game.dims, len(game)
        ((17, 10), 5)
        >>> x = game.start(seed=0)
        >>> bool(torch.equal(game.utilities(x).sum(), torch.tensor(0.0)))
        True
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        radius: float,
        low: float = 0.0,
        high: float = 1.0,
        weight_decay: float = 0.0,
        batch_size: int | None = None,
        name: str = "adversarial",
    ) -> None:
        _check(name, network, radius, low, high)
        stage = Stage((network,), Chain(), names=("classifier",))
        self.classifier = DynamicGame([stage], inputs, targets, weight_decay=weight_decay, name=name)
        if targets.is_floating_point():
            raise InvalidGameError(f"{name}: got targets of {targets.dtype}, expected classes: whole numbers from 0")
        smallest, largest = float(inputs.min()), float(inputs.max())
        if smallest < low or largest > high:
            raise InvalidGameError(
                f"{name}: got inputs from {smallest:g} to {largest:g}, expected them in [{low:g}, {high:g}]: scale "
                "them, or pass the low=... and high=... of their range"
            )
        if batch_size is not None and not (type(batch_size) is int and 1 <= batch_size <= len(inputs)):
            raise InvalidGameError(
                f"{name}: got batch_size={batch_size!r}, expected a whole number in 1..{len(inputs)}, or None for all"
            )
        self.radius, self.low, self.high, self.batch_size = float(radius), float(low), float(high), batch_size
        self._rows: Tensor | None = None  # which samples are looked at; None: all
        # not Game.__init__: the utilities are a method here, so that a copy of the game does not keep the first one's
        VIGame.__init__(self, None, [Box(-math.inf, math.inf, dim=self.classifier.dims[0]), self._ball()], name=name)

    def _ball(self) -> Box:
        """The perturbations within the radius that keep the samples in their range."""
        flat = self.inputs.reshape(-1).double()
        return Box((self.low - flat).clamp(-self.radius, 0), (self.high - flat).clamp(0, self.radius))

    # The data

    @property
    def inputs(self) -> Tensor:
        """The clean samples, `(N, ...)`."""
        return self.classifier.inputs

    @property
    def targets(self) -> Tensor:
        """Their classes, `(N,)`."""
        return self.classifier.targets

    @property
    def weight_decay(self) -> float:
        """The decay of the weights."""
        return self.classifier.weight_decay[0]

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, generator: torch.Generator) -> AdversarialGame:
        """The same game, players and sets, looked at through a minibatch.

        f is then the mean over `batch_size` samples drawn without replacement, an unbiased sample of the game's own.
        The perturbations of all other samples have no influence and a field of exactly zero: a dynamic leaves them
        where they are, so an adversary that is remembered from step to step stays one perturbation a sample.

        Args:
            generator: Where the samples come from.
        """
        if self.batch_size is None:
            return self
        rows = torch.randperm(len(self), generator=generator, device=generator.device)[: self.batch_size]
        other = copy.copy(self)
        other._rows = rows.to(self.inputs.device)
        return other

    def on(self, inputs: Tensor, targets: Tensor, *, radius: float | None = None) -> AdversarialGame:
        """The same network and rules on other samples, such as held-out ones or one block of a large data set.

        Args:
            inputs: Samples of the same shape, `(N, ...)`.
            targets: Their classes.
            radius: Another epsilon, if given.

        Raises:
            InvalidGameError: If they do not fit.
        """
        size = None if self.batch_size is None else min(self.batch_size, len(inputs))
        return AdversarialGame(
            self.network,
            inputs,
            targets,
            radius=self.radius if radius is None else radius,
            low=self.low,
            high=self.high,
            weight_decay=self.weight_decay,
            batch_size=size,
            name=self.name,
        )

    # The players

    @property
    def network(self) -> nn.Module:
        """The classifier's structure, without weights (on the `meta` device)."""
        return self.classifier.stages[0].players[0]

    def start(self, seed: int, *, dtype: torch.dtype | None = None) -> Profile:
        """Weights drawn as torch initialises layers, and no perturbation; in the dtype of the inputs by default."""
        weights = self.classifier.initial(seed, dtype=dtype)[0]
        return Profile([weights, weights.new_zeros(self.dims[1])])

    def load(self, module: nn.Module) -> Profile:
        """The weights of a module like the one the game was made of, and no perturbation.

        Raises:
            InvalidStrategyError: If its parameters have other shapes.
        """
        weights = self.classifier.load(module)[0]
        return Profile([weights, weights.new_zeros(self.dims[1])])

    def module(self, x: Sequence[Tensor]) -> nn.Module:
        """The classifier of a profile as a torch module; it shares no memory with the profile."""
        return self.classifier.module(x[:1])

    def perturbed(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch N *shape"]:
        """The samples as the adversary shows them."""
        return self.inputs.to(x[1]) + x[1].reshape(*x[1].shape[:-1], *self.inputs.shape)

    # The game

    def _value(self, weights: Tensor, delta: Tensor) -> Tensor:
        """The value of one profile, a scalar."""
        inputs, targets = self.classifier.objective.data(weights)
        moves = delta.reshape(inputs.shape)
        if self._rows is not None:
            inputs, targets, moves = inputs[self._rows], targets[self._rows], moves[self._rows]
        loss = self.classifier.objective.phi(self.classifier._run([weights], inputs + moves)[-1][0], targets)
        return loss + self.weight_decay / 2 * weights.square().sum()

    def value(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """What the classifier minimises and the adversary maximises: f of the module's docstring."""
        batch = Profile(x).batch_shape
        if not batch:
            return self._value(x[0], x[1])
        rows = [t.expand(*batch, t.shape[-1]).reshape(-1, t.shape[-1]) for t in x]
        return vmap(self._value, chunk_size=max(1, _CHUNK // self.dims[1]))(*rows).reshape(batch)

    def _utilities(self, x: tuple[Tensor, ...]) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        value = self.value(x)
        return torch.stack([-value, value], dim=-1)

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """Minus the gradient of f in the weights, and its gradient in the perturbations: one backward pass for both.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            player: If given, only this player's part is computed, and the result has this one part.
        """
        wanted = (0, 1) if player is None else (player,)
        batch = Profile(x).batch_shape
        with torch.enable_grad():
            leaves = [t.detach().expand(*batch, t.shape[-1]) for t in x]
            for i in wanted:
                leaves[i] = leaves[i].requires_grad_()
            slopes = torch.autograd.grad(self.value(leaves).sum(), [leaves[i] for i in wanted])
        return Profile(-g if i == 0 else g for i, g in zip(wanted, slopes, strict=True))

    def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        down, up = grad(lambda pair: self.value(pair).sum())(x)
        return -down, up

    def known(self) -> Known:
        """Sizes, and what is known of the solutions."""
        constants = {"samples": float(len(self)), "weights": float(self.dims[0]), "radius": self.radius}
        note = (
            "No equilibrium in closed form, and none in pure strategies need exist. Against a linear network of two "
            "classes the best response is radius * sign of the wrong class's weights minus the right one's, clipped."
        )
        return Known(constants=constants, source="Madry et al. (2018), equation 2.1", note=note)


def _check(name: str, network: object, radius: float, low: float, high: float) -> None:
    if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
        raise InvalidGameError(
            f"{name}: got {network!r} as the classifier, expected a torch.nn.Module with parameters: they are player_0"
        )
    if next(network.buffers(), None) is not None:
        buffers = ", ".join(b for b, _ in network.named_buffers())
        raise InvalidGameError(
            f"{name}: got a classifier with the buffers {buffers}, expected one whose only state is its parameters: "
            "take layer or group norms in place of batch norms, which couple the samples"
        )
    if any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in network.modules()):
        raise InvalidGameError(f"{name}: got a classifier with dropout, whose utilities would be random: leave it out")
    if not (math.isfinite(radius) and radius >= 0):
        raise InvalidGameError(f"{name}: got radius={radius!r}, expected a finite number >= 0, such as 0.1")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidGameError(f"{name}: got the range [{low}, {high}], expected finite numbers low < high")


def adversarial_digits(
    hidden: Sequence[int] = (16,),
    radius: float = 0.1,
    *,
    samples: int | None = 16,
    data: str = "digits",
    data_dir: str | Path | None = None,
    split: str = "train",
    network: nn.Module | None = None,
    weight_decay: float = 0.0,
    batch_size: int | None = None,
    seed: int = 0,
) -> AdversarialGame:
    """A classifier of handwritten digits against perturbations of every pixel.

    Args:
        hidden: The widths of the perceptron's hidden layers; none leaves softmax regression.
        radius: The largest change of a pixel; pixels lie in [0, 1].
        samples: How many samples the game has, drawn by `seed`; None takes all, as training does.
        data: `digits` (needs scikit-learn) or `mnist`.
        data_dir: The folder of the MNIST files; by default the one that `STRATEGIC_ENVS_DATA` names.
        split: `train` or `test`.
        network: A network of your own in place of the perceptron; it reads flat vectors `(N, pixels)`.
        weight_decay: The decay of the weights.
        batch_size: How many samples `draw` takes; all of them if None.
        seed: Which samples are drawn. Initial weights have a seed of their own, `game.start(seed)`.

    Raises:
        InvalidGameError: If a width is not a whole number >= 1, or the numbers make no game.
        MissingExtraError: If scikit-learn is not installed (`digits`).
        DataError: If the data cannot be read, or has fewer samples.
        UnknownNameError: If there is no such data set or split.

    Example:
        >>> game = adversarial_digits(samples=20)
        >>> game.dims
        (1210, 1280)
    """
    if not isinstance(hidden, Sequence) or not all(type(width) is int and width >= 1 for width in hidden):
        raise InvalidGameError(f"got hidden={hidden!r}, expected widths that are whole numbers >= 1, such as (16,)")
    dataset = load(data, data_dir, split).flatten()
    inputs, targets = dataset.inputs, dataset.targets
    if samples is not None:
        rows = MinibatchSampler(len(targets), samples, seed).indices(0)
        inputs, targets = inputs[rows], targets[rows]
    label = "network"
    if network is None:
        widths = [inputs.shape[1], *hidden, dataset.n_classes]
        label = "-".join(map(str, widths))
        pairs = [(nn.Linear(a, b, device="meta"), nn.ReLU()) for a, b in itertools.pairwise(widths)]
        network = nn.Sequential(*[layer for pair in pairs for layer in pair][:-1])
    return AdversarialGame(
        network,
        inputs,
        targets,
        radius=radius,
        weight_decay=weight_decay,
        batch_size=batch_size,
        name=f"adversarial({data}, {label}, radius={radius:g})",
    )


GAMES: dict[str, Callable[..., AdversarialGame]] = {"adversarial_digits": adversarial_digits}
