"""Print an evaluation report: a table on a terminal, plain lines in a pipe."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from nfn_cli.cli.options import Format
from nfn_cli.learning import EvaluationReport, OODReport

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from nfn_cli.cli.tables.layout import Table

Report = TypeVar("Report", bound="DataclassInstance")


def figures_table(head: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Figures beside their names, under the head's name; `columns` are those of the figures."""
    from nfn_cli.cli.tables.layout import Column, Kind, Table

    figures = [Column(name, right=True) for name in columns]
    return Table([Column(head, Kind.name), *figures], rows)


def print_lines(stream: TextIO, *blocks: Table | str) -> None:
    """Write tables and sentences, as wide as the stream is."""
    from nfn_cli.cli.tables.layout import Words, print_blocks
    from nfn_cli.cli.widths import width_of

    shown = [Words(block) if isinstance(block, str) else block for block in blocks]
    print_blocks(shown, stream, width=width_of(stream))


def print_report(report: EvaluationReport, stream: TextIO) -> None:
    """Write the figures with their 95 % intervals, plain and transformed side by side."""
    low, high = report.histogram_range
    print_lines(
        stream,
        figures_table(report.head, ("as they are", "transformed"), report.figures()),
        figures_table(
            "out of distribution: flagged",
            ("all", "of those that have learned"),
            [[own.kind, str(own.flagged), _learned(own)] for own in report.out_of_distribution],
        ),
        f"{report.networks} networks of {report.runs} runs; tau falls by {report.tau_drop:.4f}; largest drift"
        f" {report.drift:.1e} of the predictions' spread; {report.flags_changed} flags changed",
        f"true accuracies {low:.3f} to {high:.3f}, {report.chance_share:.1%} at chance: {_bars(report.histogram)}",
    )


def _learned(own: OODReport) -> str:
    return "" if own.trained_flagged is None else f"{own.trained_flagged} ({own.trained})"


@dataclass(frozen=True)
class FigureRow:
    """A row: one figure of a report, by its name in JSON, such as `plain.tau.value`."""

    figure: str
    value: Any


def write_report(report: Report, show: Callable[[Report, TextIO], None], format: Format) -> None:
    """Write a report to stdout: as JSON (JSON Lines: in one line), for people, by `show`, or a row a figure."""
    if format is Format.table:
        show(report, sys.stdout)
        return
    record = _without_nan(asdict(report))
    if format in (Format.json, Format.jsonl):
        print(json.dumps(record, indent=2 if format is Format.json else None))
    else:
        from nfn_cli.cli.output import write_rows
        from nfn_cli.cli.tables.layout import Words

        rows = [FigureRow(name, value) for name, value in _flat(record)]
        write_rows(rows, FigureRow, lambda rows: Words(""), format, sys.stdout)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values, each with the path to it."""
    items: Iterable[tuple[Any, Any]] | None = None
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    if items is None:
        yield name, value
        return
    for key, item in items:
        yield from _flat(item, f"{name}.{key}" if name else str(key))


def _without_nan(value: Any) -> Any:
    """The same nested values with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _bars(counts: tuple[int, ...]) -> str:
    """A histogram in one line."""
    blocks = " ▁▂▃▄▅▆▇█"
    most = max(counts) or 1
    return "".join(blocks[-(-count * 8 // most)] for count in counts)
