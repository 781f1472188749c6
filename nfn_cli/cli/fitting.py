"""What tables of files share: a choice by the terminal's width, and names that command no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.table import Table


@dataclass(frozen=True)
class Fitting:
    """The first of some tables that a terminal is wide enough for; the last one folds its cells if it must."""

    tables: tuple[Table, ...]

    def _chosen(self, console: Console, options: ConsoleOptions) -> Table:
        from rich.measure import Measurement

        room = options.max_width
        wide = options.update(max_width=10_000)
        fitting = (table for table in self.tables if Measurement.get(console, wide, table).maximum <= room)
        return next(fitting, self.tables[-1])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._chosen(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement.get(console, options, self._chosen(console, options))


def clean(text: str) -> str:
    """Names from a file, whole, but without characters that could command a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
