"""The contract of a game."""

from __future__ import annotations

import torch
from torch import Tensor

from strategic_envs.errors import InvalidGameError, InvalidStrategyError
from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.evaluators.local import local_nash_gap
from strategic_envs.games.kinds.congestion import CongestionGame
from strategic_envs.games.kinds.game import Game
from strategic_envs.games.kinds.known import Equilibrium
from strategic_envs.games.kinds.markov import MarkovGame
from strategic_envs.games.kinds.turn_based import TurnBasedGame
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.play import Independent
from strategic_envs.profile import Profile
from strategic_envs.seeding import torch_stream
from strategic_envs.sets import StrategySet
from strategic_envs.testing.congestion import check_congestion

__all__ = ["check_game"]

_STEP = 1e-6  # of the central differences


def check_game(game: object, *, seed: int = 0, samples: int = 5, tolerance: float = 1e-5) -> None:
    """Checks that a game of any kind keeps its promises.

    Every game:
        1. It has a name and at least one player.
    Games with continuous strategies (`VIGame`, `Game`, `NormalFormGame`):
        2. Samples and centres lie in their sets; projections land in them, are idempotent, and do not move points
           inside; a support point lies in its set and reaches the support value.
        3. Utilities have shape `(*batch, n)` and are finite; row b depends on row b of the profile alone.
        4. The field has the shape of the profile, and asking for one player gives that player's part.
        5. The field is the gradient of each player's own utility, by central differences, where the utility is smooth.
           Of a nonatomic congestion game it is what members gain instead: see `testing.congestion.check_congestion`.
        6. The same profile gives the same bytes.
        7. A point outside its set, of a wrong shape or NaN is refused by `validate`.
        8. Every equilibrium that `known()` lists satisfies its conditions: a small NashConv for `nash`, a small
           projected gap for pure interior first-order kinds; the known value is the first player's utility there.
    Markov games:
        9. Probabilities are distributions over states that exist; payoffs are finite; observations are float32.
        10. Under the uniform policies nobody gains less than nothing by a best response.
    Turn-based games:
        11. Only legal actions are available, terminal states have none, and returns are zero before the end.
        12. Perfect play is a fixed point: nobody gains by a best response against it.
    Not yet checked: utilities on other devices and in float32; second derivatives; that a listing which calls itself
    complete is complete.

    Args:
        game: The game.
        seed: The seed of the sampled profiles.
        samples: How many profiles are sampled.
        tolerance: The largest error allowed of the field and of known equilibria, relative to the size of utilities.

    Raises:
        AssertionError: Naming the game, the invariant and the numbers.

    Example:
        >>> from strategic_envs.sets import Box
        >>> check_game(Game.minmax(lambda x, y: (x * y).sum(-1), [Box(-1, 1), Box(-1, 1)], name="bilinear"))
    """
    name = getattr(game, "name", "")
    assert isinstance(name, str) and name, f"a game needs a name, got {name!r}"
    if isinstance(game, VIGame):
        _check_continuous(game, seed, samples, tolerance)
    elif isinstance(game, MarkovGame):
        _check_markov(game)
    elif isinstance(game, TurnBasedGame):
        _check_turn_based(game)
    else:
        raise AssertionError(f"{name}: got a {type(game).__name__}, expected one of the kinds of game")


