"""Labels: a zoo's own, and those that users write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nfn_cli.errors import DataError
from nfn_cli.zoo import Label, draw_hyperparameters, read_labels
from nfn_cli.zoo.labels import HALVES, ZooRow, read_zoo_rows, typed_cells, write_labels

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a CSV file."""

    def call(content: str | bytes) -> Path:
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return call


def refusal(path: Path, column: str = "test_accuracy") -> str:
    """The one line that refuses a CSV file, without its path."""
    with pytest.raises(DataError) as refused:
        read_labels(path, column)
    line = str(refused.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(str(path))
    return line.removeprefix(str(path))


def test_a_zoos_rows_survive_writing_and_reading(tmp_path: Path) -> None:
    rows = [
        ZooRow(
            file=f'odd, "name" {run}.safetensors',
            index=index,
            epoch=3,
            test_accuracy=1 / 3,
            train_accuracy=0.1 + 0.2,
            test_loss=1e-30,
            hyperparameters=draw_hyperparameters(seed=1, run=run, activation="tanh"),
        )
        for run, index in [(0, None), (1, 0), (2, 12)]
    ]
    write_labels(tmp_path, rows)
    assert read_zoo_rows(tmp_path / "labels.csv") == rows
    assert read_labels(tmp_path / "labels.csv") == [
        Label(row.file, row.index, str(i), 1 / 3) for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("known", [1, 3, 5])
def test_what_an_older_zoo_does_not_name_is_as_the_recipe_has_it(known: int, tmp_path: Path) -> None:
    run = draw_hyperparameters(seed=1, run=0, activation="tanh")
    row = ZooRow("a.safetensors", None, 1, 0.5, 0.5, 1.0, run)
    write_labels(tmp_path, [row])
    labels = tmp_path / "labels.csv"
    header, cells = (line.split(",") for line in labels.read_text().splitlines())
    assert header[-5:] == ["schedule", "augmentation", "preprocessing", "image_share", "epochs"]
    labels.write_text(f"{','.join(header[:-known])}\n{','.join(cells[:-known])}\n")
    assert read_zoo_rows(labels) == [row]


def test_file_and_accuracy_are_all_that_is_needed(write: Write) -> None:
    # Without a run, each file counts as a run of its own.
    assert read_labels(write("file,test_accuracy\na.pt,0.5\nb.pt,1\n")) == [
        Label("a.pt", None, "a.pt", 0.5),
        Label("b.pt", None, "b.pt", 1.0),
    ]


def test_other_columns_are_passed_over_in_any_order(write: Write) -> None:
    text = "note,run,test_accuracy,file,index\nhello,7,0.25,a.pt,\n,,0,b.pt,3\n"
    assert read_labels(write(text)) == [Label("a.pt", None, "7", 0.25), Label("b.pt", 3, "b.pt", 0.0)]


def test_another_column_may_hold_the_accuracy(write: Write) -> None:
    assert read_labels(write("file,val_acc\na.pt,0.5\n"), "val_acc")[0].target == 0.5


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b""], ids=["byte order mark", "plain"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_spreadsheets_write_is_read(before: bytes, end: bytes, write: Write) -> None:
    content = before + end.join([b"file,test_accuracy", b'"caf\xc3\xa9, 1.pt",0.5', b""])
    assert read_labels(write(content)) == [Label("café, 1.pt", None, "café, 1.pt", 0.5)]


@pytest.mark.parametrize("value", ["1.01", "-0.01", "91.5", "nan", "inf"])
def test_an_accuracy_outside_0_to_1_is_refused_by_its_line(value: str, write: Write) -> None:
    message = refusal(write(f"file,test_accuracy\na.pt,0.5\n\nb.pt,{value}\n"))
    assert message.startswith(f":4: test_accuracy is {float(value)}; ")
    assert message.endswith("give accuracies as fractions between 0 and 1")


@pytest.mark.parametrize("row", ["b.pt,", "b.pt,high", "b.pt", "b.pt,0.5,one", "b.pt,0.5,1.5"])
def test_what_is_no_number_is_refused_by_its_line(row: str, write: Write) -> None:
    assert refusal(write(f"file,test_accuracy,index\na.pt,0.5,\n{row}\n")).startswith(":3: not a number (")


def test_a_row_without_a_file_is_refused_by_its_line(write: Write) -> None:
    assert refusal(write("file,test_accuracy\n,0.5\n")).startswith(":2: names no file;")


@pytest.mark.parametrize("name", ["file", "test_accuracy"])
def test_a_missing_column_is_named_with_those_that_are_there(name: str, write: Write) -> None:
    header = "file,test_accuracy,epoch".replace(name, "other")
    has = header.replace(",", ", ")
    assert (
        refusal(write(f"{header}\na,0.5,1\n")) == f": no column {name!r} (it has {has}); add it, or name another column"
    )


@pytest.mark.parametrize("content", ["", "file,test_accuracy\n"])
def test_a_file_without_rows_is_refused(content: str, write: Write) -> None:
    assert refusal(write(content)).startswith(": the CSV file has no rows; ")


@pytest.mark.parametrize("content", [b"file,test_accuracy\n\xff\xfe,0.5\n", b'file\n"' + b"x" * 200_000 + b'"\n'])
def test_what_is_no_csv_is_refused(content: bytes, write: Write) -> None:
    assert refusal(write(content)).startswith(": not a readable CSV file (")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "labels.csv").startswith(": no such file; ")
    assert refusal(tmp_path).startswith(": not a readable CSV file (")


def test_an_interrupted_write_leaves_the_old_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ZooRow("a", None, 1, 0.5, 0.5, 1.0, draw_hyperparameters(seed=1, run=0, activation="tanh"))
    write_labels(tmp_path, [row])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path, [row, row])
    monkeypatch.undo()
    assert read_zoo_rows(tmp_path / "labels.csv") == [row]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


