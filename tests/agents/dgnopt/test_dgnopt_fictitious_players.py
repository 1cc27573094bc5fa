"""Fictitious players: the closed forms against dense joint systems of N copies, and what they come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt.cooperation import Fictitious
from strategic_envs.baselines.optimizers.curvature import KFAC, RMS, Adam, Curvature, Identity
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks import StagedNet, Unit, from_module
from strategic_envs.seeding import torch_stream

LR = 0.2


def layer() -> tuple[StagedNet, Unit]:
    net = from_module(nn.Sequential(nn.Linear(3, 2)).double())
    return net, net.units[0]


def data(samples: int = 20, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    random = torch_stream(0, "fictitious")
    a = torch.randn(samples, 3, generator=random, dtype=torch.float64)
    return scale * a, torch.randn(samples, 2, generator=random, dtype=torch.float64)


def dense_c(a: Tensor, h: Tensor) -> np.ndarray:
    """The Kronecker curvature that any two players of the layer have between them."""
    z = np.concatenate([a.numpy(), np.ones((len(a), 1))], axis=1)
    return np.kron(z.T @ z / len(a), h.numpy().T @ h.numpy() / len(a))


def dense_m(curvature: Curvature, unit: Unit, like: Tensor) -> np.ndarray:
    units = [torch.from_numpy(e.reshape(like.shape, order="F")) for e in np.eye(like.numel())]
    return np.stack([curvature.apply(unit, e).numpy().ravel(order="F") for e in units], axis=1)


def fitted(
    players: int, curvature: Curvature, scale: float = 1.0, iterations: int = 30
) -> tuple[Fictitious, Unit, Tensor]:
    net, unit = layer()
    a, h = data(scale=scale)
    gradient = wgrad(unit, a, h)
    fictitious = Fictitious(players, curvature, net.units, iterations=iterations)
    for step in range(2):
        curvature.observe(unit, a, h, gradient)
        fictitious.observe(net.stages[0], {unit.name: a}, {unit.name: h})
        curvature.refresh(step)
        fictitious.refresh(step)
    return fictitious, unit, gradient


CURVATURES = [Identity, lambda: RMS(eps=0.5), lambda: Adam(eps=0.5), lambda: KFAC(damping=0.1)]


@pytest.mark.parametrize("players", [2, 3, 6])
@pytest.mark.parametrize("make", CURVATURES)
def test_the_players_steps_add_up_to_the_joint_solution(make: type, players: int) -> None:
    """The joint system of N copies, solved densely: M / lr on the diagonal, C everywhere else."""
    curvature = make()
    fictitious, unit, gradient = fitted(players, curvature)
    c, m = dense_c(*data()), dense_m(curvature, unit, gradient) / LR
    joint = np.kron(np.ones((players, players)), c) + np.kron(np.eye(players), m - c)
    g = gradient.numpy().ravel(order="F")
    expected = np.linalg.solve(joint, np.tile(g, players)).reshape(players, -1).sum(0)
    got = LR * fictitious.solve({unit.name: gradient}, LR)[unit.name].numpy().ravel(order="F")
    assert np.linalg.norm(got - expected) < 1e-9 * np.linalg.norm(expected)


def test_with_the_true_curvature_fictitious_players_change_nothing() -> None:
    """M = C: the joint matrix has the rank of one player, its least-norm solution adds up to the step of one."""
    c, players = dense_c(*data()), 4
    g = np.random.default_rng(0).normal(size=len(c))
    joint = np.linalg.pinv(np.kron(np.ones((players, players)), c)) @ np.tile(g, players)
    assert np.allclose(joint.reshape(players, -1).sum(0), np.linalg.solve(c, g), rtol=1e-9)


@pytest.mark.parametrize("make", CURVATURES)
def test_one_player_is_the_curvature_itself(make: type) -> None:
    curvature = make()
    fictitious, unit, gradient = fitted(1, curvature)
    assert not fictitious.wants(0)
    assert fictitious.solve({unit.name: gradient}, LR)[unit.name].equal(curvature.solve(unit, gradient))


def test_flat_directions_get_n_times_the_rate_and_sharp_ones_saturate() -> None:
    fictitious, unit, gradient = fitted(4, Identity(), scale=300.0)
    values, vectors = np.linalg.eigh(dense_c(*data(scale=300.0)))
    rates = []
    for column in vectors.T:
        direction = torch.from_numpy(column.reshape(gradient.shape, order="F"))
        rates.append(LR * float((fictitious.solve({unit.name: direction}, LR)[unit.name] * direction).sum()))
    assert np.allclose(rates, 4 * LR / (1 + 3 * LR * values), rtol=1e-9)
    assert rates[0] > 0.6 * 4 * LR
    assert rates[-1] == pytest.approx(4 / 3 / values[-1], rel=1e-3)


def test_layers_may_have_rates_of_their_own() -> None:
    fictitious, unit, gradient = fitted(3, Identity())
    one = fictitious.solve({unit.name: gradient}, {unit.name: 0.5})[unit.name]
    assert one.equal(fictitious.solve({unit.name: gradient}, 0.5)[unit.name])
    assert not one.equal(fictitious.solve({unit.name: gradient}, 0.1)[unit.name])


def test_the_joint_matrix_may_be_indefinite() -> None:
    """C above M / lr: the closed form does not mind, its step is downhill."""
    fictitious, unit, gradient = fitted(2, Identity(), scale=30.0)
    c = dense_c(*data(scale=30.0))
    assert np.linalg.eigvalsh(np.kron(np.ones((2, 2)), c) + np.kron(np.eye(2), np.eye(len(c)) / LR - c)).min() < 0
    assert float((fictitious.solve({unit.name: gradient}, LR)[unit.name] * gradient).sum()) > 0


def test_norms_get_n_times_their_own_step() -> None:
    net = from_module(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).double())
    fictitious = Fictitious(3, Identity(), net.units)
    a, h = data()
    fictitious.observe(net.stages[0], {u.name: a for u in net.units[:1]}, {u.name: h for u in net.units[:1]})
    fictitious.refresh(0)
    right = torch.ones(2, 2, dtype=torch.float64)
    assert fictitious.solve({"1": right}, LR)["1"].equal(3 * right)


def test_a_saved_state_goes_on_exactly() -> None:
    fictitious, unit, gradient = fitted(3, Identity())
    net, _ = layer()
    other = Fictitious(3, Identity(), net.units)
    other.load_state_dict(fictitious.state_dict())
    assert other.solve({unit.name: gradient}, LR)[unit.name].equal(
        fictitious.solve({unit.name: gradient}, LR)[unit.name]
    )


def test_a_layer_that_cannot_be_factorised_is_named_and_solved_iteratively() -> None:
    fictitious, unit, gradient = fitted(2, Identity())
    fictitious._moments.means = {p: (a * torch.nan, b) for p, (a, b) in fictitious._moments.means.items()}
    fictitious._bases = {}
    fictitious.solve({unit.name: gradient}, LR)
    assert unit.name in fictitious.refused


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="fictitious=0"):
        Fictitious(0, Identity(), [])
    with pytest.raises(InvalidSettingError, match="cg_iterations=0"):
        Fictitious(2, Identity(), [], iterations=0)
