"""Networks as dynamic games: the layers are the players, the weights their strategies, the loss what all pay.

Stage t has players `(t, n)`; the augmented state moves by `x_{t+1} = F_t(x_t, theta_{t,1..N})` from the data `x_0`, and
player `(t, n)` has the utility

    u_{t,n} = -( phi(x_T) + (decay_{t,n} / 2) |theta_{t,n}|^2 ),

phi being the mean loss over the samples. Its part of the ascent field is minus the gradient of the loss in its weights
(minus its weight decay), so independent gradient ascent is stochastic gradient descent on the network.

Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, section 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad, grad_and_value, vjp, vmap
from torch.utils import _pytree as pytree

from strategic_envs.data import MinibatchSampler
from strategic_envs.errors import InvalidGameError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Known
from strategic_envs.games.kinds.last_layer import last_layer_response
from strategic_envs.games.kinds.objective import Objective
from strategic_envs.games.kinds.sequential import sequential_stages
from strategic_envs.games.kinds.stages import GameStage, StagedNetwork, State, draw_weights, load_weights
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.play import BestResponse
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box

__all__ = ["DynamicGame"]

_CHUNK = 2**25  # numbers held in the states of the profiles that are evaluated at once


class DynamicGame(Game):
    """A network's stages and a batch of data, as a game.

    Args:
        stages: The stages `F_0 .. F_{T-1}`; the last state is one slot, the network's output.
        inputs: The samples `x_0`, `(N, ...)`.
        targets: Classes `(N,)` for `cross_entropy`; for `mse` tensors of the output's shape, or classes (then one-hot).
        loss: `cross_entropy` or `mse`, the mean over the samples (and over the outputs).
        weight_decay: The players' decay, one number or one a player.
        name: What errors and tables call the game.

    Raises:
        InvalidGameError: If the stages, the data and the loss do not fit together.

    Example:
        >>> layers = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)]
        >>> game = DynamicGame.from_sequential(layers, torch.randn(8, 2), torch.arange(8) % 2)
        >>> game.dims, [len(s) for s in game.trace(game.initial(seed=0))]
        ((9, 8), [1, 1, 1])
    """

    def __init__(
        self,
        stages: Sequence[GameStage],
        inputs: Tensor,
        targets: Tensor,
        *,
        loss: str = "cross_entropy",
        weight_decay: float | Sequence[float] = 0.0,
        name: str = "layers",
    ) -> None:
        self.stages = tuple(stages)
        dims = [d for stage in self.stages for d in stage.dims]
        if not dims:
            raise InvalidGameError(f"{name}: got no layer with parameters, expected at least one: each is a player")
        # not Game.__init__: the utilities are a method here, so that a copy of the game does not keep the first one's
        VIGame.__init__(self, None, [Box(-math.inf, math.inf, dim=d) for d in dims], name=name)
        decay = [float(weight_decay)] * len(dims) if isinstance(weight_decay, int | float) else list(weight_decay)
        if len(decay) != len(dims) or not all(math.isfinite(w) and w >= 0 for w in decay):
            raise InvalidGameError(
                f"{name}: got weight_decay={weight_decay}, expected one number >= 0, or {len(dims)}, one a player"
            )
        self.weight_decay = tuple(decay)
        self.objective = Objective(inputs, targets, loss, name)
        self._rehearse()

    @classmethod
    def from_sequential(
        cls,
        layers: nn.Sequential | Iterable[nn.Module],
        inputs: Tensor,
        targets: Tensor,
        loss: str = "cross_entropy",
        *,
        weight_decay: float | Sequence[float] = 0.0,
        name: str = "layers",
    ) -> DynamicGame:
        """The game of a plain chain of layers: each layer with parameters is a player and has a stage of its own.

        Args:
            layers: An `nn.Sequential` or a list of layers; they are not changed, and `load` reads their weights.
            inputs: The samples, `(N, ...)`.
            targets: See the class.
            loss: `cross_entropy` or `mse`.
            weight_decay: The players' decay, one number or one a player.
            name: What errors and tables call the game.

        Raises:
            InvalidGameError: If a layer is unsupported, works in place or shares its parameters; the message names it.
        """
        stages = sequential_stages(layers)
        return cls(stages, inputs, targets, loss=loss, weight_decay=weight_decay, name=name)

    # The data

    @property
    def inputs(self) -> Tensor:
        """The samples `x_0`, `(N, ...)`."""
        return self.objective.inputs

    @property
    def targets(self) -> Tensor:
        """The samples' targets."""
        return self.objective.targets

    def _rehearse(self) -> None:
        """Runs two samples through zero weights, so that shapes that do not fit are found here and named."""
        weights = [torch.zeros(d, dtype=self.inputs.dtype, device=self.inputs.device) for d in self.dims]
        state: State = (self.inputs[:2],)
        rows, size = iter(weights), 0
        for t, stage in enumerate(self.stages):
            try:
                state = stage(state, [next(rows) for _ in stage.players])
            except (RuntimeError, IndexError, ValueError) as error:
                shapes = [tuple(s.shape) for s in state]
                raise InvalidGameError(
                    f"{self.name}, stage {t} {list(stage.names)}: got a state of shapes {shapes}, which it cannot read "
                    f"({error}): make its input fit what the stage before it gives"
                ) from error
            size += sum(s[0].numel() for s in state)
        self._state_size = size
        if len(state) != 1:
            raise InvalidGameError(f"{self.name}: got {len(state)} slots in the last state, expected the output alone")
        self.output_shape = tuple(state[0].shape[1:])
        self.objective.check(self.output_shape)

    def on(self, inputs: Tensor, targets: Tensor) -> DynamicGame:
        """The same game on another batch of data.

        Args:
            inputs: Samples of the same shape, `(N, ...)`.
            targets: Their targets.

        Raises:
            InvalidGameError: If they do not fit the network.
        """
        if inputs.shape[1:] != self.inputs.shape[1:]:
            raise InvalidGameError(
                f"{self.name}: got inputs of shape {tuple(inputs.shape)}, expected {('N', *self.inputs.shape[1:])}"
            )
        return self._judged_by(Objective(inputs, targets, self.objective.loss, self.name))

    def _judged_by(self, objective: Objective) -> DynamicGame:
        objective.check(self.output_shape)
        other = copy.copy(self)
        other.objective = objective
        return other

    def minibatch(self, step: int, size: int, seed: int = 0) -> DynamicGame:
        """The same game on minibatch number `step`: see `strategic_envs.data.MinibatchSampler`.

        Raises:
            DataError: If the size is not in 1..N.
        """
        return self._judged_by(self.objective.select(MinibatchSampler(len(self.objective), size, seed).indices(step)))

    # The network

    @property
    def shapes(self) -> tuple[dict[str, torch.Size], ...]:
        """The shape of each parameter of each player, in the order they lie in the player's flat weights."""
        return tuple(shape for stage in self.stages for shape in stage.shapes)

    @property
    def players(self) -> tuple[tuple[int, int], ...]:
        """The (t, n) of each player: its stage, and its number within the stage."""
        return tuple((t, n) for t, stage in enumerate(self.stages) for n in range(len(stage.players)))

    def initial(self, seed: int, *, dtype: torch.dtype | None = None) -> Profile:
        """Weights drawn as torch initialises layers; in the dtype of the inputs by default, on their device."""
        templates = [p for stage in self.stages for p in stage.players]
        drawn = [draw_weights(p, torch_stream(seed, "initial weights", i)) for i, p in enumerate(templates)]
        return Profile(w.to(self.inputs.device, dtype or self.inputs.dtype) for w in drawn)

    def module(self, x: Sequence[Tensor]) -> StagedNetwork:
        """The network with these weights, as a torch module; it shares no memory with them."""
        return StagedNetwork(self.stages, self.validate(x))

    def load(self, module: nn.Module) -> Profile:
        """The weights of a module such as the one the game was made of, or whose parameters are the players', in order.

        Raises:
            InvalidStrategyError: If the parameters have other shapes.
        """
        return Profile(load_weights(self.stages, module, self.name))

    def _run(self, weights: Sequence[Tensor], inputs: Tensor) -> list[State]:
        states: list[State] = [(inputs,)]
        rows = iter(weights)
        for stage in self.stages:
            states.append(stage(states[-1], [next(rows) for _ in stage.players]))
        return states

    def _one_loss(self, *weights: Tensor) -> Tensor:
        inputs, targets = self.objective.data(weights[0])
        return self.objective.phi(self._run(weights, inputs)[-1][0], targets)

    def _each(self, function: Callable[..., Any], x: Sequence[Tensor]) -> Any:
        """Maps a function of one profile over the batch, in chunks that bound the memory."""
        batch = Profile(x).batch_shape
        if not batch:
            return function(*x)
        rows = [t.expand(*batch, t.shape[-1]).reshape(-1, t.shape[-1]) for t in x]
        chunk = max(1, _CHUNK // (len(self.objective) * self._state_size))
        result = vmap(function, chunk_size=chunk)(*rows)
        return pytree.tree_map(lambda t: t.reshape(*batch, *t.shape[1:]), result)

    # The game

    def loss(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """The mean loss over the samples, without weight decay."""
        return self._each(self._one_loss, x)

    def _utilities(self, x: tuple[Tensor, ...]) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        loss = self.loss(x)
        return torch.stack(
            [-loss - (w / 2 * t.square().sum(-1) if w else 0.0) for w, t in zip(self.weight_decay, x, strict=True)], -1
        )

    def field(self, x: Sequence[Tensor], player: int | None = None) -> Profile:
        """Minus the gradient of the loss in each player's weights, minus its decay: one backward pass for all players.

        Args:
            x: A profile, tensors `(*batch, d_i)`.
            player: If given, only this player's part is computed, and the result has this one part.
        """
        return self.loss_and_field(x, player)[1]

    def loss_and_field(self, x: Sequence[Tensor], player: int | None = None) -> tuple[Float[Tensor, "*batch"], Profile]:
        """The loss and the field from one forward and one backward pass; arguments as of `field`."""
        wanted = tuple(range(self.n_players)) if player is None else (player,)
        leaves = [t.detach() for t in x]
        if Profile(x).batch_shape:
            slopes, loss = self._each(grad_and_value(self._one_loss, argnums=wanted), leaves)
        else:  # the same numbers as a user's own backward pass, and no overhead of a functional transform
            with torch.enable_grad():
                for i in wanted:
                    leaves[i] = leaves[i].requires_grad_()
                loss = self._one_loss(*leaves)
                slopes = torch.autograd.grad(loss, [leaves[i] for i in wanted])
        own = [(self.weight_decay[i], g, leaves[i].detach()) for i, g in zip(wanted, slopes, strict=True)]
        return loss.detach(), Profile(-g - decay * t if decay else -g for decay, g, t in own)

    def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        slopes = grad(lambda weights: self.loss(weights).sum())(x)
        return tuple(-g - w * t for g, w, t in zip(slopes, self.weight_decay, x, strict=True))

    def best_response(self, player: int, play: object) -> BestResponse | None:
        """The exact best response of a last linear layer under `mse`, see `last_layer_response`; otherwise None.

        A search answers where this does not: for the other layers, and under cross-entropy.
        """
        return last_layer_response(self, player, play)

    def trace(self, x: Sequence[Tensor]) -> tuple[State, ...]:
        """The states `x_0 .. x_T`, each a tuple of slots `(*batch, N, ...)`."""
        return tuple(self._each(lambda *w: self._run(w, self.objective.data(w[0])[0]), x))

    def costates(self, x: Sequence[Tensor]) -> tuple[State, ...]:
        """The co-states `p_0 .. p_T`: the gradients of the (mean) loss in each slot of each state.

        `p_T` is the gradient of phi, and `p_t` is `p_{t+1}` times the Jacobian of `F_t` (Pontryagin).
        """

        def one(*weights: Tensor) -> tuple[State, ...]:
            inputs, targets = self.objective.data(weights[0])
            states = self._run(weights, inputs)
            costates: list[State] = [(grad(self.objective.phi)(states[-1][0], targets),)]
            end = len(weights)
            for stage, state in zip(reversed(self.stages), reversed(states[:-1]), strict=True):
                own = weights[end - len(stage.players) : end]
                pull = vjp(lambda *slots, stage=stage, own=own: stage(slots, own), *state)[1]
                costates.append(tuple(pull(costates[-1])))
                end -= len(stage.players)
            return tuple(reversed(costates))

        return self._each(one, [t.detach() for t in x])

    def outputs(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch N *outputs"]:
        """What the network gives for each sample."""
        return self._each(lambda *w: self._run(w, self.objective.data(w[0])[0])[-1][0], x)

    def accuracy(self, x: Sequence[Tensor]) -> Float[Tensor, "*batch"]:
        """The share of samples whose largest output is their class, in float64.

        Raises:
            InvalidGameError: If the targets are not classes.
        """
        if self.targets.is_floating_point():
            raise InvalidGameError(
                f"{self.name}: its targets are numbers, expected classes: accuracy has no meaning here"
            )
        with torch.no_grad():
            return (self.outputs(x).argmax(-1) == self.targets.to(x[0].device)).double().mean(-1)

    def known(self) -> Known:
        """Sizes, and the loss at zero weights where the last layer is linear: log C under cross-entropy."""
        constants = {"samples": float(len(self.objective)), "weights": float(sum(self.dims))}
        if self.stages[-1].ends_linear and self.objective.loss == "cross_entropy":
            constants["loss_at_zero"] = math.log(self.output_shape[0])
        note = (
            "A game of common interest: the data loss is a potential, its stationary points are the first-order Nash "
            "equilibria, and its global minima are Nash equilibria."
        )
        return Known(constants=constants, source="Liu, Chen and Theodorou (2021), section 3", note=note)
