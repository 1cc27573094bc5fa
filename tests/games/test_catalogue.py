from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch

from strategic_envs.errors import InvalidGameError, UnknownNameError
from strategic_envs.evaluators.local import projected_gaps
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.larger_number import LargerNumber
from strategic_envs.profile import Profile
from strategic_envs.sets import Box

GRID = 20_001

VARIANTS = [
    ("adolphs", {}),
    ("almost_bilinear", {}),
    ("almost_bilinear", {"epsilon": 0.3, "box": 1.5}),
    ("bilinear", {}),
    ("bilinear", {"matrix": [[1.0, 2.0], [0.5, -3.0]]}),
    ("bilinear", {"dim": 3, "box": None}),
    ("chicken", {}),
    ("daskalakis_panageas", {}),
    ("daskalakis_panageas", {"box": 3.0}),
    ("dresher", {}),
    ("f1", {"box": 1.0}),
    ("f1", {}),
    ("f1", {"box": 5.0}),
    ("f2", {}),
    ("f2", {"box": 2.0}),
    ("forsaken", {}),
    ("global_forsaken", {}),
    ("global_forsaken", {"box": 1.5}),
    ("hide_and_seek", {}),
    ("internet_switch", {}),
    ("larger_number", {}),
    ("larger_number", {"n": 1}),
    ("larger_number", {"n": 7, "smooth": 2.0}),
    ("larger_number", {"n": 3.5, "kind": "reals"}),
    ("larger_number", {"n": 3.5, "kind": "reals", "smooth": 1.0}),
    ("larger_number", {"n": None}),
    ("larger_number", {"n": None, "kind": "reals"}),
    ("matching_pennies", {}),
    ("matching_pennies_box", {}),
    ("nie_yang_zhou", {}),
    ("parrilo_3_1", {}),
    ("parrilo_3_2", {}),
    ("prisoners_dilemma", {}),
    ("rock_paper_scissors", {}),
    ("shared_segment", {}),
    ("squared_difference", {}),
    ("squared_difference", {"low": 0.0}),
    ("stag_hunt", {}),
    ("three_player_polynomial", {}),
    ("three_player_trigonometric", {}),
    ("torus", {}),
    ("townsend", {}),
]
GENERAL_SUM = {"chicken", "prisoners_dilemma", "stag_hunt", "three_player_trigonometric", "torus"} | {
    "internet_switch",
    "shared_segment",
}
MIN_MAX = {
    "f1",
    "f2",
    "forsaken",
    "bilinear",
    "adolphs",
    "almost_bilinear",
    "daskalakis_panageas",
    "global_forsaken",
} | {"nie_yang_zhou"}
IDS = [f"{name}{options or ''}" for name, options in VARIANTS]


def only(condition: Callable[[Game], bool]) -> pytest.MarkDecorator:
    """Runs a test on the variants that meet a condition, in place of all."""
    chosen = [v for v in VARIANTS if condition(catalogue.game(v[0], **v[1]))]
    ids = [f"{name}{options or ''}" for name, options in chosen]
    return pytest.mark.parametrize("game", chosen, ids=ids, indirect=True)


def smoothness_is_stated(game: Game) -> bool:
    return "smoothness" in game.known().constants and all(s.bounded and s.dim == 1 for s in game.sets)


@pytest.fixture(params=VARIANTS, ids=IDS)
def game(request: pytest.FixtureRequest) -> Game:
    name, options = request.param
    return catalogue.game(name, **options)


def expected_utilities(game: Game, equilibrium: Equilibrium) -> torch.Tensor:
    joint = torch.cartesian_prod(*(torch.arange(len(w)) for w in equilibrium.weights)).reshape(-1, game.n_players)
    points = [p[joint[:, i]] for i, p in enumerate(equilibrium.points)]
    weight = torch.stack([w[joint[:, i]] for i, w in enumerate(equilibrium.weights)]).prod(0)
    return (weight.unsqueeze(-1) * game.utilities(points)).sum(0)


