"""Print how well a head edits INRs."""

from __future__ import annotations

from typing import TextIO

from nfn_cli.cli.report import report_console
from nfn_cli.learning.inr.edit_card import scientific
from nfn_cli.learning.inr.edit_evaluation import EditReport


def print_edit_report(report: EditReport, stream: TextIO) -> None:
    """Write the errors with their 95 % intervals, and how far editing and moving are from commuting."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(escape(report.head), no_wrap=True)
    table.add_column("mean squared error", no_wrap=True)
    table.add_row("edited networks", scientific(report.after))
    table.add_row("unedited, for comparison", scientific(report.before))
    console = report_console(stream)
    console.print(table)
    console.print(
        f"{report.edit} on {report.networks:,} networks of {report.pictures:,} pictures, for values in [0, 1]; PSNR"
        f" {report.psnr:.1f} dB; weights change by {report.change:.1%}; {report.seconds:.3f} s a network",
        soft_wrap=True,
    )
    console.print(
        f"editing and moving {report.moved} networks commute to {report.weight_drift:.1e} of the weights and"
        f" {report.picture_drift:.1e} of the pictures",
        soft_wrap=True,
    )
