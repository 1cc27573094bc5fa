from __future__ import annotations

import pickle

import pytest
import torch

from strategic_envs.agents.dynamics.alternating import AlternatingGradient
from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.hedge import Hedge
from strategic_envs.agents.dynamics.oracle import GameOracle
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient
from strategic_envs.envs import continuous_game_v0
from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError, OracleError
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.shared import InternetSwitch, shared_segment
from strategic_envs.play import Empirical, Independent
from strategic_envs.profile import Profile
from strategic_envs.sets import Ball, Box, Joint, Polytope, Simplex

SEGMENT = shared_segment()
KINDS = ("projected", "frank_wolfe", "variational")


def normal(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cut_cube() -> Joint:
    eye = torch.eye(4, dtype=torch.float64)
    cut = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 0.5, 0.0]], dtype=torch.float64)
    return Joint(Polytope(torch.cat([eye, -eye, cut]), [1.0] * 8 + [1.0, 0.8]), (2, 1, 1))


JOINTS = [cut_cube(), Joint(Ball([0.5, 0.0, 0.0, -1.0], 2.0), (2, 1, 1)), Joint(Box(-1, 1, dim=4), (2, 1, 1))]


@pytest.mark.parametrize("joint", JOINTS, ids=["polytope", "ball", "box"])
def test_slices_are_what_the_joint_set_leaves_each_player(joint: Joint) -> None:
    x = joint.set.sample((60,), generator=torch.Generator().manual_seed(0))
    for player in range(3):
        own, start = joint.own(player, x), sum(joint.dims[:player])
        wish = own + 2 * normal(tuple(own.shape), player)
        moved = x.clone()
        moved[:, start : start + joint.dims[player]] = wish
        nearest = joint.project_slice(player, moved)
        placed = moved.clone()
        placed[:, start : start + joint.dims[player]] = nearest
        assert bool(joint.contains(placed, 1e-9).all())
        gap = joint.support_slice(player, moved, wish - nearest).value - ((wish - nearest) * nearest).sum(-1)
        assert gap.abs().max() < 1e-9  # the condition of the nearest point, for a support function on the same slice
        for row in range(3):
            alone = joint.slice(player, x[row])
            torch.testing.assert_close(alone.project(wish[row]), nearest[row], atol=1e-9, rtol=0)
            assert bool(alone.contains(alone.sample((5,)), 1e-9).all())


@pytest.mark.parametrize("joint", JOINTS, ids=["polytope", "ball", "box"])
def test_a_variational_gap_bounds_every_slice_gap(joint: Joint) -> None:
    x = joint.set.sample((40,), generator=torch.Generator().manual_seed(1))
    v = normal((40, 4), 2)
    whole = joint.variational_gap(x, v)
    for player in range(3):
        assert (joint.frank_wolfe_gap(player, x, joint.own(player, v)) <= whole + 1e-9).all()


def test_an_empty_slice_is_nan_in_batches_and_an_error_as_a_set() -> None:
    joint = Joint(Polytope.simplex_corner(2), (1, 1))
    x = torch.tensor([[0.2, 1.5], [0.2, 0.5], [0.2, -0.1]])
    assert joint.project_slice(0, x).squeeze(-1).isnan().tolist() == [True, False, True]
    assert joint.support_slice(0, x, torch.ones(3, 1)).value.isnan().tolist() == [True, False, True]
    ball = Joint(Ball([0.0, 0.0], 1.0), (1, 1))
    assert ball.project_slice(0, x).squeeze(-1).isnan().tolist() == [True, False, False]
    with pytest.raises(
        InvalidStrategyError, match="leave player_0 no strategy in Joint.*project them on the joint set"
    ):
        joint.slice(0, torch.tensor([0.2, 1.5]))


