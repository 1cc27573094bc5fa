"""Every update rule beside a few lines of numpy that say the same, on random games with cubic utilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.agents.dynamics import (
    AdaptiveExtragradient,
    AnchoredExtragradient,
    ConsensusOptimization,
    CooperativeGradient,
    CurvatureEGPlus,
    Dynamic,
    EGPlus,
    FollowTheRidge,
    GameOracle,
    Hedge,
    SymplecticGradient,
)
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Simplex

ETA, STEPS, DIMS = 0.07, 6, (2, 3)
OWN = (slice(0, 2), slice(2, 5))
Vector = np.ndarray


class Cubic:
    """`u_i = z^T Q_i z / 2 + b_i z + (c_i z)^3 / 6` over all coordinates z, for two players of 2 and 3 coordinates."""

    def __init__(self, seed: int, zero_sum: bool = False) -> None:
        draw = np.random.default_rng(seed).standard_normal
        self.q, self.b, self.c = draw((2, 5, 5)), draw((2, 5)), draw((2, 5))
        self.q = self.q + self.q.transpose(0, 2, 1)
        if zero_sum:
            self.q[1], self.b[1], self.c[1] = -self.q[0], -self.b[0], -self.c[0]

    def gradient(self, i: int, z: Vector) -> Vector:
        return self.q[i] @ z + self.b[i] + self.c[i] * (self.c[i] @ z) ** 2 / 2

    def hessian(self, i: int, z: Vector) -> Vector:
        return self.q[i] + np.outer(self.c[i], self.c[i]) * (self.c[i] @ z)

    def field(self, z: Vector) -> Vector:
        return np.concatenate([self.gradient(i, z)[OWN[i]] for i in range(2)])

    def jacobian(self, z: Vector) -> Vector:
        return np.concatenate([self.hessian(i, z)[OWN[i]] for i in range(2)])

    def game(self, simplices: bool = False) -> Game:
        q, b, c = (torch.from_numpy(t) for t in (self.q, self.b, self.c))

        def utilities(x: tuple[Tensor, ...]) -> Tensor:
            z = torch.cat(x, dim=-1)
            return torch.einsum("...j,ijk,...k->...i", z, q, z) / 2 + z @ b.T + (z @ c.T) ** 3 / 6

        sets = [Simplex(d) if simplices else Box(-1, 1, dim=d) for d in DIMS]
        return Game(utilities, sets, name="cubic")


def clip(z: Vector) -> Vector:
    return np.clip(z, -1, 1)


def adaptive(g: Cubic, z: Vector) -> Iterator[Vector]:
    eta = ETA
    while True:
        first = True
        while eta * np.linalg.norm(g.field(y := clip(z + eta * g.field(z))) - g.field(z)) > 0.9 * np.linalg.norm(y - z):
            eta, first = eta / 2, False
        yield (z := clip(z + eta * g.field(y)))
        eta = eta / 0.9 if first else eta


def eg_plus(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        w = clip(z + ETA * g.field(z))
        yield (z := z + 0.5 * ((w + ETA * g.field(w)) - (z + ETA * g.field(z))))


def curvature_eg_plus(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        gamma = 0.99 / np.linalg.norm(g.jacobian(z), 2)
        while gamma * np.linalg.norm(g.field(w := clip(z + gamma * g.field(z))) - g.field(z)) > 0.99 * np.linalg.norm(
            w - z
        ):
            gamma *= 0.5
        d = (w + gamma * g.field(w)) - (z + gamma * g.field(z))
        alpha = -0.99 / 2 + (w - z) @ d / (d @ d)
        yield (z := z + alpha * d)


def anchored(g: Cubic, z: Vector) -> Iterator[Vector]:
    start, t = z, 0
    while True:
        pull = (start - z) / (t + 2)
        w = clip(z + pull + ETA * g.field(z))
        yield (z := clip(z + pull + ETA * g.field(w)))
        t += 1


def consensus(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        f, j = -g.field(z), -g.jacobian(z)
        yield (z := clip(z - ETA * (f + 0.5 * j.T @ f)))


def symplectic(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        f, j = -g.field(z), -g.jacobian(z)
        turned = (j - j.T).T @ f / 2
        sign = np.sign((f @ j.T @ f) * (turned @ j.T @ f) / len(z) + 0.1)
        yield (z := clip(z - ETA * (f + sign * turned)))


def ridge(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:  # player 0 minimises f = u_1, player 1 maximises it
        f_x, f_y = np.split(g.gradient(1, z), [2])
        h = g.hessian(1, z)
        f_yy, f_yx = h[2:, 2:], h[2:, :2]
        y = z[2:] + ETA * f_y + ETA * np.linalg.solve(f_yy, f_yx @ f_x)
        yield (z := clip(np.concatenate([z[:2] - ETA * f_x, y])))


def cooperative(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        yield (z := clip(z + ETA * (g.gradient(0, z) + 2 * g.gradient(1, z))))


def hedge(g: Cubic, z: Vector) -> Iterator[Vector]:
    while True:
        grown = z * np.exp(ETA * g.field(z))
        yield (z := np.concatenate([grown[own] / grown[own].sum() for own in OWN]))


RULES: list[tuple[Dynamic, Callable[[Cubic, Vector], Iterator[Vector]]]] = [  # pyright: ignore[reportMissingTypeArgument]
    (AdaptiveExtragradient(ETA), adaptive),
    (EGPlus(ETA), eg_plus),
    (CurvatureEGPlus(), curvature_eg_plus),
    (AnchoredExtragradient(ETA), anchored),
    (ConsensusOptimization(ETA, gamma=0.5), consensus),
    (SymplecticGradient(ETA), symplectic),
    (FollowTheRidge(ETA), ridge),
    (CooperativeGradient(ETA, weights=(1.0, 2.0)), cooperative),
    (Hedge(ETA), hedge),
]


@pytest.mark.parametrize(("dynamic", "rule"), RULES, ids=lambda v: getattr(v, "name", ""))
@given(st.integers(0, 2**31))
@settings(max_examples=5)
def test_the_update_equals_its_definition(
    dynamic: Dynamic,  # pyright: ignore[reportMissingTypeArgument]
    rule: Callable[[Cubic, Vector], Iterator[Vector]],
    seed: int,
) -> None:
    cubic = Cubic(seed, zero_sum=dynamic.name == "follow_the_ridge")
    game = cubic.game(simplices=dynamic.name == "hedge")
    starts = game.sample((3,), generator=torch.Generator().manual_seed(seed))
    oracle = GameOracle(game)
    states = [dynamic.init(starts, oracle)]
    for _ in range(STEPS):
        states.append(dynamic.step(states[-1], oracle))
    for row, start in enumerate(starts.flat().numpy()):
        for state, expected in zip(states[1:], rule(cubic, start), strict=False):
            np.testing.assert_allclose(state.x.flat()[row].numpy(), expected, rtol=1e-7, atol=1e-9)


@given(st.integers(0, 2**31))
@settings(max_examples=10)
def test_the_joint_curvature_gives_each_player_the_update_of_equation_11(seed: int) -> None:
    """P is minus the curvature of the welfare; both forms: blocks by Schur complement, and Newton's step of all."""
    cubic = Cubic(seed)
    middle = np.random.default_rng(seed).uniform(-0.1, 0.1, 5)
    cubic.q -= 30 * np.eye(5)  # concave, so that P is positive definite
    game = cubic.game()
    x = Profile.from_flat(torch.from_numpy(middle), DIMS)
    p = -(cubic.hessian(0, middle) + cubic.hessian(1, middle))
    g = cubic.gradient(0, middle) + cubic.gradient(1, middle)
    new = CooperativeGradient(1.0, curvature="joint").step(
        CooperativeGradient(1.0).init(x, oracle := GameOracle(game)), oracle
    )
    for u, v in (OWN, OWN[::-1]):
        other = np.linalg.solve(p[v, v], g[v])
        complement = p[u, u] - p[u, v] @ np.linalg.solve(p[v, v], p[v, u])
        step = np.linalg.solve(complement, g[u] - p[u, v] @ other)
        np.testing.assert_allclose(new.x.flat().numpy()[u], clip(middle[u] + step), atol=1e-10)


def test_power_iterations_find_the_slope_of_the_jacobian() -> None:
    cubic = Cubic(3)
    game = cubic.game()
    x = game.sample((4,), generator=torch.Generator().manual_seed(0))
    exact, estimated = (CurvatureEGPlus(power_iterations=k) for k in (None, 60))
    oracle = GameOracle(game)
    a, b = (m.step(m.init(x, oracle), oracle) for m in (exact, estimated))
    torch.testing.assert_close(a.gamma, b.gamma, rtol=1e-4, atol=0)
    rough = CurvatureEGPlus(power_iterations=1)
    c = rough.step(rough.init(x, oracle), oracle)
    assert bool((c.gamma <= 2 * a.gamma).all()), "a slope that is too low is mended by backtracking"
    assert oracle.calls["jvp"] == 61 == oracle.calls["vjp"]
