"""Print what a head for any classifier does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from nfn_cli.cli.tables.report import figures_table, print_lines

if TYPE_CHECKING:
    from nfn_cli.cli.tables.layout import Table
    from nfn_cli.learning.any_classifier.drift import Drift
    from nfn_cli.learning.any_classifier.measured import Agreement
    from nfn_cli.learning.any_classifier.report import AnyReport


def print_any_report(report: AnyReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals and ceilings, then those of each task, family and other population,
    and of each population that a fit left out."""
    from nfn_cli.learning.any_classifier.report import UNRUN

    tables = [
        figures_table(report.head, ("as they are", "ceiling"), report.figures()),
        *_populations("by task", report.by_task),
        *_populations("by family", report.by_family),
        *_populations("other networks", report.others),
    ]
    for own in report.left_out:
        tables += _populations(f"{own.way} left out", own.populations)
        if own.unrun is not None:
            tables += _populations(f"{own.way} left out, {UNRUN}", own.unrun.populations)
    print_lines(
        stream,
        *tables,
        f"{report.networks:,} networks of {report.runs:,} runs and {report.architectures:,} architectures;"
        f" {_drift(report.drift)}",
    )


def _populations(title: str, populations: Sequence[Agreement]) -> list[Table]:
    from nfn_cli.learning.any_classifier.report import AGREEMENT_COLUMNS, agreement_row

    if not populations:
        return []
    return [figures_table(title, AGREEMENT_COLUMNS, [agreement_row(own) for own in populations])]


def _drift(drift: Drift) -> str:
    """What moving networks along their orbits changes, in a few words.

    >>> from nfn_cli.learning.any_classifier.drift import Drift
    >>> _drift(Drift(0, 9, 0.0, 0))
    'the group of none is known, so drift is not measured'
    >>> _drift(Drift(7, 2, 1.24e-7, 0)).split("; ")[1]
    'the group of 2 more is not known'
    """
    if not drift.networks:
        return "the group of none is known, so drift is not measured"
    unknown = f"; the group of {drift.unmoved} more is not known" if drift.unmoved else ""
    return (
        f"{drift.networks} moved along their orbits: largest drift {drift.largest:.1e} of the predictions' spread,"
        f" {drift.flags_changed} flags changed{unknown}"
    )
