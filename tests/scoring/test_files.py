"""Outputs that grow by whole rows, and what a later run finds in them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.errors import DataError
from nfn_cli.row_formats import RESUMABLE, RowFormat
from nfn_cli.scoring import ClassRow, Scored, ScoreRow, Stamp, sinks
from nfn_cli.scoring import resume as resuming
from nfn_cli.scoring.columns import columns_of
from nfn_cli.scoring.formats import parquet_rows
from nfn_cli.scoring.sinks import require_output

FORMATS = sorted(format.value for format in RESUMABLE)
ODD = [
    'a "quoted", name.pt',
    "zoo#3.pt",
    "zoo.safetensors#12",
    "a\nb.pt",
    "a\r\nb.pt",
    "a\rb.pt",
    "a\u2028b\x0bc\n.pt",
    " blank .pt",
    "\\ud83d.pt",
    "naïve ☃.pt",
    "'; drop.pt",
]


STAMP = Stamp(5, "1")
MADE_WITH = "head=h@1f dtype=float32"


def scored(name: str, error: str | None = None, stamp: Stamp | None = STAMP) -> Scored[ScoreRow]:
    if error is not None:
        return Scored(ScoreRow(name, error=error), stamp)
    return Scored(ScoreRow(name, 0.25, 0.125, 0.5, "h", True), stamp)


def open_sink(path: Path, format: str, kind: type = ScoreRow, made_with: str = MADE_WITH, **options: Any) -> Any:
    return sinks.open_sink(path, RowFormat(format), kind, made_with, **options)


def resume(
    path: Path, format: str, kind: type, unchanged: resuming.Unchanged, made_with: str = MADE_WITH, **options: Any
) -> resuming.Resumed:
    return resuming.resume(path, RowFormat(format), kind, made_with, unchanged, **options)


def write(path: Path, format: str, rows: list[Scored[Any]], kind: type = ScoreRow, **options: Any) -> None:
    sink = open_sink(path, format, kind, **options)
    for row in rows:
        sink.write([row])
    sink.close()


def read(path: Path, format: str) -> list[dict[str, Any]]:
    """Rows, by a reader that is not ours."""
    if format == "parquet":
        pyarrow = pytest.importorskip("pyarrow.parquet")
        return [row for part in sorted(path.glob("part-*")) for row in pyarrow.ParquetFile(part).read().to_pylist()]
    if format == "jsonl":
        return [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def same(name: str, stamp: Stamp) -> bool:
    return True


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


@pytest.fixture
def path(format: str, tmp_path: Path) -> Path:
    return tmp_path / f"rows.{format}"


def test_names_come_back_whatever_is_in_them(format: str, path: Path) -> None:
    write(path, format, [scored(name) for name in ODD])
    assert [row["path"] for row in read(path, format)] == ODD
    assert resume(path, format, ScoreRow, same).done == frozenset(ODD)
    assert [row["path"] for row in read(path, format)] == ODD


def test_a_name_that_is_no_text_is_known_again(format: str, path: Path, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/a-\xff.pt")
    try:
        Path(name).touch()
    except OSError:
        pytest.skip("this file system has only names that are text")
    write(path, format, [scored(name)])
    asked: list[str] = []
    found = resume(path, format, ScoreRow, lambda name, stamp: (asked.append(name), True)[1])
    assert found.done == frozenset([name]) and asked == [name]


def test_a_resumed_file_is_added_to(format: str, path: Path) -> None:
    write(path, format, [scored("a.pt"), scored("b.pt")])
    assert resume(path, format, ScoreRow, same).done == {"a.pt", "b.pt"}
    write(path, format, [scored("c.pt")])
    assert [row["path"] for row in read(path, format)] == ["a.pt", "b.pt", "c.pt"]
    assert columns_of(ScoreRow) == list(read(path, format)[0])


def test_a_file_without_rows_is_whole_and_can_be_resumed(format: str, path: Path) -> None:
    assert resume(path, format, ScoreRow, same).done == frozenset()
    write(path, format, [])
    assert read(path, format) == []
    if format == "csv":
        assert path.read_text() == ",".join(columns_of(ScoreRow)) + "\n"
    assert resume(path, format, ScoreRow, same).done == frozenset()
    write(path, format, [scored("a.pt")])
    assert [row["path"] for row in read(path, format)] == ["a.pt"]


def test_rows_of_changed_inputs_and_of_unreadable_ones_are_made_again(format: str, path: Path) -> None:
    rows = [
        scored("same.pt"),
        scored("changed.pt", stamp=Stamp(5, "1")),
        scored("gone.pt"),
        scored("bad.pt", error="bad.pt: damaged; copy it"),
        scored("bad-and-changed.pt", error="bad"),
        scored("bad-and-gone.pt", error="bad"),
        scored("missing.pt", error="missing.pt: no such file; check", stamp=None),
    ]
    write(path, format, rows)

    def unchanged(name: str, stamp: Stamp) -> bool | None:
        assert stamp == Stamp(5, "1")
        return None if "gone" in name else "changed" not in name

    found = resume(path, format, ScoreRow, unchanged)
    assert found.done == {"same.pt", "gone.pt", "bad.pt"}
    assert (found.failed, found.dropped) == (1, 4)
    assert [row["path"] for row in read(path, format)] == ["same.pt", "gone.pt", "bad.pt"]


def test_stamps_with_a_hash_come_back(format: str, path: Path) -> None:
    stamp = Stamp(7, "etag-1", "ab" * 32)
    write(path, format, [scored("a.pt", stamp=stamp)])
    asked: list[Stamp] = []
    resume(path, format, ScoreRow, lambda name, stamp: (asked.append(stamp), True)[1])
    assert asked == [stamp]


def test_rows_without_a_hash_are_made_again_where_contents_shall_tell(format: str, path: Path) -> None:
    rows = [
        scored("hashed.pt", stamp=Stamp(5, "1", "ab" * 32)),
        scored("not.pt"),
        scored("bad.pt", error="bad"),
        scored("gone.pt"),
        scored("s3://bucket/packed.safetensors#3"),
    ]
    write(path, format, rows)
    found = resume(path, format, ScoreRow, lambda name, stamp: None if "gone" in name else True, hashed=True)
    assert found.done == {"hashed.pt", "gone.pt", "s3://bucket/packed.safetensors#3"} and found.hashed
    assert [row["path"] for row in read(path, format)] == ["hashed.pt", "gone.pt", "s3://bucket/packed.safetensors#3"]
    write(path, format, [scored("not.pt")])
    assert "not.pt" in resume(path, format, ScoreRow, same).done


def test_stamps_tell_a_change() -> None:
    assert Stamp(1, "2").same_as(Stamp(1, "2", "x"))
    assert not Stamp(1, "2").same_as(Stamp(1, "3")) and not Stamp(1, "2").same_as(Stamp(2, "2"))
    assert Stamp(1, "2", "x").same_as(Stamp(1, "3", "x"))
    assert not Stamp(1, "2", "x").same_as(Stamp(1, "2", "y"))


def test_the_shares_of_classes_survive(format: str, path: Path) -> None:
    shares = {"polar bear": 0.75, "cat": 0.25}
    write(path, format, [Scored(ClassRow("a.pt", "polar bear", 0.75, 0.5, shares, "h", True), Stamp(1, "1"))], ClassRow)
    for _ in range(2):
        (row,) = read(path, format)
        told = row["probabilities"]
        assert (told == "polar bear:0.75 cat:0.25") if format == "csv" else (dict(told) == shares)
        write(path, format, [Scored(ClassRow("b.pt", error="bad"), None)], ClassRow)
        assert resume(path, format, ClassRow, same).done == {"a.pt"}  # and b is taken out, by a new writing


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("names", [["a.pt", "b.pt", "c.pt"], ["a.pt", 'b "x"\n\r,.pt']])
def test_a_file_that_is_torn_anywhere_keeps_its_whole_rows(names: list[str], format: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    rows = [scored(name) for name in names]
    write(path, format, rows)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        done = resume(path, format, ScoreRow, same).done
        kept = [row["path"] for row in read(path, format)]
        assert kept == names[: len(kept)] and done == set(kept)
        write(path, format, [row for row in rows if row.row.path not in done])
        assert path.read_bytes() == whole


def rewritten(path: Path, way: str) -> bytes:
    """A file of rows as other programs save it."""
    if way == "quoted":
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
            csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        )
        return text.getvalue().encode()
    content = path.read_bytes()
    # A line break within quotes stays as it is.
    content = content if way == "mark" else content.replace(b"\n", b"\r\n").replace(b"b\r\nc", b"b\nc")
    return content if way == "lines" else codecs.BOM_UTF8 + content


@pytest.mark.parametrize("way", ["mark", "lines", "both", "quoted", "headless"])
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_file_that_a_spreadsheet_or_an_editor_has_saved_is_continued(format: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, format, [scored(name) for name in ["a.pt", "b\nc.pt", "ü.pt", "d.pt"]])
    before = path.read_bytes()
    if way == "headless":  # lines that were added to ours
        head, rest = before.split(b"\n", 1)
        path.write_bytes(head + b"\n" + rest.replace(b"\n", b"\r\n").replace(b"b\r\nc", b"b\nc"))
    elif way != "quoted" or format == "csv":
        path.write_bytes(rewritten(path, way))
    found = resume(path, format, ScoreRow, same)
    assert found.done == {"a.pt", "b\nc.pt", "ü.pt", "d.pt"} and found.dropped == 0
    assert path.read_bytes() == before
    path.write_bytes(rewritten(path, "both")[:-5])  # and its last row is torn
    assert resume(path, format, ScoreRow, lambda name, stamp: name != "a.pt").done == {"b\nc.pt", "ü.pt"}
    write(path, format, [scored("d.pt")])
    assert [row["path"] for row in read(path, format)] == ["b\nc.pt", "ü.pt", "d.pt"]


def test_a_marked_file_of_other_columns_or_no_rows_is_met_as_any(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    header = ",".join(columns_of(ScoreRow))
    path.write_bytes(codecs.BOM_UTF8 + header.encode() + b"\r\n")
    assert resume(path, "csv", ScoreRow, same).done == frozenset()
    assert path.read_text() == header + "\n"
    for content in (b"some,other\r\n", codecs.BOM_UTF8 + header.replace(",", ";").encode() + b"\r\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="other columns than this command writes"):
            resume(path, "csv", ScoreRow, same)
        assert path.read_bytes() == content


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        "some,other,table\n1,2,3\n",
        "path,accuracy,low,high,head,in_distribution,error\na.pt,1,1,1,h,true,\n",
        "{header}a.pt,0.5\n",
        "{header}a.pt,0.5,0.5,0.5,h,true,,many,1,,m\n",
        "5\n",
        '["path"]\n',
        '{"path": 5}\n',
        "[" * 100_000 + "\n",
        "\udcff\n",
    ],
)
def test_another_file_is_refused_and_left_alone(content: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    header = ",".join(columns_of(ScoreRow)) + "\n"
    before = content.replace("{header}", header).encode("utf-8", "surrogateescape")
    path.write_bytes(before)
    with pytest.raises(DataError, match=r"other columns than this command writes|holds a line that is no row"):
        resume(path, format, ScoreRow, same)
    assert path.read_bytes() == before


@pytest.mark.parametrize("format", FORMATS)
def test_rows_of_another_command_are_refused(format: str, path: Path) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    write(path, format, [scored("a.pt")])
    with pytest.raises(DataError):
        resume(path, format, ClassRow, same)


def test_what_is_replaced_stays_until_there_is_something_else(format: str, path: Path) -> None:
    write(path, format, [scored(f"{number}.pt") for number in range(3)])
    before = read(path, format)
    sink = open_sink(path, format, ScoreRow, replace=True)
    assert read(path, format) == before
    sink.write([scored("new.pt")])
    sink.close()
    assert [row["path"] for row in read(path, format)] == ["new.pt"]


def test_parquet_grows_by_parts_that_are_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(parquet_rows, "_PART_ROWS", 4)
    path = tmp_path / "rows.parquet"
    sink = open_sink(path, "parquet", ScoreRow)
    for start in range(0, 9, 3):
        sink.write([scored(f"{number}.pt") for number in range(start, start + 3)])
    assert [part.name for part in sorted(path.iterdir())] == ["part-000000.parquet", "part-000001.parquet"]
    sink.close()
    (path / "part-000000.parquet").unlink()  # as the error about a damaged part advises
    write(path, "parquet", [scored("new.pt")])
    assert [row["path"] for row in read(path, "parquet")] == ["4.pt", "5.pt", "6.pt", "7.pt", "8.pt", "new.pt"]
    write(path, "parquet", [scored(f"{number}.pt") for number in range(5)], replace=True)
    assert [row["path"] for row in read(path, "parquet")] == [f"{number}.pt" for number in range(5)]


def test_a_damaged_part_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    write(path, "parquet", [scored("a.pt")])
    os.truncate(path / "part-000000.parquet", 20)
    with pytest.raises(DataError, match="not a readable Parquet file"):
        resume(path, "parquet", ScoreRow, same)


def test_what_cannot_be_written_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    attempts: list[tuple[str, str, str]] = [
        ("folder", "csv", "is not a regular file"),
        ("missing/rows.csv", "csv", "its folder does not exist"),
        ("file", "parquet", "is not a folder"),
    ]
    for name, format, told in attempts:
        with pytest.raises(DataError, match=told):
            require_output(tmp_path / name, RowFormat(format))
    access: Callable[[Any, int], bool] = os.access
    monkeypatch.setattr(os, "access", lambda own, mode: access(own, mode) and Path(own) != tmp_path)
    require_output(tmp_path / "file", RowFormat.csv)  # it can be added to, but not replaced
    for name, replace in {"file": True, "new": False}.items():
        with pytest.raises(DataError, match="no permission, or a read-only place"):
            require_output(tmp_path / name, RowFormat.csv, replace=replace)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pyarrow is not installed; pip install 'nfn-cli\[parquet\]'"):
        require_output(tmp_path / "rows", RowFormat.parquet)
