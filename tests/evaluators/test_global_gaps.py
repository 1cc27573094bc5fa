from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators import best_response, cce_gap, ce_gap, evaluate, exploitability, local_cce_gap, nash_conv
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.games.pricing import pricing
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import Empirical, Independent, TabularPlay
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

finite_games = st.tuples(st.integers(0, 2**31), st.lists(st.integers(1, 4), min_size=2, max_size=3), st.integers(1, 6))


def random_game_and_play(seed: int, actions: list[int], count: int) -> tuple[NormalFormGame, Empirical]:
    stream = torch.Generator().manual_seed(seed)
    payoffs = torch.randn(len(actions), *actions, generator=stream, dtype=torch.float64)
    game = NormalFormGame(payoffs)
    weights = torch.rand(count, generator=stream, dtype=torch.float64) + 1e-3
    return game, Empirical(game.sample((count,), generator=stream), weights / weights.sum())


def joint_actions(game: NormalFormGame, play: Empirical) -> Tensor:
    """The distribution over joint actions, by its definition."""
    sigma = torch.zeros(game.n_actions, dtype=torch.float64)
    for t, w in enumerate(play.weights):
        for a in itertools.product(*map(range, game.n_actions)):
            sigma[a] += w * torch.stack([play.points[i][t, k] for i, k in enumerate(a)]).prod()
    return sigma


def slow_gaps(game: NormalFormGame, sigma: Tensor) -> tuple[float, float]:
    """CCE and CE gaps from their definitions, over all deviations."""
    cce, ce = [], []
    for i, n in enumerate(game.n_actions):
        gain = torch.zeros(n, n, dtype=torch.float64)  # recommended a, played b
        for joint in itertools.product(*map(range, game.n_actions)):
            for b in range(n):
                other = (*joint[:i], b, *joint[i + 1 :])
                gain[joint[i], b] += sigma[joint] * (game.payoffs[(i, *other)] - game.payoffs[(i, *joint)])
        cce.append(float(gain.sum(0).max()))
        ce.append(float(gain.max(1).values.sum()))
    return max(cce), max(ce)


@settings(max_examples=40)
@given(finite_games)
def test_finite_gaps_equal_their_definitions(drawn: tuple[int, list[int], int]) -> None:
    game, play = random_game_and_play(*drawn)
    cce, ce = slow_gaps(game, joint_actions(game, play))
    assert cce_gap(game, play).value == pytest.approx(cce, abs=1e-12)
    assert ce_gap(game, play).value == pytest.approx(ce, abs=1e-12)
    assert ce >= cce - 1e-12


@settings(max_examples=60)
@given(finite_games)
def test_on_a_normal_form_game_the_local_cce_gap_is_the_cce_gap(drawn: tuple[int, list[int], int]) -> None:
    game, play = random_game_and_play(*drawn)
    local, cce = local_cce_gap(game, play), cce_gap(game, play)
    assert local.exact and cce.exact
    assert local.per_player == pytest.approx(cce.per_player, abs=1e-12)


@settings(max_examples=40)
@given(finite_games)
def test_of_a_product_the_cce_gap_is_the_largest_nash_gain(drawn: tuple[int, list[int], int]) -> None:
    game, play = random_game_and_play(*drawn)
    product = play.marginals()
    conv, cce = nash_conv(game, product), cce_gap(game, product)
    assert conv.value == pytest.approx(sum(cce.per_player), abs=1e-12)
    assert cce.value == pytest.approx(max(conv.per_player), abs=1e-12)
    assert conv.value >= -1e-12
    assert exploitability(game, product).value == pytest.approx(conv.value / game.n_players, abs=1e-15)
    written_out = product.joint()
    assert cce_gap(game, written_out).value == pytest.approx(cce.value, abs=1e-12)
    assert nash_conv(game, play).value == pytest.approx(conv.value, abs=1e-12)


@settings(max_examples=20)
@given(finite_games, st.integers(0, 5))
def test_relabelling_players_relabels_the_gains(drawn: tuple[int, list[int], int], turn: int) -> None:
    game, play = random_game_and_play(*drawn)
    n = game.n_players
    order = [(i + turn) % n for i in range(n)]
    payoffs = game.payoffs[order].permute(0, *(1 + i for i in order))
    other = NormalFormGame(payoffs)
    moved = Empirical(Profile(play.points[i] for i in order), play.weights)
    expected = [cce_gap(game, play).per_player[i] for i in order]
    assert cce_gap(other, moved).per_player == pytest.approx(expected, abs=1e-12)


