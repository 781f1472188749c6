"""Plain lines: a header, and cells separated by tabs, with the digits that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nfn_cli.phrases import escaped
from nfn_cli.scoring.formats.values import pairs


class PlainRows:
    """See `TextFormat`."""

    def text(self, rows: Sequence[Any], columns: Sequence[str], *, first: bool) -> str:
        """See `TextFormat`."""
        lines = [columns] if first else []
        lines += [[_cell(value) for value in asdict(row).values()] for row in rows]
        return "".join("\t".join(line) + "\n" for line in lines)

    def end(self, *, empty: bool) -> str:
        """See `TextFormat`."""
        return ""


FORMAT = PlainRows()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        value = pairs({name: float(f"{share:.4f}") for name, share in value.items()})
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"
    # A tab or line break in a file's name would break the row, other signs may command a terminal.
    return escaped(str(value))
