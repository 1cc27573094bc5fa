"""STON'R solves what gradient play cycles on: paths from every corner, what the corrector is worth, and two pictures.

On f_1 over [-3, 3] extragradient goes round the only first-order equilibrium for ever; the path of STON'R ends in it
from every corner and in both orders of the coordinates. Follow-the-ridge solves f_1 and fails on f_2, extragradient
the other way round; STON'R solves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from strategic_envs.agents.dynamics.base import Dynamic
from strategic_envs.agents.dynamics.extragradient import Extragradient
from strategic_envs.agents.dynamics.follow_the_ridge import FollowTheRidge
from strategic_envs.agents.dynamics.ridge.path import RidgePath, all_corners, follow_ridge
from strategic_envs.agents.dynamics.run import run
from strategic_envs.agents.dynamics.stonr import StayOnTheRidge
from strategic_envs.agents.dynamics.stonr_first_order import FirstOrderRidge
from strategic_envs.games.bilinear import shifted_bilinear
from strategic_envs.games.kinds.vi import VIGame
from strategic_envs.games.nonconcave import f1, f2
from strategic_envs.plots import COLOURS, draw_coverage, draw_trajectories, new_figure, save
from strategic_envs.profile import Profile
from strategic_envs.scripts.reproduce._ridge_cases import (
    CASES,
    LARGER,
    STEP,
    Case,
    Larger,
    distance,
    ends_there,
    follow,
    random_game,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NAME", "SUMMARY", "reproduce"]

NAME = "stonr"
SUMMARY = (
    "STON'R from every corner of nine games and on larger ones, the published Euler method, and who covers f_1 and f_2."
)

_QUICK = 0.02  # of the unit cube, a step
_QUICK_CASES = (1, 2)
_RANDOM_CORNERS = ((0, 0, 0, 0), (0, 1, 1, 0), (1, 1, 1, 1))
_PROTOTYPE = "independent prototype of this project"
_PAPER = "every path ends at an equilibrium (COLT 2023; 2026 for general sums)"
_EULER = {0.02: 0.58, 0.01: 0.46, 0.005: 0.23, 0.001: 0.046}  # the gap without a corrector, f_1 on [-3, 3]
_STARTS = "same step and share of the box; its grid of starts is not published"


def reproduce(out: Path, *, seed: int = 0, quick: bool = False) -> list[dict[str, Any]]:
    """Writes `paths.png` and `coverage.png`, and compares our numbers with those expected.

    In full it takes some three minutes of one core.

    Args:
        out: The folder for the pictures; it is made if it is not there.
        seed: Of the random games; nothing else is drawn.
        quick: Longer moves on fewer games, and a coarse map of starts.

    Returns:
        One row a number: `quantity`, `ours`, `expected`, `source`, `within` (whether ours is as close as it should be).
    """
    save_paths(out, _QUICK if quick else STEP)
    save_coverage(out, side=4, games=1, steps=(300, 600)) if quick else save_coverage(out)
    cases = [CASES[k] for k in _QUICK_CASES] if quick else CASES
    rows = [row for case in cases for row in _case(case, _QUICK if quick else STEP)]
    rows += _larger(LARGER[:1], _QUICK, seed, games=1) if quick else _larger(LARGER, 0.01, seed, games=6)
    for step in (0.02,) if quick else tuple(_EULER):
        rows.append(_euler(step))
    return [*rows, *_first_order(cases, () if quick else LARGER), *([] if quick else _follow_the_ridge())]


def save_paths(out: Path, step_size: float) -> None:
    """Writes `paths.png`: extragradient and STON'R on f_1, and the worked example of the paper."""
    game, example = f1(3.0), shifted_bilinear()
    figure, (left, middle, right) = new_figure(1, 3, height=4.8)
    cycling = run(game, _extragradient(game), game.profile([0.4], [0.9]), steps=400)
    draw_trajectories(
        left, game, {"extragradient": cycling.points}, title="f_1 on [-3, 3]: extragradient cycles", labels=_MINMAX
    )
    paths = {f"STON'R from {_at(game, corner)}": _points(game, corner, step_size) for corner in ((0, 0), (0, 1))}
    colours = dict(zip(paths, (COLOURS[2], COLOURS[1]), strict=True))
    draw_trajectories(middle, game, paths, title="STON'R ends at the origin", labels=_MINMAX, colours=colours)
    worked = {"STON'R from (0, 0)": _points(example, (0, 0), step_size)}
    title = "(t - 1/2)(w - 1/2): over a corner and back"
    draw_trajectories(right, example, worked, title=title, labels=_MINMAX, colours={next(iter(worked)): COLOURS[2]})
    save(figure, out / "paths.png", dpi=96)


