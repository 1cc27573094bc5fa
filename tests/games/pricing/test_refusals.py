"""What a pricing game refuses: options that make no game, that do not go together, and tables that would not fit."""

from __future__ import annotations

import pytest

from strategic_envs.errors import InvalidGameError
from strategic_envs.games.pricing import LogitMarket, PricingGame, pricing, random_visits


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": float("inf")}, "got delta=inf, expected a discount factor"),
        ({"delta": "0.9"}, "got delta='0.9'"),
        ({"m": True}, "got m=True prices"),
        ({"xi": float("inf")}, "got xi=inf"),
        ({"xi": -0.5}, "got xi=-0.5, expected a finite number xi > -0.5"),
        ({"memory": 1.0}, "got memory=1.0"),
        ({"bounds": (1.0, float("nan"))}, "expected two prices"),
        ({"bounds": (1.0, 2.0, 3.0)}, "expected two prices"),
        ({"bounds": (None, 1.2)}, r"the grid of firm 0 would reach from 1.42772 to 1.2, which has no width"),
        ({"cost": (1.0, 2.0, 3.0)}, "got 3 entries in cost"),
        ({"cost": []}, "got 0 entries in cost"),
        ({"mu": float("inf")}, "got mu=inf"),
        ({"shock": -0.1}, r"got shock=-0.1, expected a finite H >= 0"),
        ({"shock": float("nan")}, "got shock=nan"),
        ({"shock": (0.1, float("inf"))}, r"got shock=\(0.1, inf\)"),
        ({"shock": ()}, r"got shock=\(\)"),
        ({"shock": "x"}, "got shock='x'"),
        ({"rho": 0.0}, r"got rho=0.0, expected a probability 0 < rho <= 1"),
        ({"rho": 1.1}, "got rho=1.1"),
        ({"rho": float("nan")}, "got rho=nan"),
        ({"rho": 0.1, "n": 1, "bounds": (1.0, 2.0)}, "got rho=0.1 with n=1, expected at least one firm that stays"),
        ({"rho": 0.1, "memory": 0}, "got rho=0.1 and memory=0, which do not go together"),
        ({"rho": 0.1, "shock": 0.1}, "got shock=0.1 and rho=0.1, which do not go together"),
        ({"demand": "linear", "g": 1.0}, "got g=1.0"),
        ({"demand": "linear", "n": 3}, "got n=3 firms with linear demand"),
        ({"demand": "linear", "cost": 0.5}, "got demand='linear' and cost=0.5, which do not go together"),
        ({"demand": "linear", "shock": 0.1}, r"random demand \(shock\) needs logit demand"),
        ({"anchors": "round"}, "got anchors='round', expected 'exact' or 'rounded'"),
        ({"demand": "linear", "g": 0.0}, "has no width"),
    ],
)
def test_options_that_make_no_game_are_refused(options, message):
    with pytest.raises(InvalidGameError, match=message):
        pricing(**options)


@pytest.mark.usefixtures("unchecked")
def test_a_game_needs_a_market():
    with pytest.raises(InvalidGameError, match=r"got market='logit', expected a market: LogitMarket\(n=2\)"):
        PricingGame("logit")  # pyright: ignore[reportArgumentType]  # that is the point
    assert PricingGame(LogitMarket(), m=2).n_states == 4


def test_tables_that_would_not_fit_in_memory_are_refused_with_their_size():
    with pytest.raises(
        InvalidGameError, match=r"2,562,890,625 states make 153,773,437,500 cells .* need 1,230,187,500,"
    ):
        pricing(n=4, memory=2).frozen()
    small = pricing().frozen()
    small.check_size(10)
    message = (
        r"6,750 cells \(2 firms, 15 prices\), and 1,000 sessions need 27,000,000 bytes \(0.0 GiB\), more than the 16"
    )
    with pytest.raises(InvalidGameError, match=message):
        small.check_size(1000, cell_bytes=4, limit=2**24)


def test_too_many_joint_prices_for_a_table():
    game = pricing(n=4, m=100)
    with pytest.raises(InvalidGameError, match="100,000,000 joint prices are more than a table"):
        game.frozen()


def test_visits_by_chance():
    tables = pricing().frozen()
    nu = {beta: random_visits(tables, beta) for beta in (2e-5, 4e-6, 2e-7)}
    assert nu == {
        2e-5: pytest.approx(4.30, abs=5e-3),
        4e-6: pytest.approx(21.5, abs=0.05),
        2e-7: pytest.approx(430, abs=0.5),
    }
    for beta in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidGameError, match="expected a finite number > 0"):
            random_visits(tables, beta)