def deviation_utilities(game: Game, equilibrium: Equilibrium, player: int) -> torch.Tensor:
    """The player's utility at every point of a dense grid (every action of a normal-form game)."""
    own = game.sets[player]
    if game.joint is not None:  # what the others' equilibrium strategies leave
        own = game.joint.slice(player, torch.cat([p[0] for p in equilibrium.points]))
    if isinstance(game, NormalFormGame):
        candidates = torch.eye(own.dim, dtype=torch.float64)
    elif isinstance(own, Box) and own.dim == 1 and own.bounded:
        candidates = torch.linspace(float(own.low), float(own.high), GRID, dtype=torch.float64).unsqueeze(-1)
    else:
        candidates = own.sample((GRID,), generator=torch.Generator().manual_seed(0))
    others = [j for j in range(game.n_players) if j != player]
    total = torch.zeros(len(candidates), dtype=torch.float64)
    for combination in torch.cartesian_prod(*(torch.arange(len(equilibrium.weights[j])) for j in others)).reshape(
        -1, len(others)
    ):
        profile = [candidates] * game.n_players
        weight = torch.ones((), dtype=torch.float64)
        for j, k in zip(others, combination, strict=True):
            profile[j] = equilibrium.points[j][k].expand(len(candidates), -1)
            weight = weight * equilibrium.weights[j][k]
        total = total + weight * game.utilities(profile)[:, player]
    return total


def test_no_grid_point_improves_on_a_known_nash_equilibrium(game: Game) -> None:
    for equilibrium in (e for e in game.known().equilibria if e.kind == "nash"):
        for w in equilibrium.weights:
            assert w.sum().item() == pytest.approx(1.0, abs=1e-12)
        value = expected_utilities(game, equilibrium)
        for player in range(game.n_players):
            assert deviation_utilities(game, equilibrium, player).max() <= value[player] + 1e-9


def test_the_value_of_a_zero_sum_game_is_that_of_its_equilibrium(game: Game) -> None:
    known = game.known()
    for equilibrium in (e for e in known.equilibria if e.kind == "nash" and "value" in known.values):
        value = expected_utilities(game, equilibrium)
        minimised = game.name in MIN_MAX  # the value of min-max f is f's own
        expected = known.values["value"] * (-1 if minimised else 1)
        torch.testing.assert_close(value, torch.tensor([expected, -expected], dtype=torch.float64), atol=1e-9, rtol=0)


def test_known_first_order_equilibria_satisfy_the_first_order_conditions(game: Game) -> None:
    for equilibrium in (e for e in game.known().equilibria if e.is_pure and not isinstance(game, NormalFormGame)):
        x = game.validate([p[0] for p in equilibrium.points])
        residual = projected_gaps(game.sets if game.joint is None else game.joint, x, game.field(x))
        assert residual.max() <= 1e-12


@only(lambda game: game.name not in GENERAL_SUM)
def test_zero_sum_games_sum_to_zero(game: Game) -> None:
    u = game.utilities(game.sample((200,), generator=torch.Generator().manual_seed(1)))
    assert u.sum(-1).abs().max() <= 1e-12 * max(1.0, float(u.abs().max()))


@only(lambda game: not isinstance(game, LargerNumber) or game.smooth is not None)  # a sign has no derivative
def test_the_field_is_the_gradient_by_finite_differences(game: Game) -> None:
    x = game.sample((50,), generator=torch.Generator().manual_seed(2))
    v, h = game.field(x), 1e-6
    for i, own in enumerate(x):
        for k in range(own.shape[-1]):
            e = torch.zeros_like(own)
            e[:, k] = h
            up, down = (game.utilities(x.replace(i, own + s * e))[:, i] for s in (1, -1))
            torch.testing.assert_close((up - down) / (2 * h), v[i][:, k], atol=2e-7, rtol=2e-7)


@only(smoothness_is_stated)
def test_stated_smoothness_is_the_largest_jacobian_norm_on_a_grid(game: Game) -> None:
    axes = [torch.linspace(*map(float, s.bounds()), 201, dtype=torch.float64) for s in game.sets]
    grid = torch.cartesian_prod(*axes)
    largest = torch.linalg.matrix_norm(game.jacobian(Profile.from_flat(grid, game.dims)), 2).max()
    assert largest.item() == pytest.approx(game.known().constants["smoothness"], rel=3e-3)


