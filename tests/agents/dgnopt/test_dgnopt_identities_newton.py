"""What the sweeps are in linear algebra, in the dense reference: Levenberg-Marquardt, Gauss-Seidel, and its step sizes.

G is the Gauss-Newton matrix of the whole network on the batch, with one block a stage.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategic_envs.games.networks import initialise, residual_mlp
from strategic_envs.seeding import torch_stream
from tests.agents.dgnopt import dense, dense_networks

BATCH, DAMPING = 7, 0.05


def problem(alignment: str) -> tuple[list[dense.Stage], Tensor, Tensor, dict[str, Tensor]]:
    net = residual_mlp(4, (4, 3), 5, 3, activation="tanh").double()
    initialise(net, 3, gain=1.0)
    g = torch_stream(0, "batch")
    inputs = torch.randn(BATCH, 4, generator=g, dtype=torch.float64)
    classes = torch.randint(3, (BATCH,), generator=g)
    return dense_networks.residual((4, 3), torch.tanh, alignment), inputs, classes, dense_networks.parameters(net)


def linearised(alignment: str) -> tuple[list[dense.Piece], Tensor, Tensor, dict[str, Tensor]]:
    stages, inputs, classes, theta = problem(alignment)
    pieces, outputs = dense.linearise(stages, inputs, theta)
    return pieces, *dense.cross_entropy(outputs, classes), theta


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / a.norm() / b.norm())


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_a_cooperative_sweep_is_the_step_of_levenberg_and_marquardt(alignment: str):
    pieces, vx, vxx, theta = linearised(alignment)
    g, G, names, _ = dense.whole(pieces, vx, vxx)
    right = -torch.linalg.solve(G + DAMPING * torch.eye(len(g), dtype=g.dtype), g)
    own = {name: (torch.zeros_like(theta[name]), DAMPING) for name in names}
    found = dense.linear_rollout(pieces, dense.sweep(pieces, vx, vxx, info="GR", own=own))
    assert float((dense.stack(found, names) - right).abs().max()) < 1e-9
    alone = dense.linear_rollout(pieces, dense.sweep(pieces, vx, vxx, info="FNE", own=own))
    assert 0.9 < cosine(dense.stack(alone, names), right) < 1 - 1e-6  # near it, but not it: players ignore each other


def test_both_alignments_give_the_same_step():
    steps = []
    for alignment in ("late", "early"):
        pieces, vx, vxx, theta = linearised(alignment)
        own = {name: (torch.zeros_like(m), DAMPING) for name, m in theta.items()}
        found = dense.linear_rollout(pieces, dense.sweep(pieces, vx, vxx, info="GR", own=own))
        steps.append(dense.stack(found, list(theta)))
    assert float((steps[0] - steps[1]).abs().max()) < 1e-9


@pytest.mark.parametrize("alignment", ["late", "early"])
def test_without_a_value_recursion_a_sweep_is_a_gauss_seidel_substitution(alignment: str):
    pieces, vx, vxx, _ = linearised(alignment)
    g, G, names, where = dense.whole(pieces, vx, vxx)
    rate = 0.3
    gains = dense.sweep(pieces, vx, vxx, value="none", inverse=lambda _, Q: rate * torch.eye(len(Q), dtype=Q.dtype))
    found = dense.stack(dense.linear_rollout(pieces, gains), names)
    right = -torch.linalg.solve(torch.eye(len(g), dtype=g.dtype) / rate + dense.lower(G, where), g)
    assert float((found - right).abs().max()) < 1e-9
    assert float((found + rate * g).abs().max()) > 1e-4  # and not the gradient step


def radius(matrix: Tensor) -> float:
    return float(torch.linalg.eigvals(matrix).abs().max())


def test_feedback_admits_larger_steps():
    """SGD on the quadratic model needs eta < 2 / lambda_max(G); with feedback eta < 2 / max_t lambda_max(G_tt) will do.

    One block a layer, as if each were a stage: forward substitution in the order of the layers (Ostrowski, Reich).
    """
    pieces, vx, vxx, theta = linearised("late")
    _, G, names, _ = dense.whole(pieces, vx, vxx)
    where, start = [], 0
    for name in names:
        where.append(slice(start, start + theta[name].numel()))
        start = where[-1].stop
    sgd = 2 / float(torch.linalg.eigvalsh(G)[-1])
    law = 2 / max(float(torch.linalg.eigvalsh(G[w, w])[-1]) for w in where)
    assert law > 1.4 * sgd
    eye, L = torch.eye(len(G), dtype=G.dtype), dense.lower(G, where)

    def with_feedback(eta: float) -> float:
        return radius(eye - torch.linalg.solve(eye / eta + L, G))

    assert radius(eye - 0.95 * sgd * G) <= 1 + 1e-9 < radius(eye - 1.05 * sgd * G)
    for eta in (0.95 * sgd, 1.05 * sgd, 0.95 * law):
        assert with_feedback(eta) < 1 + 1e-9  # 1 itself: directions that the batch does not see
    assert radius(eye - 0.95 * law * G) > 1.4
