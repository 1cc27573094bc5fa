"""The contract of a learning dynamic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strategic_envs.agents.dynamics.base import Dynamic, State, state_from_dict, state_to_dict
from strategic_envs.agents.dynamics.oracle import GameOracle, Oracle
from strategic_envs.agents.dynamics.run import run
from strategic_envs.errors import InvalidSettingError, OracleError
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium, Known
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import Ball, Box, Simplex

__all__ = ["check_dynamic"]

_ODD = [Ball([0.0], 1.0) for _ in range(5)]


def check_dynamic(dynamic: Dynamic[Any], *, seed: int = 0, steps: int = 20) -> None:
    """Checks that a dynamic keeps its promises, on the first of three smooth games that suits it.

    The games: three players over a box, a ball and a simplex; two zero-sum players over boxes; two over simplices.

    1. `name`, `summary` and `needs` are declared, and `init` gives a state of the declared `state_type`.
    2. Every point stays in the sets and keeps its shape and dtype.
    3. Rows of a batch do not influence each other, and a start may have no batch dimension at all.
    4. The same start gives the same bytes.
    5. A state survives `state_to_dict` and `state_from_dict`: the continuation is bit-identical.
    6. A first-order Nash point inside the sets stays where it is.
    7. `step` changes neither the state nor the start that it was given.
    8. The oracle is called, and the calls are counted; `run` refuses an oracle that lacks a need, and sets that do not
       suit.
    A method of one start (`batched = False`) is checked on one start, and may choose where it begins. Not yet checked:
    other devices and float32; convergence of any kind, which belongs in each dynamic's own tests.

    Args:
        dynamic: The dynamic, with step sizes around 0.05.
        seed: The seed of the starts.
        steps: How many steps to take.

    Raises:
        AssertionError: Naming the dynamic and the invariant.

    Example:
        >>> from strategic_envs.agents.dynamics.extragradient import Extragradient
        >>> check_dynamic(Extragradient(0.05))
    """
    who = getattr(dynamic, "name", type(dynamic).__name__)
    for attribute in ("name", "summary", "needs", "state_type"):
        assert getattr(dynamic, attribute, None), f"{who}: the class attribute {attribute!r} is missing"
    game = _game_for(dynamic)
    rows = 4 if dynamic.batched else 1
    starts = game.sample((rows,) if dynamic.batched else (), generator=torch_stream(seed, "check_dynamic"))
    untouched = starts.clone()

    oracle = GameOracle(game)
    states = _states(dynamic, starts, oracle, steps)
    assert isinstance(states[0], dynamic.state_type), f"{who}: init gave a {type(states[0]).__name__}"
    assert sum(oracle.calls.values()) >= steps, f"{who}: {steps} steps made only {dict(oracle.calls)} calls"
    for state in states:
        x = dynamic.point(state)
        assert [(t.shape, t.dtype) for t in x] == [(t.shape, t.dtype) for t in starts], f"{who}: the shape changes"
        inside = [bool(s.contains(t).all()) for s, t in zip(game.sets, x, strict=True)]
        assert all(inside), f"{who}: a point leaves the sets: {inside}"
    last = dynamic.point(states[-1])

    again = _states(dynamic, starts, GameOracle(game), steps)
    assert _same(dynamic.point(again[-1]), last), f"{who}: two runs from one start differ"
    for row in range(rows if dynamic.batched else 0):
        single = _states(dynamic, starts.map(lambda t, row=row: t[row]), GameOracle(game), steps)[-1]
        error = float((dynamic.point(single).flat() - last.flat()[row]).abs().max())
        assert error <= 1e-9, f"{who}: row {row} moves by {error} when the other rows are left out"
    assert _same(starts, untouched), f"{who}: the start was changed in place"

    half = states[steps // 2]
    copy = state_from_dict(dynamic.state_type, state_to_dict(half))
    a, b, fresh = half, copy, GameOracle(game)
    before = state_to_dict(half)
    for _ in range(3):
        a, b = dynamic.step(a, oracle), dynamic.step(b, fresh)
    assert all(torch.equal(before[k], v) for k, v in state_to_dict(half).items()), f"{who}: step changed its state"
    left, right = state_to_dict(a), state_to_dict(b)
    assert all(torch.equal(left[k], right[k]) for k in left), f"{who}: a restored state continues differently"

    rest = Profile(t[0] for t in game.known().equilibria[0].points)
    state = _states(dynamic, rest, GameOracle(game), steps)[-1]
    moved = float((dynamic.point(state).flat() - rest.flat()).abs().max()) if dynamic.batched else 0.0
    assert moved <= 1e-12, f"{who}: a first-order Nash point moves by {moved}"
    _check_refusal(dynamic, game, starts)


def _states(dynamic: Dynamic[Any], x0: Profile, oracle: Oracle, steps: int) -> list[State]:
    states = [dynamic.init(x0, oracle)]
    for _ in range(steps):
        states.append(dynamic.step(states[-1], oracle))
    return states


def _same(a: Profile, b: Profile) -> bool:
    return all(torch.equal(s, t) for s, t in zip(a, b, strict=True))


def _game_for(dynamic: Dynamic[Any]) -> Game:
    for game in (_three_sets(), _zero_sum(), _simplices()):
        if dynamic.suits(game.sets) is None:
            return game
    reason = dynamic.suits(_three_sets().sets)
    raise AssertionError(f"{dynamic.name}: suits none of the games of this check, such as box, ball, simplex: {reason}")


def _three_sets() -> Game:
    """A game whose field is zero at (0, 0, centre of the simplex), with rotation and curvature."""

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        a, b, c = x[0], x[1], x[2][..., :2] - x[2][..., 1:]
        first = (a * b).sum(-1) - 0.3 * (a**2).sum(-1) + 0.2 * (a**3).sum(-1) * b[..., 0]
        second = -(a * b).sum(-1) + (b * c).sum(-1) - 0.1 * (b**4).sum(-1)
        third = -(b * c).sum(-1) - (x[2] ** 2).sum(-1)
        return torch.stack([first, second, third], dim=-1)

    sets = [Box(-1, 1, dim=2), Ball([0.0, 0.0], 1.0), Simplex(3)]
    return Game(utilities, sets, name="contract", known=_rests_at([0.0, 0.0], [0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]))


def _zero_sum() -> Game:
    """A min-max game whose maximiser is strictly concave."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum(-1) + 0.2 * (x**3).sum(-1) - (y**2).sum(-1) - 0.1 * (y**4).sum(-1)

    sets = [Box(-1, 1, dim=2), Box(-1, 1, dim=2)]
    return Game.minmax(f, sets, name="zero_sum_contract", known=_rests_at([0.0, 0.0], [0.0, 0.0]))


