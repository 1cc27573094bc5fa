"""What DGNOpt in RLlib is made of, without Ray: losses, charts, shared payoffs, exact scores, refusals."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dgnopt import DGNOpt
from strategic_envs.agents.rllib.charts import into, out_of
from strategic_envs.agents.rllib.dgnopt.config import DGNOptConfig
from strategic_envs.agents.rllib.dgnopt.losses import MeanLoss, ScoreLoss
from strategic_envs.agents.rllib.psro.tasks import response_task
from strategic_envs.agents.rllib.sampling import score_objective
from strategic_envs.agents.rllib.sharing import sharing
from strategic_envs.agents.rllib.tasks import Draw, Options, task_for
from strategic_envs.agents.roster import agent
from strategic_envs.errors import InvalidGameError, InvalidSettingError, UnknownNameError
from strategic_envs.games import catalogue
from strategic_envs.games.kinds.normal_form import NormalFormGame
from strategic_envs.games.layers import layers
from strategic_envs.games.pricing import pricing
from strategic_envs.sets import Ball, Box, Polytope, Product, Simplex, Torus

DILEMMA = NormalFormGame([[[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]], name="dilemma")


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_of_score_losses_is_minus_the_objective_with_its_gradient(masked: bool) -> None:
    z = torch.randn(5, 3, generator=stream(), dtype=torch.float64, requires_grad=True)
    mask = torch.ones(5, 3, dtype=torch.bool)
    mask[2, 0] = not masked
    c = torch.randn(5, 3, generator=stream(1), dtype=torch.float64) * mask
    shown = z.masked_fill(~mask, torch.finfo(torch.float32).min)
    objective = score_objective(shown, c)
    (slope,) = torch.autograd.grad(objective, z)
    end = ScoreLoss()(z.detach(), (c, mask if masked else None), None)
    assert end.loss.mean().item() == pytest.approx(-objective.item(), rel=1e-12)
    assert (end.gradient / 5 + slope).abs().max() < 1e-14 and not end.factors


@pytest.mark.parametrize("kind", ["mc", "full"])
def test_the_factor_of_a_score_loss_is_the_fisher_matrix_times_the_weight_mass(kind: str) -> None:
    z = torch.tensor([[0.3, -0.2, 1.0]], dtype=torch.float64)
    c = torch.tensor([[0.5, -1.0, 0.0]], dtype=torch.float64)
    p = z.softmax(-1)[0]
    rank = 20_000 if kind == "mc" else 1
    factors = torch.stack([f[0] for f in ScoreLoss(kind, rank)(z, (c, None), stream()).factors])
    expected = 1.5 * (p.diag() - torch.outer(p, p))
    assert (factors.T @ factors - expected).abs().max() < (0.01 if kind == "mc" else 1e-14)
    (gradient,) = ScoreLoss("gn1")(z, (c, None), stream()).factors
    assert gradient.equal(ScoreLoss()(z, (c, None), None).gradient)


def test_the_factor_of_a_mean_is_the_identity() -> None:
    z, c = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[1.0, 2.0, 3.0]])
    drawn = torch.stack([f[0] for f in MeanLoss("mc", 20_000)(z, (c, None), stream()).factors])
    assert (drawn.T @ drawn - torch.eye(3)).abs().max() < 0.05
    assert len(MeanLoss("full")(z, (c, None), stream()).factors) == 3
    with pytest.raises(InvalidSettingError, match="at most the 3 outputs"):
        MeanLoss("topr", 4)(z, (c, None), stream())
    with pytest.raises(UnknownNameError, match="value Hessian"):
        MeanLoss("mcc")


SETS = [
    Box(-1, 3, dim=2),
    Box(-float("inf"), float("inf"), dim=2),
    Box([0.0, -float("inf")], [float("inf"), 2.0]),
    Simplex(3),
    Ball([1.0, -1.0], 2.0),
    Torus(2),
    Product([Box(0, 1, dim=1), Simplex(2)]),
]


@pytest.mark.parametrize("strategies", SETS, ids=repr)
def test_charts_lead_into_the_set_and_back_and_have_slopes(strategies: Any) -> None:
    z = 3 * torch.randn(50, strategies.dim, generator=stream(), dtype=torch.float64)
    assert strategies.contains(into(strategies, z)).all()
    x = strategies.project(z / 6)
    inside = into(strategies, out_of(strategies, x))
    again = into(strategies, out_of(strategies, inside))
    assert (again - inside).abs().max() < 2e-6
    assert (inside - x).abs().max() < 5e-3  # starts on the boundary are moved a little
    jacobian = torch.func.jacrev(lambda v: into(strategies, v))(out_of(strategies, x[0]))
    assert jacobian.isfinite().all() and jacobian.abs().max() > 1e-4


def test_a_set_that_no_network_reaches_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="expected a Box, Ball, Simplex"):
        into(Polytope.simplex_corner(2), torch.zeros(2))


def flat(task: Any, gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.double() for g in gradients])


@pytest.mark.parametrize("kind", ["pennies", "two_rooms", "nim"])
def test_exact_scores_give_the_exact_gradient(kind: str, request: pytest.FixtureRequest) -> None:
    game = request.getfixturevalue(kind)
    strategy = "network" if kind == "pennies" else None
    task = task_for(game, Options(strategy=strategy, field="exact", hidden=(4,)))
    modules, players = task.modules, range(game.n_players)
    by_scores = task.estimate(modules, players, task.exact_scores(modules, Draw()))
    assert (flat(task, by_scores) - flat(task, task.exact(modules, players, Draw()))).abs().max() < 1e-6


def test_the_gradient_through_a_chart_is_that_of_the_utilities() -> None:
    task = task_for(catalogue.game("f1"), Options(strategy="network", hidden=(3,), start=[[0.2], [-0.4]]))
    modules = task.modules
    assert torch.allclose(task.point(modules).flat(), torch.tensor([0.2, -0.4]).double(), atol=1e-9)  # pyright: ignore[reportOptionalMemberAccess]
    (gradient, _), step = task.exact(modules, (0, 1), Draw()), 1e-6
    parameter = modules[0].network[0].weight  # pyright: ignore[reportAttributeAccessIssue, reportIndexIssue]
    utilities = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter[0, 0] += sign * step
            utilities.append(float(task.game.utilities(task.point(modules))[0]))
            parameter[0, 0] -= sign * step
    assert float(gradient[0]) == pytest.approx((utilities[0] - utilities[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("kind", ["two_rooms", "slippery_rooms", "nim"])
def test_everybody_is_paid_the_sum_in_a_shared_game(kind: str, request: pytest.FixtureRequest) -> None:
    game = request.getfixturevalue(kind)
    own = task_for(game, Options(field="exact", hidden=(4,)))
    both = task_for(game, Options(field="exact", hidden=(4,), objective="welfare"))
    assert own.ascends_own and not both.ascends_own and both.paid.n_players == game.n_players
    field = both.estimate(both.modules, (0, 1), both.exact_scores(both.modules, Draw()))
    shared = task_for(sharing(game), Options(field="exact", hidden=(4,)))
    expected = shared.exact(shared.modules, (0, 1), Draw())
    assert (flat(both, field) - flat(both, expected)).abs().max() < 1e-6
    measured = both.exact(both.modules, (0, 1), None)  # what is reported is of the game itself
    assert flat(both, measured).equal(flat(own, own.exact(own.modules, (0, 1), None)))


def test_sampled_welfare_gradients_are_the_exact_ones_on_average() -> None:
    options = Options(strategy="network", hidden=(), games=400_000, objective="welfare", start=[[0.3, 0.0], [0.0, 0.5]])
    task = task_for(DILEMMA, options)
    sample = task.sample(task.modules, stream(), Draw())
    exact = task.exact_scores(task.modules, Draw())
    for drawn, true in zip(sample.scores, exact.scores, strict=True):
        p = task.point(task.modules)  # a coefficient's slope in the logits is c - p sum c
        assert p is not None and (drawn.coefficient - true.coefficient).sum().abs() < 0.02
    estimates = task.estimate(task.modules, (0, 1), sample)
    expected = task.estimate(task.modules, (0, 1), exact)
    assert (flat(task, estimates) - flat(task, expected)).abs().max() < 0.02


def check(game: Any = DILEMMA, **settings: Any) -> None:
    DGNOptConfig().training(game=game, **settings).check()


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (UnknownNameError, "unknown information structure 'FME': did you mean 'FNE'", {"info": "FME"}),
        (UnknownNameError, "curvature", {"curvature": "kfca"}),
        (UnknownNameError, "value Hessian", {"value_hessian": "mcc"}),
        (UnknownNameError, "value recursion", {"value": "all"}),
        (InvalidSettingError, "objective: got 'group', expected 'own' or 'welfare'", {"objective": "group"}),
        (InvalidSettingError, "got lr=0", {"lr": 0}),
        (InvalidSettingError, "got cap=-1", {"cap": -1}),
        (InvalidSettingError, "steps_per_iteration=0", {"steps_per_iteration": 0}),
        (InvalidSettingError, "strategies that are logits, expected networks", {"strategy": "logits"}),
        (InvalidSettingError, "strategies that are coordinates, expected networks", {"strategy": "coordinates"}),
        (InvalidSettingError, "alignment='exp3\\+\\+'", {"alignment": "exp3++"}),
        (InvalidSettingError, "sum of the utilities is constant", {"game": "pennies", "objective": "welfare"}),
        (InvalidSettingError, "depends on the others", {"game": "shared_segment"}),
        (InvalidSettingError, "expected the layers' weights", {"game": "layers", "strategy": "network"}),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(error: Any, message: str, settings: Any) -> None:
    named = {
        "pennies": lambda: NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]),
        "shared_segment": lambda: catalogue.game("shared_segment"),
        "layers": lambda: layers(hidden=(4,), samples=32),
    }
    if "game" in settings:
        settings = settings | {"game": named[settings["game"]]()}
    with pytest.raises(error, match=message):
        check(**settings)


def test_the_defaults_that_lists_show_are_those_of_the_configuration_and_of_the_optimizer() -> None:
    config, optimizer = DGNOptConfig(), inspect.signature(DGNOpt.__init__).parameters
    for name, value in agent("dgnopt").own().items():
        assert getattr(config, name) == value, name
        if name not in ("objective", "lr", "kl_clip"):  # the presets' step sizes are without a trust region
            assert optimizer[name].default == value, name


def test_layers_of_one_learner_only() -> None:
    with pytest.raises(InvalidSettingError, match="num_learners=2, expected 0 or 1"):
        DGNOptConfig().training(game=DILEMMA).learners(num_learners=2).check()
    with pytest.raises(InvalidGameError, match="no game"):
        DGNOptConfig().check()


def test_populations_hold_no_networks_of_one_shot_games() -> None:
    with pytest.raises(InvalidSettingError, match="strategy='network', expected 'logits' or 'coordinates'"):
        response_task(DILEMMA, Options(strategy="network"))


def test_everything_that_is_trained_passes_the_check() -> None:
    for game in (DILEMMA, catalogue.game("f1"), pricing(), layers(hidden=(4,), samples=32)):
        check(game)
    check(DILEMMA, objective="welfare")
