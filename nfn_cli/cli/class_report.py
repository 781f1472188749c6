"""Print how well a head classifies INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.report import report_console
from nfn_cli.learning.inr import ClassReport


def print_class_report(report: ClassReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals, plain and moved side by side."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(escape(report.head), no_wrap=True)
    table.add_column("as they are", no_wrap=True)
    table.add_column("moved by the group", no_wrap=True)
    table.add_row("accuracy", str(report.accuracy), str(report.moved_accuracy))
    table.add_row("among the three most probable", str(report.top3), "")
    table.add_row("cross entropy", f"{report.loss:.4f}", "")
    table.add_row("calibration error", f"{report.calibration_error:.4f}", "")
    table.add_row("outside population", str(report.flagged), "")
    for kind, flagged in report.outsiders.items():
        table.add_row(f"flagged: {escape(kind)}", str(flagged), "")
    console = report_console(stream)
    console.print(table)
    console.print(
        f"{report.networks:,} networks of {report.pictures:,} pictures; largest drift {report.drift:.1e} of the logits'"
        f" spread; {report.changed} predicted classes and {report.flags_changed} flags changed",
        soft_wrap=True,
    )
    shares = ", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())
    console.print(f"right by class: {shares}", soft_wrap=True, markup=False)
    mistakes = "; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused)
    console.print(f"commonest mistakes: {mistakes or 'none'}", soft_wrap=True, markup=False)