# --- cells by the types of fields ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    index: int | None
    figure: float | None
    others: tuple[int, ...] = ()


def test_cells_take_the_types_of_their_fields() -> None:
    cells: dict[str, str | None] = {"name": "1", "count": "2", "index": "3", "figure": "4", "further": "5"}
    assert typed_cells(Row, cells) == {"name": "1", "count": 2, "index": 3, "figure": 4.0}
    assert typed_cells(Row, cells | {"index": "", "figure": ""}) == {
        "name": "1",
        "count": 2,
        "index": None,
        "figure": None,
    }


@pytest.mark.parametrize("change", [{"count": ""}, {"count": "2.5"}, {"index": "x"}, {"name": None}, {"figure": None}])
def test_a_cell_of_another_type_is_refused(change: dict[str, str | None]) -> None:
    with pytest.raises(ValueError):
        typed_cells(Row, {"name": "1", "count": "2", "index": "", "figure": ""} | change)


def test_a_missing_column_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="count"):
        typed_cells(Row, {"name": "1", "index": "", "figure": ""})


@pytest.mark.parametrize("given", [(), (0.25, 0.75)])
def test_what_an_older_zoo_did_not_measure_is_not_known(given: tuple[float, ...], tmp_path: Path) -> None:
    run = draw_hyperparameters(seed=1, run=0, activation="tanh")
    rows = [ZooRow("a.safetensors", None, 1, 0.5, 0.5, 1.0, run), ZooRow("b", None, 1, 0.5, 0.5, 1.0, run, *given)]
    write_labels(tmp_path, rows)
    assert read_zoo_rows(tmp_path / "labels.csv") == rows
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    places = [place for place, name in enumerate(lines[0].split(",")) if name not in HALVES]
    older = [",".join(line.split(",")[place] for place in places) for line in lines]
    (tmp_path / "labels.csv").write_text("\n".join(older) + "\n")
    assert read_zoo_rows(tmp_path / "labels.csv") == [rows[0], replace(rows[0], file="b")]


# --- accuracies on two halves of the test images -------------------------------------------------------------------


def test_halves_are_read_where_a_row_says_both(write: Write) -> None:
    text = "file,test_accuracy,odd_accuracy,even_accuracy\na.pt,0.5,0.4,0.6\nb.pt,0.5,,0.6\nc.pt,0.5,0.5\n"
    assert [label.halves for label in read_labels(write(text))] == [(0.6, 0.4), None, None]
    assert read_labels(write("file,test_accuracy,even_accuracy\na.pt,0.5,0.6\n"))[0].halves is None


def test_halves_are_those_of_no_other_column(write: Write) -> None:
    text = "file,test_accuracy,train_accuracy,even_accuracy,odd_accuracy\na.pt,0.5,0.9,0.4,x\n"
    assert read_labels(write(text), "train_accuracy")[0].halves is None


def test_halves_that_are_no_accuracies_are_refused_by_their_line(write: Write) -> None:
    header = "file,test_accuracy,even_accuracy,odd_accuracy\n"
    assert refusal(write(f"{header}a.pt,0.5,0.5,high\n")).startswith(":2: not a number (")
    message = refusal(write(f"{header}a.pt,0.5,0.5,0.5\nb.pt,0.5,50,60\n"))
    assert message == (
        ":3: even_accuracy and odd_accuracy are 50.0 and 60.0; give accuracies as fractions between 0 and 1"
    )
