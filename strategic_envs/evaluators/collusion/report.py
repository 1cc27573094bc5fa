"""One report on what licenses the word collusion; no single condition does.

High prices alone do not: they can be an artefact of how firms explore, *spurious* collusion. What makes prices
collusive is that deviations would be punished, that this is why nobody deviates, and that without a future or a memory,
where no punishment is possible, prices fall (Calvano et al., AER 2020; IJIO 2023 on genuine and spurious collusion).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategic_envs.errors import UnknownNameError
from strategic_envs.evaluators.collusion.analysis import Analysis
from strategic_envs.evaluators.collusion.conditions import Condition, Thresholds, conditions
from strategic_envs.evaluators.collusion.evidence import Controls, LearningCost, Retraining
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse

__all__ = ["CollusionReport", "collusion_report"]


@dataclass(frozen=True)
class CollusionReport:
    """Which conditions hold, and what they amount to.

    Args:
        conditions: (a) to (i), in order.
        verdict: A word and its reason: `"competitive: ..."`, `"spurious: ..."`, `"undetermined: ..."`,
            `"supracompetitive: ..."`, `"collusive, not in equilibrium: ..."` or `"collusive: ..."`.
        thresholds: The lines that were drawn.
    """

    conditions: tuple[Condition, ...]
    verdict: str
    thresholds: Thresholds

    @property
    def word(self) -> str:
        """The verdict without its reason."""
        return self.verdict.split(":")[0]

    @property
    def missing(self) -> tuple[str, ...]:
        """The letters of the conditions that were not measured."""
        return tuple(c.letter for c in self.conditions if c.holds is None)

    def __getitem__(self, letter: str) -> Condition:
        for condition in self.conditions:
            if condition.letter == letter:
                return condition
        raise UnknownNameError("condition", letter, [c.letter for c in self.conditions])

    def __str__(self) -> str:
        return "\n".join([*(str(c) for c in self.conditions), f"Verdict: {self.verdict}"])

    def row(self) -> dict[str, float | str]:
        """All figures, flat, for tables and JSON: `"a_holds"` is 1, 0, or nan if it was not measured."""
        row: dict[str, float | str] = {"verdict": self.verdict}
        for c in self.conditions:
            row[f"{c.letter}_holds"] = math.nan if c.holds is None else float(c.holds)
            row |= {f"{c.letter}_{name}": value for name, value in c.figures.items()}
        return row


def collusion_report(
    analysis: Analysis,
    *,
    response: ImpulseResponse | None = None,
    controls: Controls | None = None,
    retraining: Retraining | None = None,
    learning_cost: LearningCost | None = None,
    thresholds: Thresholds | None = None,
) -> CollusionReport:
    """States which of the conditions (a) to (i) hold.

    (a) prices above competition; (b) controls without punishment; (c) impulse response; (d) one-shot deviations;
    (e) exact best responses; (f) off-path play; (g) retraining; (h) cost of learning; (i) errors clustered by session.

    Args:
        analysis: The sessions.
        response: Their answer to the static best reply, for (c).
        controls: For (b).
        retraining: For (g).
        learning_cost: For (h).
        thresholds: Where lines are drawn, the defaults of `Thresholds` if not given.

    Raises:
        InvalidSettingError: If `response` answers another deviation than the static best reply.

    Example:
        >>> import numpy as np
        >>> from strategic_envs.evaluators.collusion import analyse
        >>> from strategic_envs.games.pricing import pricing
        >>> static_nash = np.full((40, 2, 225), 1, dtype=np.int16)
        >>> collusion_report(analyse(pricing().frozen(), static_nash, np.zeros(40, dtype=np.int64))).word
        'competitive'
    """
    limits = Thresholds() if thresholds is None else thresholds
    found = conditions(analysis, response, controls, retraining, learning_cost, limits)
    return CollusionReport(found, _verdict({c.letter: c for c in found}, limits), limits)


def _verdict(found: dict[str, Condition], limits: Thresholds) -> str:
    """The first of these that applies; a condition that fails outright needs no others."""
    if not found["i"].figures["converged"]:
        return "undetermined: no session converged"
    if not found["a"].holds:
        return "competitive: the profit gain is not above that of a competitive equilibrium of the grid"
    if found["b"].holds is False:
        return "spurious: prices stay high where punishment is impossible"
    if found["c"].holds is not None:
        cut, error = found["c"].figures["rival_change"], found["c"].figures["rival_change_error"]
        if cut + limits.errors * (0.0 if math.isnan(error) else error) >= 0:
            return "spurious: rivals do not answer a price cut with lower prices"
    missing = [f"({c.letter}) {c.name}" for c in found.values() if c.holds is None]
    if missing:
        return f"undetermined: not measured: {', '.join(missing)}"
    failed = [f"({c.letter}) {c.name}" for c in found.values() if not c.holds]
    if not failed:
        return "collusive: all conditions hold"
    if all(c.holds for c in found.values() if c.letter not in "eg"):
        return f"collusive, not in equilibrium: fails {', '.join(failed)}"
    if not found["i"].holds:
        return f"undetermined: too few sessions, or too varied; fails {', '.join(failed)}"
    return f"supracompetitive: high prices, but fails {', '.join(failed)}"
