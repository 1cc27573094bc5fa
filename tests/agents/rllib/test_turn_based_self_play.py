"""Regularised self-play of turn-based games: the objective, its exact and sampled gradients, and what they learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from strategic_envs.agents.dynamics import Extragradient, SimultaneousGradient
from strategic_envs.agents.rllib import rollout_turn_based as rollout_file
from strategic_envs.agents.rllib.config import ExtragradientConfig, IndependentGDConfig
from strategic_envs.agents.rllib.exact_turn_based import regularised_fields
from strategic_envs.agents.rllib.judge import judge
from strategic_envs.agents.rllib.learner import GameLearner
from strategic_envs.agents.rllib.modules import flat_parameters, load_parameters, observation_keys
from strategic_envs.agents.rllib.oracle import RLlibOracle
from strategic_envs.agents.rllib.regularisation import Regularisation
from strategic_envs.agents.rllib.runner import BatchedEnvRunner
from strategic_envs.agents.rllib.sampling import Scores
from strategic_envs.agents.rllib.seats import seats
from strategic_envs.agents.rllib.tasks import Draw, Options, task_for
from strategic_envs.errors import InvalidSettingError
from strategic_envs.evaluators.accumulator import FieldAccumulator
from strategic_envs.evaluators.gaps import exploitability
from strategic_envs.evaluators.outcomes import outcome_probabilities
from strategic_envs.evaluators.tabular import tabular_fields
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.tic_tac_toe import TicTacToe
from strategic_envs.play import TabularPlay
from strategic_envs.seeding import torch_stream

SHAPES = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.6), (0.3, 1.0)]


@pytest.fixture(scope="module")
def tic_tac_toe() -> TicTacToe:
    return TicTacToe()


def random_tables(game: TurnBasedGame, seed: int) -> list[Tensor]:
    legal = game.state_graph().legal
    stream = torch_stream(seed, "tables")
    drawn = [torch.rand(legal.shape, generator=stream, dtype=torch.float64) * legal for _ in range(game.n_players)]
    return [t / t.sum(-1, keepdim=True).clamp(min=1e-300) for t in drawn]


def objective(game: TurnBasedGame, tables: Sequence[Tensor], player: int, temperature: float, share: float) -> Tensor:
    """J_i by its definition, state by state on the whole tree, differentiable in the tables."""
    graph = game.state_graph()
    values: dict[int, Tensor] = {}
    for row in reversed(range(len(graph.states))):
        if graph.terminal[row]:
            values[row] = graph.returns[row, player]
            continue
        mover = int(graph.mover[row])
        probability = tables[mover][row][graph.legal[row]]
        value = probability @ torch.stack([values[int(c)] for c in graph.child[row][graph.legal[row]]])
        if mover == player:
            value = value - temperature * (probability * probability.log()).sum()
        values[row] = value
    anywhere = torch.stack([values[row] for row in range(len(graph.states)) if not graph.terminal[row]]).mean()
    return (1 - share) * values[0] + share * anywhere


@pytest.mark.parametrize(("temperature", "share"), SHAPES)
def test_exact_fields_are_the_gradient_of_the_objective_on_the_whole_tree(
    nim, temperature: float, share: float
) -> None:
    graph, tables = nim.state_graph(), random_tables(nim, 3)
    fields = regularised_fields(nim, tables, temperature=temperature, exploring_starts=share)
    for i in range(2):
        leaves = [t.clone().requires_grad_(j == i) for j, t in enumerate(tables)]
        (expected,) = torch.autograd.grad(objective(nim, leaves, i, temperature, share), leaves[i])
        mine = ((graph.mover == i) & ~graph.terminal).unsqueeze(-1) & graph.legal
        assert (fields[i] - expected * mine).abs().max() < 1e-12 and fields[i][~mine].abs().max() == 0


@pytest.mark.slow
def test_exact_fields_of_tic_tac_toe_are_the_gradient_of_the_objective_on_the_whole_tree(tic_tac_toe) -> None:
    tables = random_tables(tic_tac_toe, 3)
    fields = regularised_fields(tic_tac_toe, tables, temperature=0.2, exploring_starts=0.7)
    leaf = tables[1].clone().requires_grad_()
    (expected,) = torch.autograd.grad(objective(tic_tac_toe, [tables[0], leaf], 1, 0.2, 0.7), leaf)
    assert (fields[1] - expected).abs().max() < 1e-12


def test_without_regularisation_they_are_the_fields_of_the_game(tic_tac_toe) -> None:
    tables = random_tables(tic_tac_toe, 4)
    fields = regularised_fields(tic_tac_toe, tables)
    for ours, expected in zip(fields, tabular_fields(tic_tac_toe, TabularPlay(tuple(tables))), strict=True):
        legal = tic_tac_toe.state_graph().legal
        assert (ours - expected * legal).abs().max() < 1e-12


# Scores are summed up state by state; by definition they are one a move.


def weights_by_definition(
    moves: Any, graph: Any, returns: Tensor, entropy: Tensor
) -> list[tuple[int, int, int, float]]:
    """(player, row, action, weight) of every move, by loops over games."""
    path: dict[int, list[tuple[int, int, int]]] = {}  # of each game: move number, row, action
    for number, (games, rows, actions) in enumerate(moves):
        for game, row, action in zip(games.tolist(), rows.tolist(), actions.tolist(), strict=True):
            path.setdefault(game, []).append((number, row, action))

    def gain(game: int, number: int, player: int) -> float:
        later = sum(float(entropy[row]) for n, row, _ in path[game] if n > number and int(graph.mover[row]) == player)
        return float(returns[game, player]) + later

    found = []
    for game, own in path.items():
        for number, row, action in own:
            player = int(graph.mover[row])
            of_move = [
                gain(g, n, player)
                for g, p in path.items()
                for n, r, _ in p
                if g != game and n == number and int(graph.mover[r]) == player
            ]
            of_state = [gain(g, n, player) for g, p in path.items() for n, r, _ in p if g != game and r == row]
            mean = sum(of_move) / max(1, len(of_move))
            baseline = (sum(of_state) + mean) / (len(of_state) + 1)
            found.append((player, row, action, gain(game, number, player) - baseline))
    return found


@pytest.mark.parametrize(("temperature", "share"), SHAPES)
def test_scores_per_state_are_the_scores_per_move(
    tic_tac_toe, monkeypatch: pytest.MonkeyPatch, temperature: float, share: float
) -> None:
    games, seen = 24, {}
    play = rollout_file._play

    def spy(graph: Any, *arguments: Any) -> Any:
        seen["moves"], seen["last"] = play(graph, *arguments)
        return seen["moves"], seen["last"]

    monkeypatch.setattr(rollout_file, "_play", spy)
    task = task_for(tic_tac_toe, Options(hidden=(6,), games=games, entropy=temperature, exploring_starts=share))
    sample = task.sample(task.modules, torch_stream(0, "play"), Draw())
    estimates = task.estimate(task.modules, [0, 1], sample)

    graph, play_now = tic_tac_toe.state_graph(), task.play(task.modules)
    assert isinstance(play_now, TabularPlay)
    entropy = temperature * torch.special.entr(tic_tac_toe.merge(play_now.policies)).sum(-1)
    moves = weights_by_definition(seen["moves"], graph, graph.returns[seen["last"]], entropy)
    assert sample.steps == len(moves) and all(len(s.obs) < games * 5 for s in sample.scores)
    for i, module in enumerate(task.modules):
        own = [(row, action, weight) for player, row, action, weight in moves if player == i]
        rows, actions = torch.tensor([r for r, _, _ in own]), torch.tensor([a for _, a, _ in own])
        states = graph.states[rows]
        logits = task.scores(module, Scores(tic_tac_toe.observe(states, i), graph.legal[rows], rows)).double()
        log_probability = logits.log_softmax(-1)
        chosen = log_probability.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        bonus = -temperature * (log_probability.exp() * log_probability.masked_fill(~graph.legal[rows], 0.0)).sum()
        total = (torch.tensor([w for _, _, w in own]).double() @ chosen + bonus) / games
        expected = torch.autograd.grad(total, list(module.parameters()))
        assert (estimates[i] - torch.cat([g.reshape(-1) for g in expected])).abs().max() < 1e-6


def test_a_sample_has_at_most_one_row_a_state(tic_tac_toe) -> None:
    task = task_for(tic_tac_toe, Options(hidden=(), games=4096, exploring_starts=0.5))
    sample = task.sample(task.modules, torch_stream(0, "play"))
    assert [len(s.obs) for s in sample.scores] <= [2423, 2097] and sum(len(s.obs) for s in sample.scores) > 3000
    assert 4096 < sample.steps < 9 * 4096


def built(config: Any) -> RLlibOracle:
    learner = GameLearner(config=config, module_spec=config.get_multi_rl_module_spec())
    learner.build()
    runner = BatchedEnvRunner(config=config, worker_index=0)
    return RLlibOracle(config.task(), lambda f: [f(learner)], lambda f: [f(runner)])


@pytest.mark.parametrize("settings", [{"hidden": (4,)}, {"strategy": "logits"}])
def test_sampled_regularised_fields_approach_the_exact_ones(nim, settings: dict[str, Any]) -> None:
    shape = {"entropy": 0.3, "exploring_starts": 0.5, **settings}
    config = IndependentGDConfig().training(game=nim, games_per_sample=20_000, **shape)
    oracle = built(config)
    exact = built(IndependentGDConfig().training(game=nim, field="exact", **shape))
    x = oracle.task.initial()
    x = x + 0.3 * x.map(lambda t: torch.randn(t.shape, generator=torch_stream(1, "away")))
    estimates = torch.stack([oracle.field(x).flat() for _ in range(8)])
    truth, spread = exact.field(x).flat(), estimates.std(0) / 8**0.5
    assert (estimates.mean(0) - truth).abs().max() < 5 * spread.max() + 1e-6
    assert truth.norm() > 10 * spread.max(), "the noise is small beside the gradient"


def test_the_temperature_is_of_the_step_and_measurements_know_none(nim) -> None:
    task = task_for(nim, Options(field="exact", hidden=(3,), entropy=(1.0, 0.25, 2), exploring_starts=0.5))
    plain = task_for(nim, Options(field="exact", hidden=(3,)))
    constant = [
        task_for(nim, Options(field="exact", hidden=(3,), entropy=t, exploring_starts=0.5)) for t in (1.0, 0.5, 0.25)
    ]

    def flat(of: Any, draw: Draw | None) -> Tensor:
        return torch.cat(of.exact(task.modules, [0, 1], draw))

    for step, other in ((0, constant[0]), (1, constant[1]), (2, constant[2]), (9, constant[2])):
        assert flat(task, Draw(step)).allclose(flat(other, Draw(step)), atol=1e-7)
    assert flat(task, None).equal(flat(plain, None)) and not flat(task, Draw(0)).allclose(flat(plain, Draw(0)))
    x = task.initial()
    accumulator = FieldAccumulator()
    accumulator.update(x, x.map(torch.ones_like))
    gaps = judge(task, x, accumulator, [])
    assert gaps["local_cce_gap"] == gaps["local_nash_gap"] == judge(plain, x, FieldAccumulator(), [])["local_nash_gap"]


# Tables of logits.


def test_a_table_has_logits_of_its_own_for_every_state_and_uniform_play_elsewhere(tic_tac_toe) -> None:
    task = task_for(tic_tac_toe, Options(strategy="logits"))
    assert task.parameterisation == "logits" and [len(t) for t in task.initial()] == [2423 * 9, 2097 * 9]
    module, seat = task.modules[0], seats(tic_tac_toe, torch.device("cpu"))[0]
    start = flat_parameters(module)
    load_parameters(module, torch.randn(start.shape, generator=torch_stream(0, "logits")))
    logits = module.forward_inference({Columns.OBS: {"observation": seat.obs, "action_mask": seat.mask}})
    values = logits[Columns.ACTION_DIST_INPUTS][seat.mask]
    assert len(values.unique()) == len(values)
    strange = {"observation": torch.full((1, 27), 0.5), "action_mask": torch.ones(1, 9, dtype=torch.int8)}
    assert module.forward_inference({Columns.OBS: strange})[Columns.ACTION_DIST_INPUTS].abs().max() == 0
    load_parameters(module, start)
    assert exploitability(tic_tac_toe, task.play(task.modules)).value == pytest.approx(116101 / 120960, abs=1e-12)


def test_keys_tell_observations_apart(tic_tac_toe) -> None:
    obs = tic_tac_toe.observe(tic_tac_toe.state_graph().states, 0)
    keys = observation_keys(obs)
    assert len(keys.unique()) == 5478 and keys.view(2, -1).equal(observation_keys(obs.view(2, -1, 27)))


# What is learnt.


@pytest.mark.parametrize("field", ["exact", pytest.param("sampled", marks=pytest.mark.slow)])
@pytest.mark.parametrize("dynamic", [SimultaneousGradient(3000.0), Extragradient(3000.0)])
def test_self_play_from_all_states_comes_near_perfect_play(
    tic_tac_toe, dynamic: Any, field: Literal["exact", "sampled"]
) -> None:
    config = IndependentGDConfig().training(
        game=tic_tac_toe, field=field, strategy="logits", exploring_starts=1.0, games_per_sample=16_384, entropy=0.05
    )
    oracle = built(config)
    state = dynamic.init(oracle.task.initial(), oracle)
    for _ in range(60):
        oracle.begin(watch=dynamic.point(state))
        state = dynamic.step(state, oracle)
        oracle.end()
    play: Any = oracle.task.play(oracle.task.load(state.x))
    assert exploitability(tic_tac_toe, play).value < 0.3
    x, uniform = play.policies[0], tic_tac_toe.uniform_policy()
    assert float(outcome_probabilities(tic_tac_toe, TabularPlay((x, uniform))).loss[0]) < 0.01


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("strategy", ["logits", None])
def test_a_run_that_anneals_goes_on_bit_by_bit(strategy: Literal["logits"] | None, tmp_path: Path) -> None:
    def configured() -> Any:
        config = ExtragradientConfig().environment("tic_tac_toe_v0").training(strategy=strategy, games_per_sample=32)
        return config.training(step_size=5.0, entropy=(0.5, 0.1, 5), exploring_starts=0.5)

    algorithm = configured().build_algo()
    algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    expected = [algorithm.train()["exploitability"] for _ in range(3)]
    again = configured().build_algo()
    again.restore_from_path(tmp_path / "checkpoint")
    assert [again.train()["exploitability"] for _ in range(3)] == expected
    assert all(a.equal(b) for a, b in zip(algorithm.point(), again.point(), strict=True))


# Bad input.


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"entropy": -0.1}, r"entropy: got -0.1, expected a number >= 0, or \(first, last, steps\)"),
        ({"entropy": float("nan")}, "entropy: got nan"),
        ({"entropy": True}, "entropy: got True"),
        ({"entropy": (0.1, 0.0, 10)}, r"entropy: got \(0.1, 0.0, 10\)"),
        ({"entropy": (0.1, 0.01)}, r"such as \(0.1, 0.02, 200\)"),
        ({"entropy": (0.1, 0.01, 2.5)}, "whole number of steps >= 1"),
        ({"exploring_starts": 1.5}, "exploring_starts: got 1.5, expected the share of games"),
        ({"exploring_starts": float("nan")}, "exploring_starts: got nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(InvalidSettingError, match=said):
        Options(**settings)


def test_games_and_strategies_that_have_no_such_setting_refuse_it(tic_tac_toe, pennies) -> None:
    for options in (Options(entropy=0.1), Options(exploring_starts=0.5)):
        with pytest.raises(InvalidSettingError, match="pennies: .* which only turn-based games have"):
            task_for(pennies, options)
    assert not task_for(pennies, Options(entropy=0.0, exploring_starts=0.0)).regularisation.active
    with pytest.raises(InvalidSettingError, match="a table has no hidden layers"):
        task_for(tic_tac_toe, Options(strategy="logits", hidden=(8,)))
    with pytest.raises(InvalidSettingError, match="expected 'logits', one for each action at each state"):
        task_for(tic_tac_toe, Options(strategy="coordinates"))


def test_the_temperature_falls_by_the_same_factor_each_step() -> None:
    falling = Regularisation(entropy=[0.8, 0.1, 3])
    assert [falling.temperature(k) for k in range(5)] == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.1])
    assert Regularisation(0.3).temperature(7) == 0.3 and falling.temperature(-1) == 0.8


def test_a_players_estimate_has_no_part_of_the_others_module(nim) -> None:
    task = task_for(nim, Options(hidden=(4,), games=64, entropy=0.2))
    sample = task.sample(task.modules, torch_stream(2, "play"), Draw())
    before = task.estimate(task.modules, [0], sample)[0]
    load_parameters(task.modules[1], torch.zeros_like(flat_parameters(task.modules[1])))
    assert task.estimate(task.modules, [0], sample)[0].equal(before)


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", ["logits", None])
def test_games_played_on_a_gpu_are_games(tic_tac_toe, strategy: Literal["logits"] | None) -> None:
    task = task_for(tic_tac_toe, Options(strategy=strategy, games=20_000, entropy=0.2, exploring_starts=0.5))
    modules = [module.to("cuda") for module in task.modules]
    with torch.no_grad():
        sample = task.sample(modules, torch_stream(0, "play", device="cuda"), Draw())
    assert all(s.coefficient.is_cuda for s in sample.scores)
    estimate, exact = task.estimate(modules, [0, 1], sample), task.exact(modules, [0, 1], Draw())
    for ours, expected in zip(estimate, exact, strict=True):
        assert torch.cosine_similarity(ours.double(), expected.double(), dim=0) > 0.8
