"""What is printed or stored about the algorithms of Calvano et al. (2020), as data, and the bands for other seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "BANDS",
    "CONTROLS",
    "GOLDEN",
    "MEASURED",
    "OWN",
    "PAPER",
    "PRINTED",
    "RESPONSE",
    "STORED",
    "Band",
    "Control",
    "Printed",
]

PAPER = "AER 2020"
STORED = "authors' stored results"
OWN = "own seeds, 3 s.e."


@dataclass(frozen=True)
class Printed:
    """A row of the representative table as it is printed, by the classes of `representative_table`.

    Args:
        key: The name of the statistic.
        label: What it is.
        values: One number a class (limit cycles of one period with equal and with unequal prices, of one, of two, of
            more periods; all; the sessions that pass the one-shot test); None where nothing is printed.
        digits: Digits after the point in print.
    """

    key: str
    label: str
    values: tuple[float | None, ...]
    digits: int = 3


PRINTED = (
    Printed("frequency", "share of sessions", (0.277, 0.366, 0.643, 0.238, 0.119, 1.0, 0.505)),
    Printed("gain", "profit gain Delta, mean", (0.866, 0.855, 0.860, 0.846, 0.793, 0.849, 0.854)),
    Printed("gain_sd", "profit gain Delta, s.d.", (0.115, 0.114, 0.114, 0.104, 0.097, 0.112, 0.108)),
    Printed("nash_one_shot", "one-shot Nash on path, share", (0.686, 0.661, 0.672, 0.294, 0.025, 0.505, 1.0)),
    Printed("loss_on_path", "Q-loss on path", (0.001, 0.001, 0.001, 0.002, 0.004, 0.002, 0.0)),
    Printed("loss_off_path", "Q-loss off path", (0.018, None, None, None, None, 0.018, 0.018)),
)
"""Representative experiment, alpha = .15, beta = 4e-6, 1,000 sessions, by limit cycle."""


@dataclass(frozen=True)
class Band:
    """Where a statistic of 1,000 sessions with own seeds should lie, beside what was published.

    Args:
        key: The name of the statistic.
        label: What it is.
        centre: The middle of the band.
        width: Its half-width at 1,000 sessions; fewer sessions widen it by sqrt(1000 / sessions).
        published: The published number, of the authors' 1,000 sessions; None where there is none.
    """

    key: str
    label: str
    centre: float
    width: float
    published: float | None = None

    def half_width(self, sessions: int) -> float:
        """The half-width for a number of sessions: its sampling error grows with 1 / sqrt(sessions).

        Example:
            >>> BANDS[0].half_width(10)
            0.12
        """
        return self.width * max(1.0, (1000 / max(sessions, 1)) ** 0.5)


BANDS = (
    Band("gain", "profit gain Delta", 0.851, 0.012, 0.849),
    Band("nash_one_shot", "one-shot Nash on path (EQ), share of sessions", 0.486, 0.05, 0.505),
    Band("loss_on_path", "Q-loss on path", 0.0017, 0.0005, 0.002),
    Band("loss_off_path", "Q-loss off path", 0.018, 0.001, 0.018),
    Band("million_periods", "periods to convergence, millions", 1.758, 0.035, 1.751),
    Band("cycle 1", "limit cycles of one period, share", 0.64, 0.05, 0.643),
    Band("cycle 2", "limit cycles of two periods, share", 0.24, 0.05, 0.238),
    Band("cycle >=3", "longer limit cycles, share", 0.12, 0.05, 0.119),
    Band("rival_change", "rival's change of price after the deviation (IR)", -0.126, 0.006, -0.127),
    Band("unprofitable", "deviations that do not pay (IC), share", 0.921, 0.02, 0.936),
    Band("length", "punishment length (L), periods", 5.75, 0.2, 5.705),
    Band("exploitability", "loss on path against an exact best response, mean", 0.130, 0.008),
    Band("perfect", "subgame-perfect sessions", 0.0, 0.0, 0.0),
)
"""Acceptance bands of the representative experiment with exact anchors and own seeds."""


@dataclass(frozen=True)
class Control:
    """A game in which deviations cannot be punished, and the profit gain that learners should end with.

    Args:
        label: What it is.
        game: What is changed in the game.
        learner: What is changed in the learner.
        expected: The mean profit gain that was found before; None if it was not.
        width: Half the width of the band at 1,000 sessions; fewer widen it by sqrt(1000 / sessions).
        source: Where the number is from.
        published: The published number; None where there is none.
        one_shot: The published share of sessions that pass the one-shot test.
    """

    label: str
    game: dict[str, Any]
    learner: dict[str, Any]
    expected: float | None
    width: float
    source: str
    published: float | None = None
    one_shot: float | None = None


CONTROLS = (
    Control("delta = 0", {"delta": 0.0}, {}, 0.233, 0.045, "found before, 150 sessions; 3 s.e."),
    Control("delta = 0, k = 0", {"delta": 0.0, "memory": 0}, {}, 0.175, 0.055, "range of controls, about .12 to .23"),
    Control(
        "delta = 0, k = 0, alpha = .25, beta = 1e-3",
        {"delta": 0.0, "memory": 0},
        {"alpha": 0.25, "beta": 1e-3},
        0.185,
        0.02,
        STORED,
        0.185,
        0.273,
    ),
    Control("k = 0 and delta = .95", {"memory": 0}, {}, None, 0.0, "measured"),
)
"""Controls: the same code, and no way to punish. Without memory the published control has no future either, and another
learner. Firms that remember nothing but discount by .95 (the last row) end near monopoly, though nothing can be
punished there: a profit gain alone proves nothing."""

GOLDEN = {
    "periods": (
        1779187, 1508026, 1523143, 1792041, 1598205, 1914768, 1616361, 1405970, 1858715, 2299704, 1856961, 1688145,
    ),
    "states": (84, 145, 180, 129, 160, 113, 145, 178, 112, 130, 208, 145),
}  # fmt: skip
"""Sessions 1 to 12 of the authors: stopping period with its window, and the state of the last period, from 1."""

MEASURED = {
    "periods": ("periods to convergence, window left out", 1_751_150.0, -2),
    "rival_change": ("IR", -0.127, 3),
    "unprofitable": ("IC", 0.936, 3),
    "length": ("L", 5.705, 3),
    "deviation_gain": ("change of the discounted profit by a deviation", -0.028, 3),
    "figure4_deviator_1": ("figure 4: deviator's price in period 1", 1.504624, 6),
    "exact sessions": ("both best-respond exactly on path, share", 0.001, 3),
    "exact firms": ("firms that best-respond exactly on path, share", 0.0665, 4),
    "exact loss_on_path": ("exact loss on path, mean", 0.130, 3),
    "exact loss_on_path_median": ("exact loss on path, median", 0.129, 3),
    "exact loss_on_path_p95": ("exact loss on path, 95th percentile", 0.211, 3),
    "exact loss_on_path_max": ("exact loss on path, largest", 0.303, 3),
    "exact loss_everywhere": ("exact loss, mean of all states", 0.152, 3),
    "exact loss_worst": ("exact loss in the worst state", 0.252, 3),
    "all_lead_back": ("sessions whose states all lead back, share", 0.922, 3),
    "under_3_strays": ("sessions in which fewer than 3 states do not, share", 0.978, 3),
    "perfect": ("subgame-perfect sessions, share", 0.0, 3),
}
"""Further numbers of the authors' 1,000 sessions: what they are, their values, and the digits that are known."""


RESPONSE = {
    "deviator": (1.7913, 1.6106, 1.5657, 1.5739, 1.6379, 1.6937, 1.7331, 1.7639, 1.7774, 1.7852, 1.7863),
    "rival": (1.7913, 1.7913, 1.5555, 1.5860, 1.6353, 1.6956, 1.7367, 1.7634, 1.7780, 1.7840, 1.7882),
    "figure 4": 1.504624,
}
"""Mean prices in periods 0 to 10 of the authors' 1,000 sessions around a static best reply, and the deviator's price in
period 1 as the paper's figure 4 has it (its deviation answers the rival's move at another state)."""
