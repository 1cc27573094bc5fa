"""Every dynamic of this project as an agent: a file in the folder of dynamics is an agent at once.

Those that have a file of their own here keep it. Presets are for a first look: step sizes that do on the default game
of an environment, and few enough iterations to finish in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strategic_envs.agents.roster.extragradient import Extragradient
from strategic_envs.agents.roster.game_dynamics import DynamicsAgent
from strategic_envs.agents.roster.independent_gd import IndependentGD
from strategic_envs.agents.roster.scan import Described, described

__all__ = ["AGENTS", "AnyDynamic"]

Presets = Mapping[str, Mapping[str, Any]]

_GRADIENT: Presets = Extragradient.presets
"""Methods that step along the field: what does for extragradient does for them."""

_ADAM_STEPS = {
    "continuous_game_v0": 0.02,
    "duopoly_pricing_v0": 0.01,
    "sequential_pricing_v0": 0.01,
    "bertrand_pricing_v0": 0.01,
    "larger_number_v0": 0.05,
    "routing_v0": 0.02,
    "layers_v0": 0.003,
    "tic_tac_toe_v0": 0.1,
}
"""Steps of Adam and of signs have the length that they are given, whatever the gradient is."""

_STEP_SIZES: Mapping[str, Mapping[str, float]] = {
    "anchored_extragradient": {"continuous_game_v0": 0.02},
    "consensus_optimization": {"continuous_game_v0": 0.01, "layers_v0": 0.02},
    "cooperative_gradient": {"duopoly_pricing_v0": 20.0, "layers_v0": 0.05},
    "follow_the_ridge": {"continuous_game_v0": 0.01},
    "symplectic_gradient": {"continuous_game_v0": 0.02, "layers_v0": 0.05},
}

_EXACT = {"field": "exact", "games_per_sample": None, "horizon": None}

_MORE: Mapping[str, Presets] = {
    "cooperative_gradient": {"duopoly_pricing_v0": _EXACT},
    "adaptive_extragradient": {  # noise would look like a step that is too long, at any length
        "duopoly_pricing_v0": _EXACT,
        "sequential_pricing_v0": _EXACT,
        "bertrand_pricing_v0": _EXACT,
        "larger_number_v0": _EXACT,
        "tic_tac_toe_v0": _EXACT,
    },
    "replicator": {"larger_number_v0": _EXACT},  # noise would look like a step that is regretted
    "smith": {"larger_number_v0": _EXACT},
}

_REFUSED: Mapping[str, Mapping[str, str]] = {
    "cooperative_gradient": {"larger_number_v0": "the sum of the utilities is constant, so nothing would ever move"},
    "follow_the_ridge": {
        "larger_number_v0": "it divides by a follower's own second derivatives, which are zero in mixed strategies",
        "routing_v0": "travellers have no opposite interests",
    },
}


_TO_ITS_END: Presets = {"continuous_game_v0": {"iterations": 400, "evaluate_every": 4, "steps_per_iteration": 25}}
"""For methods of one start, which come to an end of their own."""


class AnyDynamic(DynamicsAgent):
    """A dynamic without a file of its own here."""

    def __init__(self, about: Described) -> None:
        self.name = self.dynamic = about.name
        self.summary = about.summary + (
            " (experimental)" if about.experimental and "experimental" not in about.summary else ""
        )
        fixed_length = "beta1" in about.settings or about.settings.get("geometry") == "sign"
        steps = {**(_ADAM_STEPS if fixed_length else {}), **_STEP_SIZES.get(about.name, {})}
        if about.settings.get("step_size") is not None:
            steps = dict.fromkeys(_GRADIENT)  # it knows best itself
        more = _MORE.get(about.name, {} if about.batched else _TO_ITS_END)
        self.presets = {
            environment: {
                **preset,
                **({"step_size": steps[environment]} if environment in steps else {}),
                **more.get(environment, {}),
            }
            for environment, preset in _GRADIENT.items()
        }

    def refuses(self, environment: str) -> str | None:
        return super().refuses(environment) or _REFUSED.get(self.name, {}).get(environment)


def _agents() -> Iterator[AnyDynamic]:
    covered = {Extragradient.dynamic, IndependentGD.dynamic}
    return (AnyDynamic(about) for name, about in described().items() if name not in covered)


AGENTS = tuple(_agents())
