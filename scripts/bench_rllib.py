"""Environment steps a second that RLlib samples: its stock runner, and our batched one, on pricing with 2x64 networks.

Both have one module a player of the same class and size, in one process without Ray, and take turns. The stock runner
is given what suits it: 64 environments, long episodes, and no conversion of finished episodes at every step.
`batched_steps_per_s` is the batched runner as it is: the game has 225 states, so each network is asked once for all of
them. `batched_asked_every_move_steps_per_s` is on pricing with memory 2, whose 50,625 states are more than a batch has
moves, so each network is asked at every move. `ratio` and `ratio_asked_every_move` are over the stock runner on the
same game.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

from strategic_envs.scripts.bench_common import Case, emit, parse, rates

ENVIRONMENT = "duopoly_pricing_v0"
HIDDEN = (64, 64)
STOCK_ENVS, STOCK_STEPS = 64, 50


def batched(env: dict[str, Any], games: int, horizon: int) -> Case:
    """Our runner: all games in one call."""
    from strategic_envs.agents.rllib import IndependentGDConfig
    from strategic_envs.agents.rllib.runner import BatchedEnvRunner

    config = IndependentGDConfig().environment(ENVIRONMENT, env_config=env)
    config.training(games_per_sample=games, horizon=horizon, hidden=HIDDEN, device="cpu")
    runner = BatchedEnvRunner(config=config, worker_index=0)
    return lambda: runner.sample().steps


def stock(env: dict[str, Any], envs: int, steps: int) -> Case:
    """RLlib's runner on our wrappers: environments in a Python loop, one forward pass for all of them."""
    from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

    from strategic_envs.agents.rllib.ppo import ppo_config

    config = ppo_config(ENVIRONMENT, env, envs=envs, hidden=HIDDEN, device="cpu")
    runner = MultiAgentEnvRunner(config=config, worker_index=0)
    return lambda: sum(len(episode) for episode in runner.sample(num_timesteps=envs * steps))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints one line of JSON."""
    options = parse(__doc__, argv)
    from strategic_envs.errors import require

    require("ray.rllib", "rllib", "This measurement")
    warnings.filterwarnings("ignore")
    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("ray.rllib", "ray.tune", "ray._common.deprecation"):
        logging.getLogger(name).setLevel(logging.ERROR)
    envs, steps = (4, 5) if options.quick else (STOCK_ENVS, STOCK_STEPS)
    games = 64 if options.quick else 16384
    large = {"memory": 2}
    cases = {
        "batched_steps_per_s": batched({}, games, 100),
        "stock_steps_per_s": stock({}, envs, steps),
        "batched_asked_every_move_steps_per_s": batched(large, games, 3),
        "stock_memory_2_steps_per_s": stock(large, envs, steps),
    }
    figures = rates(cases, repeats=options.repeats, seconds=options.seconds)
    figures["ratio"] = figures["batched_steps_per_s"] / figures["stock_steps_per_s"]
    asked = figures["batched_asked_every_move_steps_per_s"]
    figures["ratio_asked_every_move"] = asked / figures["stock_memory_2_steps_per_s"]
    emit(figures, "bench_rllib.py", argv)


if __name__ == "__main__":
    main()
