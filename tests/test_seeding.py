from __future__ import annotations

import numpy as np
import pytest
import torch

from strategic_envs.seeding import child_seed, numpy_stream, torch_stream


def test_a_stream_is_the_same_on_every_machine() -> None:
    assert child_seed(0) == 2033344993903900207
    assert child_seed(0, "sampler", 3) == child_seed(np.int64(0), "sampler", 3)


def test_streams_of_unlike_names_or_seeds_differ() -> None:
    seeds = [
        child_seed(s, *names)
        for s in range(3)
        for names in [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", "1")]
    ]
    seeds += [child_seed(0, "a/b"), child_seed(0, "a/str:b"), child_seed(0, "a\\", "b")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)


def test_the_same_seed_gives_the_same_bytes_and_leaves_the_global_generators_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (torch.rand(100, generator=torch_stream(7, "x")).numpy().tobytes() for _ in range(2))
    assert first == second
    first, second = (numpy_stream(7, "x").random(100).tobytes() for _ in range(2))
    assert first == second
    assert torch.equal(torch_state, torch.get_rng_state()) and (numpy_state == np.random.get_state()[1]).all()


@pytest.mark.parametrize("bad", [-1, True])
def test_seeds_that_are_none_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="a seed is a non-negative integer, got"):
        child_seed(bad)
