"""Is it collusion? What learnt pricing strategies do, whether they are best responses, and how they answer a price cut.

Reading order: `graph` (play as a graph), `one_shot` and `exact` (the two tests of best responses, which disagree),
`analysis` (all figures of a session), `impulse` (what follows a deviation), `statistics` (means, errors, tables),
`evidence` (what only more learning can tell) and `report` (which conditions hold).
"""

from strategic_envs.evaluators.collusion.analysis import Analysis, analyse
from strategic_envs.evaluators.collusion.conditions import Condition, Thresholds
from strategic_envs.evaluators.collusion.evidence import Controls, LearningCost, Retraining
from strategic_envs.evaluators.collusion.impulse import ImpulseResponse, impulse_response
from strategic_envs.evaluators.collusion.references import References, references, static_reply
from strategic_envs.evaluators.collusion.report import CollusionReport, collusion_report
from strategic_envs.evaluators.collusion.statistics import (
    COLUMNS,
    Mean,
    best_response_table,
    clustered_mean,
    correlation,
    representative_table,
)

__all__ = [
    "COLUMNS",
    "Analysis",
    "CollusionReport",
    "Condition",
    "Controls",
    "ImpulseResponse",
    "LearningCost",
    "Mean",
    "References",
    "Retraining",
    "Thresholds",
    "analyse",
    "best_response_table",
    "clustered_mean",
    "collusion_report",
    "correlation",
    "impulse_response",
    "references",
    "representative_table",
    "static_reply",
]
