"""The published sessions of AER 2020 are played again bit for bit."""

from __future__ import annotations

import numpy as np

from strategic_envs.baselines.q_learning import run_sessions
from strategic_envs.baselines.q_learning.replay import draw, first_states, stream
from strategic_envs.games.pricing import pricing

PERIODS = [1779187, 1508026, 1523143, 1792041, 1598205, 1914768, 1616361, 1405970, 1858715, 2299704, 1856961, 1688145]
VISITED = [84, 145, 180, 129, 160, 113, 145, 178, 112, 130, 208, 145]  # counted from 1


def test_golden_replay_of_sessions_1_to_12() -> None:
    """Stopping periods and last states of the authors' first sessions, exactly."""
    ends = run_sessions(pricing(anchors="rounded"), sessions=12, draws="replay")
    assert ends.number.tolist() == list(range(1, 13))
    assert ends.converged.all()
    assert ends.periods.tolist() == PERIODS
    assert ends.visited is not None
    assert (ends.visited + 1).tolist() == VISITED


def test_memory_of_two_periods_stops_where_the_authors_program_does() -> None:
    """Their program was run for this; it writes a state period by period, from price 1 on."""
    ends = run_sessions(pricing(memory=2, anchors="rounded"), sessions=[2, 5], draws="replay")
    assert ends.periods.tolist() == [5303252, 2919058]
    assert ends.visited is not None
    by_firm = np.stack(np.unravel_index(ends.visited, (15,) * 4), axis=-1).reshape(2, 2, 2)
    assert (by_firm.swapaxes(1, 2).reshape(2, 4) + 1).tolist() == [[7, 6, 5, 5], [8, 8, 8, 8]]


def test_replayed_sessions_need_no_others() -> None:
    ends = run_sessions(pricing(anchors="rounded"), sessions=[12, 8], draws="replay", seed=99, threads=2)
    assert ends.periods.tolist() == [PERIODS[11], PERIODS[7]]


def test_stream_is_the_described_generator() -> None:
    """Two multiplicative streams and a shuffle, in whole numbers of any size."""
    for number in (1, 997):
        x = y = number
        warm = []
        for _ in range(40):
            x = 40014 * x % 2147483563
            warm.append(x)
        slots, out = warm[::-1][:32], x
        numbers = stream(number)
        for _ in range(500):
            x, y = 40014 * x % 2147483563, 40692 * y % 2147483399
            j = out // 67108862
            out, slots[j] = slots[j] - y, x
            out += 2147483562 * (out < 1)
            assert draw(numbers) == min(out * (1.0 / 2147483563), 1 - 1.2e-7)


def test_first_states_come_from_one_stream() -> None:
    numbers = stream(1)
    prices = [int(15 * draw(numbers)) for _ in range(6)]
    expected = [15 * prices[0] + prices[1], 15 * prices[2] + prices[3], 15 * prices[4] + prices[5]]
    assert first_states(3, 2, 1, 15).tolist() == expected
    # with a memory of two periods: both firms' latest prices come first, then those before; codes are firm by firm
    a, b, c, d = prices[:4]
    assert first_states(1, 2, 2, 15).tolist() == [((a * 15 + c) * 15 + b) * 15 + d]
    assert first_states(2, 2, 0, 15).tolist() == np.zeros(2).tolist()