def _simplices() -> Game:
    """Rock, paper, scissors against an opponent who also likes to mix."""

    def utilities(x: tuple[Tensor, ...]) -> Tensor:
        won = (x[0] * (x[1].roll(1, -1) - x[1].roll(-1, -1))).sum(-1)
        return torch.stack([won, -won - 0.5 * (x[1] ** 2).sum(-1)], dim=-1)

    third = [1 / 3, 1 / 3, 1 / 3]
    return Game(utilities, [Simplex(3), Simplex(3)], name="simplex_contract", known=_rests_at(third, third))


def _rests_at(*point: list[float]) -> Known:
    return Known(equilibria=(Equilibrium.pure("first_order_nash", list(point)),))


class _FieldOnly(Oracle):
    """An oracle that gives the field and nothing else."""

    name = "field_only"

    def __init__(self, game: Game) -> None:
        super().__init__(game.sets)
        self._game = game

    def _field(self, x: Profile, player: int | None) -> Profile:
        return self._game.field(x, player)


def _check_refusal(dynamic: Dynamic[Any], game: Game, starts: Profile) -> None:
    reason = dynamic.suits(_ODD)
    if reason is not None:
        odd = Game(lambda x: torch.cat(x, dim=-1), _ODD, name="odd")
        try:
            run(odd, dynamic, odd.profile(*[[0.0]] * 5), 1)
        except (InvalidSettingError, OracleError) as error:
            assert isinstance(error, OracleError) or reason in str(error), f"{dynamic.name}: refused with {error}"
        else:
            raise AssertionError(f"{dynamic.name}: ran on sets that do not suit it: {reason}")
    oracle = _FieldOnly(game)
    lacking = [need for need in dynamic.needs if not oracle.provides(need)]
    try:
        run(oracle, dynamic, starts, 1)
    except OracleError as error:
        assert lacking and all(need in str(error) for need in lacking), f"{dynamic.name}: refused with {error}"
    else:
        assert not lacking, f"{dynamic.name}: ran on an oracle without {lacking}"