def test_games_pickle_and_treat_batch_rows_alone(game: Game) -> None:
    other = pickle.loads(pickle.dumps(game))
    x = game.sample((4, 3), generator=torch.Generator().manual_seed(3))
    u = game.utilities(x)
    assert u.shape == (4, 3, game.n_players)
    torch.testing.assert_close(other.utilities(x), u, rtol=0, atol=0)
    torch.testing.assert_close(game.utilities([t[2, 1] for t in x]), u[2, 1])
    torch.testing.assert_close(game.field([t[2, 1] for t in x]).flat(), game.field(x).flat()[2, 1])


def test_float32_stays_float32(game: Game) -> None:
    x = game.sample((5,), generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    assert game.utilities(x).dtype == torch.float32
    assert {t.dtype for t in game.field(x)} == {torch.float32}


def test_every_variant_is_of_a_listed_game_and_the_required_ones_are_there() -> None:
    assert {name for name, _ in VARIANTS} <= set(catalogue.list_games())
    assert catalogue.list_games() == sorted(catalogue.list_games())


def test_an_unknown_game_or_option_offers_the_nearest_name() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown game 'forsakn': did you mean 'forsaken' or 'global_forsaken'\? There are: "
    ):
        catalogue.game("forsakn")
    with pytest.raises(UnknownNameError, match="unknown option of the game 'f1', 'boks': did you mean 'box'"):
        catalogue.game("f1", boks=1.0)
    with pytest.raises(UnknownNameError, match="There are: none"):
        catalogue.game("forsaken", box=1.0)


def test_two_modules_with_one_name_and_missing_options_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "factories", lambda: {"needy": lambda size, colour=1: None})
    with pytest.raises(InvalidGameError, match=r"needy: needs size: pass size=\.\.\."):
        catalogue.game("needy")


def test_a_duplicate_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from strategic_envs.games import matrix

    monkeypatch.setitem(matrix.GAMES, "f1", matrix.chicken)
    catalogue.factories.cache_clear()
    try:
        with pytest.raises(InvalidGameError, match="two modules of the catalogue offer a game 'f1'"):
            catalogue.factories()
    finally:
        catalogue.factories.cache_clear()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("f1", {"box": 0.0}, "f1: needs a finite box > 0, got 0.0"),
        ("f2", {"box": float("nan")}, "f2: needs a finite box"),
        ("f1", {"box": float("inf")}, "finite box"),
        ("squared_difference", {"low": 2.0}, "low < high, got 2.0 and 1.0"),
        ("bilinear", {"dim": 0}, "dim >= 1, got 0"),
        ("bilinear", {"box": -1.0}, "box > 0"),
        ("bilinear", {"matrix": [[1.0, 2.0], [3.0]]}, "rectangular"),
        ("bilinear", {"matrix": [[float("nan")]]}, "finite numbers"),
        ("almost_bilinear", {"epsilon": 0.0}, "almost_bilinear: needs a finite epsilon > 0, got 0.0"),
        ("almost_bilinear", {"epsilon": 2.0}, "epsilon <= 1 and box >= 1"),
        ("almost_bilinear", {"box": float("inf")}, "finite box > 0, got inf"),
        ("adolphs", {"box": 4.0}, "box >= 4.1, which holds all equilibria, got 4.0"),
        ("daskalakis_panageas", {"box": -1.0}, "finite box > 0, got -1.0"),
        ("global_forsaken", {"box": float("nan")}, "finite box > 0, got nan"),
        ("polar", {"a": 0.0}, "polar: needs a finite a > 0, got 0.0"),
        ("hide_and_seek", {"n": 0}, "n >= 1"),
        ("prisoners_dilemma", {"reward": 9.0}, "temptation > reward"),
        ("larger_number", {"n": 0}, "got n=0, expected a number n >= 1"),
        ("larger_number", {"n": -3, "kind": "reals"}, "n >= 1"),
        ("larger_number", {"n": float("nan")}, "n >= 1"),
        ("larger_number", {"n": 2.5}, "whole number"),
        ("larger_number", {"kind": "complex"}, "'integers' or 'reals'"),
        ("larger_number", {"smooth": 0.0}, "slope > 0"),
    ],
)
def test_bad_options_say_what_was_got_and_expected(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        catalogue.game(name, **options)
