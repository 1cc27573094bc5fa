"""The optimizer's choices by name, and the checks of its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from strategic_envs.errors import InvalidSettingError, UnknownNameError

__all__ = [
    "DAMPING",
    "INFO",
    "KRONECKER",
    "LR",
    "Information",
    "check_settings",
    "curvature_named",
    "information_named",
    "trust_region",
]


@dataclass(frozen=True)
class Information:
    """What an information structure switches on; nothing else differs between them.

    Args:
        feedback: Players see the state, and react to where it went.
        cooperation: The players of a stage solve their joint system.
    """

    feedback: bool
    cooperation: bool


KRONECKER = ("kfac", "ekfac")
"""Curvatures whose steps are in units of their own, so that a trust region bounds what a step does."""

DAMPING = {"kfac": 0.03, "ekfac": 0.03}
"""Their damping, where none is given: from ten seeds of four networks of digits, with the trust region."""

LR = {"identity": 0.1, "rms": 1e-3, "adam": 1e-3, "kfac": 0.1, "ekfac": 0.1}
"""The learning rates of the curvatures, where none is given."""

INFO = {
    "OLNE": Information(feedback=False, cooperation=False),
    "FNE": Information(feedback=True, cooperation=False),
    "GR": Information(feedback=True, cooperation=True),
    "O-CG": Information(feedback=False, cooperation=True),
}


def information_named(info: str) -> Information:
    """The information structure of a name.

    Raises:
        UnknownNameError: If there is none.

    Example:
        >>> information_named("FNE")
        Information(feedback=True, cooperation=False)
    """
    if info not in INFO:
        raise UnknownNameError("information structure", info, INFO)
    return INFO[info]


def curvature_named(name: str, damping: float | None, options: dict[str, Any]) -> tuple[Any, float]:
    """The curvature of a name, and the first momentum that belongs to it (0.9 for Adam, else 0).

    Raises:
        UnknownNameError: If there is no such curvature.
        InvalidSettingError: If it does not have one of the options.

    Example:
        >>> curvature, beta = curvature_named("adam", None, {"betas": (0.8, 0.99)})
        >>> type(curvature).__name__, curvature.decay, beta
        ('Adam', 0.99, 0.8)
    """
    from strategic_envs.baselines.optimizers import curvature as there

    kinds = {"identity": "Identity", "rms": "RMS", "adam": "Adam", "kfac": "KFAC", "ekfac": "EKFAC"}
    if name not in kinds:
        raise UnknownNameError("curvature", name, kinds)
    options, beta = dict(options), 0.0
    if name == "adam":
        beta, options["beta"] = options.pop("betas", (0.9, 0.999))
    if damping is not None and name in KRONECKER:
        options["damping"] = damping
    elif damping is not None and name in ("rms", "adam"):
        options["eps"] = damping
    try:
        return getattr(there, kinds[name])(**options), beta
    except TypeError as error:
        raise InvalidSettingError(f"the curvature {name!r} got {sorted(options)}: {error}") from error


def trust_region(kl_clip: float | str | None, curvature: str) -> float | None:
    """The bound of the trust region, `auto` resolved.

    Example:
        >>> trust_region("auto", "kfac"), trust_region("auto", "identity"), trust_region(0.5, "identity")
        (0.1, None, 0.5)
    """
    if kl_clip == "auto":
        return 0.1 if curvature in KRONECKER else None
    if isinstance(kl_clip, str):
        raise InvalidSettingError(f"got kl_clip={kl_clip!r}, expected a number > 0, None or 'auto'")
    return kl_clip


def check_settings(
    *, value: str, statistic: str, momentum: float, kl_clip: float | None, fictitious: int, joint: bool = False
) -> None:
    """Checks the settings that belong to no group; `joint` says whether players cooperate.

    Raises:
        UnknownNameError: If the value recursion or the statistic does not exist.
        InvalidSettingError: If a number makes no sense.

    Example:
        >>> check_settings(value="none", statistic="ef", momentum=0.0, kl_clip=None, fictitious=1)
    """
    for kind, got, there in (
        ("value recursion", value, ("none", "own", "sum")),
        ("statistic", statistic, ("ef", "gn")),
    ):
        if got not in there:
            raise UnknownNameError(kind, got, there)
    if value == "own" and joint:
        raise InvalidSettingError(
            "got value='own' with cooperation, expected value='sum' or 'none': players who cooperate have one value "
            "function together"
        )
    if not (_number(momentum) and 0 <= momentum < 1):
        raise InvalidSettingError(f"got momentum={momentum!r}, expected a number in [0, 1)")
    if kl_clip is not None and not (_number(kl_clip) and kl_clip > 0):
        raise InvalidSettingError(f"got kl_clip={kl_clip!r}, expected a number > 0, or None for no trust region")
    if not isinstance(fictitious, int) or isinstance(fictitious, bool) or fictitious < 1:
        raise InvalidSettingError(f"got fictitious={fictitious!r}, expected a whole number of players >= 1")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
