from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.errors import CheckpointError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators import FieldAccumulator, cce_gap, local_cce_gap, local_nash_gap
from strategic_envs.evaluators.accumulator import interpolation_gap
from strategic_envs.evaluators.local import frank_wolfe_gaps, projected_gaps
from strategic_envs.evaluators.tabular import occupancy, tabular_fields
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.pricing import pricing
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import Empirical, TabularPlay
from strategic_envs.profile import Profile
from strategic_envs.sets import Ball, Box, Product, Simplex, StrategySet

compact = [Box(-1, 1, dim=3), Box([-1.0, 0.0], [2.0, 0.5]), Simplex(4), Ball([0.5, -0.5], 2.0)]
compact.append(Product([Simplex(3), Box(0, 1)]))
seeds = st.integers(0, 2**31)


def drawn(strategies: StrategySet, seed: int, count: int) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    x = strategies.sample((count,), generator=stream)
    return x, 3 * torch.randn(x.shape, generator=stream, dtype=torch.float64)


@settings(max_examples=50)
@given(st.sampled_from(compact), seeds)
def test_projected_gap_squared_is_below_frank_wolfe_is_below_diameter_plus_gradient_times_it(
    strategies: StrategySet, seed: int
) -> None:
    x, g = drawn(strategies, seed, 8)
    p, fw = projected_gaps([strategies], [x], [g])[:, 0], frank_wolfe_gaps([strategies], [x], [g])[:, 0]
    assert bool((p**2 <= fw + 1e-9).all())
    assert bool((fw <= (strategies.diameter + g.norm(dim=-1)) * p + 1e-9).all())


@settings(max_examples=50)
@given(st.sampled_from(compact), seeds)
def test_interpolation_gap_is_the_best_of_all_fixed_targets(strategies: StrategySet, seed: int) -> None:
    x, g = drawn(strategies, seed, 6)
    stream = torch.Generator().manual_seed(seed + 1)
    target = torch.cat([strategies.sample((200,), generator=stream), strategies.support(g.mean(0)).argmax.unsqueeze(0)])
    by_definition = ((target.unsqueeze(1) - x) * g).sum(-1).mean(-1)
    gap = float(interpolation_gap(strategies, g.mean(0), (g * x).sum(-1).mean()))
    assert gap == pytest.approx(float(by_definition.max()), abs=1e-9)


def test_of_one_profile_the_local_cce_gap_is_the_frank_wolfe_gap() -> None:
    for name in ("f1", "f2", "forsaken", "three_player_polynomial", "matching_pennies"):
        game = catalogue_game(name)
        x = game.sample((), generator=torch.Generator().manual_seed(3))
        fw = local_nash_gap(game, x, "frank_wolfe")
        assert local_cce_gap(game, x).per_player == pytest.approx(fw.per_player, abs=1e-12)
        assert fw.exact


def test_a_point_mass_at_a_first_order_nash_point_has_no_gap() -> None:
    game = catalogue_game("f1", box=1.0)
    for corner in ([1.0], [1.0]), ([-1.0], [-1.0]), ([0.0], [0.0]):
        x = game.profile(*corner)
        assert local_nash_gap(game, x).value == pytest.approx(0.0, abs=1e-9)
        assert local_cce_gap(game, x).value == pytest.approx(0.0, abs=1e-9)


def test_two_ends_pulled_outwards_have_a_local_cce_gap_of_minus_one() -> None:
    sums = FieldAccumulator()
    for end in (-1.0, 1.0):
        sums.update(Profile([torch.tensor([end])]), Profile([torch.tensor([end])]), weight=0.5)
    assert sums.gap([Box(-1, 1)]).value == -1.0


def test_a_frozen_unconstrained_policy_has_the_norm_of_its_gradient_as_gap() -> None:
    stream = torch.Generator().manual_seed(0)
    x, g = torch.randn(50, generator=stream), torch.randn(50, generator=stream)
    sums = FieldAccumulator()
    for _ in range(7):
        sums.update(Profile([x]), Profile([g]))
    everywhere = Box(-torch.inf, torch.inf, dim=50)
    assert sums.gap([everywhere]).value == pytest.approx(float(g.double().norm()), abs=1e-12)
    game = Game(lambda y: (y[0] * g.double()).sum(-1, keepdim=True), [everywhere], name="linear")
    assert local_nash_gap(game, [x.double()]).value == pytest.approx(float(g.double().norm()), abs=1e-12)