def test_at_the_border_a_slice_may_be_one_point() -> None:
    joint = Joint(Polytope.simplex_corner(3), (2, 1))
    x = torch.tensor([0.0, 0.0, 1.0]).double()
    assert joint.slice(0, x).project(torch.ones(2).double()).abs().max() < 1e-9
    assert Joint(Ball([0.0, 0.0], 1.0), (1, 1)).slice(0, torch.tensor([0.0, 1.0])).diameter < 1e-9


def test_bad_joint_sets_are_refused() -> None:
    with pytest.raises(InvalidGameError, match=r"needs a Polytope, a Ball or a bounded Box, got Simplex\(2\)"):
        Joint(Simplex(2), (1, 1))
    with pytest.raises(InvalidGameError, match=r"dimensions \(1, 2\), expected numbers >= 1 that add up to 2"):
        Joint(Box(0, 1, dim=2), (1, 2))
    with pytest.raises(InvalidGameError, match=r"pair: got a joint set for players of dimensions \(1, 1\) and sets of"):
        Game(lambda x: x[0], [Box(0, 1)], name="pair", joint=Joint(Box(0, 1, dim=2), (1, 1)))


# The shared segment: slice and variational solutions


def test_every_point_of_the_segment_is_a_slice_solution_and_only_one_is_variational() -> None:
    for x in torch.linspace(0, 1, 11, dtype=torch.float64).tolist():
        profile = SEGMENT.profile([x], [1 - x])
        gaps = [local_nash_gap(SEGMENT, profile, kind).value for kind in KINDS]
        assert gaps[:2] == pytest.approx([0.0, 0.0], abs=1e-12) and gaps[2] == pytest.approx(x, abs=1e-12)
        assert nash_conv(SEGMENT, profile).value == pytest.approx(0.0, abs=1e-9)
    inside = SEGMENT.profile([0.3], [0.1])
    assert local_nash_gap(SEGMENT, inside, "frank_wolfe").per_player == pytest.approx((0.6, 1.2))
    assert local_nash_gap(SEGMENT, inside, "variational").value == pytest.approx(1.5)


def test_projected_gradient_on_the_joint_set_finds_the_variational_solution() -> None:
    for dynamic in (SimultaneousGradient(0.05), Extragradient(0.05)):
        end = run(SEGMENT, dynamic, SEGMENT.profile([0.3], [0.1]), 200, record=None)
        final = end.points.map(lambda t: t[-1]).flat()
        torch.testing.assert_close(final, torch.tensor([0.0, 1.0]).double(), atol=1e-12, rtol=0)
        assert float(end.outside.max()) <= 1e-12


def test_alternating_slice_projections_stop_where_they_meet_the_segment() -> None:
    oracle = GameOracle(SEGMENT)
    x = SEGMENT.profile([0.3], [0.1])
    for _ in range(200):
        for player, step in enumerate((0.01, 0.01)):  # of the gradients 1 and 2: moves of 0.01 and 0.02
            x = oracle.project(x.replace(player, x[player] + step * oracle.field(x)[player]), player)
    torch.testing.assert_close(x.flat(), torch.tensor([0.5, 0.5]).double(), atol=1e-9, rtol=0)
    end = run(SEGMENT, AlternatingGradient(0.01), SEGMENT.profile([0.3], [0.1]), 200, record=None)
    torch.testing.assert_close(end.points.map(lambda t: t[-1]).flat(), x.flat(), atol=1e-9, rtol=0)


def test_profiles_outside_the_joint_set_are_refused_with_the_game_and_the_value() -> None:
    with pytest.raises(
        InvalidStrategyError, match=r"shared_segment, all players together: got \[0.8, 0.7\], which lies"
    ):
        SEGMENT.profile([0.8], [0.7])
    outside = Profile([torch.tensor([0.8]).double(), torch.tensor([0.7]).double()])
    with pytest.raises(InvalidStrategyError, match="start of all players together"):
        run(SEGMENT, SimultaneousGradient(0.1), outside, 1)
    with pytest.raises(OracleError, match=r"hedge plays on sets of the players' own, and shared_segment ties them"):
        run(SEGMENT, Hedge(0.1), SEGMENT.profile([0.1], [0.1]), 1)
    samples = SEGMENT.sample((100,), generator=torch.Generator().manual_seed(0))
    assert bool(SEGMENT.joint_set.contains(samples.flat()).all())


