"""Tic-tac-toe: moves a second of random play, the batched step and the environment, and the exact exploitability.

`random_play_moves_per_s` plays uniform legal moves on 4,096 boards inside one compiled call, `step_moves_per_s_4096`
through `Boards.draw` and `Boards.step`, finished games restarted; `step_moves_per_s_4096_alone` is the step without the
draw. `exploitability_ms` is the whole public call on a random policy, its validation included, `graph_build_ms` what
comes before it. `pettingzoo_ratio` compares `tic_tac_toe_v0.env()` with PettingZoo's own tic-tac-toe in the same loop
and run: the median over the turns of the ratio of two neighbouring ones. Peers that are not installed are left out.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from strategic_envs.envs import tic_tac_toe_v0
from strategic_envs.evaluators.gaps import exploitability
from strategic_envs.games.tic_tac_toe import Boards, TicTacToe, random_play
from strategic_envs.play import TabularPlay
from strategic_envs.scripts.bench_common import Case, emit, parse, rates
from strategic_envs.scripts.bench_envs import turn_face
from strategic_envs.seeding import torch_stream

LANES = 4096
ROUNDS = 2048  # of fused play in one call
STEPS = 200  # of batched play in one run of a case
GAMES = 20  # of an environment in one run of a case


def fused() -> int:
    """Random play inside one call."""
    return random_play(ROUNDS, lanes=LANES, seed=0).moves


def stepping(draw: bool) -> Case:
    """Random play by the public step; without the draw every board makes the first moves of one fixed game."""
    boards, turn = Boards.start(LANES), 0
    opening = [torch.full((LANES,), cell) for cell in (0, 3, 1, 4, 2)]  # X wins

    def run() -> int:
        nonlocal boards, turn
        for _ in range(STEPS):
            action = boards.draw(seed=0, turn=turn) if draw else opening[turn % len(opening)]
            boards = boards.step(action, restart=True)
            turn += 1
        return STEPS * LANES

    return run


def judging() -> Case:
    """The exact exploitability of random tables, one a player."""
    game = TicTacToe()
    legal, stream = game.state_graph().legal, torch_stream(0, "policies")
    weights = [torch.rand(legal.shape, dtype=torch.float64, generator=stream) * legal for _ in range(game.n_players)]
    tables = tuple(w / w.sum(-1, keepdim=True).clamp(min=1e-300) for w in weights)

    def run() -> int:
        exploitability(game, TabularPlay(tables))
        return 1

    return run


def building() -> int:
    """The graph of a new game."""
    TicTacToe().state_graph()
    return 1


def playing(env: Any) -> Case:
    """Games of uniform legal moves through an environment, the draw from the mask included."""
    game = turn_face(env)
    return lambda: sum(game() for _ in range(GAMES))


def ratio(first: Case, second: Case, *, repeats: int, seconds: float) -> float:
    """The median over the turns of how many times the units a second of the second the first makes."""
    found = []
    for _ in range(repeats):
        one, other = (_rate(case, seconds) for case in (first, second))
        found.append(one / other)
    return statistics.median(found)


def _rate(case: Callable[[], int], seconds: float) -> float:
    units, start = 0, time.perf_counter()
    while True:
        units += case()
        spent = time.perf_counter() - start
        if spent >= seconds:
            return units / spent


def peer_tic_tac_toe() -> Any:
    """PettingZoo's own tic-tac-toe, or None where it or its pygame is not installed."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pettingzoo.classic import tictactoe_v3
        except ImportError:
            return None
        return tictactoe_v3.env()


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints the line."""
    options = parse(__doc__, argv)
    timing = {"repeats": options.repeats, "seconds": options.seconds}
    cases: dict[str, Case] = {
        "random_play_moves_per_s": fused,
        "step_moves_per_s_4096": stepping(draw=True),
        "step_moves_per_s_4096_alone": stepping(draw=False),
        "exploitability_ms": judging(),
        "graph_build_ms": building,
        "pettingzoo_env_moves_per_s": playing(tic_tac_toe_v0.env()),
    }
    peer = peer_tic_tac_toe()
    if peer is not None:
        cases["peer_pettingzoo_moves_per_s"] = playing(peer)
    figures = rates(cases, **timing)
    for name in ("exploitability_ms", "graph_build_ms"):
        figures[name] = 1000 / figures[name]
    if peer is not None:
        pair = cases["pettingzoo_env_moves_per_s"], cases["peer_pettingzoo_moves_per_s"]
        figures["pettingzoo_ratio"] = ratio(*pair, **timing)
    emit(figures, "bench_tic_tac_toe.py", argv)


if __name__ == "__main__":
    main()
