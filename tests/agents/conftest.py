"""One Ray session for all tests of agents that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    pytest.importorskip("ray.rllib")
    from strategic_envs.agents.rllib import session

    with session():
        yield
