"""Game-steps a second of the five environments: the batched core at three batch sizes, and the PettingZoo face.

A game-step is one joint move of a simultaneous game, one move of a turn-based one, one joint weight update of the
layers. Actions are drawn uniformly inside the measurement, for the face and the core alike (the layers repeat one
update); finished games start over. `bench_tic_tac_toe.py` has more on tic-tac-toe, and PettingZoo's own beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from strategic_envs.envs import continuous_game_v0, duopoly_pricing_v0, larger_number_v0, layers_v0, tic_tac_toe_v0
from strategic_envs.games.tic_tac_toe import Boards
from strategic_envs.profile import Profile
from strategic_envs.scripts.bench_common import Case, emit, parse, rates
from strategic_envs.seeding import numpy_stream, torch_stream

BATCHES = (1, 64, 4096)
STEPS = 20  # in one run of a case; the layers do one, being slow
MINIBATCH = 128  # samples that judge an update of the layers, in the core and in the face


def pricing_core(batch: int) -> Case:
    """Firms that draw prices from their grids."""
    game, stream = duopoly_pricing_v0.game(), torch_stream(0, "pricing", batch)
    limit = min(game.n_actions)

    def run() -> int:
        state = game.sample_initial(batch, stream)
        for _ in range(STEPS):
            state, _ = game.step(state, torch.randint(limit, (batch, game.n_players), generator=stream), stream)
        return batch * STEPS

    return run


def tic_tac_toe_core(batch: int) -> Case:
    """Uniform legal moves; a game that is over starts again."""
    boards, turn = Boards.start(batch), 0

    def run() -> int:
        nonlocal boards, turn
        for _ in range(STEPS):
            boards = boards.step(boards.draw(seed=0, turn=turn), restart=True)
            turn += 1
        return batch * STEPS

    return run


def larger_number_core(batch: int) -> Case:
    """Both draw a number; the payoffs are looked up."""
    game, stream = larger_number_v0.game(), torch_stream(0, "larger_number", batch)
    payoffs, limit = game.payoffs, game.n_actions[0]  # pyright: ignore[reportAttributeAccessIssue]  # a normal form

    def run() -> int:
        for _ in range(STEPS):
            action = torch.randint(limit, (2, batch), generator=stream)
            payoffs[:, action[0], action[1]]
        return batch * STEPS

    return run


def continuous_core(batch: int) -> Case:
    """Points drawn from the sets of the default game, and their utilities."""
    game, stream = continuous_game_v0.game(), torch_stream(0, "continuous_game", batch)

    def run() -> int:
        for _ in range(STEPS):
            game.utilities(game.sample((batch,), generator=stream))
        return batch * STEPS

    return run


def layers_core(batch: int) -> Case:
    """An update of every layer of each network, then its loss and gradient on a minibatch."""
    game = layers_v0.game()
    start = game.initial(0).map(lambda t: t.expand(batch, -1) if batch > 1 else t)
    update = start * 0.01
    step = 0

    def run() -> int:
        nonlocal step
        step += 1
        game.minibatch(step, MINIBATCH).loss_and_field(Profile(start + update))
        return batch

    return run


CORES = {
    "duopoly_pricing": pricing_core,
    "tic_tac_toe": tic_tac_toe_core,
    "larger_number": larger_number_core,
    "continuous_game": continuous_core,
    "layers": layers_core,
}


def parallel_face(env: Any, steps: int = STEPS) -> Case:
    """A parallel environment with uniform actions."""
    env.reset(seed=0)
    for i, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(i)

    def run() -> int:
        for _ in range(steps):
            if not env.agents:
                env.reset()
            env.step({a: env.action_space(a).sample() for a in env.agents})
        return steps

    return run


def repeating_face(env: Any) -> Case:
    """The same, repeating one update, so that drawing a thousand numbers is not what is measured."""
    env.reset(seed=0)
    action = {a: env.action_space(a).sample() * np.float32(0.01) for a in env.possible_agents}

    def run() -> int:
        if not env.agents:
            env.reset()
        env.step(action)
        return 1

    return run


def turn_face(env: Any) -> Case:
    """A turn-based environment with an action mask: one game of uniform legal moves."""
    env.reset(seed=0)
    stream = numpy_stream(0, "moves")

    def run() -> int:
        env.reset()
        moves = 0
        while True:
            seen, _, terminated, truncated, _ = env.last()
            if terminated or truncated:
                return moves
            legal = np.flatnonzero(seen["action_mask"])
            env.step(int(legal[stream.integers(len(legal))]))
            moves += 1

    return run


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints the line."""
    options = parse(__doc__, argv)
    cases: dict[str, Case] = {f"{name}_batch_{b}": core(b) for name, core in CORES.items() for b in BATCHES}
    cases |= {
        "duopoly_pricing_pettingzoo": parallel_face(duopoly_pricing_v0.parallel_env()),
        "tic_tac_toe_pettingzoo": turn_face(tic_tac_toe_v0.env()),
        "larger_number_pettingzoo": parallel_face(larger_number_v0.parallel_env()),
        "continuous_game_pettingzoo": parallel_face(continuous_game_v0.parallel_env()),
        "layers_pettingzoo": repeating_face(layers_v0.parallel_env(batch=MINIBATCH)),
    }
    emit(rates(cases, repeats=options.repeats, seconds=options.seconds), "bench_envs.py", argv)


if __name__ == "__main__":
    main()
