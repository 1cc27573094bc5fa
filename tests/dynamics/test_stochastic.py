from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import Extragradient, OptimisticGradient, SimultaneousGradient, run
from strategic_envs.agents.dynamics.base import Dynamic
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.errors import InvalidSettingError, OracleError
from strategic_envs.games.bilinear import bilinear
from strategic_envs.games.kinds.game import Game
from strategic_envs.sets import Box


class Noisy(Game):
    """x y + (a x + b y): a and b are drawn, and zero in the game itself."""

    def __init__(self, noise: Tensor | None = None) -> None:
        self.noise = torch.zeros(2, dtype=torch.float64) if noise is None else noise
        super().__init__(self._value, [Box(-1, 1), Box(-1, 1)], name="noisy")

    def _value(self, x: tuple[Tensor, ...]) -> Tensor:
        f = (x[0] * x[1] + self.noise[0] * x[0] + self.noise[1] * x[1]).squeeze(-1)
        return torch.stack([-f, f], dim=-1)

    def draw(self, generator: torch.Generator) -> Noisy:
        return Noisy(torch.randn(2, generator=generator, dtype=torch.float64))


GAME = Noisy()
X = GAME.profile([0.5], [0.25])


def draws(oracle: StochasticOracle, count: int) -> list[list[float]]:
    return [oracle.field(X).flat().tolist() for _ in range(count)]


def test_the_same_seed_gives_the_same_draws_and_every_call_a_new_one() -> None:
    first, second = draws(StochasticOracle(GAME, 3), 5), draws(StochasticOracle(GAME, 3), 5)
    assert first == second
    assert len({tuple(v) for v in first}) == 5
    assert draws(StochasticOracle(GAME, 4), 1) != first[:1]


def test_the_mean_over_draws_is_the_field_of_the_game_itself() -> None:
    mean = torch.tensor(draws(StochasticOracle(GAME, 0), 4000), dtype=torch.float64).mean(0)
    assert (mean - GAME.field(X).flat()).abs().max() < 4 / 4000**0.5


def test_a_stream_continues_where_another_stopped() -> None:
    whole, half = StochasticOracle(GAME, 1), StochasticOracle(GAME, 1)
    expected = draws(whole, 6)
    draws(half, 4)
    rest = StochasticOracle(GAME, 1, draws=half.draws)
    assert rest.vjp(X, X).flat().equal(half.vjp(X, X).flat())
    assert draws(rest, 2) == expected[4:]


def test_measurements_see_the_game_itself_and_do_not_disturb_the_stream() -> None:
    plain, measured = StochasticOracle(GAME, 1), StochasticOracle(GAME, 1)
    expected = draws(plain, 3)
    seen = []
    for _ in range(3):
        seen += draws(measured, 1)
        with measured.uncounted():
            assert measured.field(X).flat().equal(GAME.field(X).flat())
            with measured.uncounted():
                assert measured.field(X, 1).flat().equal(GAME.field(X, 1).flat())
    assert seen == expected and measured.draws == 3 and dict(measured.calls) == {"field": 3}


def test_an_evaluation_game_can_be_given() -> None:
    other = GAME.draw(torch.Generator().manual_seed(5))
    oracle = StochasticOracle(GAME, 1, evaluation=other)
    with oracle.uncounted():
        assert oracle.field(X).flat().equal(other.field(X).flat())


@pytest.mark.parametrize("dynamic", [SimultaneousGradient(0.1), Extragradient(0.1), OptimisticGradient(0.1)])
def test_what_a_run_records_does_not_change_where_it_goes(dynamic: Dynamic) -> None:  # pyright: ignore[reportMissingTypeArgument]
    often = run(StochasticOracle(GAME, 2), dynamic, X, 20, record=1, accumulate=True)
    seldom = run(StochasticOracle(GAME, 2), dynamic, X, 20, record=None)
    assert often.final.flat().equal(seldom.final.flat()) and often.calls == seldom.calls
    assert often.fields.flat()[-1].equal(GAME.field(often.final).flat())


def test_one_player_s_call_is_a_draw_and_derivatives_are_those_of_the_last_draw() -> None:
    oracle = StochasticOracle(GAME, 0)
    oracle.field(X, 1)
    assert oracle.draws == 1 and dict(oracle.calls) == {"field_of_one": 1}
    seen = oracle.field(X)
    assert oracle.game.field(X).flat().equal(seen.flat())
    assert oracle.jacobian(X).shape == (2, 2) and oracle.draws == 2


def test_games_that_draw_nothing_and_senseless_seeds_are_refused() -> None:
    with pytest.raises(OracleError, match=r"bilinear.*without a method draw\(generator\).*GameOracle"):
        StochasticOracle(bilinear())
    with pytest.raises(InvalidSettingError, match="noisy: got seed=-1, expected a whole number from 0"):
        StochasticOracle(GAME, -1)
    with pytest.raises(InvalidSettingError, match="noisy: got draws=-2"):
        StochasticOracle(GAME, 0, draws=-2)
