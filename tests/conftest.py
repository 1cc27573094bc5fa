"""What every test shares: shapes are checked, one thread a process, no colours, no user's Ray settings."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import config, install_import_hook

# Every shape in a signature is checked, in tests only. The hook wants the name of a decorator; ours takes an int where
# a float is asked for, as Python does.
checker = types.ModuleType("strategic_envs_checker")
setattr(checker, "check", beartype(conf=BeartypeConf(is_pep484_tower=True)))  # noqa: B010
sys.modules[checker.__name__] = checker
install_import_hook("strategic_envs", "strategic_envs_checker.check")

torch.set_num_threads(1)

AGENTS = Path(__file__).parent / "agents"  # where tests start Ray; elsewhere they say so: xdist_group("ray")

# Times vary too much for deadlines. CI draws the same examples every time; everybody else draws new ones.
settings.register_profile("anywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "anywhere")


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, with the reason; keeps all that starts Ray in one process, one at a time."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = "ray" if AGENTS in item.path.parents else str(item.path)
            item.add_marker(pytest.mark.xdist_group(group))
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if item.get_closest_marker("data") and not os.environ.get("STRATEGIC_ENVS_DATA"):
            item.add_marker(pytest.mark.skip(reason="needs STRATEGIC_ENVS_DATA, a folder with the data files"))


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Turns the checks of annotations off, so that a test of wrong types meets the library's own message."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
