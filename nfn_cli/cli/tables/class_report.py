"""Print how well a head classifies INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.tables.report import figures_table, print_lines
from nfn_cli.learning.inr import ClassReport


def print_class_report(report: ClassReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals, plain and moved side by side."""
    figures = [
        ("accuracy", str(report.accuracy), str(report.moved_accuracy)),
        ("among the three most probable", str(report.top3), ""),
        ("cross entropy", f"{report.loss:.4f}", ""),
        ("calibration error", f"{report.calibration_error:.4f}", ""),
        ("outside population", str(report.flagged), ""),
        *((f"flagged: {kind}", str(flagged), "") for kind, flagged in report.outsiders.items()),
    ]
    shares = ", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())
    mistakes = "; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused)
    print_lines(
        stream,
        figures_table(report.head, ("as they are", "moved by the group"), figures),
        f"{report.networks:,} networks of {report.pictures:,} pictures; largest drift {report.drift:.1e} of the logits'"
        f" spread; {report.changed} predicted classes and {report.flags_changed} flags changed",
        f"right by class: {shares}",
        f"commonest mistakes: {mistakes or 'none'}",
    )
