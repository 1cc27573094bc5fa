"""Fixed strategies of firms as agents: the equilibria, the cartel and its enforcers that theory knows.

They learn nothing and set the scale: what a learner's profit gain, exploitability and punishment look like when they
are those of a static equilibrium, of a cartel that nothing protects, and of one that a threat does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from strategic_envs.agents.roster.base import Agent, Job, Result, Rows
from strategic_envs.agents.roster.kinds import forgetful, prices

__all__ = ["AGENTS", "FixedFirmsAgent"]


class FixedFirmsAgent(Agent):
    """Firms that follow one rule of `strategic_envs.baselines.pricing`.

    Args:
        name: The name of the rule.
        summary: What it does, in one line.
    """

    needs_ray: ClassVar[bool] = False

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary

    def refuses(self, environment: str) -> str | None:
        if not prices(environment):
            return "it is a rule for firms of the repeated price game"
        answers = self.name not in ("static_nash", "monopoly")
        return (
            "it answers past prices, which these firms do not remember" if answers and forgetful(environment) else None
        )

    def preset(self, environment: str) -> dict[str, Any]:
        return {"iterations": 1}

    def check(self, job: Job) -> None:
        self.resolve(job)
        self._firms(job)

    def train(self, job: Job, on_row: Callable[[dict[str, Any]], None]) -> Result:
        from strategic_envs.evaluators.figures import figures
        from strategic_envs.evaluators.report import evaluate

        settings = self.resolve(job)
        rows = Rows(job, self.name, on_row)
        game, firms = self._firms(job)
        told = {"local_gap_by": "policy tables", "cce_gap_of": "present play"}
        gaps = {**evaluate(game, firms.play).row(), **told, **figures(game, firms.play, firms.start)}
        return Result(rows.all, rows.add(0, 0, gaps), settings, None, None)

    def _firms(self, job: Job) -> tuple[Any, Any]:
        """The game, and the firms; `InvalidGameError` where the rule makes no sense."""
        from strategic_envs import registry
        from strategic_envs.baselines.pricing import fixed_firms

        game = registry.make(job.environment, **job.env).unwrapped.game
        return game, fixed_firms(game, self.name)


AGENTS = (
    FixedFirmsAgent("static_nash", "firms at the one-period equilibrium, whatever happened"),
    FixedFirmsAgent("monopoly", "firms at the cartel's prices, whatever happened"),
    FixedFirmsAgent("grim_trigger", "firms at the cartel's prices until somebody leaves them, then for ever at Nash"),
    FixedFirmsAgent("tit_for_tat", "firms that charge the rival's last price, from the cartel's prices on"),
    FixedFirmsAgent("best_reply", "firms that charge what is best for one period against the rival's last price"),
)
