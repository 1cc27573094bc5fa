"""The machine of PSRO: units of work, stopping and going on, duplicates, endings."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategic_envs.agents.double_oracle.policy_space.exact import arena
from strategic_envs.agents.double_oracle.policy_space.machine import CellPayoffs, PSROState, Reply, advance, same_policy
from strategic_envs.agents.double_oracle.policy_space.meta import meta_solver
from strategic_envs.agents.double_oracle.policy_space.payoffs import PayoffTable
from strategic_envs.agents.double_oracle.policy_space.run import psro, run_psro
from strategic_envs.agents.double_oracle.policy_space.sampled import SampledPlays
from strategic_envs.agents.dynamics import Outcome
from strategic_envs.errors import CheckpointError, InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.evaluators import nash_conv
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.solvers.zero_sum import solve_zero_sum

BOARD = TicTacToe()
RPS = NormalFormGame.zero_sum([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


def random_matrix(seed: int, rows: int = 8, columns: int = 9) -> NormalFormGame:
    stream = torch.Generator().manual_seed(seed)
    return NormalFormGame.zero_sum(2 * torch.rand(rows, columns, generator=stream, dtype=torch.float64) - 1)


def units(state: PSROState, oracle, simulator, solver, count: int, **options) -> list[PSROState]:
    path = [state]
    while state.outcome is None and len(path) <= count:
        state = advance(state, oracle, simulator, solver, **options)
        path.append(state)
    return path


def test_a_unit_of_work_is_a_batch_of_cells_or_a_meta_game_or_a_reply_or_the_end_of_an_iteration() -> None:
    field = arena(RPS)
    field.chunk = 1
    path = units(PSROState.start(field.first()), field, field, meta_solver("nash"), 8)
    assert [len(s.table.missing()) for s in path] == [1, 0, 0, 0, 0, 3, 2, 1, 0]
    assert [s.meta is not None for s in path] == [False, False, True, True, True, False, False, False, False]
    assert [sum(r is not None for r in s.replies) for s in path] == [0, 0, 0, 1, 2, 0, 0, 0, 0]
    assert [s.iteration for s in path] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert path[4].populations == ((0,), (0,)) and path[5].populations == ((0, 1), (0, 1))


def test_a_state_is_never_changed_and_an_ended_run_stays_where_it_is() -> None:
    field = arena(RPS)
    first = PSROState.start(field.first())
    before = pickle.dumps(first)
    last = units(first, field, field, meta_solver("nash"), 100)[-1]
    assert pickle.dumps(first) == before
    assert last.outcome is Outcome.CONVERGED and advance(last, field, field, meta_solver("nash")) is last


def same_bytes(a: PSROState, b: PSROState) -> bool:
    tables = all(np.array_equal(x, b.table.arrays()[k], equal_nan=True) for k, x in a.table.arrays().items())
    mixed = all(same_policy(x.meta.marginals, y.meta.marginals) for x, y in zip(a.history, b.history, strict=True))
    return tables and mixed and same_policy(a.populations, b.populations) and a.reason == b.reason


@pytest.mark.parametrize("name", ["nash", "alpha_rank"])
def test_a_run_that_is_written_down_after_any_unit_of_work_goes_on_to_the_same_bytes(name: str) -> None:
    field = arena(random_matrix(1))
    path = units(PSROState.start(field.first()), field, field, meta_solver(name), 200)
    assert path[-1].outcome is not None and len(path) > 20
    for state in path[:-1]:
        again, solver = arena(random_matrix(1)), meta_solver(name)
        last = units(pickle.loads(pickle.dumps(state)), again, again, solver, 200)[-1]
        assert same_bytes(last, path[-1])


def test_a_run_with_sampled_payoffs_resumes_in_mid_table_to_the_same_bytes() -> None:
    def parts():
        return arena(BOARD), SampledPlays(BOARD, plays=20, seed=3, chunk=2), meta_solver("nash", slack=1e-9)

    path = units(PSROState.start(arena(BOARD).first()), *parts(), 24)
    assert path[-1].iteration >= 3
    for k in (3, 8, 13, 18):
        state = pickle.loads(pickle.dumps(path[k]))
        assert same_bytes(units(state, *parts(), 24 - k)[-1], path[24])


def test_a_finished_run_goes_on_from_its_state_when_it_gets_more_iterations() -> None:
    game = random_matrix(2)
    short, whole = psro(game, max_iterations=3), psro(game)
    assert short.outcome is Outcome.MAX_STEPS and "3 iterations are done" in short.reason
    assert same_bytes(psro(game, start=short.state).state, whole.state)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_with_nash_it_is_double_oracle_and_ends_at_an_equilibrium_of_the_whole_game(seed: int) -> None:
    game = random_matrix(seed, 6, 7)
    found = psro(game)
    assert found.outcome is Outcome.CONVERGED and found.exact
    assert nash_conv(game, found.play).value <= 1e-9
    assert found.history[-1].utilities[0] == pytest.approx(solve_zero_sum(game.payoffs[0]).value, abs=1e-9)
    for record in found.history:
        assert min(record.gains) >= -1e-9  # a best reply never pays less than the mixture
    for policies in found.state.populations:
        assert len(set(policies)) == len(policies)


def test_the_best_mixture_of_a_run_is_returned_not_the_last() -> None:
    found = psro(random_matrix(3), "uniform", max_iterations=6)
    gaps = [record.gap for record in found.history]
    assert found.gap == min(gaps) and found.gap == pytest.approx(nash_conv(random_matrix(3), found.play).value)
    assert tuple(map(len, found.populations)) == found.history[gaps.index(min(gaps))].sizes


class _Stubborn:
    """Learnt nothing: every reply is the first action, which gains nothing over itself."""

    def reply(self, player: int, state: PSROState) -> Reply:
        return Reply(0, 0.0)


def test_replies_that_were_learnt_and_gain_nothing_do_not_make_an_equilibrium() -> None:
    found = run_psro([[0], [0]], _Stubborn(), arena(RPS), meta_solver("nash"))
    assert found.outcome is Outcome.FAILED and not found.exact
    assert "stalled" in found.reason and "not the best" in found.reason


def test_a_run_whose_replies_are_all_held_already_says_that_it_stalled_and_why() -> None:
    found = psro(RPS, "uniform")
    assert found.outcome is Outcome.FAILED and found.gap == 1.0
    assert "stalled" in found.reason and "uniform are all held" in found.reason


class Silent:
    """An oracle that does not say what its replies pay."""

    def __init__(self, *policies: int) -> None:
        self.policies = policies

    def reply(self, player: int, state: PSROState) -> Reply:
        return Reply(self.policies[min(state.iteration, len(self.policies) - 1)])


def test_an_oracle_that_does_not_know_its_value_ends_when_it_repeats_itself_without_a_claim() -> None:
    field = arena(RPS)
    found = run_psro([[0], [0]], Silent(1, 2), field, meta_solver("nash"))
    assert found.state.populations == ((0, 1, 2), (0, 1, 2))
    assert found.outcome is Outcome.FAILED and math.isnan(found.gap) and not found.exact
    assert "replies are the oracle's, not the best" in found.reason


def test_watch_sees_every_unit_of_work() -> None:
    seen: list[PSROState] = []
    found = psro(RPS, watch=seen.append)
    assert seen[-1] is found.state and len(seen) == 3 * 5  # three iterations of cells, meta-game, two replies, end


def test_equal_policies_are_found_in_whatever_form() -> None:
    one, two = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])
    assert same_policy((one, {"w": [one]}), (one.clone(), {"w": [one.clone()]}))
    assert not same_policy(one, two) and not same_policy(one, one.double()) and not same_policy(one, 1.0)
    assert not same_policy({"w": one}, {"v": one}) and same_policy("rock", "rock")


# Bad input


def test_empty_populations_and_impossible_settings_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="player_1: got an empty population"):
        psro(RPS, start=[[0], []])
    with pytest.raises(InvalidSettingError, match="got no populations"):
        PSROState.start([])
    with pytest.raises(InvalidSettingError, match="max_iterations=0"):
        psro(RPS, max_iterations=0)
    with pytest.raises(InvalidSettingError, match="unreached"):
        psro(BOARD, unreached="anything")
    with pytest.raises(InvalidSettingError, match="certify"):
        psro(RPS, certify=0.1)


def test_first_policies_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidStrategyError, match="player_0: got the policy 3, expected an action 0..2"):
        psro(RPS, start=[[3], [0]])
    with pytest.raises(InvalidStrategyError, match="for each of 2 players"):
        psro(RPS, start=[[0]])
    with pytest.raises(InvalidStrategyError, match=r"player_0: got the policy \(4,\)"):
        psro(BOARD, start=[[torch.zeros(4)], [torch.zeros(4)]])
    corner = torch.zeros(5478, dtype=torch.int16)
    with pytest.raises(InvalidStrategyError, match="player_1: got probability on an illegal action"):
        psro(BOARD, start=[[arena(BOARD).first()[0][0]], [corner]])


class Broken:
    """A simulator whose game pays nothing finite."""

    chunk = 4

    def payoffs(self, populations, cells) -> CellPayoffs:
        return CellPayoffs(torch.full((len(cells), 2), math.inf, dtype=torch.float64))


def test_a_payoff_that_is_not_finite_is_refused_with_its_cell() -> None:
    with pytest.raises(InvalidGameError, match=r"player_0: got the payoff inf for the policies \[0, 0\]"):
        run_psro([[0], [0]], Silent(1), Broken(), meta_solver("nash"))
    with pytest.raises(InvalidGameError, match="expected a NormalFormGame, TurnBasedGame, MarkovGame or Game"):
        psro(object())


# The payoff table


def test_a_grown_table_keeps_its_numbers_and_misses_the_new_ones() -> None:
    table = PayoffTable.empty((2, 1))
    table = table.filled(table.missing(), torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double())
    larger = table.grown((2, 3))
    assert torch.equal(larger.mean[:, :, :1], table.mean)
    assert larger.missing().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert larger.count[:, 0].tolist() == [math.inf, math.inf] and larger.count[:, 1:].sum() == 0
    with pytest.raises(InvalidSettingError, match="no smaller ones"):
        table.grown((1, 1))


def test_a_table_of_shapes_that_do_not_fit_is_refused(unchecked: None) -> None:
    table = PayoffTable.empty((2, 1))
    with pytest.raises(InvalidGameError, match="one axis a population"):
        PayoffTable(table.mean, table.mean, table.count[:1])


def test_a_table_comes_back_from_its_arrays_bit_by_bit() -> None:
    table = PayoffTable.empty((1, 2))
    one = torch.tensor([[0.1, -0.2]]).double()
    table = table.filled(table.missing()[:1], one, one.abs(), torch.tensor([7.0]).double())
    again = PayoffTable.of_arrays(table.arrays())
    for name, array in table.arrays().items():
        assert array.tobytes() == again.arrays()[name].tobytes()
    with pytest.raises(CheckpointError, match="expected"):
        PayoffTable.of_arrays({"mean": table.arrays()["mean"]})
