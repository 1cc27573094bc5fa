"""EMSA: the extended method of successive approximations, every stage minimised by itself (Li et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from torch import Tensor, nn

from strategic_envs.errors import CheckpointError, InvalidSettingError, UnknownNameError
from strategic_envs.games.networks import NetStage, State, Unit, check_batch, from_module

__all__ = ["EMSA", "EMSAStep"]

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}


@dataclass(frozen=True)
class EMSAStep:
    """What a step says.

    Args:
        loss: The loss before the step, a detached scalar.
        outcome: `ok`, or `diverged` if something was not finite: then the network is as it was.
    """

    loss: Tensor
    outcome: str = "ok"


class EMSA:
    """Pontryagin's principle with penalties: one forward pass, one backward pass, then each stage by itself.

    With the states `x_t` and the costates `p_t = d <p_{t+1}, F_t(x_t, theta_t)> / dx`, `p_T` the derivative of the mean
    loss, every stage starts from its parameters and lowers, states and costates held,

        <p_{t+1}, F_t(x_t, theta)> + reg / 2 |theta|^2 + rho / 2 |x_{t+1} - F_t(x_t, theta)|^2
            + rho / 2 |p_t - d <p_{t+1}, F_t(x_t, theta)> / dx|^2

    (sums over the batch) by L-BFGS with a strong Wolfe line search. The players of a stage are minimised together. The
    first stage does without the last term, as nobody moves its costate. A step costs about a hundred of SGD's.

    Args:
        module: The network; it is cut into stages by `from_module`.
        rho: How strongly states and costates are held.
        reg: Weight decay.
        iterations: L-BFGS iterations of each stage in a step.
        loss: `cross_entropy`, `mse`, or a function of outputs and targets that gives the mean loss.
        alignment: Which stage each player is in.

    Raises:
        InvalidGameError: If the module cannot be cut into stages.
        InvalidSettingError: If a number makes no sense.

    Source:
        Li, Chen, Tai and E, "Maximum Principle Based Algorithms for Deep Learning", JMLR 18 (2018), algorithm 2; its
        numbers for MNIST: rho 0.03, reg 1e-3, ten iterations.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = torch.randn(64, 2)
        >>> y = (x[:, 0] > 0).long()
        >>> optimizer = EMSA(net)
        >>> losses = [optimizer.step(x, y).loss.item() for _ in range(8)]
        >>> losses[-1] < 0.5 * losses[0]
        True
    """

    def __init__(
        self,
        module: nn.Module,
        rho: float = 0.03,
        reg: float = 1e-3,
        *,
        iterations: int = 10,
        loss: str | Loss = "cross_entropy",
        alignment: str | Mapping[str, int] = "late",
    ) -> None:
        for name, value in (("rho", rho), ("reg", reg)):
            if not 0 <= value < float("inf"):
                raise InvalidSettingError(
                    f"{name} is a number >= 0, got {value!r}: pass rho=0.03, reg=1e-3, for example"
                )
        if iterations < 1:
            raise InvalidSettingError(f"iterations is at least 1, got {iterations!r}: pass iterations=10, for example")
        if isinstance(loss, str) and loss not in LOSSES:
            raise UnknownNameError("loss", loss, LOSSES)
        self.net = from_module(module, alignment)
        self.rho, self.reg, self.iterations = rho, reg, iterations
        self._loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.steps = 0

    def step(self, inputs: Tensor, targets: Tensor) -> EMSAStep:
        """One step on a batch.

        Args:
            inputs: Samples first.
            targets: What the loss compares the outputs with.

        Raises:
            InvalidGameError: If there is one sample only and the network has BatchNorm in training mode.
        """
        check_batch(self.net, inputs)
        module, masks = self.net.module, _Masks()
        before = [t.detach().clone() for t in (*module.parameters(), *module.buffers())]
        states: list[State] = [(inputs.detach(),)]
        with torch.no_grad():
            for stage in self.net.stages:
                states.append(stage.run(states[-1], masks.draw))
        (output,) = (out.detach().requires_grad_() for out in states[-1])
        loss = self._loss(output, targets)
        with _buffers_kept(module):
            costates = self._costates(states, torch.autograd.grad(loss, output), masks)
            for t, stage in enumerate(self.net.stages):
                self._minimise(stage, states[t : t + 2], costates[t : t + 2], masks, first=t == 0)
        if not _finite([loss, *module.parameters(), *module.buffers()]):
            with torch.no_grad():
                for tensor, old in zip((*module.parameters(), *module.buffers()), before, strict=True):
                    tensor.copy_(old)
            return EMSAStep(loss.detach(), "diverged")
        self.steps += 1
        return EMSAStep(loss.detach())

    def _costates(self, states: list[State], last: State, masks: _Masks) -> list[State]:
        """`p_0, ..., p_T`."""
        costates = [last]
        for t in reversed(range(len(self.net.stages))):
            costates.append(_pull(self.net.stages[t], states[t], costates[-1], masks, graph=False)[1])
        return costates[::-1]

    def _minimise(self, stage: NetStage, x: list[State], p: list[State], masks: _Masks, first: bool) -> None:
        parameters = [w for player in stage.players for unit in player.units for w in unit.module.parameters()]
        parameters = [w for w in parameters if w.requires_grad]
        if not parameters:
            return
        solver = torch.optim.LBFGS(parameters, max_iter=self.iterations, line_search_fn="strong_wolfe")

        def objective() -> Tensor:
            if first:
                after = stage.run(x[0], masks.repeat)
                value = _inner(p[1], after)
            else:
                (value, after), pulled = _pull(stage, x[0], p[1], masks, graph=True)
                value = value + self.rho / 2 * _squares(p[0], pulled)
            value = value + self.rho / 2 * _squares(x[1], after)
            value = value + self.reg / 2 * sum(w.square().sum() for w in parameters)
            for w, gradient in zip(
                parameters, torch.autograd.grad(value, parameters, materialize_grads=True), strict=True
            ):
                w.grad = gradient
            return value.detach()

        solver.step(objective)
        for w in parameters:
            w.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The number of steps: every step starts from the network alone."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave.

        Raises:
            CheckpointError: If it is of something else.
        """
        if set(state) != {"steps"}:
            raise CheckpointError(f"expected the state of EMSA, {{'steps': ...}}, got {sorted(state)}")
        self.steps = int(state["steps"])


