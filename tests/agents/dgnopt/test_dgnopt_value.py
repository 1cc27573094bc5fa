"""The value recursion of a stage against the substitution of its gains in the dense quadratic of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.agents.dgnopt.quadratic import Factors, Reaction, dense_gram, factored_gram
from strategic_envs.agents.dgnopt.value import Value, contract, correct, substitute, sweeps
from strategic_envs.baselines.optimizers.layers import wgrad
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.networks import Unit
from strategic_envs.seeding import torch_stream
from tests.agents.dgnopt import dense, nets

BATCH, RANK, DECAY = 4, 2, 0.07
Solve = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]


def drawn(*shape: int, stream: str) -> Tensor:
    return torch.randn(*shape, generator=torch_stream(0, stream), dtype=torch.float64)


def positive(size: int, stream: str) -> Tensor:
    root = drawn(size, size, stream=stream)
    return root @ root.mT + torch.eye(size, dtype=root.dtype)


class Merge:
    """A stage of two players: u = W1 z + b1 + S y + c, next state tanh(u); the state is (z, y). 3 and 2 numbers."""

    def __init__(self) -> None:
        self.units = [
            Unit("main", nn.Linear(3, 3).double(), "linear", 0),
            Unit("side", nn.Linear(2, 3).double(), "linear", 1),
        ]
        for unit in self.units:
            for k, p in enumerate(unit.module.parameters()):
                p.data = drawn(*p.shape, stream=f"{unit.name}{k}")
        self.z, self.y = drawn(BATCH, 3, stream="z"), drawn(BATCH, 2, stream="y")
        with torch.no_grad():
            self.out = (self.units[0].module(self.z) + self.units[1].module(self.y)).tanh()
        self.slope = 1 - self.out.square()
        self.vx = drawn(BATCH, 3, stream="vx")
        self.Z = [drawn(BATCH, 3, stream=f"Z{j}") for j in range(RANK)]
        self.core = torch.stack([positive(RANK, f"core{i}") for i in range(BATCH)])

    def theta(self) -> list[Tensor]:
        both = [list(unit.module.parameters()) for unit in self.units]
        return [torch.cat([w.detach(), b.detach()[:, None]], 1).flatten() for w, b in both]

    def reactions(self, factors: list[Factors | None]) -> tuple[Value, list[Reaction]]:
        weights = [unit.module.weight.detach() for unit in self.units]
        assert all(isinstance(w, Tensor) for w in weights)

        def back(v: Tensor) -> tuple[Tensor, ...]:
            return tuple((v * self.slope) @ w for w in weights)  # pyright: ignore[reportOperatorIssue]

        pulled = Value(back(self.vx), tuple(back(Z) for Z in self.Z), self.core)
        hz, h = tuple(Z * self.slope for Z in self.Z), self.vx * self.slope
        decays = [DECAY, 2 * DECAY]
        return pulled, [
            Reaction(unit, a, hz, wgrad(unit, a, h) + decay * theta.view(3, -1), decay, factor)
            for unit, a, decay, theta, factor in zip(
                self.units, (self.z, self.y), decays, self.theta(), factors, strict=True
            )
        ]

    def dense(self, S: Tensor, mine: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """V_x and V_xx of the whole batch after the players in `mine` react with k = S Q_th, K = S Q_thx."""

        def step(x: Tensor, th: list[Tensor]) -> Tensor:
            main, side = th[0].view(3, 4), th[1].view(3, 3)
            return (main[:, :3] @ x[:3] + main[:, 3] + side[:, :2] @ x[3:] + side[:, 2]).tanh()

        theta = dict(zip(("main", "side"), self.theta(), strict=True))
        stage = dense.Stage(step, ["main", "side"])
        pieces, outputs = dense.linearise([stage], torch.cat([self.z, self.y], 1), theta)
        assert float((outputs - self.out).abs().max()) < 1e-12
        blocks = []
        for i in range(BATCH):
            Z = torch.stack([Z[i] for Z in self.Z], 1)
            blocks.append(Z @ self.core[i] @ Z.mT / BATCH)
        own = [(DECAY * theta["main"], DECAY), (2 * DECAY * theta["side"], 2 * DECAY)]
        q = dense.quadratic(pieces[0], self.vx.flatten() / BATCH, torch.block_diag(*blocks), own)
        q = (q[0], q[1], q[2][mine], q[3][mine, mine], q[4][mine])
        S = S[mine, mine]
        return dense.substitute(q, S @ q[2], S @ q[4])


def judge(found: Value, vx: Tensor, vxx: Tensor) -> tuple[float, float]:
    """How far V_x, and the samples' own blocks of V_xx, are from the dense ones; of a state of 3 + 2 numbers."""
    gradient = torch.cat(found.gradient, 1) / BATCH
    columns = torch.stack([torch.cat(column, 1) for column in found.columns], 2)  # B x r
    curved = columns @ found.core @ columns.mT / BATCH
    blocks = torch.stack([vxx[5 * i : 5 * i + 5, 5 * i : 5 * i + 5] for i in range(BATCH)])
    return float((gradient - vx.view(BATCH, 5)).abs().max()), float((curved - blocks).abs().max())


def metrics() -> tuple[list[Factors | None], Solve, Tensor]:
    """Kronecker metrics of both players, with learning rates; the same as a function and as a dense matrix."""
    factors = [
        Factors(positive(4, "A0"), positive(3, "B0"), 0.9),
        Factors(positive(3, "A1"), positive(3, "B1"), 0.4),
    ]
    inverses = {
        name: (torch.linalg.inv(f.inputs), f.rate * torch.linalg.inv(f.outputs))
        for name, f in zip(("main", "side"), factors, strict=True)
    }

    def solve(right: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: inverses[name][1] @ R @ inverses[name][0] for name, R in right.items()}

    return list(factors), solve, torch.block_diag(*[torch.kron(B, A) for A, B in inverses.values()])


