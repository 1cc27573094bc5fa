"""Tic-tac-toe's integers and fractions, counted anew: positions, games, values, best responses, the test set."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from strategic_envs.evaluators.gaps import nash_conv
from strategic_envs.evaluators.outcomes import outcome_probabilities
from strategic_envs.evaluators.perfect_play import perfect_play
from strategic_envs.evaluators.strategic import SLIDE
from strategic_envs.evaluators.strategic_classes import CLASSES, canonical, strategic_classes
from strategic_envs.games.tic_tac_toe import TicTacToe, parse_board
from strategic_envs.play import TabularPlay

__all__ = ["fact_rows", "optimal_policy", "row"]

_COUNTED = "exact enumeration, an independent prototype of this project"
_TWIN = "exact enumeration; OpenSpiel 2.0.2 says the same"


def row(quantity: str, ours: float, expected: float, source: str, within: bool | None = None) -> dict[str, Any]:
    """One row of the table; without `within`, both must agree to 1e-9."""
    within = abs(ours - expected) <= 1e-9 if within is None else bool(within)
    return {"quantity": quantity, "ours": ours, "expected": expected, "source": source, "within": within}


def optimal_policy(game: TicTacToe) -> Tensor:
    """The table that draws uniformly among the moves that keep the value."""
    keeps = perfect_play(game).keeps.double()
    return keeps / keeps.sum(-1, keepdim=True).clamp(min=1)


def fact_rows(game: TicTacToe) -> list[dict[str, Any]]:
    """One row a fact."""
    return [
        *_positions(game),
        *_games(game),
        *_values(game),
        *_random(game),
        *_perfect(game),
        *_test_set(),
        *_slide(game),
    ]


def _positions(game: TicTacToe) -> list[dict[str, Any]]:
    graph = game.state_graph()
    live, x = ~graph.terminal, graph.returns[:, 0]
    plies = (1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78)
    folded = (1, 3, 12, 38, 108, 174, 204, 153, 57, 15)
    counts = [("reachable positions", torch.ones_like(live), 5478, 765)]
    counts += [("  won by X", x > 0, 626, 91), ("  won by O", x < 0, 316, 44)]
    counts += [("  drawn", graph.terminal & (x == 0), 16, 3), ("  not over", live, 4520, 627)]
    rows = []
    for label, mask, expected, up_to_symmetry in counts:
        rows.append(row(label, int(mask.sum()), expected, _COUNTED))
        rows.append(row(f"{label}, up to symmetry", _folded(graph.states[mask]), up_to_symmetry, _COUNTED))
    for k, level in enumerate(graph.levels):
        rows.append(row(f"positions after {k} moves", level.stop - level.start, plies[k], _COUNTED))
        rows.append(
            row(f"positions after {k} moves, up to symmetry", _folded(graph.states[level]), folded[k], _COUNTED)
        )
    for i, expected in enumerate((2423, 2097)):
        rows.append(
            row(f"positions in which {'XO'[i]} moves", int((live & (graph.mover == i)).sum()), expected, _COUNTED)
        )
    return rows


def _folded(states: Tensor) -> int:
    return len(canonical(states)[0].unique())


def _games(game: TicTacToe) -> list[dict[str, Any]]:
    graph = game.state_graph()
    ways = torch.zeros(len(graph.states), dtype=torch.int64)
    ways[0] = 1
    for level in graph.levels:
        flow = ways[level].unsqueeze(-1) * graph.legal[level]
        ways.index_add_(0, graph.child[level].flatten(), flow.flatten())
    x = graph.returns[:, 0]
    ends = [("won by X", x > 0, 131184), ("won by O", x < 0, 77904), ("drawn", x == 0, 46080)]
    rows = [row("games", int(ways[graph.terminal].sum()), 255168, _COUNTED)]
    rows += [row(f"games {label}", int(ways[graph.terminal & m].sum()), n, _COUNTED) for label, m, n in ends]
    for k, expected in {5: 1440, 6: 5328, 7: 47952, 8: 72576, 9: 127872}.items():
        level = graph.levels[k]
        rows.append(row(f"games of {k} moves", int(ways[level][graph.terminal[level]].sum()), expected, _COUNTED))
    return rows


def _values(game: TicTacToe) -> list[dict[str, Any]]:
    graph, keeps = game.state_graph(), perfect_play(game).keeps
    rows = [
        row("value under perfect play", float(game.optimal_values()[0, 0]), 0, _COUNTED),
        row("first moves that keep the draw", int(keeps[0].sum()), 9, _COUNTED),
    ]
    for first, name, expected in ((0, "a corner", [4]), (1, "an edge", [0, 2, 4, 7]), (4, "the centre", [0, 2, 6, 8])):
        found = keeps[graph.child[0, first]].nonzero().flatten().tolist()
        quantity = f"replies to {name} that keep the draw: {', '.join(map(str, found))}"
        rows.append(row(quantity, len(found), len(expected), _COUNTED, found == expected))
    return rows


def _random(game: TicTacToe) -> list[dict[str, Any]]:
    uniform = game.uniform_policy()
    play = TabularPlay((uniform, uniform))
    found = outcome_probabilities(game, play)
    fractions = [("X wins", found.win, 737, 1260), ("O wins", found.loss, 121, 420), ("a draw", found.draw, 8, 63)]
    rows = [row(f"random play: {k}, {n}/{d}", float(p[0]), n / d, _COUNTED) for k, p, n, d in fractions]
    for i, fraction in enumerate((Fraction(191, 192), Fraction(874, 945))):
        value = float(game.best_response(uniform, i)[1][0])
        rows.append(row(f"best response to random play, {'XO'[i]}: {fraction}", value, float(fraction), _COUNTED))
    gap = nash_conv(game, play).value
    return [
        *rows,
        row("NashConv of random play: 116101/60480", gap, 116101 / 60480, _TWIN, abs(gap - 1.9196593915343914) < 1e-9),
    ]


def _perfect(game: TicTacToe) -> list[dict[str, Any]]:
    """Uniform over the moves that keep the value, as a control."""
    uniform, optimal = game.uniform_policy(), optimal_policy(game)
    rows = [row("NashConv of optimal play", nash_conv(game, TabularPlay((optimal, optimal))).value, 0, _TWIN)]
    expected = ((0.967811, 0.032189, 0.0), (0.777484, 0.222516, 0.0))
    for i, numbers in enumerate(expected):
        play = (optimal, uniform) if i == 0 else (uniform, optimal)
        found = outcome_probabilities(game, TabularPlay(play))
        for label, ours, number in zip(
            ("wins", "draws", "losses"), (found.win, found.draw, found.loss), numbers, strict=True
        ):
            close = abs(float(ours[i]) - number) < 1e-6
            rows.append(
                row(f"optimal play as {'XO'[i]} against random play: {label}", float(ours[i]), number, _COUNTED, close)
            )
    return rows


def _test_set() -> list[dict[str, Any]]:
    classes = strategic_classes()
    sizes = {"win1": 2358, "block1": 976, "lost": 508, "fork": 192, "prevent_fork": 254, "other": 232}
    rows = [row(f"strategic class {name}", int(classes[name].sum()), sizes[name], _COUNTED) for name in CLASSES]
    scored = int((classes["block1"] & classes.scored).sum())
    rows.append(row("strategic class block1, scored", scored, 860, _COUNTED))
    return [*rows, row("critical positions", int(classes.perfect.critical.sum()), 3191, _COUNTED)]


def _slide(game: TicTacToe) -> list[dict[str, Any]]:
    """X moves and has one win; blocking in cell 5 keeps the value, because it threatens twice."""
    perfect = perfect_play(game)
    state = int(game.state_graph().index(torch.tensor(parse_board(SLIDE))))
    rows = []
    for cell, expected in ((1, 1), (5, 1), (6, -1), (7, -1), (8, -1)):
        quantity = f"the position {SLIDE}: value for X of cell {cell}"
        rows.append(row(quantity, float(perfect.worth[state, cell]), expected, _COUNTED))
    fastest = perfect.fastest[state].nonzero().flatten().tolist()
    quantity = "the same position: the cell of the fastest win (5 wins later)"
    return [*rows, row(quantity, fastest[0], 1, _COUNTED, fastest == [1])]
