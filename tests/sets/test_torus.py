from __future__ import annotations

import math

import pytest
import torch

from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.simultaneous import SimultaneousGradient
from strategic_envs.envs import continuous_game_v0
from strategic_envs.errors import InvalidGameError
from strategic_envs.evaluators.accumulator import interpolation_gap
from strategic_envs.evaluators.best_response import best_response
from strategic_envs.evaluators.local import local_cce_gap, local_nash_gap
from strategic_envs.games.torus import torus
from strategic_envs.profile import Profile
from strategic_envs.sets import Box, Product, Torus

PERIOD = 2 * math.pi


def grid(n: int) -> Profile:
    axis = torch.linspace(-math.pi, math.pi, n + 1, dtype=torch.float64)[:-1]
    return Profile.from_flat(torch.cartesian_prod(axis, axis), (1, 1))


def listed() -> torch.Tensor:
    return torch.stack([torch.cat([p[0] for p in e.points]) for e in torus().known().equilibria])


def test_every_finite_number_wraps_into_the_half_open_cell() -> None:
    circle = Torus(1)
    x = torch.tensor([-math.pi, math.pi, 0.3, 7.0, -1e6, -math.pi - 1e-17, 3 * math.pi], dtype=torch.float64)
    x = x.unsqueeze(-1)
    p = circle.project(x)
    assert bool(((p >= -math.pi) & (p < math.pi)).all()) and bool(circle.contains(x).all())
    assert p[:3, 0].tolist() == [-math.pi, -math.pi, 0.3]  # a point of the cell is not moved at all
    torch.testing.assert_close(p.cos(), x.cos(), atol=1e-9, rtol=0)
    torch.testing.assert_close(circle.project(p), p, atol=0, rtol=0)
    assert not bool(circle.contains(torch.tensor([float("inf")])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wrapping_never_returns_the_upper_end(dtype: torch.dtype) -> None:
    circle = Torus(1, period=2.0)
    below = torch.nextafter(torch.tensor([-1.0], dtype=dtype), torch.tensor([-2.0], dtype=dtype))
    for k in range(-5, 6):
        p = circle.project(below + 2 * k)
        assert -1 <= p.item() < 1


def test_the_difference_is_the_short_way_round() -> None:
    square = Torus(2, period=1.0)
    x, y = torch.tensor([0.4, 0.1]).double(), torch.tensor([-0.4, 0.2]).double()
    torch.testing.assert_close(square.difference(x, y), torch.tensor([0.2, 0.1]).double())
    assert square.diameter == pytest.approx(math.sqrt(0.5)) and square.bounded and square.periodic
    torch.testing.assert_close(Box(0, 1).difference(x[:1], y[:1]), y[:1] - x[:1])


def test_samples_fill_the_cell_and_bounds_are_the_cell() -> None:
    x = Torus(2).sample((4000,), generator=torch.Generator().manual_seed(0))
    assert x.abs().max() <= math.pi and x.mean().abs() < 0.1 and x.std() == pytest.approx(PERIOD / math.sqrt(12), 0.03)
    assert [b.tolist() for b in Torus(2).bounds()] == [[-math.pi] * 2, [math.pi] * 2]


def test_gaps_on_a_torus_are_the_length_of_the_gradient_however_long() -> None:
    circle = Torus(1)
    x, g = (torch.tensor([t], dtype=torch.float64) for t in (3.0, PERIOD))  # a projected whole turn comes back
    assert circle.projected_gap(x, g).item() == circle.frank_wolfe_gap(x, g).item() == PERIOD
    assert interpolation_gap(circle, g, torch.tensor(5.0).double()).item() == PERIOD
    mixed = Product([Torus(1), Box(-1, 1)])
    gap = mixed.projected_gap(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 5.0]))
    assert gap.item() == 2.0 and mixed.periodic  # the box stops the step, the circle does not
    assert mixed.frank_wolfe_gap(torch.tensor([3.0, 0.5]), torch.tensor([2.0, 5.0])).item() == 4.5


def test_bad_tori_and_the_missing_support_function_say_so() -> None:
    with pytest.raises(InvalidGameError, match="whole number dim >= 1, got 0"):
        Torus(0)
    with pytest.raises(InvalidGameError, match="finite period > 0, got -1"):
        Torus(1, period=-1)
    with pytest.raises(InvalidGameError, match=r"Torus\(1, .* has no support function.*use frank_wolfe_gap"):
        Torus(1).support(torch.zeros(1))


