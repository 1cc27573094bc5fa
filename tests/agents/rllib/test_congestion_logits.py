"""Atomic congestion games learn by RLlib: the table of their payoffs is never made."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.agents.rllib import IndependentGDConfig
from strategic_envs.agents.rllib.rollout_one_shot import rollout_one_shot
from strategic_envs.games.atomic_congestion import atomic_braess, load_balancing
from strategic_envs.games.kinds.normal_form import NormalFormGame


def test_sampled_gradients_are_those_of_the_same_game_as_a_table() -> None:
    game = atomic_braess(4)
    logits = [torch.randn(3, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(4)]
    ours, table = (
        rollout_one_shot(g, logits, 64, torch.Generator().manual_seed(0)) for g in (game, NormalFormGame(game.payoffs))
    )
    for a, b in zip(ours, table, strict=True):
        torch.testing.assert_close(a.coefficient, b.coefficient)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_session")
def test_a_hundred_players_learn_to_share_machines() -> None:
    crowd = load_balancing(100, 20)
    algorithm = IndependentGDConfig().training(game=crowd, games_per_sample=512).build_algo()
    gaps = [algorithm.train()["nash_conv"] for _ in range(3)]
    algorithm.stop()
    assert gaps[-1] < 0.7 * gaps[0] and crowd._table is None
