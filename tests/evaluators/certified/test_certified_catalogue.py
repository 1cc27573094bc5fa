"""The catalogue's closed forms, certified: mixed equilibria, the gains of f_1, and an interval for every small game."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

import strategic_envs as se
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators import best_response, nash_conv
from strategic_envs.evaluators.certified.graph import trace
from strategic_envs.evaluators.certified.intervals import point
from strategic_envs.evaluators.certified.objective import Objective
from strategic_envs.evaluators.certified.operations import OPERATIONS
from strategic_envs.evaluators.certified.piyavskii import piyavskii
from strategic_envs.evaluators.gaps import hoeffding_radius
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.play import Independent
from strategic_envs.seeding import torch_stream

TABLE = {1e-1: 37, 1e-2: 109, 1e-3: 465, 1e-4: 1773, 1e-6: 21101}  # evaluations with one sampled constant


@pytest.mark.parametrize("tolerance", TABLE)
def test_the_origin_of_f1_is_worth_20_5843_less_than_a_best_response(tolerance: float) -> None:
    game = se.game("f1")
    origin = game.profile([0.0], [0.0])
    first, second = (best_response(game, i, origin, certify=tolerance) for i in range(2))
    assert first.exact and first.certified and first.upper - first.lower <= tolerance
    assert first.lower <= 20.584322371300082 <= first.upper
    if tolerance <= 1e-4:
        assert 20.5843 <= first.lower and first.upper <= 20.5845  # noqa: SIM300  # an interval, in order
    assert second.exact and 0 <= second.upper < 1e-12
    assert first.evaluations <= 2 * TABLE[tolerance]


def test_from_scratch_the_search_needs_a_hundred_enclosures_for_a_millionth() -> None:
    game = se.game("f1")
    objective = Objective(trace(game, 0), [torch.zeros(1, 1).double().numpy()] * 2, point(1.0))
    found = piyavskii(objective, -3.0, 3.0, 0.0, -math.inf, 1e-6)
    assert found.upper - found.lower <= 1e-6 and found.evaluations < 200
    assert found.lower <= 20.584322371300082 <= found.upper


@pytest.mark.parametrize(
    ("profile", "gains"), [((0.0, 0.0), (4.6557089, 0.0)), ((-1.0, -1.0), (11.566, 0.0))], ids=["origin", "corner"]
)
def test_gains_of_f1_on_the_small_box(profile: tuple[float, float], gains: tuple[float, float]) -> None:
    game = se.game("f1", box=1.0)
    found = nash_conv(game, game.profile([profile[0]], [profile[1]]), certify=1e-7)
    assert found.exact and found.upper - found.lower <= 2e-7
    assert found.per_player == pytest.approx(gains, abs=5e-4)


EQUILIBRIA = [
    ("squared_difference", {}),
    ("squared_difference", {"low": 0.0}),
    ("f1", {"box": 1.0}),
    ("f1", {"box": 3.0}),
    ("forsaken", {}),
    ("parrilo_3_1", {}),
    ("parrilo_3_2", {}),
]


@pytest.mark.parametrize(("name", "options"), EQUILIBRIA)
def test_known_equilibria_are_certified_to_a_millionth(name: str, options: dict[str, float]) -> None:
    game = se.game(name, **options)
    known = [e for e in game.known().equilibria if e.kind == "nash"]
    assert known
    for equilibrium in known:
        gap = nash_conv(game, Independent(equilibrium.points, equilibrium.weights), certify=1e-7)
        assert gap.exact and gap.upper <= 1e-6 and gap.lower <= gap.value <= gap.upper


def small_games() -> list[str]:
    names = []
    for name in se.list_games(files=False):
        if name in ("layers", "adversarial_digits", "gan_ring", "gan_grid"):  # large, or they read data
            continue
        game = se.game(name)
        exact = isinstance(game, NormalFormGame | CongestionGame)  # whose members, moreover, do not move the loads
        if isinstance(game, Game) and not exact and max(game.dims) <= 4:
            names.append(name)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", small_games())
def test_every_small_game_has_an_exploitability_interval(name: str) -> None:
    game = se.game(name)
    profile = game.sample(generator=torch_stream(0, "catalogue", name))
    gap = nash_conv(game, profile, certify=1e-6)
    assert gap.lower <= gap.value <= gap.upper
    if any(not s.bounded for s in game.sets):
        assert gap.upper == math.inf or gap.exact
        return
    assert gap.exact and gap.upper - gap.lower <= 1e-6 * game.n_players
    if game.joint is not None:  # what a player may do depends on the others: its slice is not sampled here
        return
    found = 0.0
    for i, strategies in enumerate(game.sets):
        corners = torch.cartesian_prod(*torch.stack(strategies.bounds(), -1)).reshape(-1, strategies.dim)
        many = strategies.sample((20_000,), generator=torch_stream(0, "dense", name, i))
        many = torch.cat([many, strategies.project(corners)])
        rows = [many if j == i else t.expand(len(many), -1) for j, t in enumerate(profile)]
        found += float(game.utilities(tuple(rows))[:, i].max() - game.utilities(profile)[i])
    assert found <= gap.upper + 1e-9
    assert found >= gap.lower - 0.05 * (1 + abs(gap.lower))


def test_the_page_lists_exactly_the_operations_of_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "certificates.md").read_text("utf-8")
    listed = page.split("<!-- operations -->")[1].split("<!-- end -->")[0]
    assert re.findall(r"`(\w+)`", listed) == sorted(OPERATIONS)


def test_hoeffdings_radius_is_the_formula_and_refuses_nonsense() -> None:
    assert hoeffding_radius(2.0, 2, 10_000) == pytest.approx(2 * math.sqrt(math.log(80) / 20_000))
    with pytest.raises(InvalidSettingError, match="expected a finite width"):
        hoeffding_radius(0.0, 2, 100)
