"""Every example in every docstring of the project runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import strategic_envs
from strategic_envs.errors import MissingExtraError

EXTRAS = {"ray", "matplotlib", "pygame", "sklearn"}


def module_names() -> list[str]:
    """All modules of the distribution, by the names users import; benchmarks are scripts of a checkout."""
    found = pkgutil.walk_packages(strategic_envs.__path__, "strategic_envs.")
    names = [m.name for m in found if ".bench_" not in m.name and ".scripts.cluster" not in m.name]
    return ["strategic_envs", *sorted(names)]


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Runs the module's examples in an empty folder."""
    try:
        module = importlib.import_module(name)
    except (MissingExtraError, ModuleNotFoundError) as error:
        if isinstance(error, MissingExtraError) or error.name in EXTRAS:
            pytest.skip(f"needs an extra: {error}")
        raise
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples failed; their output is above"


def test_walk_reaches_agents_baselines_and_scripts() -> None:
    names = module_names()
    for package in ("agents", "baselines", "scripts"):
        assert f"strategic_envs.{package}" in names
