"""What is printed or stored about the algorithms of Calvano et al. (2020), as data, and the bands for other seeds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BANDS", "CLASSES", "CONTROLS", "PRINTED", "RESPONSE", "Band", "Printed"]

PAPER = "AER 110(10), 2020, representative experiment"
STORED = "stored results of the authors' program"
OWN = "band of own seeds: about 3 s.e. at 1,000 sessions, and the spread over seeds"

CLASSES = ("1, symmetric", "1, asymmetric", "1", "2", "3 or more", "all", "one-shot Nash")
"""The columns of the representative table: limit cycles of one period (equal and unequal prices), of two, of more; all
sessions; and the sessions that pass the one-shot test."""


@dataclass(frozen=True)
class Printed:
    """A row of the representative table as it is printed.

    Args:
        key: The name of the statistic.
        label: What it is.
        values: One number a class of `CLASSES`; None where nothing is printed.
        digits: Digits after the point in print.
    """

    key: str
    label: str
    values: tuple[float | None, ...]
    digits: int = 3


PRINTED = (
    Printed("frequency", "share of sessions", (0.277, 0.366, 0.643, 0.238, 0.119, 1.0, 0.505)),
    Printed("delta", "profit gain Delta, mean", (0.866, 0.855, 0.860, 0.846, 0.793, 0.849, 0.854)),
    Printed("delta_sd", "profit gain Delta, s.d.", (0.115, 0.114, 0.114, 0.104, 0.097, 0.112, 0.108)),
    Printed("one_shot", "one-shot Nash on path, share", (0.686, 0.661, 0.672, 0.294, 0.025, 0.505, 1.0)),
    Printed("q_loss_on_path", "Q-loss on path", (0.001, 0.001, 0.001, 0.002, 0.004, 0.002, 0.0)),
    Printed("q_loss_off_path", "Q-loss off path", (0.018, None, None, None, None, 0.018, 0.018)),
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
    Band("delta", "profit gain Delta", 0.851, 0.012, 0.849),
    Band("one_shot", "one-shot Nash on path (EQ), share of sessions", 0.486, 0.05, 0.505),
    Band("q_loss_on_path", "Q-loss on path", 0.0017, 0.0005, 0.002),
    Band("q_loss_off_path", "Q-loss off path", 0.018, 0.001, 0.018),
    Band("periods", "periods to convergence, window left out", 1_758_000, 35_000, 1_751_150),
    Band("cycle_1", "limit cycles of one period, share", 0.64, 0.05, 0.643),
    Band("cycle_2", "limit cycles of two periods, share", 0.24, 0.05, 0.238),
    Band("cycle_3", "longer limit cycles, share", 0.12, 0.05, 0.119),
    Band("response", "rival's change of price after the deviation (IR)", -0.126, 0.006, -0.127),
    Band("unprofitable", "deviations that do not pay (IC), share", 0.921, 0.02, 0.936),
    Band("punishment", "punishment length (L), periods", 5.75, 0.2, 5.705),
    Band("exact_loss", "loss on path against an exact best response, mean", 0.130, 0.008),
    Band("subgame_perfect", "subgame-perfect sessions", 0.0, 0.0, 0.0),
)
"""Acceptance bands of the representative experiment with exact anchors and own seeds."""

CONTROLS = {"delta = 0": (0.233, 0.12, 0.35), "k = 0": (0.185, 0.12, 0.23)}
"""Delta of the controls: the number measured or published, and the range that is expected."""

RESPONSE = {
    "deviator": (1.7913, 1.6106, 1.5657, 1.5739, 1.6379, 1.6937, 1.7331, 1.7639, 1.7774, 1.7852, 1.7863),
    "rival": (1.7913, 1.7913, 1.5555, 1.5860, 1.6353, 1.6956, 1.7367, 1.7634, 1.7780, 1.7840, 1.7882),
    "figure 4": 1.504624,
}
"""Mean prices in periods 0 to 10 of the authors' 1,000 sessions around a static best reply, and the deviator's price in
period 1 as the paper's figure 4 has it (its deviation answers the rival's move at another state)."""