def save_coverage(out: Path, side: int = 18, games: int = 2, steps: tuple[int, int] = (4000, 8000)) -> None:
    """Writes `coverage.png`: from which starts three methods solve f_1 and, if there are to be two games, f_2."""
    figure, panels = new_figure(games, 3, width=3.8, height=4.3)
    for k, game in enumerate((f1(3.0), f2(1.0))[:games]):
        starts = _grid(game, side, share=1 - 1 / side)
        box = f"{game.name.replace('f', 'f_')} on [-{3 if k == 0 else 1}, {3 if k == 0 else 1}]"
        methods = [("extragradient", _extragradient(game)), ("follow-the-ridge", FollowTheRidge(0.01))]
        for axes, (name, dynamic), most in zip(panels[3 * k :], methods, steps, strict=False):
            end = _run(game, dynamic, starts, most)
            _cover(axes, game, starts, end.final, end.verdicts(), f"{box}: {name}")
        ends, verdicts = _ridge_ends(game, starts)
        _cover(panels[3 * k + 2], game, starts, ends, verdicts, f"{box}: STON'R, nearest corner")
    save(figure, out / "coverage.png", dpi=110)


_MINMAX = ("minimiser t", "maximiser w")


def _cover(axes: Axes, game: VIGame, starts: Profile, ends: Profile, verdicts: Sequence[str], title: str) -> None:
    draw_coverage(axes, game, starts, ends, verdicts, title=title, labels=_MINMAX)
    axes.title.set_fontsize(10)


def _case(case: Case, step_size: float) -> list[dict[str, Any]]:
    """Where all paths of a game of two numbers end, how exactly, and how long they are."""
    paths = follow(case.game(), all_corners(2), step_size, all_orders=True)
    reached, worst = sum(ends_there(p, case.ends) for p in paths), max(p.residual for p in paths)
    found = " or ".join(_text(end) for end in case.ends)
    label = f"{case.label}, step {step_size:g}"
    scale, least = STEP / step_size, 1 if step_size == STEP else 3
    rows = [
        _row(f"{label}: paths of 8 that end at {found}", reached, 8, _PROTOTYPE, reached == 8),
        _row(f"{label}: largest gap at the end", worst, 0.0, "exact up to rounding", worst < 1e-10),
    ]
    lengths, epochs = [p.steps for p in paths], [len(p.epochs) for p in paths]
    for word, pick, k in (("fewest", min, 0), ("most", max, 1)):
        moves, expected = pick(lengths), round(case.moves[k] * scale)
        close = abs(moves - expected) <= max(least, 0.02 * expected)  # moves that are shortened at a kink count too
        rows.append(_row(f"{label}: {word} moves", moves, expected, _PROTOTYPE, close))
        count = pick(epochs)
        rows.append(_row(f"{label}: {word} epochs", count, case.epochs[k], _PROTOTYPE, count == case.epochs[k]))
    return rows


def _larger(cases: Sequence[Larger], step_size: float, seed: int, games: int) -> list[dict[str, Any]]:
    """Games of three to six coordinates with known ends, and random ones."""
    rows = []
    for case in cases:
        paths = follow(case.game(), case.corners, step_size)
        reached = [p for p in paths if ends_there(p, case.ends) and p.residual < 1e-8]
        quantity = f"{case.label}, step {step_size:g}: paths of {len(paths)} that end at a known point, gap below 1e-8"
        rows.append(_row(quantity, len(reached), len(paths), _PROTOTYPE, len(reached) == len(paths)))
        seen = sum(any(ends_there(p, [end]) for p in paths) for end in case.ends)
        quantity = f"{case.label}: known points that are reached"
        rows.append(_row(quantity, seen, len(case.ends), _PROTOTYPE, seen == len(case.ends)))
    paths = [p for k in range(games) for p in follow(random_game(seed + k, 4), _RANDOM_CORNERS, step_size)]
    solved = sum(p.outcome == "converged" and p.residual < 1e-8 for p in paths)
    quantity = f"random games of four players, step {step_size:g}: paths of {len(paths)} with a gap below 1e-8"
    return [*rows, _row(quantity, solved, len(paths), _PAPER, solved == len(paths))]


