"""How many samples a classifier still gets right when an adversary may move every input a little.

The attack is projected gradient ascent of the cross-entropy from random points of the L-infinity ball (PGD, Madry
et al. 2018, section 2.1): `z <- P(z + a sign(grad_z loss(z)))`, P clipping to the ball and to the range of inputs. A
sample counts as robust only if no point that any restart visited fools the network.

**The accuracy found is an upper bound**: a better attack may fool more samples, so `exact` is False. What can be done
is to make sure that the attack is not blunt because the network hides its gradients (Athalye, Carlini and Wagner 2018;
Carlini et al. 2019): `gradient_masking` looks for the usual signs.

All is computed in float64, where softmax saturates so much later than in float32 that gradients do not vanish.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.seeding import torch_stream

__all__ = ["MaskingReport", "RobustReport", "gradient_masking", "pgd_accuracy", "robustness_curve"]

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class RobustReport:
    """What an attack left of a classifier's accuracy.

    Args:
        clean: The share of samples whose class has strictly the highest score without an attack; in 0..1.
        robust: The share that is right at every point that any restart visited: an upper bound on the true one.
        by_restart: What was left after each restart; it never rises.
        radius: The L-infinity radius of the attack.
        steps: Gradient steps of each restart.
        step_size: Their length.
        survived: Which samples are left, `(N,)`.
        adversarial: The worst inputs found: those with the lowest margin of the true class, `(N, ...)`, float64.
        exact: Always False: no attack proves that there is no better one.
    """

    clean: float
    robust: float
    by_restart: tuple[float, ...]
    radius: float
    steps: int
    step_size: float
    survived: Bool[Tensor, " N"]
    adversarial: Float[Tensor, "N *shape"]
    exact: bool = False


@dataclass(frozen=True)
class MaskingReport:
    """Whether a network seems to hide its gradients from the attack.

    Args:
        masked_gradients: Whether any sign was found.
        reasons: What was found, in words.
        at_large_radius: Accuracy under a radius at which no network can be right.
        by_steps: Accuracy by the number of steps of the attack.
        noise: Accuracy under random points of the ball alone.
        transfer: Accuracy under inputs that were made against another network; None without one.
    """

    masked_gradients: bool
    reasons: tuple[str, ...]
    at_large_radius: float
    by_steps: tuple[tuple[int, float], ...]
    noise: float
    transfer: float | None


def pgd_accuracy(
    network: Network,
    inputs: Float[Tensor, "N *shape"],
    targets: Int[Tensor, " N"],
    *,
    radius: float,
    steps: int = 40,
    restarts: int = 10,
    step_size: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: int = 0,
) -> RobustReport:
    """Accuracy without an attack, and under PGD with random restarts.

    Args:
        network: A torch module or a function from inputs `(N, ...)` to scores `(N, classes)`. A module is copied to
            float64 and put in evaluation mode; a function is given float64 inputs.
        inputs: The clean samples, in the range `low..high`.
        targets: Their classes.
        radius: The largest change of a coordinate.
        steps: Gradient steps of each restart; with 0 the random points themselves are the attack.
        restarts: How often to start anew.
        step_size: The length of a step; `2.5 * radius / steps` if None, which can cross the ball.
        low: The smallest value an input may take.
        high: The largest.
        seed: The seed of the random starts. Restart k draws the same whatever the number of restarts.

    Raises:
        InvalidSettingError: If the radius, the steps, the restarts or the step size make no sense.
        InvalidGameError: If samples, classes and network do not fit, or a sample lies outside the range.

    Example:
        >>> line = nn.Linear(1, 2)
        >>> line.load_state_dict({"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.tensor([0.5, 0.0])})
        <All keys matched successfully>
        >>> report = pgd_accuracy(line, torch.tensor([[0.55], [0.9]]), torch.tensor([1, 1]), radius=0.1)
        >>> report.clean, report.robust, report.exact
        (1.0, 0.5, False)
    """
    (report,) = robustness_curve(
        network,
        inputs,
        targets,
        [radius],
        steps=steps,
        restarts=restarts,
        step_size=step_size,
        low=low,
        high=high,
        seed=seed,
    )
    return report


def robustness_curve(
    network: Network,
    inputs: Float[Tensor, "N *shape"],
    targets: Int[Tensor, " N"],
    radii: Sequence[float],
    *,
    steps: int = 40,
    restarts: int = 10,
    step_size: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: int = 0,
) -> tuple[RobustReport, ...]:
    """`pgd_accuracy` at several radii, smallest first.

    What fools the network within a radius fools it within every larger one, so samples that fell are not attacked again
    and the accuracies never rise; the arguments are those of `pgd_accuracy`.

    Raises:
        InvalidSettingError: If a number makes no sense, or the radii do not rise.
        InvalidGameError: If samples, classes and network do not fit.

    Example:
        >>> curve = robustness_curve(nn.Linear(1, 2), torch.rand(4, 1), torch.zeros(4, dtype=int), [0.0, 0.1, 0.2])
        >>> [report.radius for report in curve]
        [0.0, 0.1, 0.2]
    """
    _check_settings(radii, steps, restarts, step_size)
    model, x, y = _prepared(network, inputs, targets, low, high)
    with torch.no_grad():
        margin = _margins(model(x), y)
    worst, clean = x, float((margin > 0).double().mean())
    reports = []
    for radius in radii:
        size = step_size if step_size is not None else 2.5 * radius / max(steps, 1)
        floor, ceiling = (x - radius).clamp(min=low), (x + radius).clamp(max=high)
        left = []
        for k in range(restarts):
            rows = (margin > 0).nonzero().squeeze(-1)
            if len(rows):
                unit = torch.rand(x.shape, generator=torch_stream(seed, "pgd", k), dtype=x.dtype).to(x.device)
                start = (floor + unit * (ceiling - floor))[rows]
                found, value = _attack(model, start, y[rows], floor[rows], ceiling[rows], steps, size)
                lower = value < margin[rows]
                worst, margin = worst.clone(), margin.clone()
                worst[rows[lower]], margin[rows[lower]] = found[lower], value[lower]
            left.append(float((margin > 0).double().mean()))
        reports.append(RobustReport(clean, left[-1], tuple(left), float(radius), steps, size, margin > 0, worst))
    return tuple(reports)


def gradient_masking(
    network: Network,
    inputs: Float[Tensor, "N *shape"],
    targets: Int[Tensor, " N"],
    *,
    radius: float,
    large: float | None = None,
    surrogate: Network | None = None,
    restarts: int = 3,
    low: float = 0.0,
    high: float = 1.0,
    seed: int = 0,
    slack: float = 0.01,
) -> MaskingReport:
    """Looks for signs that an attack fails because gradients are hidden, not because the network is robust.

    The signs (Athalye, Carlini and Wagner 2018, section 3.1): a very large radius does not bring the accuracy under 5%;
    more steps of the attack leave more samples; random points fool more than gradients do; inputs made against another
    network fool more than those made against this one. None of them proves anything, and nor does their absence.

    Args:
        network: As in `pgd_accuracy`.
        inputs: The clean samples.
        targets: Their classes.
        radius: The radius at which attacks are compared.
        large: The radius at which nothing can be right: half the range, where every input may become the middle grey,
            if None.
        surrogate: Another network, such as one that was trained without an adversary.
        restarts: Of each attack.
        low: The smallest value an input may take.
        high: The largest.
        seed: The seed of the random starts.
        slack: By how much the weaker attack may win before that is called a sign.

    Raises:
        InvalidSettingError: If a number makes no sense.
        InvalidGameError: If samples, classes and network do not fit.

    Example:
        >>> line = nn.Linear(1, 2)  # class 1 above one half
        >>> line.load_state_dict({"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.tensor([0.5, 0.0])})
        <All keys matched successfully>
        >>> samples = torch.linspace(0.1, 0.9, 20).unsqueeze(1)
        >>> gradient_masking(line, samples, (samples[:, 0] > 0.5).long(), radius=0.1).masked_gradients
        False
    """
    half = (high - low) / 2 if large is None else large

    def accuracy(size: float, steps: int, tries: int) -> float:
        report = pgd_accuracy(
            network, inputs, targets, radius=size, steps=steps, restarts=tries, low=low, high=high, seed=seed
        )
        return report.robust

    far = accuracy(half, 40, restarts)
    by_steps = tuple((steps, accuracy(radius, steps, restarts)) for steps in (1, 10, 40))
    white = min(value for _, value in by_steps)
    noise = accuracy(radius, 0, 10 * restarts)
    reasons = [f"accuracy {far:.3f} at the radius {half:g}, where every input can become the same"] * (far >= 0.05)
    for (few, weaker), (many, stronger) in itertools.pairwise(by_steps):
        if stronger > weaker + slack:
            reasons.append(f"{many} steps leave {stronger:.3f}, more than the {weaker:.3f} of {few}")
    if noise < white - slack:
        reasons.append(f"random points leave {noise:.3f}, less than the {white:.3f} of gradients")
    transfer = None
    if surrogate is not None:
        made = pgd_accuracy(surrogate, inputs, targets, radius=radius, restarts=restarts, low=low, high=high, seed=seed)
        model, moved, y = _prepared(network, made.adversarial, targets, low, high)
        with torch.no_grad():
            transfer = float((_margins(model(moved), y) > 0).double().mean())
        if transfer < white - slack:
            reasons.append(f"inputs made against the other network leave {transfer:.3f}, less than {white:.3f}")
    return MaskingReport(bool(reasons), tuple(reasons), far, by_steps, noise, transfer)


def _attack(
    model: Network, start: Tensor, y: Tensor, floor: Tensor, ceiling: Tensor, steps: int, size: float
) -> tuple[Tensor, Tensor]:
    """The visited points with the lowest margins, and those margins."""
    z, worst, lowest = start, start, torch.full_like(y, math.inf, dtype=start.dtype)
    for k in range(steps + 1):
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            scores = model(z)
            loss = functional.cross_entropy(scores, y, reduction="sum")  # a sum: no sample scales another's gradient
            slope = torch.autograd.grad(loss, z)[0] if k < steps else None
        margin, z = _margins(scores.detach(), y), z.detach()
        lower = margin < lowest
        worst = torch.where(lower.reshape(-1, *[1] * (z.ndim - 1)), z, worst)
        lowest = torch.where(lower, margin, lowest)
        if slope is not None:
            z = (z + size * slope.sign()).clamp(floor, ceiling)
    return worst, lowest


def _margins(scores: Tensor, y: Tensor) -> Tensor:
    """The true class's score minus the best other one; at most 0 where the network is wrong, ties included."""
    true = scores.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return true - scores.scatter(-1, y.unsqueeze(-1), -math.inf).amax(-1)


def _prepared(
    network: Network, inputs: Tensor, targets: Tensor, low: float, high: float
) -> tuple[Network, Tensor, Tensor]:
    """The network in float64, and samples and classes that fit it."""
    who = "pgd_accuracy"
    if len(inputs) == 0 or len(inputs) != len(targets) or targets.ndim != 1 or targets.is_floating_point():
        raise InvalidGameError(
            f"{who}: got inputs of shape {tuple(inputs.shape)} and targets of {targets.dtype} and shape "
            f"{tuple(targets.shape)}, expected samples (N, ...) and whole-number classes (N,), N >= 1"
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidSettingError(f"{who}: got the range [{low}, {high}], expected finite numbers low < high")
    smallest, largest = float(inputs.min()), float(inputs.max())
    if not (smallest >= low and largest <= high):  # NaN is refused too
        raise InvalidGameError(
            f"{who}: got inputs from {smallest:g} to {largest:g}, expected them in [{low:g}, {high:g}]: scale them, or "
            "pass the low=... and high=... of their range"
        )
    model = copy.deepcopy(network).double().eval() if isinstance(network, nn.Module) else network
    x, y = inputs.detach().double(), targets.to(inputs.device, torch.int64)
    with torch.no_grad():
        scores = model(x[:1])
    if scores.ndim != 2 or len(scores) != 1 or scores.shape[1] < 2:
        raise InvalidGameError(
            f"{who}: the network gave scores of shape {tuple(scores.shape)} for one sample, expected (1, classes) with "
            "at least two classes"
        )
    if int(y.min()) < 0 or int(y.max()) >= scores.shape[1]:
        raise InvalidGameError(
            f"{who}: got classes from {int(y.min())} to {int(y.max())} and {scores.shape[1]} scores a sample, expected "
            f"classes in 0..{scores.shape[1] - 1}"
        )
    if not bool(scores.isfinite().all()):
        raise InvalidGameError(f"{who}: the network's scores are NaN or infinite at a clean sample: train it anew")
    return model, x, y


def _check_settings(radii: Sequence[float], steps: int, restarts: int, step_size: float | None) -> None:
    who = "pgd_accuracy"
    if not radii or not all(math.isfinite(r) and r >= 0 for r in radii) or list(radii) != sorted(radii):
        got = f"radius={radii[0]!r}" if len(radii) == 1 else f"radii={list(radii)!r}"
        raise InvalidSettingError(f"{who}: got {got}, expected finite numbers >= 0, smallest first")
    if type(steps) is not int or steps < 0 or type(restarts) is not int or restarts < 1:
        raise InvalidSettingError(
            f"{who}: got steps={steps!r} and restarts={restarts!r}, expected whole numbers steps >= 0 and restarts >= 1"
        )
    if step_size is not None and not (math.isfinite(step_size) and step_size > 0):
        raise InvalidSettingError(f"{who}: got step_size={step_size!r}, expected a finite number > 0, or None")