class _Masks:
    """The dropout masks of a step: drawn in the forward pass, repeated afterwards."""

    def __init__(self) -> None:
        self._masks: dict[str, Tensor] = {}

    def draw(self, unit: Unit, value: Tensor) -> Tensor:
        if unit.kind == "dropout":
            self._masks[unit.name] = unit.module(torch.ones_like(value))
        return self.repeat(unit, value)

    def repeat(self, unit: Unit, value: Tensor) -> Tensor:
        return value * self._masks[unit.name] if unit.kind == "dropout" else unit.module(value)


def _pull(stage: NetStage, x: State, p: State, masks: _Masks, graph: bool) -> tuple[tuple[Tensor, State], State]:
    """`<p, F(x)>` and `F(x)`, and the derivative of the first by x."""
    leaves = tuple(v.detach().requires_grad_(v.is_floating_point()) for v in x)
    after = stage.run(leaves, masks.repeat)
    value = _inner(p, after)
    moving = [v for v in leaves if v.requires_grad]
    found = iter(torch.autograd.grad(value, moving, create_graph=graph, materialize_grads=True))
    return (value, after), tuple(next(found) if v.requires_grad else torch.zeros_like(v) for v in leaves)


def _inner(p: State, x: State) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(p, x, strict=True)]).sum()


def _squares(one: State, other: State) -> Tensor:
    return torch.stack([(a - b).square().sum() for a, b in zip(one, other, strict=True)]).sum()


def _finite(tensors: list[Tensor]) -> bool:
    return bool(torch.stack([torch.isfinite(t).all() for t in tensors]).all())


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """Running statistics move once a step, in the forward pass."""
    kept = [b.clone() for b in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, old in zip(module.buffers(), kept, strict=True):
                buffer.copy_(old)
