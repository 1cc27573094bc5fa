"""Linear-quadratic games, where a sweep is exact: cooperation finds the optimum in one, feedback alone only with N = 1.

Identities of the method (Liu, Chen and Theodorou 2021, section 3 and equations (9) to (11)), in the dense reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from strategic_envs.seeding import torch_stream
from tests.agents.dgnopt import dense

STAGES, STATE, ACTION = 5, 4, 3


@dataclass
class LQ:
    """x' = A x + sum_n B_n u_n + c, cost x_T'H x_T / 2 + h'x_T + sum r |u|^2 / 2, around actions u."""

    pieces: list[dense.Piece]
    constants: list[Tensor]
    start: Tensor
    end: tuple[Tensor, Tensor]
    rate: dict[str, float]
    actions: dict[str, Tensor]

    def cost(self, actions: dict[str, Tensor]) -> Tensor:
        x, total = self.start, torch.zeros((), dtype=torch.float64)
        for piece, c in zip(self.pieces, self.constants, strict=True):
            x = piece.fx @ x + c
            for name, f in zip(piece.players, piece.fth, strict=True):
                x = x + f @ actions[name]
                total = total + self.rate[name] * actions[name].square().sum() / 2
        H, h = self.end
        return total + x @ H @ x / 2 + h @ x

    def sweep(self, **options: str) -> dict[str, Tensor]:
        """The actions after one sweep."""
        x = self.start
        for piece, c in zip(self.pieces, self.constants, strict=True):
            x = piece.fx @ x + c + sum(f @ self.actions[n] for n, f in zip(piece.players, piece.fth, strict=True))
        H, h = self.end
        own = {name: (self.rate[name] * u, self.rate[name]) for name, u in self.actions.items()}
        steps = dense.linear_rollout(self.pieces, dense.sweep(self.pieces, H @ x + h, H, own=own, **options))  # pyright: ignore[reportArgumentType]
        return {name: u + steps[name] for name, u in self.actions.items()}

    def optimum(self) -> dict[str, Tensor]:
        """Newton's step of the flattened problem, which is quadratic."""
        names = list(self.actions)
        flat = torch.cat([self.actions[name] for name in names])

        def cost(u: Tensor) -> Tensor:
            return self.cost(dict(zip(names, u.split(ACTION), strict=True)))

        step = torch.linalg.solve(torch.func.jacrev(torch.func.grad(cost))(flat), torch.func.grad(cost)(flat))
        return dict(zip(names, (flat - step).split(ACTION), strict=True))


def game(players: int, seed: int) -> LQ:
    g = torch_stream(seed, "lq")

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    names = [[f"{t}.{n}" for n in range(players)] for t in range(STAGES)]
    pieces = [dense.Piece(row, draw(STATE, STATE) / 2, [draw(STATE, ACTION) for _ in row]) for row in names]
    root = draw(STATE, STATE)
    flat = [name for row in names for name in row]
    rate = {name: float(0.1 + torch.rand((), generator=g)) for name in flat}
    end = (root @ root.mT, draw(STATE))
    return LQ(pieces, [draw(STATE) for _ in names], draw(STATE), end, rate, {name: draw(ACTION) for name in flat})


@pytest.mark.parametrize("players", [1, 2, 3, 4])
def test_one_cooperative_sweep_lands_on_the_global_optimum(players: int):
    lq = game(players, seed=players)
    found, best = lq.sweep(info="GR"), lq.optimum()
    assert max(float((found[name] - best[name]).abs().max()) for name in best) < 1e-9


def test_feedback_alone_is_optimal_with_one_player_a_stage():
    lq = game(1, seed=5)
    found, best = lq.sweep(info="FNE"), lq.optimum()
    assert max(float((found[name] - best[name]).abs().max()) for name in best) < 1e-9


@pytest.mark.parametrize("players", [2, 3, 4])
def test_feedback_alone_is_not_optimal_with_more(players: int):
    lq = game(players, seed=players)
    best = lq.cost(lq.optimum())
    assert lq.cost(lq.sweep(info="FNE")) > best + 1.0  # far from it, and often worse than before the sweep


def test_substituting_the_joint_optimum_gives_the_short_form():
    lq = game(3, seed=0)
    H, h = lq.end
    for value in ("long", "short"):
        gains = dense.sweep(
            lq.pieces, h, H, info="GR", value=value, own={n: (0 * u, 0.3) for n, u in lq.actions.items()}
        )
        if value == "long":
            first = gains
    for old, new in zip(first, gains, strict=True):
        for a, b in zip(old, new, strict=True):
            assert float((a.k - b.k).abs().max()) < 1e-9 and float((a.K - b.K).abs().max()) < 1e-9


def test_the_short_form_is_wrong_for_gains_that_are_not_the_optimum():
    lq = game(3, seed=0)
    H, h = lq.end
    q = dense.quadratic(lq.pieces[-1], h, H, [(torch.zeros(ACTION, dtype=torch.float64), 0.3)] * 3)
    S = torch.block_diag(*[torch.linalg.inv(q[3][w, w]) for w in dense.blocks(lq.pieces[-1])])
    (right, curved), (wrong, _) = dense.substitute(q, S @ q[2], S @ q[4]), dense.short(q, S @ q[2], S @ q[4])
    assert float((right - wrong).abs().max()) > 0.1
    assert float(torch.linalg.eigvalsh(curved).min()) > -1e-9  # what the players really get is never negative


def test_long_form_is_the_cost_of_the_linear_policies():
    """V_x and V_xx by substitution are the derivatives of the cost when all players hold to their gains."""
    lq = game(2, seed=7)
    H, h = lq.end
    piece = lq.pieces[-1]
    q = dense.quadratic(piece, h, H, [(0.5 * lq.actions[name], 0.5) for name in piece.players])
    g = torch_stream(1, "gains")
    k = torch.randn(2 * ACTION, generator=g, dtype=torch.float64)
    K = torch.randn(2 * ACTION, STATE, generator=g, dtype=torch.float64)

    def cost(dx: Tensor) -> Tensor:
        du = -(k + K @ dx)
        x = piece.fx @ dx + torch.cat(piece.fth, 1) @ du
        u = torch.cat([lq.actions[name] for name in piece.players]) + du
        return h @ x + x @ H @ x / 2 + 0.25 * u.square().sum()

    vx, vxx = dense.substitute(q, k, K)
    zero = torch.zeros(STATE, dtype=torch.float64)
    assert float((torch.func.grad(cost)(zero) - vx).abs().max()) < 1e-9
    assert float((torch.func.jacrev(torch.func.grad(cost))(zero) - vxx).abs().max()) < 1e-9
