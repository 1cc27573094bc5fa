"""Prints the matrix of PettingZoo's suites and the environments, however many processes ran them."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Collects the cells that `test_pettingzoo_matrix.py` recorded and prints them as a table."""
    cells: dict[tuple[str, str], str] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, cell in getattr(report, "user_properties", []):
                if name == "matrix":
                    cells[tuple(cell)] = outcome
    if not cells:
        return
    suites, environments = (sorted({cell[k] for cell in cells}) for k in (0, 1))
    width = max(map(len, suites)) + 2
    terminalreporter.section("suites of pettingzoo.test")
    terminalreporter.write_line(" " * width + "  ".join(environments))
    for suite in suites:
        row = (cells.get((suite, e), "does not apply").ljust(max(len(e), 14)) for e in environments)
        terminalreporter.write_line(suite.ljust(width) + "  ".join(row))
