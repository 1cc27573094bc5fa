from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategic_envs.agents.dynamics import run
from strategic_envs.agents.dynamics.adam import AdamGradient
from strategic_envs.agents.dynamics.extra_adam import ExtraAdam
from strategic_envs.agents.dynamics.moments import AdamForm
from strategic_envs.agents.dynamics.optimistic_adam import OptimisticAdam
from strategic_envs.errors import InvalidSettingError
from strategic_envs.games.catalogue import game as catalogue_game
from strategic_envs.games.kinds.game import Game
from strategic_envs.profile import Profile
from strategic_envs.sets import Ball, Box
from strategic_envs.testing import check_dynamic

FORMS = (AdamGradient, ExtraAdam, OptimisticAdam)
PLANE = Box(-math.inf, math.inf, dim=2)


def saddle(x: Tensor, y: Tensor) -> Tensor:
    return (x * y + 0.1 * x**2 - 0.2 * y**4 + 0.3 * torch.sin(x * y)).sum(-1)


GAME = Game.minmax(saddle, [PLANE, PLANE], name="saddle")
START = GAME.profile([0.9, -0.4], [0.5, 0.2])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_every_form_keeps_the_contract_whatever_it_remembers(form: type[AdamForm], beta1: float) -> None:  # pyright: ignore[reportMissingTypeArgument]
    check_dynamic(form(0.02, beta1=beta1, beta2=0.9))


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9)])
def test_adam_is_torch_s_adam_for_both_players(betas: tuple[float, float]) -> None:
    path = run(GAME, AdamGradient(0.03, *betas, epsilon=1e-7), START, 100).points
    weights = [t.clone().requires_grad_() for t in START]
    optimizers = [torch.optim.Adam([w], lr=0.03, betas=betas, eps=1e-7, maximize=True) for w in weights]
    for t in range(100):
        assert (torch.cat([w.detach() for w in weights]) - path.flat()[t]).abs().max() < 1e-12
        field = GAME.field(Profile(w.detach() for w in weights))
        for w, v, optimizer in zip(weights, field, optimizers, strict=True):
            w.grad = v.clone()
            optimizer.step()


def written_out(extra: bool, steps: int, eta: float, b1: float, b2: float, eps: float) -> list[Tensor]:
    """The published algorithms, line by line, on the flat profile."""

    def field(z: Tensor) -> Tensor:
        return GAME.field(Profile.from_flat(z, GAME.dims)).flat()

    x, m, s, k = START.flat(), torch.zeros(4).double(), torch.zeros(4).double(), 0
    path, before = [x], torch.zeros(4).double()
    for _ in range(steps):
        at, a = x, before
        for _half in range(2 if extra else 1):
            g, k = field(at), k + 1
            m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g**2
            a = (m / (1 - b1**k)) / ((s / (1 - b2**k)).sqrt() + eps)
            at = x + eta * (a if extra else 2 * a - before)
        x, before = at, a
        path.append(x)
    return path


@pytest.mark.parametrize(("form", "extra"), [(ExtraAdam, True), (OptimisticAdam, False)])
def test_extra_and_optimistic_adam_are_the_published_algorithms(form: type[AdamForm], extra: bool) -> None:  # pyright: ignore[reportMissingTypeArgument]
    path = run(GAME, form(0.05, 0.6, 0.95, 1e-6), START, 100).points.flat()
    expected = torch.stack(written_out(extra, 100, 0.05, 0.6, 0.95, 1e-6))
    assert (path - expected).abs().max() < 1e-12


@pytest.mark.parametrize(("form", "calls"), [(AdamGradient, 1), (ExtraAdam, 2), (OptimisticAdam, 1)])
def test_a_step_calls_the_field_as_often_as_it_says(form: type[AdamForm], calls: int) -> None:  # pyright: ignore[reportMissingTypeArgument]
    assert run(GAME, form(0.01), START, 10).calls == {"field": 10 * calls}


def test_on_xy_extra_and_optimistic_adam_come_in_without_momentum_and_adam_does_not() -> None:
    game = catalogue_game("bilinear", box=None)
    start = game.profile([0.6], [0.8])
    far = [float(run(game, form(0.03, beta1=0.0), start, 1000, record=None).final.norm()) for form in FORMS]
    assert far[0] > 0.9 and far[1] < 0.1 and far[2] < 0.1
    with_momentum = [float(run(game, form(0.03), start, 300, record=None).final.norm()) for form in FORMS]
    assert min(with_momentum) > 1.1  # momentum 0.9 pushes even extragradient outwards


def test_a_vertex_of_a_box_is_a_rest_point_and_the_edge_of_a_disc_is_none() -> None:
    def upwards(x: tuple[Tensor, ...]) -> Tensor:
        return (2 * x[0][..., :1] + x[0][..., 1:]).sum(-1, keepdim=True)

    corner, best = Profile([torch.ones(2).double()]), torch.tensor([2.0, 1.0]).double() / math.sqrt(5)
    for form in FORMS:
        box = run(Game(upwards, [Box(-1, 1, dim=2)]), form(0.01), corner, 50).final
        assert box.flat().equal(corner.flat())
        disc = run(Game(upwards, [Ball([0.0, 0.0], 1.0)]), form(0.01), Profile([best]), 50).final
        assert float((disc.flat() - best).norm()) > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_size": 0.0}, "got step_size=0.0, expected a finite number > 0"),
        ({"step_size": 0.1, "beta1": 1.0}, r"got beta1=1.0, expected a number in \[0, 1\)"),
        ({"step_size": 0.1, "beta2": -0.1}, r"got beta2=-0.1, expected a number in \[0, 1\)"),
        ({"step_size": 0.1, "epsilon": 0.0}, "got epsilon=0.0, expected a number > 0"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_settings_that_make_no_sense_are_refused_by_name(
    form: type[AdamForm],  # pyright: ignore[reportMissingTypeArgument]
    settings: dict[str, float],
    message: str,
) -> None:
    with pytest.raises(InvalidSettingError, match=f"{form.name}: {message}"):
        form(**settings)
