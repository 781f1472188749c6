"""Print an evaluation report: a table on a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.learning import Agreement, EvaluationReport, OutsiderReport

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NAMES = {
    "tau": "Kendall's tau",
    "r_squared": "R2",
    "mean_absolute_error": "mean absolute error",
    "coverage": "interval coverage",
    "flagged": "outside population",
}


def report_console(stream: TextIO) -> Console:
    """Where a report goes: as wide as the terminal, or as 120 letters in a pipe."""
    from rich.console import Console

    return Console(file=stream, highlight=False, width=None if stream.isatty() else 120)


def print_report(report: EvaluationReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals, plain and moved side by side."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column(report.head, no_wrap=True)
    table.add_column("as they are", no_wrap=True)
    table.add_column("moved by the group", no_wrap=True)
    for attribute, name in _NAMES.items():
        table.add_row(name, _shown(report.plain, attribute), _shown(report.moved, attribute))
    console = report_console(stream)
    console.print(table)
    console.print(_outsiders(report))
    low, high = report.histogram_range
    console.print(
        f"{report.networks} networks of {report.runs} runs; tau falls by {report.tau_drop:.4f}; largest drift"
        f" {report.drift:.1e} of the predictions' spread; {report.flags_changed} flags changed",
        soft_wrap=True,
    )
    console.print(
        f"true accuracies {low:.3f} to {high:.3f}, {report.chance_share:.1%} at chance: {_bars(report.histogram)}",
        soft_wrap=True,
    )


def _outsiders(report: EvaluationReport) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("outsiders flagged", no_wrap=True)
    table.add_column("all", no_wrap=True)
    table.add_column("of those that have learned", no_wrap=True)
    for outsiders in report.outsiders:
        table.add_row(outsiders.kind, str(outsiders.flagged), _learned(outsiders))
    return table


def _learned(outsiders: OutsiderReport) -> str:
    return "" if outsiders.trained_flagged is None else f"{outsiders.trained_flagged} ({outsiders.trained})"


def without_nan(value: Any) -> Any:
    """The same nested values with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(agreement: Agreement, attribute: str) -> str:
    return str(getattr(agreement, attribute))


def _bars(counts: tuple[int, ...]) -> str:
    """A histogram in one line."""
    blocks = " ▁▂▃▄▅▆▇█"
    most = max(counts) or 1
    return "".join(blocks[-(-count * 8 // most)] for count in counts)