# The torus game


def test_utilities_and_gaps_do_not_change_when_strategies_wrap() -> None:
    game, x = torus(), grid(7)
    turned = Profile([x[0] + PERIOD, x[1] - 3 * PERIOD])
    torch.testing.assert_close(game.utilities(turned), game.utilities(x), atol=1e-13, rtol=0)
    one = turned.map(lambda t: t[10])
    assert local_nash_gap(game, one).value == pytest.approx(local_nash_gap(game, x.map(lambda t: t[10])).value)


def test_the_six_listed_points_are_all_critical_points_and_two_are_local_nash() -> None:
    game, points = torus(), listed()
    profile = Profile.from_flat(points, (1, 1))
    assert game.field(profile).flat().abs().max() < 1e-14
    torch.testing.assert_close(points[:2], torch.tensor([[-1.063, 1.014], [1.408, -0.325]]).double(), atol=1e-3, rtol=0)
    second = torch.cat([game.hessian(profile, i).squeeze(-1) for i in range(2)], dim=-1)
    assert (second < -1e-9).all(-1).tolist() == [True, True, False, False, False, False]
    x = grid(60).flat()
    for _ in range(80):  # Newton's method, with short steps
        at = Profile.from_flat(x, (1, 1))
        x = x - torch.linalg.lstsq(game.jacobian(at), game.field(at).flat().unsqueeze(-1)).solution.squeeze(-1).clamp(
            -0.3, 0.3
        )
    found = game.project(Profile.from_flat(x, (1, 1)))
    roots = found.flat()[game.field(found).norm() < 1e-12]
    distance = Torus(2).difference(roots.unsqueeze(1), points).norm(dim=-1)
    assert distance.amin(-1).max() < 1e-6 and distance.amin(0).max() < 1e-6


def test_there_is_no_first_order_point_at_the_cut() -> None:
    game = torus()
    edge = torch.linspace(-math.pi, math.pi, 201, dtype=torch.float64).unsqueeze(-1)
    for cut in (torch.full_like(edge, -math.pi), torch.full_like(edge, math.pi)):
        for x in (Profile([cut, edge]), Profile([edge, cut])):
            gaps = torch.stack([s.projected_gap(t, g) for s, t, g in zip(game.sets, x, game.field(x), strict=True)])
            assert gaps.amax(0).min() > 0.1


@pytest.mark.parametrize("dynamic", [SimultaneousGradient(0.05), Extragradient(0.05)])
def test_gradient_play_ends_at_one_of_the_two_local_nash_points(dynamic: SimultaneousGradient | Extragradient) -> None:
    game = torus()
    end = run(game, dynamic, grid(12), 3000, record=None, tolerance=1e-8)
    final = end.points.map(lambda t: t[-1]).flat()
    distance = Torus(2).difference(final.unsqueeze(1), listed()[:2]).norm(dim=-1)
    assert distance.amin(-1).max() < 1e-6 and set(distance.argmin(-1).tolist()) == {0, 1}
    assert float(end.outside.max()) == 0.0


def test_best_responses_and_local_cce_gaps_on_the_torus() -> None:
    game = torus()
    x = game.profile([1.0], [3.0])
    reply = best_response(game, 0, x)
    candidates = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64).unsqueeze(-1)
    best = game.utilities([candidates, x[1].expand(20_001, 1)])[:, 0].max()
    assert reply.value == pytest.approx(float(best), abs=1e-7)
    assert local_cce_gap(game, x).value == pytest.approx(float(game.field(x).flat().abs().max()))


def test_the_environment_takes_angles_and_observes_them_wrapped() -> None:
    env = continuous_game_v0.parallel_env("torus")
    env.reset(seed=0)
    action = torch.tensor([math.pi]).numpy()
    assert env.action_space("player_0").contains(action)
    observations, rewards, *_ = env.step({"player_0": action, "player_1": action - action})
    assert rewards["player_0"] == pytest.approx(math.cos(math.pi) - math.cos(math.pi))
    assert env.observation_space("player_0").contains(observations["player_0"])
