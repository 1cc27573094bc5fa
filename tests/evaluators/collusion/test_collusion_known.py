"""Strategies whose figures are known by thought, and what happens after a price cut."""

from __future__ import annotations

import numpy as np
import pytest

from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.evaluators.collusion import analyse, impulse_response, references, static_reply
from strategic_envs.games.pricing import PricingTables, pricing

TABLES = pricing().frozen()
HIGH, LOW = 13, 1  # near the monopoly price, and the lower equilibrium of the grid
ON = np.array([HIGH * 15 + HIGH])


def constant(a: int, b: int, tables: PricingTables = TABLES) -> np.ndarray:
    return np.stack([np.full(tables.n_states, a), np.full(tables.n_states, b)]).astype(np.int16)[None]


def grim() -> np.ndarray:
    """High as long as both were high, low for ever after."""
    strategy = constant(LOW, LOW)
    strategy[:, :, ON] = HIGH
    return strategy


def stick_and_carrot(low: int = LOW) -> np.ndarray:
    """High if both did the same of high and low last; low for a period after anything else."""
    strategy = constant(low, low)
    strategy[:, :, [HIGH * 16, low * 16]] = HIGH
    return strategy


def profit(a: int, b: int) -> float:
    return float(TABLES.mean_profit[a * 15 + b, 0])


@pytest.mark.parametrize("price", [1, 2])
def test_repeated_equilibria_of_the_grid_cannot_be_exploited(price: int) -> None:
    found = analyse(TABLES, constant(price, price), np.array([7]))
    assert found.exploitability_worst.max() == 0.0
    assert found.nash_exact.all() and found.nash_one_shot.all() and found.perfect.all()
    assert found.references.equilibria == ((1, 1), (2, 2))
    assert found.gain[0] == pytest.approx(found.references.gains[price - 1], abs=1e-12)
    assert found.cycle_length.tolist() == [1] and found.symmetric.all() and found.strays.tolist() == [0]


def test_reference_points_of_the_baseline() -> None:
    """Published: -2 and 12 per cent at the equilibria of the grid; .497 for blind prices."""
    found = references(TABLES)
    assert [round(g, 4) for g in found.gains] == [-0.0238, 0.1166]
    assert round(found.uniform, 3) == 0.497 and found.competitive == found.gains[1]
    assert found.highest == pytest.approx(float(TABLES.profit_gain(TABLES.mean_profit[13 * 16])))
    assert static_reply(TABLES)[1, ::15].tolist() == [1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6]
    assert references(pricing(m=2, xi=0.5).frozen()).competitive <= 1.0


def test_firms_that_are_always_high_can_be_exploited_for_ever() -> None:
    found = analyse(TABLES, constant(HIGH, HIGH), ON)
    share = (profit(6, HIGH) - profit(HIGH, HIGH)) / profit(6, HIGH)
    assert found.gain[0] == pytest.approx(0.9997, abs=5e-5)
    np.testing.assert_allclose(found.exploitability, share, rtol=1e-12)
    np.testing.assert_allclose(found.exploitability_worst, share, rtol=1e-12)
    assert found.reply_cycle.tolist() == [[1, 1]] and not found.one_shot.any()
    response = impulse_response(TABLES, constant(HIGH, HIGH), ON)
    assert response.rival_change[0] == 0.0 and response.length.tolist() == [2.0] and response.returned[0] == 1.0
    assert response.unprofitable[0] == 0.0


@pytest.mark.parametrize("delta", [0.95, 0.5, 0.3, 0.0])
def test_grim_trigger_is_perfect_exactly_if_firms_are_patient_enough(delta: float) -> None:
    tables = pricing(delta=delta).frozen()
    found = analyse(tables, grim(), ON)
    cheat, stay, war = profit(6, HIGH), profit(HIGH, HIGH), profit(LOW, LOW)
    critical = (cheat - stay) / (cheat - war)
    assert found.nash_exact[0] == (delta > critical)
    assert found.perfect[0] == (delta > critical)
    assert found.strays.tolist() == [224] and found.attractors.tolist() == [2]
    response = impulse_response(tables, grim(), ON, periods=5)
    value = stay / (1 - delta)
    assert response.gain[0] == pytest.approx((cheat + delta * war / (1 - delta)) / value - 1, abs=1e-12)
    assert response.unprofitable[0] == float(delta > critical)
    assert response.returned[0] == 0.0 and response.length[0] == 2.0  # the war is entered in the second period
    grid = TABLES.grid[0]
    np.testing.assert_allclose(response.deviator[0], grid[[HIGH, 6, LOW, LOW, LOW, LOW]])
    np.testing.assert_allclose(response.rival[0], grid[[HIGH, HIGH, LOW, LOW, LOW, LOW]])
    assert response.rival_change[0] == pytest.approx(grid[LOW] / grid[HIGH] - 1)


def test_a_punishment_of_one_period_has_length_three() -> None:
    """Cut in period 1, both low in period 2, back in period 3."""
    response = impulse_response(TABLES, stick_and_carrot(), ON, 0, periods=4)
    grid = TABLES.grid[0]
    np.testing.assert_allclose(response.rival[0], grid[[HIGH, HIGH, LOW, HIGH, HIGH]])
    assert response.length[0] == 3.0 and response.returned[0] == 1.0 and response.cases.tolist() == [2]
    assert response.length_counts.tolist() == [[0, 0, 0, 2, 0, 0]]