def _euler(step_size: float) -> dict[str, Any]:
    """The published method without corrector and polish, from the lower corner."""
    path = follow_ridge(f1(3.0), corner=(0, 0), step_size=step_size, corrector=False, polish=False)
    expected = _EULER[step_size]
    quantity = f"f_1 on [-3, 3] without corrector, step {step_size:g}: gap at the end, from (-3, -3), minimiser first"
    return _row(quantity, path.residual, expected, _PROTOTYPE, abs(path.residual - expected) < 0.02 * expected)


def _first_order(cases: Sequence[Case], larger: Sequence[Larger]) -> list[dict[str, Any]]:
    """How many paths of the experimental variant end where those of the full method end."""
    paths = [
        (path, case.ends)
        for case in cases
        for path in follow(case.game(), all_corners(2), _QUICK, all_orders=True, method=FirstOrderRidge)
    ]
    rows = [_counted("first-order variant (experimental), games of two numbers", paths)]
    for case in larger:
        found = follow(case.game(), case.corners, _QUICK, method=FirstOrderRidge)
        rows.append(_counted(f"first-order variant (experimental), {case.label}", [(p, case.ends) for p in found]))
    return rows


def _counted(label: str, paths: Sequence[tuple[RidgePath, Sequence[Sequence[float]]]]) -> dict[str, Any]:
    solved = sum(path.residual < 1e-8 and distance(path, ends) < 1e-6 for path, ends in paths)
    quantity = f"{label}, step {_QUICK:g}: paths of {len(paths)} that end where STON'R ends"
    return _row(quantity, solved, len(paths), "the full method", solved == len(paths))


def _follow_the_ridge() -> list[dict[str, Any]]:
    rows = []
    problems = ((f1(3.0), "f_1 on [-3, 3]", 16), (f2(1.0), "f_2 on [-1, 1]", 10))
    for game, label, expected in problems:
        verdicts = _run(game, FollowTheRidge(0.01), _grid(game, 4, share=0.8), 8000).verdicts()
        ours = verdicts.count("solved")
        quantity = f"{label}: follow-the-ridge converges, of 4 x 4 starts on eight tenths of the box"
        rows.append(_row(quantity, ours, expected, f"{_PROTOTYPE}; {_STARTS}", ours == expected))
    return rows


def _run(game: VIGame, dynamic: Dynamic[Any], starts: Profile, steps: int) -> Any:
    return run(game, dynamic, starts, steps, record=None, tolerance=1e-9, check_every=100, compile=steps >= 4000)


def _extragradient(game: VIGame) -> Extragradient:
    return Extragradient(0.5 / game.known().constants["smoothness"])


def _ridge_ends(game: VIGame, starts: Profile) -> tuple[Profile, list[str]]:
    """Ends and verdicts of STON'R from every start: from the corner nearest to it, so four paths are enough."""
    flat = starts.flat()
    corner = (flat > 0).long() @ torch.tensor([2, 1])  # the boxes are around 0
    edge = flat.abs().amax()
    four = Profile.from_flat(edge * (2.0 * torch.tensor(list(all_corners(2))).to(flat) - 1.0), game.dims)
    end = run(game, StayOnTheRidge(_QUICK), four, 2000, record=None)
    verdicts = end.verdicts()
    return end.final.map(lambda t: t[corner]), [verdicts[k] for k in corner.tolist()]


def _grid(game: VIGame, side: int, share: float) -> Profile:
    axes = [torch.linspace(-1, 1, side, dtype=torch.float64) * share * float(s.bounds()[1]) for s in game.sets]
    return Profile.from_flat(torch.cartesian_prod(*axes), game.dims)


def _points(game: VIGame, corner: tuple[int, int], step_size: float) -> Profile:
    return follow_ridge(game, corner=corner, step_size=step_size).points


def _at(game: VIGame, corner: tuple[int, int]) -> str:
    return _text([float(s.bounds()[c]) for s, c in zip(game.sets, corner, strict=True)])


def _text(point: Sequence[float]) -> str:
    return "(" + ", ".join(f"{x:.4g}" for x in point) + ")"


def _row(quantity: str, ours: float, expected: float, source: str, within: bool) -> dict[str, Any]:
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}
