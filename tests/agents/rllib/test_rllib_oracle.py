"""Learner, runner and oracle are plain objects: none of these tests starts Ray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray
import torch

from strategic_envs.agents.dynamics import Extragradient, GameOracle, SimultaneousGradient
from strategic_envs.agents.rllib.config import ExtragradientConfig, GameDynamicsConfig, IndependentGDConfig
from strategic_envs.agents.rllib.learner import GameLearner
from strategic_envs.agents.rllib.modules import flat_parameters, load_parameters, perceptron
from strategic_envs.agents.rllib.oracle import RLlibOracle
from strategic_envs.agents.rllib.runner import BatchedEnvRunner
from strategic_envs.agents.rllib.tasks import Draw, Options, task_for
from strategic_envs.errors import InvalidGameError, InvalidSettingError, InvalidStrategyError
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Box


@pytest.fixture(autouse=True)
def no_ray() -> Iterator[None]:
    before = ray.is_initialized()
    yield
    assert ray.is_initialized() == before


def built(config: GameDynamicsConfig) -> tuple[RLlibOracle, GameLearner, BatchedEnvRunner]:
    learner = GameLearner(config=config, module_spec=config.get_multi_rl_module_spec())
    learner.build()
    runner = BatchedEnvRunner(config=config, worker_index=0)
    oracle = RLlibOracle(config.task(), lambda f: [f(learner)], lambda f: [f(runner)])
    return oracle, learner, runner


def configured(game: Any, **settings: Any) -> GameDynamicsConfig:
    return IndependentGDConfig().training(game=game, **settings)


def test_sampled_fields_approach_the_exact_ones(pennies, slippery_rooms, nim) -> None:
    for game, settings in (
        (pennies, {"games_per_sample": 40_000}),
        (slippery_rooms, {"games_per_sample": 4_000, "horizon": 20, "hidden": (4,)}),
        (nim, {"games_per_sample": 20_000, "hidden": (4,)}),
    ):
        oracle, _, _ = built(configured(game, field="sampled", **settings))
        exact, _, _ = built(configured(game, field="exact", **settings))
        x = oracle.task.initial()
        estimates = [oracle.field(x).flat() for _ in range(8)]
        truth = exact.field(x).flat()
        spread = torch.stack(estimates).std(0) / 8**0.5
        assert (torch.stack(estimates).mean(0) - truth).abs().max() < 5 * spread.max() + 1e-6, game.name
        assert truth.norm() > 10 * spread.max(), "the noise is small beside the gradient"


def test_exact_fields_of_networks_are_derivatives(slippery_rooms, nim) -> None:
    for game in (slippery_rooms, nim):
        task = task_for(game, Options(field="exact", hidden=(3,)))
        x = task.initial()

        def value(y: Profile, player: int, task=task, game=game) -> float:
            tables = task.play(task.load(y)).policies
            if game is nim:
                return float(game.values(game.merge(tables))[0, player])
            return float((1 - game.discount) * game.values(tables)[0, player])

        for i, g in enumerate(task.exact(task.load(x), range(2), None)):
            direction = torch.randn(g.shape, generator=torch_stream(0, "direction"))
            h = 1e-2
            ahead, behind = (x.replace(i, x[i] + s * h * direction) for s in (1, -1))
            slope = (value(ahead, i) - value(behind, i)) / (2 * h)
            assert float(g @ direction) == pytest.approx(slope, rel=2e-2, abs=2e-4)


def test_the_exact_field_of_logits_goes_through_the_softmax(pennies) -> None:
    task = task_for(pennies, Options(field="exact", start=[[0.2, -0.5], [0.1, 0.7]]))
    x = task.initial()
    for i, g in enumerate(task.exact(task.load(x), range(2), None)):
        leaves = [t.clone().requires_grad_(j == i) for j, t in enumerate(x)]
        (expected,) = torch.autograd.grad(pennies.utilities([t.softmax(-1) for t in leaves])[i], leaves[i])
        assert (g - expected).abs().max() < 1e-12


def test_zero_sum_gradients_do_not_cancel(pennies) -> None:
    for field in ("exact", "sampled"):
        oracle, _, _ = built(configured(pennies, field=field, start=[[0.4, 0.0], [0.9, 0.0]]))
        field_at_start = oracle.field(oracle.task.initial())
        assert min(float(g.norm()) for g in field_at_start) > 0.05


def test_a_dynamic_on_the_exact_oracle_is_the_dynamic_on_the_game(pennies) -> None:
    oracle, _, _ = built(configured(pennies, strategy="coordinates", start=[[0.9, 0.1], [0.3, 0.7]]))
    truth = GameOracle(pennies)
    for dynamic in (SimultaneousGradient(step_size=0.1), Extragradient(step_size=0.1)):
        a = b = dynamic.init(oracle.task.initial(), truth)
        for _ in range(20):
            a, b = dynamic.step(a, oracle), dynamic.step(b, truth)
        assert a.x.flat().equal(b.x.flat())


def test_runners_play_the_weights_the_field_was_asked_for(pennies) -> None:
    """Weights are not compared by a sequence number: whoever samples has just got them."""
    oracle, learner, runner = built(configured(pennies))
    for shift in (0.0, 1.0, -2.0):
        x = Profile([torch.tensor([shift, 0.0], dtype=torch.float64)] * 2)
        oracle.field(x)
        for module, other, wanted in zip(runner.modules, learner.modules, x, strict=True):
            assert flat_parameters(module).equal(wanted) and flat_parameters(other).equal(wanted)


def test_runners_take_weights_without_a_sequence_number(pennies) -> None:
    _, learner, runner = built(configured(pennies))
    learner.load(Profile([torch.tensor([3.0, 1.0], dtype=torch.float64)] * 2))
    runner.set_state({"rl_module": learner.module.get_state()})
    assert flat_parameters(runner.modules[0]).tolist() == [3.0, 1.0]


def test_extragradient_samples_anew_at_the_point_ahead(pennies, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, _, runner = built(ExtragradientConfig().training(game=pennies))
    draws: list[tuple[Draw, list[float]]] = []
    sample = runner.sample

    def recorded(*, draw: Draw | None = None, **kwargs: Any) -> Any:
        assert draw is not None
        draws.append((draw, flat_parameters(runner.modules[0]).tolist()))
        return sample(draw=draw)

    monkeypatch.setattr(runner, "sample", recorded)
    dynamic = Extragradient(step_size=1.0)
    dynamic.step(dynamic.init(oracle.task.initial(), oracle), oracle)
    assert [d.call for d, _ in draws] == [0, 1]
    assert draws[0][1] != draws[1][1]


def test_logging_gradients_changes_nothing(pennies) -> None:
    """Gradients never pass through the post-processing that this setting would replace."""
    config = configured(pennies)
    quiet, _, _ = built(config)
    config.log_gradients, config.grad_clip, config.lr = True, 1e-6, 0.0
    loud, _, _ = built(config)
    x = quiet.task.initial()
    assert quiet.field(x).flat().equal(loud.field(x).flat())


def test_one_players_field_is_its_part_of_the_field(pennies, slippery_rooms) -> None:
    for game in (pennies, slippery_rooms):
        oracle, _, _ = built(configured(game, field="exact", hidden=(3,)))
        x = oracle.task.initial()
        whole = oracle.field(x)
        assert all(oracle.field(x, i)[0].allclose(whole[i]) for i in range(2))
    assert oracle.calls == {"field": 1, "field_of_one": 2}


def test_the_watched_field_is_not_computed_twice(pennies) -> None:
    oracle, _, _ = built(configured(pennies))
    x = oracle.task.initial()
    oracle.begin(watch=x)
    first = oracle.field(x)
    oracle.field(x + 1.0)
    assert oracle.seen() is first and oracle.call == 2
    oracle.end()
    oracle.begin(watch=x)
    oracle.field(x, 0)
    assert len(oracle.seen()) == 2 and oracle.call == 4
    assert oracle.calls["field"] == 2, "measuring is not counted"


def test_draws_follow_from_seed_iteration_and_call_alone(nim) -> None:
    _, _, runner = built(configured(nim, games_per_sample=50))
    _, _, other = built(configured(nim, games_per_sample=50))
    runner.sample()
    torch.manual_seed(1)
    a, b = runner.sample(draw=Draw(3, 7)), other.sample(draw=Draw(3, 7))
    assert all(s.coefficient.equal(t.coefficient) for s, t in zip(a.scores, b.scores, strict=True))
    c = other.sample(draw=Draw(3, 8))
    assert not all(s.coefficient.shape == t.coefficient.shape and s.coefficient.equal(t.coefficient)
                   for s, t in zip(a.scores, c.scores, strict=True))  # fmt: skip


def test_a_gradient_that_is_not_finite_is_noticed() -> None:
    game = Game.minmax(lambda x, y: (x * y / (x - x)).sum(-1), [Box(-1, 1), Box(-1, 1)], name="hole")
    oracle, _, _ = built(configured(game))
    oracle.begin(watch=oracle.task.initial())
    oracle.field(oracle.task.initial())
    assert not oracle.finite


def test_networks_start_the_same_everywhere_and_differ_between_players_and_seeds(nim) -> None:
    torch.manual_seed(5)
    first = task_for(nim, Options(seed=1)).initial()
    torch.manual_seed(6)
    again = task_for(nim, Options(seed=1)).initial()
    other = task_for(nim, Options(seed=2)).initial()
    assert first.flat().equal(again.flat())
    assert not first.flat().equal(other.flat())
    assert not first[0].equal(first[1])
    _, learner, runner = built(configured(nim).debugging(seed=1))
    for i in range(2):
        assert flat_parameters(learner.modules[i]).equal(first[i])
        assert flat_parameters(runner.modules[i]).equal(first[i])


def test_parameters_are_written_and_read_in_order() -> None:
    net = perceptron(3, (4,), 2, torch_stream(0, "net"))
    flat = torch.arange(float(sum(p.numel() for p in net.parameters())))
    kept = next(net.parameters())
    load_parameters(net, flat)
    assert flat_parameters(net).equal(flat) and next(net.parameters()) is kept
    flat.zero_()
    assert flat_parameters(net).norm() > 0, "the module keeps no view of the vector"
    with pytest.raises(ValueError, match="expected \\(26,\\)"):
        load_parameters(net, torch.zeros(3))


def test_linear_policies_have_no_hidden_layer(nim) -> None:
    assert task_for(nim, Options(hidden=())).initial().dims == (12, 12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"games_per_sample": 0}, "games: got 0"),
        ({"horizon": 1.5}, "horizon: got 1.5"),
        ({"field": "guessed"}, "field: got 'guessed'"),
        ({"strategy": "weights"}, "strategy: got 'weights'"),
        ({"strategy": "coordinates", "field": "sampled"}, "have 'exact'"),
        ({"dynamic": "extragradiant"}, "did you mean 'extragradient'"),
        ({"step_size": -1.0}, "step_size=-1.0"),
        ({"dynamic_options": {"momentum": 0.9}}, "momentum"),
        ({"device": "tpu"}, "device: got 'tpu'"),
    ],
)
def test_bad_settings_are_refused_by_name(pennies, unchecked, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidSettingError, KeyError), match=message):
        configured(pennies, **settings).validate()


def test_bad_starts_are_refused(pennies) -> None:
    for start in ([[0.0, 0.0]], [[0.0], [0.0]], [[float("nan"), 0.0], [0.0, 0.0]]):
        with pytest.raises(InvalidStrategyError, match="expected finite logits"):
            task_for(pennies, Options(start=start)).initial()
    with pytest.raises(InvalidStrategyError, match="outside Simplex"):
        task_for(pennies, Options(strategy="coordinates", start=[[0.9, 0.9], [0.5, 0.5]])).initial()


def test_unknown_environments_and_kinds_are_refused() -> None:
    with pytest.raises(KeyError, match="did you mean 'larger_number_v0'"):
        IndependentGDConfig().environment("larger_numbers_v0").validate()
    with pytest.raises(InvalidGameError, match="expected the id of an environment"):
        IndependentGDConfig().validate()
    with pytest.raises(InvalidGameError, match="got a game of type int"):
        configured(3).validate()
