"""The formats of rows, one file each; their names and suffixes are in `nfn_cli.row_formats`, which needs no torch.

The file of the format `csv` is `csv_rows`, and its `FORMAT` a `TextFormat`, a `GrowingFormat`, or both. The table has
no file: the command that prints rows lays them out.

>>> from nfn_cli.row_formats import RowFormat
>>> text_format(RowFormat.csv).text([], ["path", "error"], first=True)
'path,error\\n'
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring.formats.json_rows import json_text
from nfn_cli.scoring.formats.row_format import GrowingFormat, TextFormat
from nfn_cli.scoring.formats.values import as_utf8, rounded

__all__ = ["GrowingFormat", "TextFormat", "as_utf8", "growing_format", "json_text", "rounded", "text_format"]


def text_format(format: RowFormat) -> TextFormat:
    """How a format's rows are written as text: of those that can go to stdout, but for the table."""
    return _of(format)


def growing_format(format: RowFormat) -> GrowingFormat:
    """How a format's files grow and are continued: of resumable ones."""
    return _of(format)


def _of(format: RowFormat) -> Any:
    return import_module(f"{__name__}.{format.value}_rows").FORMAT
