from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import CooperativeGradient, GameOracle, Oracle, SimultaneousGradient, run
from strategic_envs.errors import InvalidGameError, InvalidSettingError, OracleError
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Simplex


def dilemma(x: tuple[Tensor, ...]) -> Tensor:
    """A public good: a unit given costs its giver 1 and is worth 0.6 to each of the two."""
    given = torch.cat(x, dim=-1)
    return 0.6 * given.sum(-1, keepdim=True) - given


PUBLIC_GOOD = Game(dilemma, [Box(0, 1), Box(0, 1)], name="public_good")


def test_together_players_reach_the_best_welfare_where_gradient_play_ends_in_the_dilemma() -> None:
    start = PUBLIC_GOOD.profile([0.5], [0.2])
    together = run(PUBLIC_GOOD, CooperativeGradient(0.1), start, 60)
    alone = run(PUBLIC_GOOD, SimultaneousGradient(0.1), start, 60)
    assert together.final.flat().tolist() == [1.0, 1.0] and alone.final.flat().tolist() == [0.0, 0.0]
    assert PUBLIC_GOOD.utilities(together.final).tolist() == pytest.approx([0.2, 0.2])
    assert together.calls == {"welfare_gradient": 60}
    assert together.verdicts() == ["resting"] and alone.verdicts() == ["solved"], "it is no equilibrium, and says so"


def test_the_prisoners_dilemma_in_mixed_strategies_ends_in_cooperation() -> None:
    game = catalogue_game("prisoners_dilemma")
    end = run(game, CooperativeGradient(0.1), game.profile([0.3, 0.7], [0.4, 0.6]), 300).final
    assert end.flat().tolist() == pytest.approx([1.0, 0.0, 1.0, 0.0])


def test_one_whole_step_with_joint_curvature_lands_on_the_optimum_of_a_concave_quadratic() -> None:
    stream = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=stream, dtype=torch.float64)
    curvature, best = root @ root.T + torch.eye(5), 0.1 * torch.randn(5, generator=stream, dtype=torch.float64)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        z = torch.cat(x, dim=-1) - best
        shared = -(z @ curvature * z).sum(-1) / 4
        return torch.stack([shared + z[..., 0] ** 2, shared - z[..., 0] ** 2], dim=-1)  # the sum is -z^T P z / 2

    game = Game(utilities, [Box(-1, 1, 2), Box(-1, 1, 3)], name="quadratic")
    oracle, method = GameOracle(game), CooperativeGradient(1.0, curvature="joint")
    starts = game.sample((4,), generator=stream)
    new = method.step(method.init(starts, oracle), oracle)
    torch.testing.assert_close(new.x.flat(), best.expand(4, 5))
    assert dict(oracle.calls) == {"welfare_gradient": 1, "welfare_hessian": 1}


def test_joint_curvature_ascends_where_the_sum_is_not_concave() -> None:
    game = Game(lambda x: torch.cat([(x[0] ** 2 - x[0] ** 4), x[1] * 0], -1), [Box(-1, 1), Box(-1, 1)], name="hill")
    path = run(game, CooperativeGradient(0.3, curvature="joint"), game.profile([0.1], [0.0]), 60)
    welfare = game.utilities(path.points).sum(-1)
    assert bool((welfare.diff() >= -1e-12).all()) and float(path.final[0]) == pytest.approx(0.5**0.5)


def test_weights_decide_whose_utility_counts() -> None:
    end = run(PUBLIC_GOOD, CooperativeGradient(0.1, weights=(1.0, 0.0)), PUBLIC_GOOD.profile([0.5], [0.5]), 100)
    assert end.final.flat().tolist() == [0.0, 1.0]
    with pytest.raises(InvalidSettingError, match="cooperative_gradient, on public_good: got 3 weights, expected 2"):
        run(PUBLIC_GOOD, CooperativeGradient(0.1, weights=(1.0, 0.0, 2.0)), PUBLIC_GOOD.profile([0.5], [0.5]), 1)


