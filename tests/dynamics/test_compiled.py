"""Compiled steps are the eager steps, whoever compiles them."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from strategic_envs.agents.dynamics import (
    Dynamic,
    Extragradient,
    GameOracle,
    OnlineGradientDescent,
    OptimisticGradient,
    SimultaneousGradient,
    State,
    dynamic,
    run,
    state_to_dict,
)
from strategic_envs.agents.dynamics.compiled import CompiledStep, compiled_step
from strategic_envs.agents.dynamics.compiled.expressions import UnsupportedOperationError
from strategic_envs.agents.dynamics.compiled.scalar import row_kernel, row_source
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

has_compiler = any(map(shutil.which, ("g++", "clang++", "c++")))

METHODS = (
    SimultaneousGradient(0.01),
    dynamic("alternating_gradient", step_size=0.01),
    Extragradient(0.01),
    OptimisticGradient(0.01),
    OnlineGradientDescent(0.1, "anytime"),
    dynamic("anchored_extragradient", step_size=0.01),
    dynamic("eg_plus", step_size=0.01),
)
SECOND_ORDER = ("consensus_optimization", "symplectic_gradient")


def wide_game() -> Game:
    """Two players with three numbers each, and operations of every sort that scalar code knows."""

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        a, b = x
        product = a[..., 0] * b[..., 1] - a[..., 1:].prod(-1) + (a * b).sum(-1).tanh()
        kinked = torch.where(a[..., 2] > b[..., 2], a[..., 2] ** 2, b.clamp(-0.5, 0.5).mean(-1)) + (b - a).abs().sum(-1)
        mixed = (a @ torch.tensor([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]], dtype=a.dtype)).pow(3).sum(-1)
        return torch.stack([product + 0.1 * mixed, kinked - product], dim=-1)

    return Game(utilities, [Box(-1, 1, dim=3), Box([-1, -2, 0], [1, 0.5, 0.25])], name="wide")


def steps_apart(
    method: Dynamic[State], game: Game, compiler: str, batch: tuple[int, ...]
) -> tuple[CompiledStep, float]:
    oracle = GameOracle(game)
    state = method.init(game.sample(batch, generator=torch.Generator().manual_seed(0)), oracle)
    step = compiled_step(method, state, oracle, compiler)
    assert step is not None
    fast = state
    for _ in range(20):
        state, fast = method.step(state, oracle), step(fast)
    left, right = state_to_dict(state), state_to_dict(fast)
    assert [(t.shape, t.dtype) for t in left.values()] == [(t.shape, t.dtype) for t in right.values()]
    return step, max(float((a - b).abs().max()) for a, b in zip(left.values(), right.values(), strict=True))


@pytest.mark.parametrize("compiler", ["eager", "numba"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_traced_step_gives_the_numbers_of_the_eager_step(method: Dynamic[State], compiler: str) -> None:
    assert steps_apart(method, wide_game(), compiler, (7,))[1] < 1e-12


@pytest.mark.parametrize("compiler", ["eager", "numba"])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_steps_with_second_derivatives_are_traced_too(name: str, compiler: str) -> None:
    method = dynamic(name, step_size=0.01)
    assert steps_apart(method, catalogue_game("f1", box=3.0), compiler, (7,))[1] < 1e-11


@pytest.mark.parametrize("name", ["anchored_extragradient", "eg_plus"])
@pytest.mark.parametrize("batch", [(), (1,), (3,)], ids=str)
def test_a_state_that_holds_one_tensor_twice_at_its_start_is_not_taken_for_one(
    name: str, batch: tuple[int, ...]
) -> None:
    for compiler in ("eager", "numba"):
        assert steps_apart(dynamic(name, step_size=0.1), catalogue_game("bilinear"), compiler, batch)[1] < 1e-13


def test_every_operation_of_the_catalogue_is_known_to_scalar_code() -> None:
    for name in ("f1", "f2", "forsaken", "squared_difference", "bilinear", "three_player_trigonometric"):
        assert steps_apart(SimultaneousGradient(0.01), catalogue_game(name), "numba", (3,))[1] < 1e-12


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3)], ids=str)
def test_every_shape_of_batch_is_compiled(batch: tuple[int, ...]) -> None:
    game, method = catalogue_game("three_player_polynomial"), OnlineGradientDescent(0.1, "anytime")
    assert steps_apart(method, game, "numba", batch)[1] < 1e-12
    assert steps_apart(method, game, "eager", batch)[1] < 1e-12


def test_arithmetic_alone_goes_to_numba() -> None:
    game = catalogue_game("three_player_polynomial")
    oracle, method = GameOracle(game), Extragradient(0.02)
    state = method.init(game.sample((5,), generator=torch.Generator().manual_seed(1)), oracle)
    step = compiled_step(method, state, oracle)
    assert step is not None and step.compiler == "numba"
    assert torch.allclose(step(state).x.flat(), method.step(state, oracle).x.flat(), atol=1e-14)


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler, reason="needs a C++ compiler")
def test_exponentials_of_many_rows_go_to_inductor_for_any_number_of_rows_and_layouts() -> None:
    step, error = steps_apart(Extragradient(0.01), catalogue_game("f1", box=3.0), "inductor", (7,))
    assert step.compiler == "inductor" and error < 1e-12
    assert steps_apart(Extragradient(0.01), wide_game(), "inductor", (2, 3))[1] < 1e-12
    game, oracle = catalogue_game("f1", box=3.0), None
    oracle = GameOracle(game)
    for rows, compiler in ((3000, "inductor"), (4, "numba")):
        state = Extragradient(0.01).init(game.sample((rows,), generator=torch.Generator().manual_seed(0)), oracle)
        chosen = compiled_step(Extragradient(0.01), state, oracle)
        assert chosen is not None and chosen.compiler == compiler


def test_a_kernel_is_kept_for_the_next_run_and_fits_another_number_of_rows() -> None:
    game, method = catalogue_game("forsaken"), Extragradient(0.05)
    oracle = GameOracle(game)
    first, second = (State(game.sample((n,), generator=torch.Generator().manual_seed(n))) for n in (4, 9))
    step = compiled_step(method, first, oracle)
    assert step is not None and step is compiled_step(method, second, GameOracle(game))
    assert torch.allclose(step(second).x.flat(), method.step(second, oracle).x.flat(), atol=1e-14)
    assert compiled_step(Extragradient(0.06), first, oracle) is not step


def test_what_cannot_be_traced_runs_eagerly() -> None:
    def stubborn(x: tuple[Tensor, ...]) -> Tensor:
        u = x[0] * (1.0 if float(x[0].detach().sum()) > 0 else 2.0)
        return u.sum(-1, keepdim=True)

    game = Game(stubborn, [Box(-1, 1)], name="stubborn")
    oracle = GameOracle(game)
    state = SimultaneousGradient(0.1).init(game.profile([0.5]), oracle)
    assert compiled_step(SimultaneousGradient(0.1), state, oracle) is None
    path = run(game, SimultaneousGradient(0.1), game.profile([0.5]), 3, compile=True)
    assert path.calls == {"field": 3} and not path.compiled


def test_a_kernel_with_other_numbers_than_the_eager_step_is_not_used() -> None:
    class Fickle(Game):
        """Its field for tracing is not its field."""

        def _functional_field(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(2 * v for v in super()._functional_field(x))

    game = Fickle(lambda x: -(x[0] ** 2), [Box(-1, 1)], name="fickle")
    oracle = GameOracle(game)
    assert compiled_step(SimultaneousGradient(0.1), State(game.profile([0.5])), oracle) is None


def test_a_compiled_run_has_the_same_points_calls_and_outcomes() -> None:
    game = catalogue_game("three_player_polynomial")
    x0 = game.sample((50,), generator=torch.Generator().manual_seed(0))
    eager = run(game, OptimisticGradient(0.02), x0, 200, record=20, tolerance=1e-6)
    fast = run(game, OptimisticGradient(0.02), x0, 200, record=20, tolerance=1e-6, compile=True)
    assert torch.allclose(eager.points.flat(), fast.points.flat(), atol=1e-12)
    assert eager.calls == fast.calls and eager.outcomes == fast.outcomes
    assert not eager.compiled and fast.compiled


def test_operations_without_a_scalar_form_are_named() -> None:
    one = torch.rand(3, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match="no scalar form of sort"):
        row_kernel(make_fx(lambda t: (t.sort().values,))(one), ["rows"])
    with pytest.raises(UnsupportedOperationError, match="operations a row is for matrices"):
        row_kernel(make_fx(lambda t: ((t.repeat(2000) * torch.arange(6000.0)).sin(),))(one), ["rows"])


def test_equal_expressions_are_written_once_and_constants_are_worked_out() -> None:
    def twice(t: Tensor) -> tuple[Tensor]:
        return (torch.ones_like(t) * (t.sin() + t.sin()) + torch.zeros_like(t) * 3.0,)

    source = row_source(make_fx(twice)(torch.zeros(1, dtype=torch.float64)), ["rows"])
    assert source.count("math.sin") == 1 and source.count(" * ") == 0


def test_nan_and_infinity_pass_through_clamps_and_maxima_as_in_torch() -> None:
    def f(t: Tensor) -> tuple[Tensor]:
        return (torch.maximum(t.clamp(-1.0, 1.0), t.flip(0)) + t.minimum(t.flip(0)).clamp(min=0.0) + t.sign(),)

    rows = torch.tensor(
        [[float("nan"), 1.0], [1.0, float("nan")], [float("inf"), -2.0], [0.0, -0.0]], dtype=torch.float64
    )
    kernel, plain = row_kernel(make_fx(f)(rows[0]), ["rows"])
    expected = torch.stack([f(row)[0] for row in rows])
    torch.testing.assert_close(kernel([rows], 1)[1][0], expected, equal_nan=True, atol=0, rtol=0)
    assert plain


def test_many_steps_at_once_are_the_steps_one_by_one() -> None:
    for method in (Extragradient(0.01), OnlineGradientDescent(0.1, "anytime")):  # the second shares its time
        oracle = GameOracle(wide_game())
        state = method.init(oracle.game.sample((700,), generator=torch.Generator().manual_seed(0)), oracle)
        step = compiled_step(method, state, oracle, "numba")
        assert step is not None
        before, after = step.steps(state, 7)
        one = state
        for _ in range(6):
            one = step(one)
        for many, single in ((before, one), (after, step(one))):
            left, right = state_to_dict(many), state_to_dict(single)
            assert all(torch.allclose(left[k], right[k], atol=1e-13) for k in left)


def test_a_profile_of_several_numbers_keeps_its_rows_when_they_are_last_in_memory() -> None:
    game = wide_game()
    x0 = game.sample((6,), generator=torch.Generator().manual_seed(3))
    turned = Profile(t.mT.contiguous().mT for t in x0)
    a = run(game, Extragradient(0.01), x0, 5, compile=True)
    b = run(game, Extragradient(0.01), turned, 5, compile=True)
    assert torch.equal(a.final.flat(), b.final.flat()) and a.compiled


def test_a_kept_kernel_is_not_used_once_the_data_that_utilities_read_have_changed() -> None:
    slope = {"value": 1.0}
    game = Game.minmax(lambda x, y: slope["value"] * (x * y).sum(-1), [Box(-1.0, 1.0), Box(-1.0, 1.0)], name="changing")
    x0 = game.profile([0.5], [0.25])
    for value in (1.0, -3.0):
        slope["value"] = value
        compiled = run(game, SimultaneousGradient(0.1), x0, 5, compile=True)
        eager = run(game, SimultaneousGradient(0.1), x0, 5, compile=False)
        torch.testing.assert_close(compiled.points.flat(), eager.points.flat())
