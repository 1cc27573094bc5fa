"""Many cooperating players by conjugate gradients, against dense solves of the Khatri-Rao matrix made with NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strategic_envs.agents.dgnopt.cooperation.players import conjugate_gradients

WIDTHS, HEIGHTS = (4, 3, 5, 2), (3, 4, 2, 3)


class Four:
    """Four players with correlated inputs and gradients: damped own blocks, plain cross blocks."""

    def __init__(self, seed: int = 0, damping: float = 0.3) -> None:
        random = np.random.default_rng(seed)
        common = random.normal(size=(200, 3)), random.normal(size=(200, 3))
        z, g = (
            [random.normal(size=(200, k)) + 0.7 * c @ random.normal(size=(3, k)) for k in sizes]
            for sizes, c in zip((WIDTHS, HEIGHTS), common, strict=True)
        )
        n = range(4)
        self.a = [[z[i].T @ z[j] / 200 + (i == j) * damping * np.eye(WIDTHS[i], WIDTHS[j]) for j in n] for i in n]
        self.b = [[g[i].T @ g[j] / 200 + (i == j) * damping * np.eye(HEIGHTS[i], HEIGHTS[j]) for j in n] for i in n]
        self.right = [random.normal(size=(HEIGHTS[i], WIDTHS[i])) for i in n]

    def dense(self) -> np.ndarray:
        return np.block([[np.kron(self.a[i][j], self.b[i][j]) for j in range(4)] for i in range(4)])

    def exact(self) -> np.ndarray:
        return np.linalg.solve(self.dense(), flat([torch.from_numpy(r) for r in self.right]))

    def operator(self, x: Sequence[Tensor]) -> list[Tensor]:
        a, b = ([[torch.from_numpy(m) for m in row] for row in side] for side in (self.a, self.b))
        return [sum((b[i][j] @ x[j] @ a[i][j].mT for j in range(4)), torch.zeros(())) for i in range(4)]

    def precondition(self, r: Sequence[Tensor]) -> list[Tensor]:
        inverse = torch.linalg.inv
        own = [(torch.from_numpy(self.a[i][i]), torch.from_numpy(self.b[i][i])) for i in range(4)]
        return [inverse(b) @ one @ inverse(a) for one, (a, b) in zip(r, own, strict=True)]

    def error(self, iterations: int) -> float:
        right = [torch.from_numpy(r) for r in self.right]
        answer, cut = conjugate_gradients(self.operator, self.precondition, right, iterations)
        assert not bool(cut)
        return float(np.linalg.norm(flat(answer) - self.exact()) / np.linalg.norm(self.exact()))


def flat(x: Sequence[Tensor]) -> np.ndarray:
    return np.concatenate([one.numpy().ravel(order="F") for one in x])


def test_the_joint_matrix_is_positive_definite() -> None:
    for seed in range(5):
        assert np.linalg.eigvalsh(Four(seed).dense()).min() > 0


def test_conjugate_gradients_reach_the_dense_solution() -> None:
    assert Four().error(1) < 0.6
    assert Four().error(5) < 0.05
    assert Four().error(10) < 1e-3
    assert Four().error(40) < 1e-10


def test_one_iteration_is_the_players_own_steps_scaled() -> None:
    four = Four()
    right = [torch.from_numpy(r) for r in four.right]
    answer, _ = conjugate_gradients(four.operator, four.precondition, right, 1)
    own = flat(four.precondition(right))
    scale = flat(answer) @ own / (own @ own)
    assert np.allclose(flat(answer), scale * own, rtol=1e-12)
    assert 0 < scale < 1


def indefinite(weights: Sequence[float]) -> tuple[list[Tensor], Tensor]:
    """Two iterations on a diagonal matrix, from (1, 1, ...)."""
    diagonal = torch.tensor(weights, dtype=torch.float64)
    answer, cut = conjugate_gradients(
        lambda x: [diagonal * x[0]], lambda r: [r[0]], [torch.ones(len(weights), dtype=torch.float64)], 5
    )
    return answer, cut


def test_negative_curvature_cuts_the_iteration_off() -> None:
    answer, cut = indefinite([1.0, 2.0, -0.1])
    assert bool(cut)
    x = answer[0]
    assert bool(x.isfinite().all())
    assert float(x.sum()) > 0  # a descent direction: along the right-hand side
    diagonal = torch.tensor([1.0, 2.0, -0.1], dtype=torch.float64)
    assert float(0.5 * (x * diagonal * x).sum() - x.sum()) < 0  # and the model is lower there


def test_negative_curvature_at_once_leaves_the_own_steps() -> None:
    answer, cut = indefinite([1.0, -3.0])
    assert bool(cut)
    assert answer[0].tolist() == [1.0, 1.0]


def test_directions_of_little_curvature_are_not_followed() -> None:
    """Beside a preconditioner of one: the last direction has a hundredth, its share of the answer would be 100."""
    diagonal, right = torch.tensor([1.0, 0.9, 0.01], dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    answers = []
    for least in (0.0, 0.1):
        answer, cut = conjugate_gradients(lambda x: [diagonal * x[0]], lambda r: [r[0]], [right], 9, least)
        answers.append(answer[0])
        assert bool(cut) == (least > 0)
    assert torch.allclose(answers[0], 1 / diagonal)
    assert float(answers[1].max()) < 1 / 0.1


def test_own_curvature_of_a_direction_is_tracked() -> None:
    """On a matrix that is half its preconditioner's inverse every direction has exactly half the curvature."""
    own = torch.tensor([1.0, 5.0, 20.0, 7.0], dtype=torch.float64)
    right = torch.arange(1.0, 5.0, dtype=torch.float64)
    for least, expected in ((0.49, False), (0.51, True)):
        _, cut = conjugate_gradients(lambda x: [0.5 * own * x[0]], lambda r: [r[0] / own], [right], 3, least)
        assert bool(cut) == expected
    shares = torch.tensor([0.3, 0.35, 0.4, 0.9], dtype=torch.float64)  # every direction has 0.3 to 0.9 of it
    for least, expected in ((0.29, False), (0.89, True)):
        answer, cut = conjugate_gradients(lambda x: [shares * own * x[0]], lambda r: [r[0] / own], [right], 4, least)
        assert bool(cut) == expected
        assert expected or torch.allclose(answer[0], right / (shares * own))


def test_nothing_to_solve_is_zero() -> None:
    answer, cut = conjugate_gradients(lambda x: x, lambda r: r, [torch.zeros(2), torch.zeros(3, 1)], 3)
    assert [x.tolist() for x in answer] == [[0, 0], [[0], [0], [0]]]
    assert not bool(cut)


def test_iterations_past_convergence_do_no_harm() -> None:
    answer, cut = conjugate_gradients(lambda x: [2 * x[0]], lambda r: r, [torch.ones(3)], 50)
    assert answer[0].tolist() == [0.5] * 3
    assert not bool(cut)


def test_right_hand_sides_that_are_not_finite_come_back_as_such() -> None:
    answer, cut = conjugate_gradients(lambda x: x, lambda r: r, [torch.tensor([torch.nan])], 3)
    assert bool(cut)
    assert not bool(answer[0].isfinite().any())
