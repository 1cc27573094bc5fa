"""Seven families of densities for the sizes of weights, by name.

Weights that are Gaussian are half-normal in size; Laplace weights are exponential; Student-t weights are half-t.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategic_envs.errors import InvalidSettingError, UnknownNameError
from strategic_envs.evaluators.microstructure.closed_fits import Exponential, HalfNormal, Lognormal
from strategic_envs.evaluators.microstructure.family import Family
from strategic_envs.evaluators.microstructure.searched_fits import Gamma, GeneralisedHalfNormal, HalfT, Weibull

__all__ = ["FAMILIES", "choose_families"]

_ALL: tuple[Family, ...] = (
    Lognormal(),
    HalfNormal(),
    Exponential(),
    Gamma(),
    Weibull(),
    GeneralisedHalfNormal(),
    HalfT(),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def choose_families(names: Sequence[str]) -> tuple[Family, ...]:
    """The families of these names; the lognormal comes first, for it is what the others are compared with.

    Raises:
        UnknownNameError: If a name is in no list.
        InvalidSettingError: If the lognormal or every rival is missing, or a name comes twice.

    Example:
        >>> [family.name for family in choose_families(["weibull", "lognormal"])]
        ['lognormal', 'weibull']
    """
    if isinstance(names, str):
        raise InvalidSettingError(f"families: got the text {names!r}, expected a list of names: [{names!r}]")
    for name in names:
        if name not in FAMILIES:
            raise UnknownNameError("family", name, FAMILIES)
    if "lognormal" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise InvalidSettingError(
            f"families: got {list(names)}, expected different ones, 'lognormal' and a rival of it at least"
        )
    return (FAMILIES["lognormal"], *(FAMILIES[name] for name in names if name != "lognormal"))
