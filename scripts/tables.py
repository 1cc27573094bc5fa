"""Tables for people: on the console, and as Markdown beside the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from strategic_envs.results import FIGURE_COLUMNS, LEADERBOARD_COLUMNS

__all__ = ["FIGURE_LEGEND", "LEGEND", "console", "leaderboard_markdown", "leaderboard_table", "number", "print_table"]

LEGEND = {
    "options": "options of the environment that are not its defaults, a game's name first",
    "exploitability": "how much a player gains on average by a best response to the others, in units of payoff, 0 at a "
    "Nash equilibrium (NashConv divided by the number of players); it judges the play at the end of the run",
    "exact": "whether those best responses are exact; if not, they were searched for and the true value may be larger "
    "(for mixtures of policies of a Markov game it may be smaller: opponents are told apart)",
    "cce_gap": "the largest gain of one player by leaving the joint play for one fixed strategy, 0 at a coarse "
    "correlated equilibrium; it judges all play of the run where strategies are points of the game's own sets, and the "
    "play at the end elsewhere",
    "local_nash_gap": "what a small move of one player still promises, to first order, at the parameters at the end",
    "local_cce_gap": "the same, from the raw gradients averaged over the run; it is small also for play that moves for "
    "ever and goes nowhere, so read it beside exploitability",
    "steps": "joint moves that were sampled, or fields that were computed exactly, over the whole run",
    "seconds": "wall-clock time of training and judging",
}
"""What the columns of a leaderboard mean."""

FIGURE_LEGEND = {
    "profit_gain": "mean profits in the long run, 0 at Nash and 1 at monopoly prices; on the baseline grid the static "
    "equilibria have -.024 and .117, and uniformly random prices .497",
    "best_reply_loss": "how much of the value of an exact best response a firm forgoes, on average over the states "
    "that play visits in the long run (exploitability counts all histories alike)",
    "rival_response": "relative change of the others' price one period after a firm cuts its own to what is best for "
    "one period; negative where cuts are punished",
    "deviation_gain": "relative change of the deviator's discounted profit by this cut",
    "deviation_unprofitable": "the share of cases in which the cut lowers it",
    "layer_gap": "of the layers of a network as players, the largest derivative of the loss in a weight: 0 where every "
    "layer's own game is in Wardrop equilibrium given the others",
    "layer_excess": "the largest of the layers' excess costs, which bounds what a linear or a last layer can gain "
    "within the total size of the weights that leave each unit",
    "path_gap": "the largest cost of a path through the network: 0 at a Wardrop equilibrium of its paths, which for a "
    "linear network that is wide enough is a global minimum, and for ReLU (gates frozen) is not",
    "norm_gap": "the same as a correlation from 0 to 1; read it beside path_gap, which is small wherever the loss is",
    "identity_error": "how far weight times derivative is from the sum over the paths through it, which should be "
    "rounding: if not, the other numbers are not to be trusted",
    "total_cost": "what all travellers of a congestion game pay together",
    "wardrop_excess": "what they could save together, each alone: 0 at a Wardrop equilibrium",
    "relative_gap": "the same as a share of the total cost",
}
"""What the columns mean that only some games have."""


def console(*, stderr: bool = False) -> Console:
    """A console that does not fold its tables when it writes to a file or a pipe."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=200)


def number(value: object) -> str:
    """A value as a table shows it: four significant digits.

    Example:
        >>> number(0.123456), number(True), number(1234567.0), number(12)
        ('0.1235', 'yes', '1.235e+06', '12')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def print_table(
    out: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, grouped: int = 0
) -> None:
    """Prints a table; columns whose values are all numbers are set to the right.

    Args:
        out: Where to print.
        title: What stands above.
        columns: The columns' names.
        rows: The cells, row by row.
        grouped: How many cells at the start are a group: they are shown once, and a line sets groups apart.
    """
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=index == 0)
    for before, row in zip([None, *rows], rows, strict=False):
        again = grouped > 0 and before is not None and list(row[:grouped]) == list(before[:grouped])
        if grouped and before is not None and not again:
            table.add_section()
        shown = [*([""] * grouped), *row[grouped:]] if again else row
        table.add_row(*(Text(number(cell)) for cell in shown))
    out.print(table)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of these rows: those of games that have figures beside the gaps stand before steps and seconds."""
    beside = [name for name in FIGURE_COLUMNS if any(row.get(name) is not None for row in rows)]
    gaps, cost = LEADERBOARD_COLUMNS[:-2], LEADERBOARD_COLUMNS[-2:]
    return [*gaps, *beside, *cost]


def _shown(columns: Sequence[str]) -> list[str]:
    return [name.replace("exploitability_exact", "exact") for name in columns]


def _legend(columns: Sequence[str]) -> dict[str, str]:
    return {**LEGEND, **{name: text for name, text in FIGURE_LEGEND.items() if name in columns}}


def _cell(row: Mapping[str, Any], name: str) -> object:
    value = row.get(name) if name in FIGURE_COLUMNS else row[name]
    return "" if value is None else value


def leaderboard_table(out: Console, rows: Sequence[Mapping[str, Any]], title: str = "leaderboard") -> None:
    """Prints a leaderboard and what its columns mean."""
    columns = _columns(rows)
    cells = [[_cell(row, name) for name in columns] for row in _sorted(rows)]
    print_table(out, title, _shown(columns), cells, grouped=2)
    for name, meaning in _legend(columns).items():
        out.print(f"[bold]{name}[/bold]: {meaning}", highlight=False)


def leaderboard_markdown(rows: Sequence[Mapping[str, Any]], title: str, made_with: Mapping[str, str]) -> str:
    """A leaderboard as Markdown: the table, what its columns mean, how each row was made, and with what."""
    columns = _columns(rows)
    lines = [f"# {title}", "", f"| {' | '.join(_shown(columns))} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(number(_cell(row, n)) for n in columns)} |" for row in _sorted(rows)]
    lines += ["", "## What the columns mean", ""]
    lines += [f"- **{name}**: {meaning}." for name, meaning in _legend(columns).items()]
    lines += ["", "## How each row was made", ""]
    for row in _sorted(rows):
        used = {**row.get("env", {}), **row.get("settings", {})}
        settings = ", ".join(f"{k}={number(v)}" for k, v in used.items() if v is not None)
        which = ", ".join([row["environment"], *([row["options"]] if row["options"] else []), row["agent"]])
        lines.append(f"- {which}, seed {row['seed']}: {settings or 'nothing to set'}")
    lines += ["", "Versions: " + ", ".join(f"{k} {v}" for k, v in made_with.items()) + "."]
    return "\n".join(lines) + "\n"


def _sorted(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda r: (r["environment"], r["options"], r["exploitability"], r["agent"], r["seed"]))
