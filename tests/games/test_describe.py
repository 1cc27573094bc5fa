from __future__ import annotations

import pytest

from strategic_envs.errors import UnknownNameError
from strategic_envs.games.catalogue import list_games
from strategic_envs.games.describe import describe_game


@pytest.mark.parametrize(
    ("name", "players", "dims", "domain", "known"),
    [
        ("f1", 2, (1, 1), "[-3, 3]^2", "1 first-order, 1 local minimax, 1 mixed Nash; value -20.5843"),
        ("torus", 2, (1, 1), "circle for each player", "6 first-order"),
        ("shared_segment", 2, (1, 1), "joint polytope in R^2", "at least 3 pure Nash, 3 first-order"),
        ("nie_yang_zhou", 2, (3, 3), "[-1, 1]^6", "at least 3 pure Nash, 3 first-order; value 2"),
        ("townsend", 2, (1, 1), "[-2.25, 2.5] x [-2.5, 1.75]", "at least 1 mixed Nash; value 0.972183"),
        ("rock_paper_scissors", 2, (3, 3), "3 actions x 3 actions", "1 Nash; value 0"),
        ("pigou", 1, (2,), "2 strategies", "1 Wardrop; price of anarchy 1.33333"),
        ("polar", 2, (1, 1), "[-1.1, 1.1]^2", "1 first-order"),
    ],
)
def test_a_description_says_what_is_known(
    name: str, players: int, dims: tuple[int, ...], domain: str, known: str
) -> None:
    one = describe_game(name)
    assert (one.players, one.dims, one.domain, one.known) == (players, dims, domain, known)


def test_every_game_of_the_catalogue_is_described() -> None:
    for name in list_games():
        assert describe_game(name).summary


def test_an_unknown_name_offers_others() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'townsend'"):
        describe_game("townsent")