def test_uniform_tic_tac_toe_nash_conv_is_116101_over_60480() -> None:
    game = TicTacToe()
    play = TabularPlay((game.uniform_policy(),) * 2)
    assert nash_conv(game, play).value == pytest.approx(116101 / 60480, abs=1e-12)
    assert best_response(game, 0, play).value == pytest.approx(191 / 192, abs=1e-12)
    assert best_response(game, 1, play).value == pytest.approx(874 / 945, abs=1e-12)


def test_a_tic_tac_toe_policy_function_is_tabulated_with_or_without_a_mask() -> None:
    game = TicTacToe()

    def masked(seen: Tensor, legal: Tensor) -> Tensor:
        return legal / legal.sum(-1, keepdim=True)

    assert nash_conv(game, (masked, masked)).value == pytest.approx(116101 / 60480, abs=1e-6)
    with pytest.raises(InvalidStrategyError, match="illegal action"):
        nash_conv(game, (lambda seen: torch.full((len(seen), 9), 1 / 9),) * 2)
    with pytest.raises(InvalidStrategyError, match="expected 2"):
        nash_conv(game, (masked,))


class RandomMarkov(MarkovGame):
    """A small random Markov game, for comparisons with slow definitions."""

    name = "random_markov"
    n_states, n_actions, discount = 5, (2, 3), 0.9

    def __init__(self, seed: int) -> None:
        stream = torch.Generator().manual_seed(seed)
        self.chance = torch.rand(5, 2, 3, 4, generator=stream, dtype=torch.float64)
        self.chance /= self.chance.sum(-1, keepdim=True)
        self.next = torch.randint(5, (5, 2, 3, 4), generator=stream)
        self.payoff = torch.randn(5, 2, 3, 2, generator=stream, dtype=torch.float64)

    def initial(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([0, 3]), torch.tensor([0.25, 0.75], dtype=torch.float64)

    def outcomes(self, state: Tensor, actions: Tensor):
        from strategic_envs.games.kinds.markov import Outcomes

        at = (state, actions[..., 0], actions[..., 1])
        return Outcomes(self.next[at], self.chance[at], self.payoff[at])

    def observe(self, state: Tensor, player: int) -> Tensor:
        return torch.nn.functional.one_hot(state, 5).float()


def slow_markov_best_response(game: RandomMarkov, tables: tuple[Tensor, ...], player: int) -> float:
    """Value iteration, state by state."""
    value = torch.zeros(game.n_states, dtype=torch.float64)
    for _ in range(600):
        q = torch.zeros(game.n_states, game.n_actions[player], dtype=torch.float64)
        for s in range(game.n_states):
            for a0, a1 in itertools.product(range(2), range(3)):
                mine, other = (a0, a1) if player == 0 else (a1, a0)
                ahead = (game.chance[s, a0, a1] * value[game.next[s, a0, a1]]).sum()
                weight = tables[1 - player][s, other]
                q[s, mine] += weight * (game.payoff[s, a0, a1, player] + game.discount * ahead)
        value = q.max(-1).values
    return (1 - game.discount) * float(0.25 * value[0] + 0.75 * value[3])


@pytest.mark.parametrize("seed", [0, 1])
def test_markov_policy_iteration_equals_slow_value_iteration(seed: int) -> None:
    game = RandomMarkov(seed)
    play = TabularPlay(game.uniform_policy())
    for player in range(2):
        reply = best_response(game, player, play)
        assert reply.exact and reply.attained
        assert reply.value == pytest.approx(slow_markov_best_response(game, play.policies, player), abs=1e-10)


def test_pricing_against_uniform_prices_policy_iteration_equals_slow_value_iteration() -> None:
    game = pricing()
    play, tables = TabularPlay(game.uniform_policy()), game.tables()
    payoff = tables.payoff.reshape(game.n_states, 15, 15, 2)  # player 0's action before player 1's
    following = tables.next_state.reshape(game.n_states, 15, 15)
    for player in range(2):
        value = torch.zeros(game.n_states, dtype=torch.float64)
        for _ in range(700):
            q = (payoff[..., player] + game.discount * value[following]).mean(2 - player)
            value = q.max(-1).values
        expected = (1 - game.discount) * float(tables.initial @ value)
        assert best_response(game, player, play).value == pytest.approx(expected, abs=1e-11)


def test_a_markov_policy_function_gets_one_observation_a_state() -> None:
    game = RandomMarkov(0)
    asked: list[torch.Size] = []

    def policy(seen: Tensor) -> Tensor:
        asked.append(seen.shape)
        return torch.full((len(seen), 2), 0.5)

    play = (policy, lambda seen: torch.full((len(seen), 3), 1 / 3))
    assert nash_conv(game, play).value == pytest.approx(
        nash_conv(game, TabularPlay(game.uniform_policy())).value, abs=1e-6
    )
    assert set(asked) == {torch.Size([5, 5])}


def test_f1_at_the_origin_the_first_player_gains_20_58() -> None:
    game = catalogue_game("f1", box=3.0)
    origin = game.profile([0.0], [0.0])
    found = nash_conv(game, origin)
    assert not found.exact and found.upper == float("inf")
    assert 20.5843 <= found.per_player[0] <= 20.5845
    assert found.per_player[1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", ["f1", "f2", "forsaken", "three_player_polynomial", "three_player_trigonometric"])
def test_a_numeric_best_response_is_as_good_as_a_dense_grid(name: str) -> None:
    game = catalogue_game(name)
    stream = torch.Generator().manual_seed(0)
    play = Empirical.uniform(game.sample((7,), generator=stream))
    for player in range(game.n_players):
        low, high = game.sets[player].low, game.sets[player].high
        grid = torch.linspace(float(low), float(high), 20001, dtype=torch.float64).unsqueeze(-1)
        mean = torch.zeros(len(grid), dtype=torch.float64)
        for t in range(7):
            others = [p[t].expand(len(grid), -1) for p in play.points]
            others[player] = grid
            mean += game.utilities(tuple(others))[:, player] / 7
        reply = best_response(game, player, play)
        assert reply.value >= float(mean.max()) - 1e-12
        assert reply.value <= float(mean.max()) + 1e-3


def test_a_jump_does_not_fool_the_numeric_best_response() -> None:
    def jump(x: tuple[Tensor, ...]) -> Tensor:
        u = torch.where(x[0] >= 0.3137, 1.0 - x[0], torch.zeros_like(x[0])).squeeze(-1)
        return torch.stack([u, -u], dim=-1)

    game = Game(jump, [Box(0, 1), Box(0, 1)], name="jump")
    reply = best_response(game, 0, game.profile([0.0], [0.0]))
    assert reply.value == pytest.approx(1 - 0.3137, abs=1e-9)


def test_a_best_response_in_two_and_five_dimensions_reaches_the_optimum() -> None:
    for d in (2, 5):
        centre = torch.linspace(-0.8, 0.7, d, dtype=torch.float64)

        def utilities(x: tuple[Tensor, ...], centre: Tensor = centre) -> Tensor:
            u = -((x[0] - centre) ** 2).sum(-1) + 0.05 * torch.cos(9 * x[0]).sum(-1)
            return torch.stack([u, -u], dim=-1)

        game = Game(utilities, [Box(-1, 1, dim=d), Box(-1, 1)], name="bowl")
        reply = best_response(game, 0, Independent.pure([torch.zeros(d, dtype=torch.float64), torch.zeros(1)]))
        axis = torch.linspace(-1, 1, 200001, dtype=torch.float64)
        best = sum(float((-((axis - c) ** 2) + 0.05 * torch.cos(9 * axis)).max()) for c in centre)
        assert reply.value == pytest.approx(best, abs=1e-8)


def test_a_best_response_on_an_unbounded_set_is_not_called_attained() -> None:
    game = Game.minmax(lambda x, y: ((x - 2) ** 2).sum(-1) + 0 * y.sum(-1), [Box(-torch.inf, torch.inf), Box(0, 1)])
    reply = best_response(game, 0, Independent.pure([torch.zeros(1), torch.zeros(1)]))
    assert reply.value == pytest.approx(0.0, abs=1e-9)
    assert not reply.attained and not reply.exact


def test_a_player_of_many_unbounded_dimensions_improves_from_where_it_stands() -> None:
    target = torch.linspace(-1, 1, 100, dtype=torch.float64)

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        return -((x[0] - target) ** 2).sum(-1, keepdim=True)

    game = Game(utilities, [Box(-torch.inf, torch.inf, dim=100)], name="weights")
    reply = best_response(game, 0, game.profile(torch.zeros(100)))
    assert reply.value == pytest.approx(0.0, abs=1e-8) and not reply.exact


def test_play_that_rests_costs_and_says_the_same_as_one_point() -> None:
    game = catalogue_game("forsaken")
    one = Empirical.pure(game.profile([0.3], [0.4]))
    many = Empirical.uniform([t.expand(500, 1) for t in one.points])
    assert cce_gap(game, many).value == pytest.approx(cce_gap(game, one).value, abs=1e-12)


def test_a_report_shows_local_and_global_gaps_side_by_side() -> None:
    game = catalogue_game("squared_difference")
    report = evaluate(game, game.profile([0.5], [0.5]))
    row = report.row()
    assert row["local_nash_gap"] == 0.0 == row["local_cce_gap"]
    assert row["nash_conv"] == pytest.approx(2.25) and row["exploitability"] == pytest.approx(1.125)
    assert row["exploitability_exact"] == 1.0
    assert all(isinstance(v, float) for v in row.values())
    assert "local_cce_gap" in str(report)


def test_a_report_of_a_game_with_states_has_every_column() -> None:
    row = evaluate(RandomMarkov(0), TabularPlay(RandomMarkov(0).uniform_policy())).row()
    assert {"nash_conv", "exploitability", "cce_gap", "local_nash_gap", "local_cce_gap"} <= set(row)


def test_a_variational_inequality_has_local_gaps_only() -> None:
    game = VIGame(lambda x: (x[1], -x[0]), [Box(-1, 1), Box(-1, 1)], name="rotation")
    assert set(evaluate(game, game.profile([0.5], [0.0])).gaps) == {"local_nash_gap", "local_cce_gap"}
    with pytest.raises(InvalidGameError, match="no utilities"):
        nash_conv(game, game.profile([0.5], [0.0]))


def test_bad_play_is_refused_with_the_remedy() -> None:
    game = catalogue_game("f1", box=3.0)
    inside = game.profile([0.0], [0.0])
    with pytest.raises(InvalidStrategyError, match=r"lies outside Box"):
        nash_conv(game, Empirical.uniform([torch.tensor([[4.0]]), torch.tensor([[0.0]])]))
    with pytest.raises(InvalidStrategyError, match=r"Empirical\.uniform"):
        nash_conv(game, inside.map(lambda t: t.expand(3, 1)))
    with pytest.raises(InvalidStrategyError, match="got player 2"):
        best_response(game, 2, inside)
    with pytest.raises(InvalidStrategyError, match="expected 2"):
        nash_conv(game, Empirical.uniform([torch.zeros(1, 1)]))
    with pytest.raises(InvalidGameError, match="finite game"):
        ce_gap(game, Empirical.pure(inside))
    nan = Game(lambda x: torch.cat([x[0], x[1]], -1) * float("nan"), [Box(0, 1), Box(0, 1)], name="broken")
    with pytest.raises(InvalidGameError, match="broken, player_0"):
        nash_conv(nan, nan.profile([0.0], [0.0]))


def test_a_product_too_large_to_write_out_is_not_called_exact() -> None:
    game = catalogue_game("squared_difference")
    play = Empirical.uniform(game.sample((1100,), generator=torch.Generator().manual_seed(0)))
    report = evaluate(game, play)
    assert report["cce_gap"].exact and not report["nash_conv"].exact
    assert report["nash_conv"].upper == float("inf")
    assert report["nash_conv"].value == pytest.approx(nash_conv(game, play).value, abs=1e-12)


def test_long_play_is_searched_against_a_sample_and_judged_against_all() -> None:
    game = catalogue_game("forsaken")
    play = Empirical.uniform(game.sample((5000,), generator=torch.Generator().manual_seed(0)))
    grid = torch.linspace(-1.5, 1.5, 301, dtype=torch.float64).unsqueeze(-1)
    other = play.points[1].T.expand(301, 5000).reshape(-1, 1)
    dense = game.utilities((grid.expand(301, 5000).reshape(-1, 1), other))[:, 0].reshape(301, 5000).mean(-1)
    assert best_response(game, 0, play).value >= float(dense.max()) - 1e-12
