from __future__ import annotations

import pytest
import torch

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import LargerNumber, larger_number
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile


def random_play(game: LargerNumber, seed: int, whole: bool) -> Empirical:
    generator = torch.Generator().manual_seed(seed)
    points = [s.sample((6,), generator=generator) * (1 if game.n else 10) for s in game.sets]
    points = [p.ceil() if whole else p for p in points]
    weights = torch.rand(6, generator=generator, dtype=torch.float64)
    return Empirical(Profile(points), weights / weights.sum())


@pytest.mark.parametrize("kind", ["integers", "reals"])
@pytest.mark.parametrize("smooth", [None, 2.0])
def test_unbounded_best_responses_are_worth_one_to_any_play_so_nash_conv_is_two(
    kind: str, smooth: float | None
) -> None:
    game = larger_number(None, kind, smooth)
    assert isinstance(game, LargerNumber)
    for seed in range(10):
        play = random_play(game, seed, kind == "integers")
        replies = [game.best_response(i, play) for i in (0, 1)]
        assert [r.value for r in replies] == [1.0, 1.0] and not any(r.attained for r in replies)
        utilities = play.weights @ game.utilities(play.points)
        assert sum(r.value for r in replies) - utilities.sum().item() == pytest.approx(2.0, abs=1e-12)
        for i, reply in enumerate(replies):
            joint = play.points.replace(i, reply.strategy.expand(6, 1))
            game.validate(joint)
            reached = float(play.weights @ game.utilities(joint)[:, i])
            assert reached == pytest.approx(1.0, abs=1e-12) if smooth is None else 0 < reached <= 1


@pytest.mark.parametrize("smooth", [None, 1.5])
def test_truncated_real_best_response_is_the_largest_number(smooth: float | None) -> None:
    game = larger_number(4.0, "reals", smooth)
    assert isinstance(game, LargerNumber)
    play = random_play(game, 0, False)
    play.points[1][0] = 4.0  # an atom at the top, which the best response can only tie
    for i in (0, 1):
        reply = game.best_response(i, play)
        assert reply.strategy.item() == 4.0 and reply.exact and reply.attained
        for y in torch.linspace(0, 4, 401, dtype=torch.float64):
            joint = play.points.replace(i, y.expand(6, 1))
            assert float(play.weights @ game.utilities(joint)[:, i]) <= reply.value + 1e-12


@pytest.mark.parametrize("n", [1, 2, 10, 64])
def test_truncated_integers_have_the_top_pair_as_their_only_equilibrium(n: int) -> None:
    game = larger_number(n)
    assert isinstance(game, NormalFormGame) and game.n_actions == (n, n)
    equilibrium = game.known().equilibria[0]
    assert equilibrium.points[0].argmax().item() == n - 1
    matrix = game.payoffs[0]
    # every action is weakly worse than n, and strictly worse against n: so n against n is the only equilibrium
    assert bool((matrix[-1] >= matrix).all()) and bool((matrix[:-1, -1] < matrix[-1, -1]).all())
    pure = Independent.pure([p[0] for p in equilibrium.points]).mean()
    assert game.utilities(pure).tolist() == [0.0, 0.0]


def test_the_sign_has_no_gradient_and_the_smooth_version_has() -> None:
    x = [torch.tensor([1.0]).double(), torch.tensor([2.0]).double()]
    assert LargerNumber(5.0).field(x).flat().tolist() == [0.0, 0.0]
    v = LargerNumber(5.0, smooth=1.0).field(x).flat()
    assert v[0] > 0 and v[1] > 0


def test_integer_strategies_must_be_whole_and_at_least_one() -> None:
    game = LargerNumber(None, "integers")
    with pytest.raises(InvalidStrategyError, match=r"larger_number, player_1: got 2\.5, expected a whole number"):
        game.profile([2.0], [2.5])
    with pytest.raises(InvalidStrategyError, match="outside Box"):
        game.profile([0.0], [2.0])
    with pytest.raises(InvalidGameError, match="matrix game"):
        LargerNumber(5, "integers")
