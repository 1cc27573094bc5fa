"""Sequential pricing: rules, closed-form equilibria, exact best responses against a slow dense definition."""

from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import IllegalActionError, InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.report import evaluate
from strategic_envs.games.pricing.maskin_tirole import edgeworth_cycle, kinked_demand, mean_profit
from strategic_envs.games.pricing.sequential import SequentialPricing, sequential_pricing
from strategic_envs.play import TabularPlay
from strategic_envs.seeding import torch_stream

GAME = SequentialPricing(k=6)


def random_reply(m: int, seed: int) -> torch.Tensor:
    table = torch.rand(m, m, generator=torch_stream(seed, "reply"), dtype=torch.float64).pow(4)
    return table / table.sum(-1, keepdim=True)


def test_customers_buy_from_the_cheaper_firm_and_split_at_a_tie() -> None:
    p = [a / 6 for a in range(7)]
    for a in range(7):
        for b in range(7):
            sold = (1 - min(p[a], p[b])) * (1.0 if a < b else 0.5 if a == b else 0.0)
            assert float(GAME.profit[a, b]) == pytest.approx(p[a] * sold, abs=1e-15)


@pytest.mark.parametrize(("k", "best"), [(6, 0.125), (12, 0.125), (24, 0.125), (3, 1 / 9), (1, 0.0)])
def test_joint_maximum(k: int, best: float) -> None:
    assert SequentialPricing(k).joint_maximum == pytest.approx(best, abs=1e-15)


def test_only_the_movers_action_counts() -> None:
    states, m = torch.arange(GAME.n_states), 7
    for a in range(m):
        for mover in range(2):
            rows = states[GAME.mover(states) == mover]
            for other in (0, 6):
                joint = torch.tensor([a, other] if mover == 0 else [other, a]).expand(m, 2)
                outcome = GAME.outcomes(rows, joint)
                assert outcome.next_state.flatten().tolist() == [(1 - mover) * m + a] * m
                assert outcome.payoff[:, mover].tolist() == GAME.profit[a].tolist()
                assert outcome.payoff[:, 1 - mover].tolist() == GAME.profit[:, a].tolist()


def test_players_see_whose_turn_it_is_and_the_standing_price() -> None:
    seen = GAME.observe(torch.tensor([3, 7 + 5]), 1)
    assert seen.shape == (2, 8) and seen.dtype == torch.float32
    assert seen[0].nonzero().flatten().tolist() == [4]  # not its turn; its own price 3 stands
    assert seen[1].nonzero().flatten().tolist() == [0, 6]


def test_a_firm_moves_in_every_second_period() -> None:
    assert GAME.move_discount == 0.95**2


def test_begins_in_any_state() -> None:
    states, chance = GAME.initial()
    assert states.tolist() == list(range(14)) and chance.sum() == pytest.approx(1)
    drawn = GAME.sample_initial(2000, torch_stream(0, "x"))
    assert set(drawn.tolist()) == set(range(14))


# --- equilibria ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("make", [kinked_demand, edgeworth_cycle])
def test_closed_forms_are_markov_perfect(make, delta: float) -> None:
    game = SequentialPricing(6, delta)
    policies = game.policies(make(delta))
    for player in range(2):
        gain = game.best_response(policies, player)[1] - game.values(policies)[:, player]
        assert float(gain.abs().max()) < 1e-12
    report = evaluate(game, TabularPlay(policies))
    assert report["exploitability"].value < 1e-12


def test_kinked_demand_supports_the_monopoly_price() -> None:
    assert mean_profit(GAME, kinked_demand(0.95)) == pytest.approx(0.125, abs=1e-12)
    policies = GAME.policies(kinked_demand(0.95))
    assert (0.05 * GAME.values(policies))[3].tolist() == pytest.approx([0.125, 0.125], abs=1e-12)


def test_a_constant_price_without_a_threat_is_undercut() -> None:
    policies = GAME.policies(torch.full((7,), 3))
    _, value = GAME.best_response(policies, 0)
    assert float(0.05 * value.max()) > 0.2  # 2/6 against 1/2, for ever: 2/9 a period