def test_best_responses_stay_on_the_slice_and_need_pure_opponents() -> None:
    reply = best_response(SEGMENT, 0, SEGMENT.profile([0.0], [0.75]))
    assert reply.strategy.item() == pytest.approx(0.25) and reply.value == pytest.approx(0.25)
    mixed = Independent(
        (torch.zeros(1, 1).double(), torch.tensor([[0.1], [0.5]]).double()),
        (torch.ones(1).double(), torch.full((2,), 0.5).double()),
    )
    with pytest.raises(InvalidStrategyError, match="got 2 profiles of the opponents; in a game with a joint set"):
        best_response(SEGMENT, 0, mixed)
    several = Empirical.uniform([torch.tensor([[0.1], [0.2]]).double(), torch.tensor([[0.1], [0.5]]).double()])
    with pytest.raises(InvalidGameError, match="a local CCE gap is not defined for play of several profiles"):
        local_cce_gap(SEGMENT, several)


def test_joint_games_pickle_and_print() -> None:
    other = pickle.loads(pickle.dumps(SEGMENT))
    x = [torch.tensor([2.0]), torch.tensor([1.5])]
    torch.testing.assert_close(other.project(x).flat(), torch.tensor([0.75, 0.25]))
    assert "Joint(Polytope(" in repr(SEGMENT)
    product = Game(lambda x: torch.cat(x, -1), [Box(0, 1), Box(0, 1)], name="product")
    assert local_nash_gap(product, product.profile([0.5], [0.0]), "variational").value == pytest.approx(1.5)


# The internet switch


def test_the_switch_is_used_evenly_and_extragradient_finds_that() -> None:
    game = InternetSwitch(n=4)
    share = 3 / 16
    start = game.sample((5,), generator=torch.Generator().manual_seed(0))
    end = run(game, Extragradient(0.02), start, 4000, record=None, tolerance=1e-9)
    final = end.points.map(lambda t: t[-1]).flat()
    torch.testing.assert_close(final, torch.full((5, 4), share).double(), atol=1e-7, rtol=0)
    x = game.profile(*[[share]] * 4)
    assert nash_conv(game, x).value < 1e-9
    for kind in KINDS:
        assert local_nash_gap(game, x, kind).value < 1e-12
    assert game.utilities(x)[0].item() == pytest.approx(game.known().values["utility"])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 1}, "n >= 2, got 1"), ({"capacity": 0.0}, "capacity > 0"), ({"floor": 0.5}, "floor between 0 and 0.09")],
)
def test_bad_switches_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidGameError, match=message):
        InternetSwitch(**options)  # pyright: ignore[reportArgumentType]


def test_the_environment_plays_the_nearest_actions_that_fit_together() -> None:
    env = continuous_game_v0.parallel_env("shared_segment", max_cycles=2)
    env.reset(seed=0)
    high, low = torch.tensor([0.9]).numpy(), torch.tensor([0.1]).numpy()
    observations, rewards, _, _, infos = env.step({"player_0": high, "player_1": high})
    assert rewards == pytest.approx({"player_0": 0.5, "player_1": 1.0})
    assert observations["player_0"].tolist() == [0.5, 0.5, 0.0] and infos["player_1"] == {"moved": True}
    _, rewards, _, _, infos = env.step({"player_0": high, "player_1": low})
    assert rewards == pytest.approx({"player_0": 0.9, "player_1": 0.2}, abs=1e-6) and infos["player_0"] == {}


def test_the_local_cce_gap_of_a_run_on_a_joint_set_is_refused() -> None:
    game = shared_segment()
    with pytest.raises(InvalidSettingError, match="accumulate=True on shared_segment, whose players share a set"):
        run(game, SimultaneousGradient(0.1), game.profile([0.1], [0.2]), 5, accumulate=True)
