"""Answering a mixture: gradients are those of the expected payoff against it, sampled ones on average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strategic_envs.agents.double_oracle.policy_space.meta.base import MetaSolution
from strategic_envs.agents.rllib.modules import load_parameters
from strategic_envs.agents.rllib.psro.judge import padded
from strategic_envs.agents.rllib.psro.opponents import Opponents
from strategic_envs.agents.rllib.psro.stock_env import MixtureEnv
from strategic_envs.agents.rllib.psro.sums import constant_sum
from strategic_envs.agents.rllib.psro.tasks import Response, response_task
from strategic_envs.agents.rllib.tasks import Draw, Options
from strategic_envs.envs import tic_tac_toe_v0
from strategic_envs.errors import InvalidGameError, InvalidSettingError
from strategic_envs.games.catalogue import game as named
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream

KINDS = ["nim", "two_rooms", "slippery_rooms", "pennies", "three_players", "squared_difference"]
WEIGHTS = (torch.tensor([0.25, 0.0, 0.75]).double(), torch.tensor([0.5, 0.2, 0.3]).double())


def game_of(kind: str, request: pytest.FixtureRequest) -> Any:
    if kind == "squared_difference":
        return named(kind)
    if kind == "three_players":
        return NormalFormGame(torch.randn(3, 2, 3, 2, generator=torch.Generator().manual_seed(3)))
    return request.getfixturevalue(kind)


def facing(game: Any, **settings: Any) -> Response:
    """A task against three policies a player, the second of player 0 never met."""
    small = {} if isinstance(game, NormalFormGame) or not hasattr(game, "observe") else {"hidden": (4,)}
    tremble = settings.pop("tremble", 0.0)
    task = response_task(game, Options(**small, **settings), tremble=tremble)
    populations = [task.first(), task.fresh(1), task.fresh(2)]
    weights = (*WEIGHTS, torch.tensor([0.1, 0.6, 0.3]).double())[: game.n_players]
    meta = MetaSolution(weights, None, True, "given")
    task.face(Opponents.of(1, tuple(zip(*populations, strict=True)), meta))
    return task


def expected(task: Response, x: Profile, player: int) -> float:
    """What the parameters pay a player against the mixture, everybody trembling, policy by policy."""
    strategy = task.strategy(player, x[player])
    if not task.tremble:
        return task.met(player, strategy)
    slip = [_slip(task, i, s) for i, s in _everybody(task)]
    before, task._known = task._known, {(i, k): (p, slip[i][k]) for (i, k), (p, _) in task._known.items()}
    try:
        return task.met(player, _slip(task, player, strategy.unsqueeze(0))[0])
    finally:
        task._known = before


def _everybody(task: Response) -> list[tuple[int, Tensor]]:
    return [(i, task.population(i)) for i in range(task.game.n_players)]


def _slip(task: Response, player: int, strategies: Tensor) -> Tensor:
    if hasattr(task.game, "state_graph"):
        uniform = task.game.uniform_policy()
    else:
        uniform = torch.full_like(strategies[0], 1 / strategies.shape[-1])
    return (1 - task.tremble) * strategies + task.tremble * uniform


@pytest.mark.parametrize(
    ("kind", "tremble"),
    [(kind, t) for kind in KINDS for t in (0.0, 0.3) if kind != "squared_difference" or not t],  # points do not tremble
)
def test_the_field_is_the_gradient_of_the_expected_payoff_against_the_mixture(
    kind: str, tremble: float, request: pytest.FixtureRequest
) -> None:
    task = facing(game_of(kind, request), field="exact", tremble=tremble)
    x = task.fresh(7)
    field = task.exact(task.load(x), range(len(x)), Draw())
    for player, g in enumerate(field):
        direction = torch.randn(len(g), generator=torch.Generator().manual_seed(player)).to(g)
        step = 3e-3  # networks are float32
        there = [expected(task, x.replace(player, x[player] + s * step * direction), player) for s in (1, -1)]
        slope = (there[0] - there[1]) / (2 * step)
        assert float(g @ direction) == pytest.approx(slope, rel=1e-3, abs=2e-4), player


@pytest.mark.parametrize("tremble", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["nim", "slippery_rooms", "three_players"])
def test_sampled_gradients_are_right_on_average(kind: str, tremble: float, request: pytest.FixtureRequest) -> None:
    game = game_of(kind, request)
    task = facing(game, field="sampled", games=256, horizon=20 if kind == "slippery_rooms" else None, tremble=tremble)
    modules = task.load(task.fresh(7))
    exact = task.exact(modules, range(game.n_players), None)
    draws = []
    for k in range(60):
        with torch.no_grad():
            sample = task.sample(modules, torch_stream(0, "draw", k))
        draws.append(task.estimate(modules, range(game.n_players), sample))
    for player, g in enumerate(exact):
        found = torch.stack([d[player].double() for d in draws])
        error = found.std(0) / len(draws) ** 0.5 + 1e-4
        assert float(((found.mean(0) - g.double()) / error).abs().max()) < 4.5


@pytest.mark.parametrize("kind", ["nim", "two_rooms", "pennies"])
def test_played_payoffs_are_the_exact_ones_on_average(kind: str, request: pytest.FixtureRequest) -> None:
    task = facing(game_of(kind, request))
    for numbers in [(0, 0), (2, 1)]:
        paid, steps = task.trial(task.cell(numbers), 4000, torch_stream(0, "cell", *numbers))
        assert steps >= 4000
        error = paid.std(0) / len(paid) ** 0.5 + 1e-9
        assert float(((paid.mean(0) - task.payoffs(task.cell(numbers))) / error).abs().max()) < 4.5


def test_opponents_are_drawn_by_their_joint_probabilities() -> None:
    joint = torch.tensor([[[0.0, 0.5], [0.125, 0.375]]]).double().movedim(0, 2)
    meta = MetaSolution((joint.sum((1, 2)), joint.sum((0, 2)), joint.sum((0, 1))), joint, True, "given")
    one = torch.zeros(1)
    there = Opponents.of(3, ((one, one), (one, one), (one,)), meta)
    choices, weights = there.support(2)
    assert choices.tolist() == [[0, 1], [1, 0], [1, 1]] and weights.tolist() == [0.5, 0.125, 0.375]
    drawn = there.draw(2, 8000, torch_stream(0, "draws"))
    share = [(drawn == c).all(-1).double().mean().item() for c in choices]
    assert share == pytest.approx(weights.tolist(), abs=0.03)
    assert Opponents.of(0, ((one, one), (one,), (one,)), None).others[1].tolist() == [[1.0], [0.0]]


def test_an_environment_keeps_the_opponent_it_drew_for_the_episode() -> None:
    corner, centre = torch.zeros(2, 5478, 9).double()
    corner[:], centre[:] = TicTacToe().uniform_policy(), TicTacToe().uniform_policy()
    corner[0], centre[0] = torch.eye(9).double()[[0, 4]]
    env = MixtureEnv(tic_tac_toe_v0.env(), 1, [torch.stack([corner, centre])], [[0], [1]], [0.25, 0.75])
    first = []
    for seed in range(400):
        observation, _ = env.reset(seed=seed)
        first.append(int(np.flatnonzero(observation["action_mask"] == 0)[0]))
    assert set(first) == {0, 4} and abs(first.count(0) / 400 - 0.25) < 0.08
    again = [int(np.flatnonzero(env.reset(seed=s)[0]["action_mask"] == 0)[0]) for s in range(10)]
    assert again == first[:10]


def test_policies_given_as_actions_are_strategies_too(nim: Any) -> None:
    task = response_task(nim, Options(hidden=(4,)), form="strategies")
    actions = torch.zeros(len(nim.state_graph().states), dtype=torch.int16)
    assert task.strategy(0, actions)[0].tolist() == [1.0, 0.0]
    pennies = response_task(NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]), Options(), form="strategies")
    assert pennies.strategy(0, 1).tolist() == [0.0, 1.0]


def test_greedy_policies_play_the_largest_logit() -> None:
    task = response_task(NormalFormGame.zero_sum([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]), Options(), form="greedy")
    assert task.strategy(1, torch.tensor([0.1, 0.3, 0.2])).tolist() == [0.0, 1.0, 0.0]


def test_fresh_starts_differ_and_come_again(nim: Any) -> None:
    task = response_task(nim, Options(hidden=(4,)))
    one, two = task.fresh(1), task.fresh(2)
    assert not one[0].equal(two[0]) and one[0].equal(task.fresh(1)[0])
    load_parameters(task.modules[0], one[0])


def test_constant_sums_are_seen(two_rooms: Any, nim: Any) -> None:
    assert constant_sum(nim) and not constant_sum(two_rooms)
    assert constant_sum(named("squared_difference"))


def test_padding_keeps_the_mixture() -> None:
    half = torch.tensor([0.5, 0.5]).double()
    joint = torch.tensor([[0.5, 0.0], [0.0, 0.5]]).double()
    wide = padded(MetaSolution((half, half), joint, True, "cce"), (3, 2))
    assert wide.joint is not None and wide.joint.shape == (3, 2) and wide.joint[:2].equal(joint)


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"squared_difference: got tremble=0.5, expected 0"):
        response_task(named("squared_difference"), Options(), tremble=0.5)
    with pytest.raises(InvalidSettingError, match=r"got tremble=1, expected a number in \[0, 1\)"):
        response_task(TicTacToe(), Options(), tremble=1)
    with pytest.raises(InvalidGameError, match="got a game of type int"):
        response_task(3, Options())
    with pytest.raises(InvalidSettingError, match="got policies as 'tables', expected one of parameters"):
        response_task(TicTacToe(), Options(), form="tables")
