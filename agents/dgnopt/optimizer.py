"""DGNOpt: every layer of a network is a player of a dynamic game, and reacts to what the others do to its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.alignment import choices
from strategic_envs.agents.dgnopt.batches import pieces
from strategic_envs.agents.dgnopt.groups import check_group, places
from strategic_envs.agents.dgnopt.linear_map import StageMap
from strategic_envs.agents.dgnopt.momentum import Momentum
from strategic_envs.agents.dgnopt.norm import Switch
from strategic_envs.agents.dgnopt.numbers import (
    at_least_single,
    channels_last,
    full_precision,
    likes_channels_last,
    nominal,
    not_finite,
)
from strategic_envs.agents.dgnopt.records import Seats
from strategic_envs.agents.dgnopt.result import StepResult
from strategic_envs.agents.dgnopt.settings import (
    DAMPING,
    LR,
    check_settings,
    curvature_named,
    information_named,
    trust_region,
)
from strategic_envs.agents.dgnopt.sweep import forward_trace
from strategic_envs.agents.dgnopt.terminal import Terminal, terminal_named
from strategic_envs.agents.dgnopt.turn import Rules, Turn
from strategic_envs.agents.dgnopt.undo import Undo
from strategic_envs.baselines.optimizers.curvature import Curvature
from strategic_envs.errors import CheckpointError, InvalidSettingError
from strategic_envs.games.networks import StagedNet
from strategic_envs.seeding import torch_stream

__all__ = ["DGNOpt"]

Batch = tuple[Any, Any]


class DGNOpt(torch.optim.Optimizer):
    """Trains a network as the players of a dynamic game, on batches: `optimizer.step((inputs, targets))`.

    The update of a stage is `theta -= lr S (Q_th + Q_thx dx)`: a gradient, the feedback to how far earlier stages have
    already moved the stage's state in this very step, and a linear map S, the curvature's inverse or the joint solve
    of the stage's players. The information structure only switches the feedback and the joint solve on or off:

    | info | feedback | cooperation | is |
    |---|---|---|---|
    | `OLNE` | no | no | SGD, RMSprop, Adam, KFAC or EKFAC, by the curvature |
    | `FNE` | yes | no | the feedback Nash equilibrium of a local quadratic game |
    | `O-CG` | no | yes | cooperation without feedback |
    | `GR` | yes | yes | group rationality |

    It needs no `backward()`: it runs the network itself, in the mode (train or eval) that the module is in. Learning
    rate schedulers, `zero_grad` (which has nothing to do) and parameter groups work as usual; a layer's parameters
    belong to one group. Under `torch.autocast` both passes run in low precision and all solves in full.

    Args:
        net: A torch module, or a staged network.
        info: The information structure; see the table.
        curvature: `identity`, `rms`, `adam`, `kfac` or `ekfac`.
        lr: Learning rate. None is 0.001 for `rms` and `adam`, 0.1 for the others.
        weight_decay: Decay, a part of the gradient as in SGD.
        damping: The curvature's damping (or the `eps` of `rms` and `adam`). None is 0.03 for `kfac` and `ekfac`, and
            torch's own `eps` for the others.
        loss: `cross_entropy`, `mse`, or a `Terminal`. Losses of samples are averaged.
        value_hessian: The factor of the loss's second derivative; see `strategic_envs.agents.dgnopt.terminal`.
        rank: Its columns, where that is free.
        value: The value recursion, `none`, `own` or `sum`; see `strategic_envs.agents.dgnopt.value`.
        statistic: What the curvature's output side is made of: `ef`, the gradients; `gn`, the columns of the factor.
        cap: The largest `|feedback| / |gradient|` of a player; `inf` is the paper, 0 the baseline.
        cooperation: `exact`, or `prop5` of the paper.
        cg_iterations: Conjugate gradients of the joint solve, where it has no closed form.
        fictitious: Each layer as so many fictitious players; without cooperation.
        alignment: The stages of the players: `late`, `early`, a mapping, or a choice anew in every step: `random` or
            `exp3++`, which learns from `reward`, to be called after every step. By default that of a staged network,
            or `late`.
        momentum: Of the steps, as in SGD.
        kl_clip: A trust region: all learning rates of a step are scaled so that `sum lr^2 <S Q_th, Q_th>` is at most
            this; twice that is the change of the outputs' distribution that the step expects, were S^-1 the Fisher
            matrix. None switches it off; `auto` is 0.1 for `kfac` and `ekfac`, and None for the others.
        seed: Of everything that is drawn.
        params: Parameters or groups to train, as for any optimizer; all by default. The rest stays as it is.
        unsupported: What becomes of layers without a matrix form: `refuse`, or `gradient` (plain gradient steps).
        **curvature_options: Passed to the curvature: `every`, `decay`, `betas`, `alpha`, `scale`...

    Raises:
        UnknownNameError: If one of the names does not exist.
        InvalidSettingError: If a number makes no sense, or a layer's parameters are in two groups.
        InvalidGameError: If the network cannot be staged.

    Source:
        Liu, Chen and Theodorou, "Dynamic Game Theoretic Neural Optimizer", ICML 2021, Algorithm 1. Cap, trust region
        and scaling of the gains by the learning rate are ours.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> optimizer = DGNOpt(net, lr=0.1)
        >>> results = [optimizer.step((x, (x[:, 0] > 0).long())) for _ in range(30)]
        >>> results[-1].outcome, bool(results[-1].loss < 0.5 * results[0].loss)
        ('ok', True)
    """

    def __init__(
        self,
        net: nn.Module | StagedNet,
        *,
        info: str = "FNE",
        curvature: str = "kfac",
        lr: float | None = None,
        weight_decay: float = 0.0,
        damping: float | None = None,
        loss: str | Terminal = "cross_entropy",
        value_hessian: str = "mc",
        rank: int = 1,
        value: str = "none",
        statistic: str = "ef",
        cap: float = 0.5,
        cooperation: str = "exact",
        cg_iterations: int = 5,
        fictitious: int = 1,
        alignment: str | Mapping[str, int] | None = None,
        momentum: float = 0.0,
        kl_clip: float | str | None = "auto",
        seed: int = 0,
        params: Iterable[Any] | None = None,
        unsupported: str = "refuse",
        **curvature_options: Any,
    ) -> None:
        self.info = information_named(info)
        kl_clip = trust_region(kl_clip, curvature)
        lr = LR.get(curvature, 0.1) if lr is None else lr
        damping = DAMPING.get(curvature) if damping is None else damping
        joint, numbers = self.info.cooperation, {"momentum": momentum, "kl_clip": kl_clip, "fictitious": fictitious}
        check_settings(value=value, statistic=statistic, joint=joint, **numbers)
        self.loss = terminal_named(loss, value_hessian, rank)
        self._value, self._kl_clip = value, kl_clip
        self._nets, self._bandit = choices(net, alignment, unsupported, seed)
        self.net = self._nets[0]
        self._units = {unit.name: unit for unit in self.net.units if unit.player >= 0}
        self._place: dict[str, int] = {}
        defaults = {"lr": lr, "weight_decay": weight_decay, "cap": cap, "damping": damping}
        check_group(defaults)
        everything = (p for unit in self._units.values() for p in unit.module.parameters())
        super().__init__(everything if params is None else params, defaults)
        self._seat()
        chosen, average = curvature_named(curvature, damping, curvature_options)
        self._momentum = Momentum(average, momentum)
        self._map = StageMap(
            chosen,
            self._units.values(),
            cooperation=cooperation if self.info.cooperation else None,
            cg_iterations=cg_iterations,
            fictitious=fictitious,
            statistic=statistic,
        )
        device = self.param_groups[0]["params"][0].device  # drawn where the network is
        self._random = {name: torch_stream(seed, "dgnopt", name, device=device) for name in ("terminal", "dropout")}
        self._buffered = [module for module in self.net.module.modules() if module._buffers]
        self._switch, self._channels_last = Switch(), likes_channels_last(self.net)
        self.steps = 0
        """How many steps were taken; refused ones do not count."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, with its own `lr`, `weight_decay`, `cap` or `damping`.

        Raises:
            InvalidSettingError: If a number makes no sense, or the parameters of a layer are not all in one group.
        """
        super().add_param_group(param_group)
        try:
            check_group(self.param_groups[-1])
            if self._place:  # not while the first groups come in
                self._seat()
        except InvalidSettingError:
            self.param_groups.pop()
            raise

    def _seat(self) -> None:
        """Finds the group of every trained layer."""
        self._place = places(self._units.values(), self.param_groups)
        self._seats = {stage: Seats(stage, self._place) for net in self._nets for stage in net.stages}

    @property
    def curvature(self) -> Curvature:
        """The players' own curvature."""
        return self._map.curvature

    # One step

    @torch.no_grad()
    def step(self, batch: Any) -> StepResult:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on a batch.

        Args:
            batch: `(inputs, targets)`, or a list of such pairs, which count as one batch (gradient accumulation): the
                same step as on all samples together, where no BatchNorm sees them together, with the graph of one
                piece at a time.

        Returns:
            The loss before the step, and whether it was taken. If anything was not finite the network, its buffers and
            the optimizer are as they were before.

        Raises:
            InvalidStrategyError: If the batch, the inputs or the targets have the wrong form.
            InvalidGameError: If there is one sample only and the network has BatchNorm layers in training mode.
        """
        net = self._nets[arm := self._bandit.choose()]
        batches = pieces(net, batch, one=self._value != "none")
        buffers = [b for module in self._buffered for b in module._buffers.values() if b is not None]
        touched = [*(p for group in self.param_groups for p in group["params"]), *buffers]
        undo = Undo(touched, self._random.values(), [*self._map.holders, self._momentum])
        try:
            loss, reason, turn, scale = self._play(net, batches)
        except BaseException:
            undo()
            raise
        if reason is not None:
            undo()
            return StepResult(loss, "diverged", reason, alignment=arm)
        self.steps += 1
        return StepResult(loss, feedback=turn.largest(), scale=1.0 if scale is None else scale, alignment=arm)

    def _play(self, net: StagedNet, batches: list[Batch]) -> tuple[Tensor, str | None, Turn, Tensor | None]:
        """Algorithm 1; the reason is the first quantity that was not finite."""
        samples = sum(len(inputs) for inputs, _ in batches)
        scale = None
        with full_precision(batches[0][0].device) as autocast:
            turn = Turn(net, self._rules(autocast), samples)
            losses = []
            for inputs, targets in batches:
                inputs = channels_last(inputs) if self._channels_last else inputs
                trace = nominal(
                    lambda x: forward_trace(
                        net, x, self._switch, self._random["dropout"], linked=self._value == "none"
                    ),
                    inputs,
                    autocast,
                )
                end = self.loss(at_least_single(trace.output), targets, self._drawing())
                losses.append(end.loss.sum())
                turn.backward(trace, end)
            loss = torch.stack(losses).sum() / samples
            turn.close_all()
            loss = torch.stack(losses).sum() / samples
            reason = not_finite({"the loss": [loss], "a gradient": turn.norms.values()})
            if reason is None:
                turn.refresh()
                scale = None if self._kl_clip is None else turn.trust(self._kl_clip)
                turn.forward(feedback=self.info.feedback, scale=scale)
                reason = not_finite({"a player's feedback": turn.sizes, "an update": torch._foreach_norm(turn.moves)})
            return loss, reason, turn, scale

    def _rules(self, autocast: Callable[[], Any]) -> Rules:
        group = {name: self.param_groups[i] for name, i in self._place.items()}
        return Rules(self._seats, group, self._map, self.steps, self._momentum, self._value, self._switch, autocast)

    def _drawing(self) -> torch.Generator | None:
        """The generator of the terminal's factor, where somebody needs the factor."""
        return self._random["terminal"] if self.info.feedback or self._map.statistic == "gn" else None

    # Alignments

    def reward(self, batch: Batch) -> float:
        """The accuracy on a batch, which is also the reward of the alignment that was played last.

        Args:
            batch: Inputs and classes; the same, fixed ones every time.

        Example:
            >>> net = nn.Linear(2, 2)
            >>> optimizer = DGNOpt(net, alignment="exp3++")
            >>> _ = optimizer.step((torch.eye(2), torch.arange(2)))
            >>> 0 <= optimizer.reward((torch.eye(2), torch.arange(2))) <= 1
            True
        """
        inputs, targets = batch
        module, training = self.net.module, self.net.module.training
        module.eval()
        try:
            with torch.no_grad():
                right = module(inputs).argmax(1) == targets
        finally:
            module.train(training)
        accuracy = float(right.float().mean())
        self._bandit.update(accuracy)
        return accuracy

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs beside the network: curvature, momentum, generators, choice of alignments."""
        game = {
            "steps": self.steps,
            "map": self._map.state_dict(),
            "momentum": self._momentum.state_dict(),
            "bandit": self._bandit.state_dict(),
            "random": {name: generator.get_state() for name, generator in self._random.items()},
        }
        return super().state_dict() | {"game": game}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken; the network is loaded apart.

        Raises:
            CheckpointError: If the state is of another optimizer, or of one with other settings.
        """
        game = state_dict.get("game")
        if game is None:
            raise CheckpointError("got the state of another kind of optimizer, expected that of a DGNOpt")
        self._map.load_state_dict(game["map"])
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "game"})
        self.steps = game["steps"]
        self._momentum.load_state_dict(game["momentum"])
        self._bandit.load_state_dict(game["bandit"])
        for name, generator in self._random.items():
            generator.set_state(game["random"][name].cpu())
