"""Every format of rows is one entry and one file, and whatever names formats takes them from the entries."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nfn_cli import row_formats
from nfn_cli.cli.commands.rank import RankFormat
from nfn_cli.cli.scoring_options import ScoringOptions
from nfn_cli.row_formats import FORMAT_HELP, RESUMABLE, SUFFIXES, Format, RowFormat, ScoreFormat
from nfn_cli.scoring import Scored, ScoreRow, Stamp, formats
from nfn_cli.scoring.formats import growing_format, text_format

COLUMNS = [field.name for field in fields(ScoreRow)]
ROWS = [ScoreRow("a.pt", 0.5, 0.25, 0.75, "h", True), ScoreRow("b.pt", error="b.pt: bad; mend it")]
FOLDER = Path(formats.__file__).parent


def test_every_entry_has_its_file_and_every_file_its_entry() -> None:
    files = {path.stem.removesuffix("_rows") for path in FOLDER.glob("*_rows.py")}
    assert files == {format.value for format in RowFormat if format is not RowFormat.table}
    for format in RowFormat:
        assert format.help and format.value == format.name and RowFormat(format.value) is format


@pytest.mark.parametrize("format", [own for own in RowFormat if own.on_stdout and own is not RowFormat.table])
def test_text_is_the_same_in_one_piece_and_in_several(format: RowFormat) -> None:
    own = text_format(format)
    whole = own.text(ROWS, COLUMNS, first=True) + own.end(empty=False)
    parts = [own.text([row], COLUMNS, first=not place) for place, row in enumerate(ROWS)]
    assert "".join(parts) + own.end(empty=False) == whole and whole.endswith("\n")
    assert all(row.path in whole for row in ROWS)
    assert "a.pt" not in own.text([], COLUMNS, first=True) + own.end(empty=True)


def test_choices_are_those_of_the_table_of_formats() -> None:
    assert [own.value for own in ScoreFormat] == [own.value for own in RowFormat if own.chosen]
    assert [own.value for own in Format] == [own.value for own in RowFormat if own.chosen and own.on_stdout]
    assert [own.value for own in RankFormat] == [*(own.value for own in Format), "path", "path0"]
    assert all(suffix in FORMAT_HELP for suffix in SUFFIXES)
    assert sum(len(format.suffixes) for format in RowFormat) == len(SUFFIXES)
    assert (RowFormat.jsonl, RowFormat.csv, RowFormat.parquet) == RESUMABLE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_suffix_alone_says_the_format(suffix: str, tmp_path: Path) -> None:
    from nfn_cli.cli.scoring_output import _format

    assert _format(ScoringOptions(), tmp_path / f"rows{suffix.upper()}") is SUFFIXES[suffix]


def test_a_format_of_lines_says_only_how_a_line_is_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new format as somebody would add it: it grows, and is continued, without another word."""
    from nfn_cli.scoring.formats.lines import LineFormat

    class Listed(LineFormat):
        def line(self, record: dict[str, Any], columns: Any) -> str:
            return json.dumps([record[name] for name in columns]) + "\n"

        def parsed(self, line: str, columns: Any) -> Any:
            return dict(zip(columns, json.loads(line), strict=True))

    module = ModuleType("new")
    module.FORMAT = Listed()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"{formats.__name__}.jsonl_rows", module)
    from nfn_cli.scoring.resume import resume
    from nfn_cli.scoring.sinks import open_sink

    path = tmp_path / "rows"
    sink = open_sink(path, RowFormat.jsonl, ScoreRow, "m")
    sink.write([Scored(row, Stamp(5, "1")) for row in ROWS])
    sink.close()
    path.write_bytes(path.read_bytes() + b'["torn')
    same: Callable[..., bool] = lambda name, stamp: name == "a.pt"  # noqa: E731
    found = resume(path, RowFormat.jsonl, ScoreRow, "m", same)
    assert (found.done, found.dropped) == ({"a.pt"}, 1)
    assert [json.loads(line)[0] for line in path.read_text().splitlines()] == ["a.pt"]
    assert growing_format(RowFormat.jsonl) is module.FORMAT


def test_the_table_of_formats_needs_no_torch() -> None:
    assert "torch" not in Path(row_formats.__file__).read_text().split("from __future__")[1]
