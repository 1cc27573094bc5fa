from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import InvalidStrategyError
from strategic_envs.play import Empirical, Independent, TabularPlay
from strategic_envs.profile import Profile


def _points() -> Profile:
    return Profile([torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0, 3.0], [4.0, 5.0]])])


def test_uniform_play_weighs_every_point_alike() -> None:
    play = Empirical.uniform(_points())
    assert play.weights.tolist() == [0.5, 0.5]
    assert play.double().points[0].dtype == torch.float64


def test_product_of_marginals_has_every_combination_once() -> None:
    play = Empirical.uniform(_points()).marginals().joint()
    pairs = {(a.item(), b[0].item()) for a, b in zip(play.points[0], play.points[1], strict=True)}
    assert len(play) == 4 and len(pairs) == 4
    assert torch.allclose(play.weights, torch.full((4,), 0.25, dtype=torch.float64))


def test_a_product_above_the_limit_is_drawn_and_the_draws_repeat() -> None:
    marginals = Empirical.uniform(_points()).marginals()
    a, b = marginals.joint(limit=3, seed=1), marginals.joint(limit=3, seed=1)
    assert len(a) == 3 and torch.equal(a.points[0], b.points[0])


def test_joint_actions_become_vertices_with_their_probabilities() -> None:
    play = Empirical.of_joint_actions(torch.tensor([[0.0, 0.25], [0.75, 0.0]], dtype=torch.float64))
    assert play.points[0].argmax(-1).tolist() == [0, 1]
    assert play.points[1].argmax(-1).tolist() == [1, 0]
    assert play.weights.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (torch.tensor([0.5, 0.6]), "sum to 1.1"),
        (torch.tensor([1.5, -0.5]), ">= 0"),
        (torch.tensor([float("nan"), 1.0]), "finite"),
        (torch.tensor([1.0]), "one a point"),
    ],
)
def test_weights_that_are_no_distribution_are_refused(weights: torch.Tensor, said: str) -> None:
    with pytest.raises(InvalidStrategyError, match=said):
        Empirical(_points(), weights)


def test_points_that_are_nan_or_batched_are_refused() -> None:
    with pytest.raises(InvalidStrategyError, match="NaN or infinite"):
        Empirical.uniform([torch.tensor([[float("nan")]])])
    with pytest.raises(InvalidStrategyError, match="flatten batch dimensions"):
        Empirical.uniform([torch.zeros(2, 3, 1)])
    with pytest.raises(InvalidStrategyError, match="no points"):
        Empirical.uniform([torch.zeros(0, 1)])
    with pytest.raises(InvalidStrategyError, match="one of each a player"):
        Independent((torch.zeros(1, 1),), ())


def test_policies_that_are_no_tables_are_refused() -> None:
    with pytest.raises(InvalidStrategyError, match="no policies"):
        TabularPlay(())
    with pytest.raises(InvalidStrategyError, match="player_1: got"):
        TabularPlay((torch.zeros(2, 2), torch.zeros(2)))
