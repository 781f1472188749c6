"""Print how well a head edits INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.tables.report import figures_table, print_lines
from nfn_cli.learning import EditReport


def print_edit_report(report: EditReport, stream: TextIO) -> None:
    """Write the errors with their 95 % intervals, and how far editing and transforming are from commuting."""
    print_lines(
        stream,
        figures_table(report.head, ("mean squared error",), report.figures()),
        f"{report.edit} on {report.networks:,} networks of {report.pictures:,} pictures, for values in [0, 1]; PSNR"
        f" {report.psnr:.1f} dB; weights change by {report.change:.1%}; {report.seconds:.3f} s a network",
        f"editing and transforming {report.transformed} networks commute to {report.weight_drift:.1e} of the weights"
        f" and {report.picture_drift:.1e} of the pictures",
    )
