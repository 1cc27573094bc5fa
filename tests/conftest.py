"""What every test shares: shapes are checked, one thread a process, no colours, no user's Ray settings."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MPLBACKEND", "agg")

from jaxtyping import install_import_hook

install_import_hook("strategic_envs", "beartype.beartype")  # every shape in a signature is checked, in tests only

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, with the reason."""
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if "data" in item.keywords and not os.environ.get("STRATEGIC_ENVS_DATA"):
            item.add_marker(pytest.mark.skip(reason="needs STRATEGIC_ENVS_DATA, a folder with the data files"))