def _check_continuous(game: VIGame, seed: int, samples: int, tolerance: float) -> None:
    stream = torch_stream(seed, "check_game")
    for i, strategies in enumerate(game.sets):
        _check_set(f"{game.name}, player_{i}", strategies, stream)
    if game.joint is not None:
        _check_set(f"{game.name}, all players together", game.joint_set, stream)
    x = game.sample((samples,), generator=stream)
    assert all(bool(s.contains(t).all()) for s, t in zip(game.sets, x, strict=True)), (
        f"{game.name}: a sample of all players lies outside a player's own set"
    )
    v = game.field(x)
    assert [t.shape for t in v] == [t.shape for t in x], f"{game.name}: the field has shapes {[t.shape for t in v]}"
    for i in range(game.n_players):
        alone = game.field(x, player=i)
        assert len(alone) == 1 and torch.allclose(alone[0], v[i]), (
            f"{game.name}: field(x, player={i}) differs from part {i} of field(x)"
        )
    assert all(torch.equal(a, b) for a, b in zip(game.field(x), v, strict=True)), f"{game.name}: the field is random"
    for row in range(samples):
        single = game.field(x.map(lambda t, row=row: t[row])).flat()
        worst = float((single - v.map(lambda t, row=row: t[row]).flat()).abs().max())
        assert worst <= 1e-9 * (1 + float(single.abs().max())), (
            f"{game.name}: the field of row {row} changes by {worst} when the other rows are left out"
        )
    _check_refusals(game)
    if isinstance(game, Game):
        _check_utilities(game, x)
        if isinstance(game, CongestionGame):
            check_congestion(game, x, tolerance)
        else:
            _check_gradient(game, x, tolerance)
        for equilibrium in game.known().equilibria:
            _check_equilibrium(game, equilibrium, tolerance)


def _check_set(who: str, strategies: StrategySet, stream: torch.Generator) -> None:
    x = strategies.sample((16,), generator=stream)
    assert x.shape == (16, strategies.dim), f"{who}: samples have shape {tuple(x.shape)}"
    assert bool(strategies.contains(x).all()), f"{who}: a sample lies outside {strategies}"
    assert bool(strategies.contains(strategies.centre())), f"{who}: the centre lies outside {strategies}"
    assert torch.allclose(strategies.project(x), x), f"{who}: the projection moves a point of {strategies}"
    far = strategies.project(x + 3 * torch.randn(x.shape, generator=stream, dtype=x.dtype))
    assert bool(strategies.contains(far).all()), f"{who}: a projection lands outside {strategies}"
    assert torch.allclose(strategies.project(far), far), f"{who}: projecting on {strategies} twice moves a point"
    if strategies.bounded and not strategies.periodic:
        g = torch.randn(x.shape, generator=stream, dtype=x.dtype)
        value, best = strategies.support(g)
        assert bool(strategies.contains(best).all()), f"{who}: a support point lies outside {strategies}"
        assert torch.allclose((g * best).sum(-1), value), f"{who}: the support point does not reach the support value"
        assert bool(((g * x).sum(-1) <= value + 1e-9).all()), f"{who}: a sample exceeds the support value"


def _check_utilities(game: Game, x: Profile) -> None:
    u = game.utilities(x)
    assert u.shape == (len(x[0]), game.n_players), f"{game.name}: utilities have shape {tuple(u.shape)}"
    assert bool(u.isfinite().all()), f"{game.name}: a utility is not finite"
    for row in range(len(u)):
        alone = game.utilities(tuple(t[row] for t in x))
        assert torch.allclose(alone, u[row], atol=1e-9), (
            f"{game.name}: the utilities of row {row} change when the other rows are left out"
        )


def _check_gradient(game: Game, x: Profile, tolerance: float) -> None:
    u, field = game.utilities(x), game.field(x)
    for i, strategies in enumerate(game.sets):
        axes = torch.eye(strategies.dim, dtype=x[i].dtype)[:8]
        for axis in axes:
            ahead = [game.utilities(x.replace(i, x[i] + k * _STEP * axis))[:, i] for k in (-2, -1, 1, 2)]
            wide, narrow = (ahead[3] - ahead[0]) / (4 * _STEP), (ahead[2] - ahead[1]) / (2 * _STEP)
            scale = 1 + narrow.abs() + u[:, i].abs()
            smooth = (wide - narrow).abs() <= tolerance * scale
            error = torch.where(smooth, (narrow - field[i] @ axis).abs() / scale, 0.0)
            assert float(error.max()) <= tolerance, (
                f"{game.name}, player_{i}: the field differs from central differences by {float(error.max())}"
            )