def test_a_deviation_to_the_prescribed_price_is_none() -> None:
    response = impulse_response(TABLES, stick_and_carrot(), ON, HIGH)
    assert response.no_deviation[0] == 1.0 and response.unprofitable[0] == 0.0 and response.gain[0] == 0.0
    assert response.length[0] == 1.0 and response.rival_change[0] == 0.0


def test_figure_4_answers_the_state_with_the_number_of_the_position() -> None:
    """Prices alternate between (13, 13) and (12, 12); the slip looks at what rivals do in states 0 and 1."""
    strategy = constant(HIGH, HIGH)
    strategy[:, :, HIGH * 16] = 12
    strategy[0, 1, 0], strategy[0, 0, 0] = 3, 9
    strategy[0, 1, 1], strategy[0, 0, 1] = 14, 0
    start = np.array([HIGH * 16])
    assert analyse(TABLES, strategy, start).cycle_length.tolist() == [2]
    right = impulse_response(TABLES, strategy, start)
    slip = impulse_response(TABLES, strategy, start, "figure4_compat")
    grid, reply = TABLES.grid[0], static_reply(TABLES)[0, :15]
    assert right.deviator[0, 1] == pytest.approx(grid[[reply[12], reply[13]]].mean())
    assert slip.deviator[0, 1] == pytest.approx(grid[[reply[3], reply[9], reply[14], reply[0]]].mean())


@pytest.mark.parametrize(("options", "deviation"), [({}, "static_br"), ({"n": 3, "m": 4}, 0), ({"memory": 0}, 4)])
def test_responses_are_what_playing_them_out_gives(options: dict[str, int], deviation: str | int) -> None:
    tables = pricing(**{"m": 6, "delta": 0.9, **options}).frozen()
    n, m, rng = tables.n, tables.m, np.random.default_rng(3)
    strategy = rng.integers(0, m, (4, n, tables.n_states)).astype(np.int16)
    state = rng.integers(0, tables.n_states, 4)
    found = impulse_response(tables, strategy, state, deviation, periods=9)
    place, firms, reply = m ** np.arange(n)[::-1], np.arange(n), static_reply(tables)

    every = np.arange(tables.n_states)
    after = [tables.follow(every, own.T.astype(np.int64)).tolist() for own in strategy]

    def play(b: int, s: int, periods: int) -> tuple[list[int], np.ndarray]:
        states = [s]
        for _ in range(periods):
            states.append(after[b][states[-1]])
        return states, strategy[b][:, states[:-1]].T.astype(np.int64)

    for b in range(4):
        s = play(b, int(state[b]), tables.n_states)[0][-1]
        cycle = [s]
        while (s := play(b, s, 1)[0][1]) != cycle[0]:
            cycle.append(s)
        cases = []
        for s in cycle:
            for i in range(n):
                now = strategy[b, :, s].astype(np.int64)
                dev = int(reply[i, now @ place]) if isinstance(deviation, str) else deviation
                cut = np.where(firms == i, dev, now)
                states, prices = play(b, int(tables.follow(np.array([s]), cut[None])[0]), 300)
                stay = play(b, s, 300)[1]
                earned = np.concatenate([[cut], prices])[:300] @ place
                weights = tables.delta ** np.arange(300)
                value = weights @ tables.mean_profit[stay @ place, i]
                gain = weights @ tables.mean_profit[earned, i] / value - 1
                price = tables.grid[firms, np.concatenate([[cut], prices[:8]])]
                last = next(t for t, x in enumerate(states, 1) if x in cycle or x in states[t:])
                others = price[:, firms != i]
                change = (others[1] / others[0] - 1).mean()
                back = states[-1] in cycle
                cases.append([*price[:, i], *others.mean(-1), gain, last, back, change, dev == now[i]])
        mean = np.mean(cases, axis=0)
        assert found.cases[b] == len(cases)
        np.testing.assert_allclose(found.deviator[b, 1:], mean[:9])
        np.testing.assert_allclose(found.rival[b, 1:], mean[9:18])
        got = [found.gain[b], found.length[b], found.returned[b], found.rival_change[b], found.no_deviation[b]]
        np.testing.assert_allclose(got, mean[18:], atol=1e-10)


def test_impossible_responses_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="deviation='grim', expected one of static_br, figure4_compat or"):
        impulse_response(TABLES, grim(), ON, "grim")
    with pytest.raises(InvalidSettingError, match=r"price index 15, expected 0\.\.14"):
        impulse_response(TABLES, grim(), ON, 15)
    with pytest.raises(InvalidSettingError, match="periods=1"):
        impulse_response(TABLES, grim(), ON, periods=1)
    with pytest.raises(InvalidGameError, match="1 firm"):
        alone = pricing(n=1, m=3, bounds=(1.5, 2.0)).frozen()
        impulse_response(alone, np.zeros((1, 1, 3), np.int16), np.array([0]))