def test_streaming_sums_give_the_gap_of_the_empirical_distribution() -> None:
    game = catalogue_game("three_player_trigonometric")
    points = game.sample((20,), generator=torch.Generator().manual_seed(1))
    weights = torch.rand(20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sums = FieldAccumulator()
    for t in range(20):
        x = points.map(lambda p, t=t: p[t])
        sums.update(x, game.field(x), float(weights[t]))
    play = Empirical(points, weights / weights.sum())
    expected = local_cce_gap(game, play)
    assert sums.gap(game.sets).per_player == pytest.approx(expected.per_player, abs=1e-12)
    assert local_cce_gap(game, sums) == sums.gap(game.sets)
    assert local_cce_gap(game.sets, sums) == sums.gap(game.sets)


def test_an_accumulator_continues_bit_by_bit_from_its_state() -> None:
    stream = torch.Generator().manual_seed(0)
    steps = [(torch.randn(4, 3, generator=stream), torch.randn(4, 3, generator=stream)) for _ in range(10)]
    whole, first = FieldAccumulator(), FieldAccumulator()
    for x, g in steps:
        whole.update(Profile([x]), Profile([g]))
    for x, g in steps[:5]:
        first.update(Profile([x]), Profile([g]))
    second = FieldAccumulator()
    second.load_state_dict(first.state_dict())
    for x, g in steps[5:]:
        second.update(Profile([x]), Profile([g]))
    assert all(torch.equal(a, whole.state_dict()[k]) for k, a in second.state_dict().items())
    assert second.gaps([Simplex(3)]).shape == (4, 1)


def test_a_row_of_weight_zero_may_be_nan() -> None:
    sums = FieldAccumulator()
    x = torch.tensor([[1.0], [float("nan")]])
    sums.update(Profile([torch.zeros(2, 1)]), Profile([torch.ones(2, 1)]))
    sums.update(Profile([x]), Profile([x]), weight=torch.tensor([1.0, 0.0]))
    assert sums.gaps([Box(-1, 1)]).flatten().tolist() == [0.5, 1.0]


def test_bad_updates_and_states_leave_the_sums_untouched() -> None:
    sums = FieldAccumulator()
    with pytest.raises(InvalidStrategyError, match="nothing was accumulated"):
        sums.gap([Box(-1, 1)])
    sums.update(Profile([torch.zeros(1)]), Profile([torch.ones(1)]))
    before = sums.state_dict()
    with pytest.raises(InvalidStrategyError, match="player_0 that is NaN"):
        sums.update(Profile([torch.zeros(1)]), Profile([torch.tensor([float("nan")])]))
    with pytest.raises(InvalidStrategyError, match="expected the same"):
        sums.update(Profile([torch.zeros(2)]), Profile([torch.zeros(1)]))
    with pytest.raises(InvalidStrategyError, match="as in its first update"):
        sums.update(Profile([torch.zeros(2)]), Profile([torch.zeros(2)]))
    with pytest.raises(InvalidStrategyError, match="got 2 sets"):
        sums.gap([Box(-1, 1), Box(-1, 1)])
    with pytest.raises(CheckpointError, match="weight"):
        sums.load_state_dict({"field.0": torch.zeros(1)})
    assert {k: v.tolist() for k, v in sums.state_dict().items()} == {k: v.tolist() for k, v in before.items()}


def test_bad_questions_are_refused() -> None:
    game = catalogue_game("f2")
    with pytest.raises(InvalidSettingError, match="'projected', 'frank_wolfe' or 'variational'"):
        local_nash_gap(game, game.profile([0.0], [0.0]), "fw")
    with pytest.raises(InvalidStrategyError, match="use local_cce_gap"):
        local_nash_gap(game, Empirical.uniform(game.sample((2,))))


def test_tabular_gradient_equals_central_differences() -> None:
    game = TicTacToe()
    play = TabularPlay((game.uniform_policy(),) * 2)
    field = tabular_fields(game, play)[0]
    for action in (0, 1, 4):
        ahead = []
        for h in (-1e-4, 1e-4):
            table = play.policies[0].clone()
            table[0, action] += h
            ahead.append(float(game.values(game.merge((table, play.policies[1])))[0, 0]))
        assert float(field[0, action]) == pytest.approx((ahead[1] - ahead[0]) / 2e-4, abs=1e-9)


def test_perfect_tic_tac_toe_has_no_local_gap_and_uniform_play_has_one() -> None:
    game = TicTacToe()
    uniform = TabularPlay((game.uniform_policy(),) * 2)
    projected = local_nash_gap(game, uniform).value
    fw = local_nash_gap(game, uniform, "frank_wolfe").value
    assert projected > 0.1 and fw >= projected**2
    assert local_cce_gap(game, uniform).value == pytest.approx(fw, abs=1e-12)


def test_tabular_gradient_of_the_pricing_game_equals_differentiating_its_values() -> None:
    game = pricing(m=4)
    stream = torch.Generator().manual_seed(0)
    tables = tuple(torch.rand(game.n_states, a, generator=stream, dtype=torch.float64) for a in game.n_actions)
    play = TabularPlay(tuple(t / t.sum(-1, keepdim=True) for t in tables))
    for i, field in enumerate(tabular_fields(game, play)):
        leaf = play.policies[i].clone().requires_grad_(True)
        policies = tuple(leaf if j == i else p for j, p in enumerate(play.policies))
        utility = (1 - game.discount) * (game.tables().initial @ game.values(policies)[:, i])
        (expected,) = torch.autograd.grad(utility, leaf)
        assert torch.allclose(field, expected, atol=1e-12)
    assert float(occupancy(game, play.policies).sum()) == pytest.approx(1.0, abs=1e-12)


def test_repeating_the_one_shot_nash_prices_has_no_local_gap_and_uniform_prices_have_one() -> None:
    game = pricing(m=5)
    play = TabularPlay(game.uniform_policy())
    fw = local_nash_gap(game, play, "frank_wolfe").per_player
    gain = cce_gap(game, play).per_player
    assert all(f > 0 and g > 0 for f, g in zip(fw, gain, strict=True))
    nash = TabularPlay(game.constant_policies([int(a) for a in game.pure_nash()[0]]))
    assert cce_gap(game, nash).value == pytest.approx(0.0, abs=1e-10)
    assert local_cce_gap(game, nash).value == pytest.approx(0.0, abs=1e-10)