def _check_refusals(game: VIGame) -> None:
    good = [s.centre() for s in game.sets]
    if game.joint is not None:
        good = list(Profile.from_flat(game.joint_set.centre(), game.dims))
    bad: list[tuple[str, list[Tensor]]] = [
        ("NaN", [good[0] * float("nan"), *good[1:]]),
        ("a wrong dimension", [torch.cat([good[0], good[0]]), *good[1:]]),
    ]
    if game.sets[0].bounded and not game.sets[0].periodic:
        bad.append(("a point far outside", [good[0] + 10 + 10 * game.sets[0].diameter, *good[1:]]))
    for what, profile in bad:
        try:
            game.validate(profile)
        except (InvalidStrategyError, InvalidGameError):
            continue
        raise AssertionError(f"{game.name}: validate accepted {what} as player_0's strategy")


def _check_equilibrium(game: Game, equilibrium: Equilibrium, tolerance: float) -> None:
    play = Independent(equilibrium.points, equilibrium.weights)
    slack = tolerance + 1e3 * equilibrium.tolerance
    what = f"{game.name}: the known {equilibrium.kind} at {[p.tolist() for p in equilibrium.points]}"
    if equilibrium.kind == "nash":
        gap = nash_conv(game, play).value
        assert gap <= slack, f"{what} has NashConv {gap}, expected at most {slack}"
    elif equilibrium.is_pure:
        gap = local_nash_gap(game, play.mean()).value
        assert gap <= slack, f"{what} has a projected gap of {gap}, expected at most {slack}"


def _check_markov(game: MarkovGame) -> None:
    tables = game.tables()
    total = tables.probability.sum(-1)
    assert torch.allclose(total, torch.ones_like(total)), f"{game.name}: outcome probabilities do not sum to one"
    inside = (tables.next_state >= 0) & (tables.next_state < game.n_states)
    assert bool(inside.all()), f"{game.name}: an outcome leads to a state outside 0..{game.n_states - 1}"
    assert bool(tables.payoff.isfinite().all()), f"{game.name}: a payoff is not finite"
    assert abs(float(tables.initial.sum()) - 1) < 1e-9, f"{game.name}: initial probabilities do not sum to one"
    for i in range(game.n_players):
        seen = game.observe(torch.arange(game.n_states), i)
        assert seen.dtype == torch.float32 and len(seen) == game.n_states, f"{game.name}: observations of player_{i}"
    uniform = game.uniform_policy()
    values = game.values(uniform)
    for i in range(game.n_players):
        _, best = game.best_response(uniform, i)
        worst = float((best - values[:, i]).min())
        assert worst >= -1e-9 * (1 + float(best.abs().max())), (
            f"{game.name}, player_{i}: a best response loses {-worst} against the uniform policy somewhere"
        )


def _check_turn_based(game: TurnBasedGame) -> None:
    graph = game.state_graph()
    live = ~graph.terminal
    assert bool((graph.legal.any(-1) == live).all()), f"{game.name}: legal actions at an end, or none before it"
    assert not bool(graph.returns[live].any()), f"{game.name}: returns before the end of a play"
    for i in range(game.n_players):
        seen = game.observe(graph.states, i)
        assert seen.dtype == torch.float32 and len(seen) == len(graph.states), (
            f"{game.name}: observations of player_{i}"
        )
    policy, optimal = game.uniform_policy(), game.optimal_values()
    if game.n_players == 2:
        for i in range(2):
            policy, _ = game.best_response(policy, i)
    ahead = optimal[graph.child].gather(-1, graph.mover.view(-1, 1, 1).expand(-1, game.n_actions, 1)).squeeze(-1)
    perfect = torch.nn.functional.one_hot(ahead.masked_fill(~graph.legal, -torch.inf).argmax(-1), game.n_actions)
    for i in range(game.n_players):
        _, best = game.best_response(perfect.double(), i)
        gain = float((best - optimal[:, i]).abs().max())
        assert gain <= 1e-12, f"{game.name}, player_{i}: gains {gain} against perfect play"
