"""Gaps of layers as players: the local Nash gap is the gradient's size, and a last linear layer's reply is exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.local import local_nash_gap
from strategic_envs.evaluators.report import evaluate
from strategic_envs.games.kinds.dynamic import DynamicGame
from strategic_envs.games.layers import layers
from strategic_envs.games.networks import network_game, residual_mlp
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (4,)},
    "residual": {"hidden": (4,), "network": "residual"},
    "residual early": {"hidden": (4,), "network": "residual", "alignment": "early"},
    "residual_conv": {"hidden": (2,), "network": "residual_conv"},
    "inception": {"hidden": (2,), "network": "inception"},
    "fictitious": {"hidden": (4,), "fictitious": 2},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_local_nash_gap_is_the_largest_gradient_of_a_layer(name: str) -> None:
    game = layers(samples=20, weight_decay=0.01, **NETWORKS[name])
    x = game.initial(0, dtype=torch.float64)
    leaves = [w.clone().requires_grad_() for w in x]
    loss = game.loss(leaves)
    loss.backward()
    expected = []
    for w in leaves:
        assert w.grad is not None
        expected.append(float((w.grad + 0.01 * w).detach().norm()))
    gap = local_nash_gap(game, x)
    assert gap.per_player == pytest.approx(expected, rel=1e-9)
    assert gap.value == pytest.approx(max(expected))


@pytest.mark.parametrize("name", ["mlp", pytest.param("residual", marks=pytest.mark.slow)])
def test_every_gap_of_a_network_is_reported_and_a_search_is_called_one(name: str) -> None:
    game = layers(samples=12, **NETWORKS[name])
    report = evaluate(game, game.initial(0, dtype=torch.float64))
    assert set(report.gaps) == {"nash_conv", "exploitability", "cce_gap", "local_nash_gap", "local_cce_gap"}
    assert all(math.isfinite(gap.value) and gap.value > 0 for gap in report.gaps.values())
    assert not report["nash_conv"].exact
    assert report["local_nash_gap"].exact


def test_training_closes_the_local_gap() -> None:
    game = network_game(residual_mlp(3, (3,), 3, 2, activation="tanh"), *separable(), weight_decay=0.1)
    x = game.initial(0, dtype=torch.float64)
    first = local_nash_gap(game, x).value
    for _ in range(300):
        x = x + 0.3 * game.field(x)
    assert local_nash_gap(game, x).value < 0.05 * first


def separable() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return inputs, (inputs[:, 0] > 0).long()


def mse_game(decay: float = 0.0, bias: bool = True) -> DynamicGame:
    inputs = torch.randn(15, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    targets = torch.randn(15, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    chain = [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2, bias=bias)]
    return DynamicGame.from_sequential(chain, inputs, targets, "mse", weight_decay=[0.3, decay])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_the_last_layers_reply_is_ridge_regression(bias: bool, decay: float) -> None:
    game = mse_game(decay, bias)
    x = game.initial(0, dtype=torch.float64)
    reply = best_response(game, 1, x)
    assert reply.exact
    assert reply.attained
    replied = x.replace(1, reply.strategy)
    assert float(game.utilities(replied)[1]) == pytest.approx(reply.value, abs=1e-12)
    assert local_nash_gap(game, replied).per_player[1] < 1e-10  # convex: the stationary point is the best one
    features = game.trace(x)[1][0].numpy()
    if bias:
        features = np.column_stack([features, np.ones(15)])
    gram = features.T @ features / 15 + decay * np.eye(features.shape[1])  # two outputs: 2/(15 * 2) and decay
    weights = np.linalg.solve(gram, features.T @ game.targets.numpy() / 15)
    flat = np.concatenate([weights[:4].T.ravel(), weights[4:].ravel()])
    np.testing.assert_allclose(reply.strategy.numpy(), flat, atol=1e-9)


def test_the_reply_to_play_of_several_profiles_is_to_their_mean_utility() -> None:
    game = mse_game(0.1)
    points = [torch.stack([game.initial(s, dtype=torch.float64)[i] for s in range(3)]) for i in range(2)]
    play = Empirical(Profile(points), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    reply = best_response(game, 1, play)
    assert reply.exact

    def mean(w: torch.Tensor) -> torch.Tensor:
        return (game.utilities([points[0], w.expand(3, -1)])[:, 1] * play.weights).sum()

    assert float(mean(reply.strategy)) == pytest.approx(reply.value, abs=1e-12)
    w = reply.strategy.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mean(w), w)
    assert float(slope.norm()) < 1e-10
    apart = best_response(game, 1, Independent((points[0], points[1]), (play.weights, play.weights)))
    assert apart.value == pytest.approx(reply.value, abs=1e-12)


def test_a_rank_deficient_last_layer_has_a_reply_of_least_norm() -> None:
    inputs = torch.ones(4, 2, dtype=torch.float64)
    game = DynamicGame.from_sequential([nn.Linear(2, 1, bias=False)], inputs, torch.full((4, 1), 3.0).double(), "mse")
    reply = best_response(game, 0, Profile([torch.zeros(2, dtype=torch.float64)]))
    assert reply.strategy.tolist() == pytest.approx([1.5, 1.5])
    assert reply.value == pytest.approx(0.0, abs=1e-14)


def test_the_head_of_a_residual_network_replies_exactly_and_others_by_search() -> None:
    game = network_game(residual_mlp(3, (2,), 2, 2), *separable(), "mse")
    x = game.initial(0, dtype=torch.float64)
    head, other = best_response(game, 4, x), best_response(game, 3, x)
    assert (head.exact, other.exact) == (True, False)
    assert float(game.utilities(x.replace(4, head.strategy))[4]) == pytest.approx(head.value, abs=1e-12)
    assert local_nash_gap(game, x.replace(4, head.strategy)).per_player[4] < 1e-10
    assert other.value > float(game.utilities(x)[3])


def test_there_is_no_closed_form_under_cross_entropy_or_behind_an_activation() -> None:
    entropy = layers(hidden=(), samples=10)
    assert not best_response(entropy, 0, entropy.initial(0, dtype=torch.float64)).exact
    inputs = torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bent = DynamicGame.from_sequential([nn.Linear(2, 2), nn.Tanh()], inputs, inputs, "mse")
    assert not best_response(bent, 0, bent.initial(0, dtype=torch.float64)).exact
    shared = layers(hidden=(), samples=10, loss="mse", fictitious=2)
    assert not best_response(shared, 0, shared.initial(0, dtype=torch.float64)).exact
