"""Every dynamic of the project runs through RLlib, with the numbers that it has on the game itself."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from torch import Tensor

from strategic_envs.agents.dynamics import Dynamic, Oracle, Outcome, State, dynamic, dynamics, run
from strategic_envs.agents.dynamics.stochastic import StochasticOracle
from strategic_envs.agents.rllib.algorithm import GameDynamics
from strategic_envs.agents.rllib.config import GameDynamicsConfig
from strategic_envs.agents.rllib.judge import GAPS
from strategic_envs.agents.rllib.tasks import Draw, Options, task_for
from strategic_envs.errors import InvalidGameError, InvalidSettingError, OracleError
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.layers import layers
from strategic_envs.profile import Profile

pytestmark = pytest.mark.usefixtures("ray_session")

GAMES = ("f1", "three_player_trigonometric", "matching_pennies", "shared_segment", "torus")
STEPS = 6


@functools.cache
def game(name: str) -> Any:
    return catalogue.game(name)


def settings(name: str) -> dict[str, Any]:
    required = {f.name for f in dataclasses.fields(dynamics()[name]) if f.default is dataclasses.MISSING}  # pyright: ignore[reportArgumentType]
    return dict.fromkeys(required, 0.05)


def plays(name: str, on: str) -> bool:
    """Whether a dynamic is made for this game at all."""
    try:
        run(game(on), dynamic(name, **settings(name)), start(on), 0)
    except (InvalidGameError, InvalidSettingError, OracleError):
        return False
    return True


def start(on: str) -> Profile:
    return game(on).sample(generator=torch.Generator().manual_seed(3))


def built(name: str, on: str, **more: Any) -> GameDynamics:
    config = GameDynamicsConfig().environment("continuous_game_v0", env_config={"game": on})
    config.training(dynamic=name, dynamic_options=settings(name), strategy="coordinates", **more)
    config.training(start=[t.tolist() for t in start(on)])
    return config.evaluation(evaluation_interval=None).build_algo()


@pytest.mark.parametrize("name", dynamics())
def test_the_numbers_are_those_of_the_dynamic_on_the_game(name: str) -> None:
    suited = [on for on in GAMES if plays(name, on)]
    assert suited, "every dynamic is made for one of these games"
    for on in suited:
        algorithm = built(name, on)
        for _ in range(STEPS):
            algorithm.train()
        path = run(game(on), dynamic(name, **settings(name)), start(on), STEPS)
        assert (algorithm.point().flat() - path.final.flat()).abs().max() <= 1e-12, on
        assert dict(algorithm.oracle.calls) == dict(path.calls), on
        assert algorithm.outcome == ("running" if path.outcome == "max_steps" else path.outcome), on
        history, stepped = algorithm.path(), path.points.map(lambda t, ended=int(path.ended): t[: ended + 1])
        if algorithm.outcome != "nonfinite":
            assert history is not None and (history.flat() - stepped.flat()).abs().max() <= 1e-12, on


@pytest.mark.parametrize("name", dynamics())
def test_every_dynamic_is_restored_bit_by_bit(name: str, tmp_path: Path) -> None:
    on = next(on for on in GAMES if plays(name, on))
    algorithm = built(name, on, steps_per_iteration=3)
    algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    rebuilt: Any = Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))
    rows = [(algorithm.train(), rebuilt.train()) for _ in range(2)]
    assert rows[-1][0]["outcome"] == rows[-1][1]["outcome"]
    assert rows[-1][0]["field_calls"] == rows[-1][1]["field_calls"]
    assert algorithm.point().flat().equal(rebuilt.point().flat())


def test_on_a_joint_set_present_play_is_judged_on_the_slices() -> None:
    algorithm = built("extragradient", "shared_segment", steps_per_iteration=20)
    algorithm.train()
    row = algorithm.evaluate()
    assert row["cce_gap_of"] == "present play" and row["local_cce_gap"] == row["local_nash_gap"]
    assert all(math.isfinite(row[gap]) for gap in GAPS)


def test_several_steps_an_iteration_are_the_same_steps() -> None:
    one, six = built("extragradient", "f1"), built("extragradient", "f1", steps_per_iteration=6)
    for _ in range(6):
        one.train()
    six.train()
    assert one.point().flat().equal(six.point().flat())
    assert one.oracle.calls == six.oracle.calls


@dataclasses.dataclass(frozen=True, eq=False)
class CountedState(State):
    """The profile and how many steps were taken."""

    time: Tensor


@dataclasses.dataclass(frozen=True)
class ComesToAnEnd(Dynamic[CountedState]):
    """Moves for some steps and then says how it ended."""

    name: ClassVar[str] = "comes_to_an_end"
    summary: ClassVar[str] = "ends after some steps"
    state_type: ClassVar[type[State]] = CountedState
    batched: ClassVar[bool] = False
    steps: int = 3
    ends_as: Outcome = Outcome.FAILED

    def init(self, x0: Profile, oracle: Oracle) -> CountedState:
        return CountedState(x0, time=torch.zeros((), dtype=torch.int64))

    def step(self, state: CountedState, oracle: Oracle) -> CountedState:
        return CountedState(oracle.project(state.x + 0.1 * oracle.field(state.x)), time=state.time + 1)

    def status(self, state: CountedState) -> Outcome:
        return self.ends_as if int(state.time) >= self.steps else Outcome.MAX_STEPS

    def explain(self, state: CountedState) -> str:
        return "it ran out of road" if self.ends_as is Outcome.FAILED else ""


@pytest.mark.parametrize(("ends_as", "outcome"), [(Outcome.FAILED, "failed"), (Outcome.CONVERGED, "converged")])
def test_a_method_that_ends_says_so_and_stays_where_it_is(ends_as: Outcome, outcome: str, tmp_path: Path) -> None:
    config = GameDynamicsConfig().environment("continuous_game_v0", env_config={"game": "f1"})
    config.training(dynamic=ComesToAnEnd(3, ends_as)).evaluation(evaluation_interval=None)
    algorithm = config.build_algo()
    rows = [algorithm.train() for _ in range(5)]
    assert [row["outcome"] for row in rows] == ["running", "running", outcome, outcome, outcome]
    assert rows[-1]["explain"] == ("it ran out of road" if outcome == "failed" else "")
    assert rows[1]["explain"] == "" and rows[-1]["field_calls"] == 3
    assert algorithm.path() is not None and len(algorithm.path()[0]) == 4  # pyright: ignore[reportOptionalSubscript]
    algorithm.save_to_path(tmp_path / "checkpoint")
    again = config.build_algo()
    again.restore_from_path(tmp_path / "checkpoint")
    kept = again.point().flat().clone()
    assert again.train()["outcome"] == outcome and again.point().flat().equal(kept)


def test_derivatives_in_logits_are_those_of_the_field(pennies: NormalFormGame) -> None:
    task = task_for(pennies, Options(field="exact", start=[[0.2, -0.5], [0.1, 0.7]]))
    x, h = task.initial(), 1e-6
    v = x.map(lambda t: torch.tensor([1.0, -0.5], dtype=t.dtype))
    ahead, behind = (Profile(task.exact(task.load(x + s * h * v), range(2), None)) for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    found = task.derivative("jvp", task.load(x), None, [v])
    assert isinstance(found, Profile) and (found - slope).flat().abs().max() < 1e-8


def test_layers_give_products_with_the_jacobian_on_the_minibatch_of_the_iteration() -> None:
    task = task_for(layers(), Options(minibatch=16))
    x = task.initial()
    v = x.map(torch.ones_like)
    draws = [task.derivative("jvp", task.load(x), Draw(i), [v]) for i in (0, 1)]
    assert isinstance(draws[0], Profile) and isinstance(draws[1], Profile)
    assert not draws[0].flat().equal(draws[1].flat())
    assert draws[1].flat().allclose(task.game.minibatch(1, 16, 0).jvp(x, v).flat())


@pytest.mark.parametrize(
    ("environment", "env", "name", "more", "message"),
    [
        ("duopoly_pricing_v0", {}, "consensus_optimization", {}, "needs vjp, which sampled gradients in network of"),
        ("larger_number_v0", {}, "symplectic_gradient", {}, "choose field='exact'"),
        ("layers_v0", {}, "curvature_eg_plus", {}, "needs jacobian, which exact gradients in weights"),
        ("continuous_game_v0", {"game": "f1"}, "hedge", {}, "expected a Simplex for every player"),
        ("continuous_game_v0", {"game": "three_player_trigonometric"}, "follow_the_ridge", {}, "got 3 players"),
        ("continuous_game_v0", {"game": "f1"}, "extragradient", {"steps_per_iteration": 0}, "steps_per_iteration=0"),
    ],
)
def test_what_cannot_run_is_refused_by_name_before_anything_is_built(environment, env, name, more, message) -> None:
    config = GameDynamicsConfig().environment(environment, env_config=env)
    with pytest.raises((OracleError, InvalidSettingError), match=message):
        config.training(dynamic=name, dynamic_options=settings(name), **more).validate()


def test_a_step_size_goes_only_to_dynamics_that_have_one() -> None:
    config = GameDynamicsConfig().environment("continuous_game_v0", env_config={"game": "f1"})
    assert config.training(dynamic="curvature_eg_plus").make_dynamic(config.task()) == dynamic("curvature_eg_plus")
    default = dynamic("adaptive_extragradient")
    assert config.training(dynamic="adaptive_extragradient").make_dynamic(config.task()) == default
    with pytest.raises(InvalidSettingError, match="curvature_eg_plus: got settings"):
        config.training(dynamic="curvature_eg_plus", step_size=0.1).validate()


@pytest.mark.slow
def test_a_remote_learner_gives_the_same_derivatives() -> None:
    here, there = built("symplectic_gradient", "f1"), None
    config = GameDynamicsConfig().environment("continuous_game_v0", env_config={"game": "f1"})
    config.training(dynamic="symplectic_gradient", dynamic_options={"step_size": 0.05})
    config.training(start=[t.tolist() for t in start("f1")]).learners(num_learners=1)
    there = config.evaluation(evaluation_interval=None).resources(num_cpus_for_main_process=0).build_algo()
    for _ in range(4):
        here.train()
        there.train()
    assert here.point().flat().equal(there.point().flat())
    there.stop()


@pytest.mark.parametrize("name", ["simultaneous_gradient", "optimistic_adam", "gradient_vs_best_response"])
def test_a_game_whose_data_are_drawn_is_played_on_fresh_data_as_its_own_oracle_plays_it(name: str, tmp_path) -> None:
    config = GameDynamicsConfig().environment("continuous_game_v0", env_config={"game": "wgan_linear", "batch": 8})
    config.training(dynamic=name, dynamic_options=settings(name)).debugging(seed=4).evaluation(evaluation_interval=None)
    algorithm = config.build_algo()
    drawn, x0 = algorithm.task.game, algorithm.task.initial()
    for step in range(STEPS):
        algorithm.train()
        if step == 2:
            algorithm.save_to_path(tmp_path / "checkpoint")
    path = run(StochasticOracle(drawn, seed=4), dynamic(name, **settings(name)), x0, STEPS)
    assert algorithm.point().flat().equal(path.final.flat())
    fixed = run(drawn, dynamic(name, **settings(name)), x0, STEPS)
    assert not algorithm.point().flat().equal(fixed.final.flat())
    rebuilt: Any = Algorithm.from_checkpoint(str(tmp_path / "checkpoint"))
    for _ in range(STEPS - 3):
        rebuilt.train()
    assert rebuilt.point().flat().equal(path.final.flat())


@pytest.mark.gpu
def test_a_learner_on_a_gpu_gives_the_same_numbers() -> None:
    for name in dynamics():
        on = next(on for on in GAMES if plays(name, on))
        here, there = built(name, on, device="cpu"), built(name, on, device="cuda")
        for _ in range(STEPS):
            here.train()
            there.train()
        assert (here.point().flat() - there.point().flat().cpu()).abs().max() <= 1e-9, name
