"""Alignments that change from step to step, cooperation and fictitious players, inside training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.data import digits
from strategic_envs.games.networks import initialise, residual_mlp

Batch = tuple[Tensor, Tensor]


def network() -> nn.Module:
    return initialise(residual_mlp(inputs=64, widths=(16, 12), stem=16), seed=0)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    data = digits().flatten()
    return [(data.inputs[k : k + 64], data.targets[k : k + 64]) for k in range(0, 1280, 64)]


def train(optimizer: DGNOpt, batches: list[Batch], reward: Batch | None = None) -> list[Any]:
    found = []
    for batch in batches:
        found.append(optimizer.step(batch))
        if reward is not None:
            optimizer.reward(reward)
    return found


def weights(optimizer: DGNOpt) -> Tensor:
    return nn.utils.parameters_to_vector(optimizer.net.module.parameters()).detach()


@pytest.mark.parametrize("info", ["FNE", "GR"])
def test_a_bandit_over_alignments_trains(batches: list[Batch], info: str) -> None:
    """Four alignments of two shortcuts, all tried; parameters and curvature go on through every change."""
    optimizer = DGNOpt(network(), info=info, alignment="exp3++", lr=0.03, damping=0.03)
    found = train(optimizer, batches, reward=batches[-1])
    assert [step.alignment for step in found[:4]] == [0, 1, 2, 3]
    assert all(step.ok for step in found)
    assert float(found[-1].loss) < 0.6 * float(found[0].loss)


@pytest.mark.parametrize("alignment", ["random", "exp3++"])
def test_a_run_with_changing_alignments_resumes_exactly(batches: list[Batch], alignment: str) -> None:
    settings: dict[str, Any] = {"info": "GR", "alignment": alignment, "damping": 0.03}
    first = DGNOpt(network(), **settings)
    train(first, batches[:7], reward=batches[-1])
    module = copy.deepcopy(first.net.module)
    second = DGNOpt(module, **settings, seed=5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for one, other in zip(
        train(first, batches[7:14], batches[-1]), train(second, batches[7:14], batches[-1]), strict=True
    ):
        assert one.alignment == other.alignment
        assert one.loss.equal(other.loss)
    assert weights(first).equal(weights(second))


def test_alignment_changes_what_cooperation_and_feedback_do_and_nothing_else(batches: list[Batch]) -> None:
    """The baselines know no alignment; the games do."""
    for info, differs in (("OLNE", False), ("FNE", True), ("O-CG", True), ("GR", True)):
        late, early = (DGNOpt(network(), info=info, alignment=a, damping=0.03) for a in ("late", "early"))
        for optimizer in (late, early):
            train(optimizer, batches[:6])
        assert weights(late).allclose(weights(early), atol=1e-6) != differs


def test_without_cross_moments_group_rationality_is_the_feedback_nash_equilibrium(batches: list[Batch]) -> None:
    """Theorem 6a in the engine, bitwise: the same random numbers, the same steps; with them it is another method."""
    fne, gr, none = (DGNOpt(network(), info=info, damping=0.03) for info in ("FNE", "GR", "GR"))
    none._map._parts["joint"]._moments.observe = lambda *_: None  # nobody ever meets
    for optimizer in (fne, gr, none):
        train(optimizer, batches[:6])
    assert weights(none).equal(weights(fne))
    assert not weights(gr).allclose(weights(fne), atol=1e-4)


@pytest.mark.parametrize("curvature", ["identity", "rms", "adam", "kfac", "ekfac"])
def test_cooperation_trains_with_every_curvature(batches: list[Batch], curvature: str) -> None:
    lr = {"identity": 0.1, "rms": 1e-3, "adam": 2e-3, "kfac": 0.03, "ekfac": 0.03}[curvature]
    optimizer = DGNOpt(network(), info="GR", curvature=curvature, lr=lr, **_damped(curvature))
    found = train(optimizer, batches[:12])
    assert all(step.ok for step in found)
    assert float(found[-1].loss) < float(found[0].loss)


@pytest.mark.parametrize("curvature", ["identity", "rms", "adam", "kfac", "ekfac"])
def test_fictitious_players_train_with_every_curvature(batches: list[Batch], curvature: str) -> None:
    lr = {"identity": 0.05, "rms": 5e-4, "adam": 1e-3, "kfac": 0.01, "ekfac": 0.01}[curvature]
    optimizer = DGNOpt(network(), info="OLNE", fictitious=3, curvature=curvature, lr=lr, **_damped(curvature))
    found = train(optimizer, batches[:12])
    assert all(step.ok for step in found)
    assert float(found[-1].loss) < float(found[0].loss)


def _damped(curvature: str) -> dict[str, float]:
    return {"damping": 0.1} if curvature in ("kfac", "ekfac") else {}


def test_one_fictitious_player_is_sgd(batches: list[Batch]) -> None:
    optimizer = DGNOpt(network(), info="OLNE", curvature="identity", lr=0.1, fictitious=1)
    plain = network()
    sgd = torch.optim.SGD(plain.parameters(), lr=0.1)
    train(optimizer, batches[:5])
    for inputs, targets in batches[:5]:
        sgd.zero_grad()
        nn.functional.cross_entropy(plain(inputs), targets).backward()
        sgd.step()
    assert weights(optimizer).allclose(nn.utils.parameters_to_vector(plain.parameters()), atol=1e-6)


def test_fictitious_players_are_nearly_n_times_the_rate_while_steps_are_small(batches: list[Batch]) -> None:
    """At a small rate N players and N times the rate are the same to first order; at a large one they are not."""
    gaps = []
    for lr in (1e-3, 0.1):
        players = DGNOpt(network(), info="OLNE", curvature="identity", lr=lr, fictitious=4)
        faster = DGNOpt(network(), info="OLNE", curvature="identity", lr=4 * lr)
        start = weights(players).clone()
        for optimizer in (players, faster):
            train(optimizer, batches[:10])
        gaps.append(float((weights(players) - weights(faster)).norm() / (weights(faster) - start).norm()))
    assert gaps[0] < 0.02
    assert gaps[1] > 0.05


def test_fictitious_players_resume_exactly(batches: list[Batch]) -> None:
    settings: dict[str, Any] = {"info": "OLNE", "curvature": "identity", "lr": 0.1, "fictitious": 3}
    first = DGNOpt(network(), **settings)
    train(first, batches[:7])
    second = DGNOpt(copy.deepcopy(first.net.module), **settings)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(first, batches[7:14])
    train(second, batches[7:14])
    assert weights(first).equal(weights(second))