def test_in_a_zero_sum_game_nothing_moves() -> None:
    game = catalogue_game("f1", box=3.0)
    starts = game.sample((5,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(run(game, CooperativeGradient(0.1), starts, 20).final.flat(), starts.flat())


def test_the_gradient_and_hessian_of_the_welfare_are_those_of_the_sum() -> None:
    game = catalogue_game("three_player_trigonometric")
    x = game.sample((2, 3), generator=torch.Generator().manual_seed(0))
    flat = x.flat().requires_grad_()
    weights = (1.0, -2.0, 0.5)
    value = (game.utilities(Profile.from_flat(flat, game.dims)) * torch.tensor(weights)).sum()
    (expected,) = torch.autograd.grad(value, flat)
    torch.testing.assert_close(game.welfare_gradient(x, weights).flat(), expected)
    hessian, h = game.welfare_hessian(x, weights), 1e-6
    assert hessian.shape == (2, 3, 3, 3)
    for k in range(3):
        e = torch.zeros_like(flat)
        e[..., k] = h
        up, down = (
            game.welfare_gradient(Profile.from_flat((flat + s * e).detach(), game.dims), weights) for s in (1, -1)
        )
        torch.testing.assert_close((up - down).flat() / (2 * h), hessian[..., k], atol=1e-7, rtol=1e-6)
    constant = Game(lambda x: torch.ones(2, dtype=torch.float64), [Box(-1, 1)] * 2)
    assert constant.welfare_gradient(constant.profile([0.5], [0.5])).flat().tolist() == [0.0, 0.0]


def test_oracles_without_utilities_are_refused_by_name() -> None:
    game = VIGame(lambda x: (x[1], -x[0]), [Box(-1, 1), Box(-1, 1)], name="rotation")
    with pytest.raises(OracleError, match="cooperative_gradient needs welfare_gradient, which the oracle of rotation"):
        run(game, CooperativeGradient(0.1), game.profile([0.0], [0.0]), 1)
    for ask in (GameOracle(game).welfare_gradient, GameOracle(game).welfare_hessian):
        with pytest.raises(OracleError, match="rotation: this oracle gives no welfare_"):
            ask(game.profile([0.0], [0.0]))

    class GradientOnly(Oracle):
        name = "gradient_only"

        def _field(self, x: Profile, player: int | None) -> Profile:
            return PUBLIC_GOOD.field(x, player)

        def _welfare_gradient(self, x: Profile, weights: object) -> Profile:
            return PUBLIC_GOOD.welfare_gradient(x)

    oracle, x = GradientOnly(PUBLIC_GOOD.sets), PUBLIC_GOOD.profile([0.5], [0.5])
    assert run(oracle, CooperativeGradient(0.1), x, 30).final.flat().tolist() == [1.0, 1.0]
    with pytest.raises(OracleError, match="needs welfare_hessian, which the oracle of gradient_only does not give"):
        run(oracle, CooperativeGradient(0.1, curvature="joint"), x, 1)


def test_a_hessian_that_is_not_finite_ends_the_row_and_not_the_run() -> None:
    game = Game(lambda x: x[0].sqrt(), [Box(0, 1)], name="root")
    starts = Profile([torch.tensor([[0.0], [0.5]], dtype=torch.float64)])
    end = run(game, CooperativeGradient(0.1, curvature="joint"), starts, 5)
    assert end.outcomes == ["nonfinite", "max_steps"]


def test_senseless_settings_are_refused() -> None:
    for bad in ({"weights": ()}, {"weights": (float("nan"), 1.0)}, {"curvature": "newton"}, {"damping": 0.0}):
        with pytest.raises(InvalidSettingError, match=f"cooperative_gradient: got {next(iter(bad))}="):
            CooperativeGradient(0.1, **bad)  # pyright: ignore[reportArgumentType]


def test_utilities_that_torch_cannot_differentiate_twice_are_named() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            (x,) = ctx.saved_tensors
            return gradient * 2 * x

    game = Game(lambda x: -Once.apply(x[0]), [Box(-1, 1)], name="once")  # pyright: ignore[reportOperatorIssue]
    x = game.profile([0.5])
    assert run(game, SimultaneousGradient(0.1), x, 50).verdicts() == ["solved"]
    for ask in (lambda: game.hessian(x, 0), lambda: game.jacobian(x), lambda: game.jvp(x, x), lambda: game.vjp(x, x)):
        with pytest.raises(InvalidGameError, match=r"once: torch cannot give .*use a first-order dynamic"):
            ask()
    branching = Game(lambda x: x[0] if float(x[0].sum()) > 0 else -x[0], [Box(-1, 1)], name="branching")
    with pytest.raises(InvalidGameError, match=r"branching: torch cannot give the Hessian of player_0's utility"):
        branching.hessian(branching.profile([0.5]), 0)
    simplex = Game(lambda x: x[0][..., :1], [Simplex(2)], name="smooth")
    assert simplex.hessian(simplex.profile([0.5, 0.5]), 0).tolist() == [[0.0, 0.0], [0.0, 0.0]]