@pytest.mark.parametrize("way", ["factors", "single samples"])
def test_all_players_react_with_kronecker_metrics(way: str):
    stage, (factors, solve, S) = Merge(), metrics()
    pulled, reactions = stage.reactions(factors if way == "factors" else [None, None])
    value = substitute(pulled, reactions, solve)
    assert max(judge(value, *stage.dense(S))) < 1e-9
    assert float(torch.linalg.eigvalsh(value.core).min()) > 0


def test_players_that_solve_jointly_have_their_cross_terms():
    stage, joint = Merge(), torch.linalg.inv(positive(21, "joint"))

    def solve(right: dict[str, Tensor]) -> dict[str, Tensor]:
        found = joint @ torch.cat([right["main"].flatten(), right["side"].flatten()])
        return {"main": found[:12].view(3, 4), "side": found[12:].view(3, 3)}

    pulled, reactions = stage.reactions([None, None])
    assert max(judge(substitute(pulled, reactions, solve, joint=True), *stage.dense(joint))) < 1e-9


@pytest.mark.parametrize("player", [0, 1])
def test_one_player_alone_reacts_in_its_own_value(player: int):
    stage, (factors, solve, S) = Merge(), metrics()
    pulled, reactions = stage.reactions(factors)
    value = substitute(pulled, [reactions[player]], solve)
    assert max(judge(value, *stage.dense(S, slice(0, 12) if player == 0 else slice(12, 21)))) < 1e-9


def test_nobody_reacts_and_the_value_is_what_was_pulled_back():
    pulled, _ = Merge().reactions([None, None])
    assert substitute(pulled, [], lambda r: r) is pulled


def test_both_ways_to_the_gram_matrix_agree():
    stage, (factors, solve, _) = Merge(), metrics()
    _, reactions = stage.reactions(factors)
    for one, other in zip(factored_gram(reactions), dense_gram(reactions, solve), strict=True):
        assert float((one - other).abs().max()) < 1e-9


def test_in_parts_the_terms_that_tie_samples_are_left_out():
    stage, (_, solve, _) = Merge(), metrics()
    pulled, reactions = stage.reactions([None, None])
    found = contract(pulled.core, reactions, solve, limit=30)
    whole, damped = dense_gram(reactions, solve)
    for i in range(BATCH):
        P, C = whole[i, :, i], pulled.core[i]
        own = torch.eye(RANK, dtype=C.dtype) - C @ P / BATCH
        right = own @ C @ own.mT + C @ damped[i] @ C / BATCH
        assert float((found[i] - right).abs().max()) < 1e-9
    assert float(torch.linalg.eigvalsh(found).min()) >= 0


def test_with_the_true_hessian_it_is_the_short_form():
    """V_x = Q_x - Q_xth k where S is the inverse of the batch's own Q_thth."""
    stage = Merge()
    pulled, reactions = stage.reactions([None, None])
    eye = torch.eye(21, dtype=torch.float64)

    def hessian(flat: Tensor) -> Tensor:
        steps = {"main": flat[:12].view(3, 4), "side": flat[12:].view(3, 3)}
        rest = [r.gradient.clone() for r in reactions]
        for k, r in enumerate(reactions):
            along = sum(
                torch.stack([(z * nn.functional.linear(a.inputs, m[:, :-1], m[:, -1])).sum(1) for z in a.columns], 1)
                for a, m in zip(reactions, steps.values(), strict=True)
            )
            c = torch.einsum("brs,bs->br", stage.core, along)
            h = sum(c[:, j, None] * z for j, z in enumerate(r.columns))
            assert isinstance(h, Tensor)
            rest[k] = wgrad(r.unit, r.inputs, h) + r.decay * list(steps.values())[k]
        return torch.cat([m.flatten() for m in rest])

    S = torch.linalg.inv(torch.stack([hessian(e) for e in eye], 1))

    def solve(right: dict[str, Tensor]) -> dict[str, Tensor]:
        found = S @ torch.cat([right["main"].flatten(), right["side"].flatten()])
        return {"main": found[:12].view(3, 4), "side": found[12:].view(3, 3)}

    vx, _ = stage.dense(S)
    assert float((torch.cat(correct(pulled, reactions, solve), 1) / BATCH - vx.view(BATCH, 5)).abs().max()) < 1e-9
    assert float((hessian(S[:, 0]) - eye[0]).abs().max()) < 1e-9


@pytest.mark.parametrize(
    ("kind", "curvature", "value"),
    [
        *((("residual", c, "sum")) for c in ("identity", "rms", "adam", "kfac", "ekfac")),
        *(("residual", "kfac", "own"), ("conv", "kfac", "own"), ("conv", "identity", "sum"), ("conv", "ekfac", "sum")),
    ],
)
def test_every_curvature_trains_with_a_value_recursion(curvature: str, value: str, kind: str):
    net = nets.residual() if kind == "residual" else nets.convolutional()
    data = nets.batch(9, 4) if kind == "residual" else nets.batch(9, 1, 7, 7)
    rate = 0.3 if curvature == "identity" else 0.02
    optimizer = DGNOpt(net, curvature=curvature, value=value, lr=rate, value_hessian="full")
    results = [optimizer.step(data) for _ in range(5)]
    assert all(r.ok for r in results) and float(results[-1].loss) < float(results[0].loss)


def test_the_number_of_sweeps():
    assert [sweeps(kind, 3) for kind in ("none", "sum", "own")] == [1, 1, 3] and sweeps("own", 0) == 1
    with pytest.raises(InvalidSettingError, match="'all'"):
        sweeps("all", 3)