def test_profit_in_the_edgeworth_cycle_by_hand() -> None:
    """From 0 a firm jumps to 5/6; then 4/6, 3/6, 2/6, 1/6 and 0 are set, and each waits at 0 with the chance mu."""
    stay = float(edgeworth_cycle(0.95)[0, 0])
    periods = 6 + stay / (1 - stay)
    market = sum(p * (1 - p) for p in (4 / 6, 3 / 6, 2 / 6, 1 / 6))
    assert mean_profit(GAME, edgeworth_cycle(0.95)) == pytest.approx(market / periods / 2, abs=1e-12)
    assert GAME.known().values["edgeworth_profit"] == pytest.approx(0.0656858, abs=5e-8)  # not the .061 often quoted


def test_mean_profit_is_the_long_run_average_of_play() -> None:
    reply = random_reply(7, 3)
    game = SequentialPricing(6, 0.999999)
    values = game.values(game.policies(reply))
    assert 1e-6 * float(values.mean()) == pytest.approx(mean_profit(game, reply), abs=1e-5)


def test_chances_exist_only_for_patient_firms() -> None:
    with pytest.raises(
        InvalidGameError, match=r"delta=0.3, for which the kinked demand has no chances between 0 and 1"
    ):
        kinked_demand(0.3)
    with pytest.raises(InvalidGameError, match="Edgeworth cycle"):
        edgeworth_cycle(0.5)
    assert "edgeworth_profit" not in SequentialPricing(6, 0.3).known().values


# --- exact best responses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 2, 6])
def test_best_response_is_that_of_a_slow_sweep(k: int, seed: int) -> None:
    """Value iteration over two periods, written out: move, be answered, move again."""
    game, m = SequentialPricing(k, 0.9), k + 1
    reply = random_reply(m, seed)
    pi, rival = game.profit.tolist(), reply.tolist()
    worth = [0.0] * m
    for _ in range(600):
        after = [sum(rival[a][r] * (pi[a][r] + 0.9 * worth[r]) for r in range(m)) for a in range(m)]
        worth = [max(pi[a][s] + 0.9 * after[a] for a in range(m)) for s in range(m)]
    _, value = game.best_response(game.policies(torch.zeros(m, dtype=torch.int64), reply), 0)
    assert value[:m].tolist() == pytest.approx(worth, abs=1e-12)
    assert value[m:].tolist() == pytest.approx(
        [sum(rival[s][r] * (pi[s][r] + 0.9 * worth[r]) for r in range(m)) for s in range(m)], abs=1e-12
    )


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, r"got k=0, expected a whole number of price steps 1 <= k"),
        ({"k": 2.5}, "got k=2.5"),
        ({"k": True}, "got k=True"),
        ({"k": 10**6}, "got k=1000000"),
        ({"delta": 1.0}, r"got delta=1.0, expected a discount factor 0 <= delta < 1"),
        ({"delta": -0.1}, "got delta=-0.1"),
        ({"delta": float("nan")}, "got delta=nan"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_games_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidGameError, match=f"sequential_pricing: {message}"):
        sequential_pricing(**options)


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ((torch.zeros(6, dtype=torch.int64),), r"got a reply of shape \(6,\)"),
        ((torch.full((7,), 7),), r"player_0: got price indices \[7"),
        ((torch.zeros(7, 7, dtype=torch.float64),), "not a probability distribution"),
        ((torch.zeros(7, dtype=torch.int64),) * 3, "got 3 replies"),
    ],
)
def test_replies_that_are_none_are_refused(replies: tuple[torch.Tensor, ...], message: str) -> None:
    with pytest.raises(InvalidStrategyError, match=message):
        GAME.policies(*replies)


def test_actions_out_of_range_are_refused() -> None:
    with pytest.raises(IllegalActionError, match=r"sequential_pricing, player_1: got action 7, expected 0..6"):
        GAME.check_actions(torch.tensor([0, 7]))
