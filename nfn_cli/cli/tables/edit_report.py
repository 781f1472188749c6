"""Print how well a head edits INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.tables.report import figures_table, print_lines
from nfn_cli.learning.inr.edit_card import scientific
from nfn_cli.learning.inr.edit_evaluation import EditReport


def print_edit_report(report: EditReport, stream: TextIO) -> None:
    """Write the errors with their 95 % intervals, and how far editing and moving are from commuting."""
    print_lines(
        stream,
        figures_table(
            report.head,
            ("mean squared error",),
            [("edited networks", scientific(report.after)), ("unedited, for comparison", scientific(report.before))],
        ),
        f"{report.edit} on {report.networks:,} networks of {report.pictures:,} pictures, for values in [0, 1]; PSNR"
        f" {report.psnr:.1f} dB; weights change by {report.change:.1%}; {report.seconds:.3f} s a network",
        f"editing and moving {report.moved} networks commute to {report.weight_drift:.1e} of the weights and"
        f" {report.picture_drift:.1e} of the pictures",
    )
