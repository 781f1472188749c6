"""Print how well a head classifies INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.tables.report import figures_table, print_lines
from nfn_cli.learning import ClassReport


def print_class_report(report: ClassReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals, plain and transformed side by side."""
    flagged = [(f"flagged: {kind}", str(share), "") for kind, share in report.out_of_distribution.items()]
    shares = ", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())
    mistakes = "; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused)
    print_lines(
        stream,
        figures_table(report.head, ("as they are", "transformed"), [*report.figures(), *flagged]),
        f"{report.networks:,} networks of {report.pictures:,} pictures; largest drift {report.drift:.1e} of the logits'"
        f" spread; {report.changed} predicted classes and {report.flags_changed} flags changed",
        f"right by class: {shares}",
        f"commonest mistakes: {mistakes or 'none'}",
    )
