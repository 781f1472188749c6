"""Every table, at the widths of terminals: a row takes a line, files are told apart, numbers are whole."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nfn_cli.checkpoints import TensorFacts
from nfn_cli.cli.commands.edit_inr import EditedRow
from nfn_cli.cli.rewriting import RewrittenRow
from nfn_cli.cli.tables.classes_table import classes_table
from nfn_cli.cli.tables.edited_table import edited_table
from nfn_cli.cli.tables.layout import (
    ALWAYS,
    IMPORTANCE,
    Block,
    Cell,
    Column,
    Kind,
    Table,
    print_blocks,
    told_apart,
)
from nfn_cli.cli.tables.predictions_table import predictions_table
from nfn_cli.cli.tables.ranking_table import ranking_table
from nfn_cli.cli.tables.report import figures_table
from nfn_cli.cli.tables.rewritten_table import rewritten_table
from nfn_cli.cli.tables.tensor_table import ShownTensors, tensor_table
from nfn_cli.cli.tables.verified_table import CheckRow, LayerRow, checks_table, layers_table
from nfn_cli.cli.widths import wrapped
from nfn_cli.scoring import ClassRow, RankRow, ScoreRow

WIDTHS = [60, 80, 100, 160]
LETTERS = 20  # of a path, at least
LONG = "/scratch/projects/zoo/population-{0}/run-{0}/checkpoints/epoch-0040/model.safetensors"
FAMILIES: dict[str, Callable[[int], str]] = {
    "short": "a{}.pt".format,
    "long": LONG.format,
    "ends alike": ("x" * 70 + "/{}/" + "y" * 70 + ".pt").format,
    "begins alike": ("x" * 150 + "{}.pt").format,
    "wide letters": "/数据/网络/训练的神经网络的检查点/第{}个/模型参数文件.safetensors".format,
    "accents": ("e\u0301" * 50 + "{}" + "o\u0308" * 50).format,
}
HEAD = "/home/somebody/heads/of-a-long-name/my-own-head-for-these-networks"
CAUSE = ": the file is empty; copy or save it again"


@dataclass(frozen=True)
class Shown:
    """A table, with what each of its rows is of, and numbers that must stand in it."""

    table: Table
    names: list[str]
    numbers: list[str]


def predictions(name: Callable[[int], str]) -> Shown:
    paths = [name(i) for i in range(4)]
    rows = [ScoreRow(path, 0.123456, 0.1, 0.2, HEAD, path != paths[1]) for path in paths[:3]]
    return Shown(predictions_table([*rows, ScoreRow(paths[3], error=paths[3] + CAUSE)]), paths, ["12.3%"])


def ranking(name: Callable[[int], str]) -> Shown:
    paths = [name(i) for i in range(3)]
    rows = [RankRow(i + 1000, path, 0.5, 0.4, 0.6, HEAD, i != 1) for i, path in enumerate(paths)]
    return Shown(ranking_table(rows), paths, ["50.0%"])


def classes(name: Callable[[int], str]) -> Shown:
    paths = [name(i) for i in range(4)]
    shares = {"airplane": 0.678, "bird": 0.302, "automobile": 0.011}
    rows = [ClassRow(path, "airplane", 0.678, 1.04, shares, HEAD, path != paths[1], 0.5) for path in paths[:3]]
    return Shown(classes_table([*rows, ClassRow(paths[3], error=paths[3] + CAUSE)]), paths, ["67.8%"])


def moved(name: Callable[[int], str]) -> Shown:
    paths = [name(i) for i in range(4)]
    dead = ", ".join(f"features.layers.{i}:7" for i in range(40))
    rows = [RewrittenRow(path, "out/" + path, 4.5e-8, 1.2e-5, dead if path == paths[0] else None) for path in paths[:3]]
    return Shown(rewritten_table([*rows, RewrittenRow(paths[3], "out", error=paths[3] + CAUSE)]), paths, ["4.5e-08"])


def edited(name: Callable[[int], str]) -> Shown:
    paths = [name(i) for i in range(4)]
    rows = [EditedRow(path, "out/" + path, 0.161, HEAD) for path in paths[:3]]
    return Shown(edited_table([*rows, EditedRow(paths[3], "out", error=paths[3] + CAUSE)]), paths, ["16.1%"])


def layers(name: Callable[[int], str]) -> Shown:
    names = [name(i) for i in range(3)]
    rows = [LayerRow(own, 0.87, 2.7e-8, 5e-8, 1e-5, own != names[0]) for own in names]
    return Shown(layers_table(rows), names, ["5.0e-08", "2.7e-08"])


def checks(name: Callable[[int], str]) -> Shown:
    names = [f"prediction of {name(i)}" for i in range(2)]
    return Shown(checks_table([CheckRow(own, 8, 4.4e-16, 1e-9, True) for own in names]), names, ["4.4e-16"])


def tensors(name: Callable[[int], str]) -> Shown:
    names = [name(i) for i in range(3)]
    facts = tuple(TensorFacts(own, (4096, 4096, 3, 3), "float32", 150994944, 0, 1.34, 2, 1) for own in names)
    return Shown(tensor_table(ShownTensors("torch", facts)), names, ["1.34", "4096x4096x3x3"])


def figures(name: Callable[[int], str]) -> Shown:
    names = [f"flagged: {name(i)}" for i in range(3)]
    figure = "0.867 [0.804, 0.908]"
    rows = [(own, figure, figure) for own in names]
    return Shown(figures_table(HEAD, ("as they are", "moved by the group"), rows), names, [figure])


TABLES = [predictions, ranking, classes, moved, edited, layers, checks, tensors, figures]


def printed(block: Block, width: int | None) -> list[str]:
    stream = io.StringIO()
    print_blocks([block], stream, width=width)
    return stream.getvalue().splitlines()


def cells(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_a_table_is_readable(make: Callable[[Any], Shown], family: str, width: int) -> None:
    shown = make(FAMILIES[family])
    lines = printed(shown.table, width)
    assert max(map(cells, lines)) <= width
    _, *rows = (line for line in lines if "widen the terminal" not in line and not line.startswith("  featu"))
    notes = [line for line in rows if line.startswith("  ") and ("dead" in line or "NaN" in line)]
    rows = [line for line in rows if line not in notes]
    # A row takes one line, and a long note one more.
    assert len(rows) == len(shown.names) and len(notes) <= len(rows)
    assert len(lines) - len(rows) - len(notes) <= 2
    # Files are told apart by what is left of their names.
    names = [re.sub(r"^ *\d+  ", "", row).split("  ")[0] for row in rows]
    assert len(set(names)) == len(names)
    for whole, name in zip(shown.names, names, strict=True):
        assert name == whole or ("…" in name and cells(name) >= LETTERS)
    for number in shown.numbers:
        assert all(number in row for row in rows if "failed" not in row)
    if any("failed" in row for row in rows):
        assert rows[-1].split("  ", 1)[1].strip() == "failed"
    assert "the file is empty" not in "\n".join(lines)


@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_without_a_width_nothing_is_cut_or_left_out(make: Callable[[Any], Shown]) -> None:
    shown = make(FAMILIES["ends alike"])
    text = "\n".join(printed(shown.table, None))
    assert all(name in text for name in shown.names)
    assert "…" not in text and "widen" not in text
    header = text.splitlines()[0]
    assert all(column.name in header for column in shown.table.columns if column.name != "note")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "table",
    [predictions_table, ranking_table, classes_table, rewritten_table, edited_table, layers_table, checks_table],
)
def test_of_no_rows_there_is_a_header(table: Callable[[list[Any]], Table], width: int) -> None:
    (header,) = printed(table([]), width)
    assert len(header) <= width and header.split()[0] in (*ALWAYS, "rank")


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_a_column_that_no_row_uses_takes_no_room(width: int | None) -> None:
    rows = [ScoreRow("a.pt", error="a.pt: bad; mend it"), ScoreRow("b.pt", error="b.pt: bad; mend it")]
    assert printed(predictions_table(rows), width) == [
        "checkpoint  accuracy",
        "a.pt          failed",
        "b.pt          failed",
    ]


def test_every_column_has_a_place_in_the_order() -> None:
    for make in TABLES[:-1]:
        assert {column.name for column in make(FAMILIES["short"]).table.columns} <= set(IMPORTANCE)


def test_what_is_left_out_is_said_in_one_line() -> None:
    table = classes(FAMILIES["long"]).table
    assert printed(table, 100)[-1] == "1 column more (next): widen the terminal, or --format json"
    assert printed(table, 60)[-1] == "3 columns more: widen the terminal, or --format json"


def test_cells_are_short_before_a_column_goes() -> None:
    table = predictions(FAMILIES["long"]).table
    assert "unlike the head's training networks" in printed(table, 160)[2]
    assert "outsider" in printed(table, 80)[2]


def test_numbers_are_flush_right() -> None:
    rows = [ScoreRow("a.pt", 0.05, 0.0, 0.1, "h", True), ScoreRow("b.pt", 0.5, 0.4, 0.6, "h", True)]
    header, one, other = printed(predictions_table(rows), 80)
    assert header.index("accuracy") + len("accuracy") == one.index("5.0%") + 4 == other.index("50.0%") + 5


def test_a_long_note_stands_below_its_row() -> None:
    note = "dead " + "layer:0, " * 30
    rows = [RewrittenRow("a.pt", "b.pt", 1e-8, None, note), RewrittenRow("c.pt", "d.pt", 1e-8)]
    _, first, below, second = printed(rewritten_table(rows), 60)
    assert (first.split()[0], second.split()[0]) == ("a.pt", "c.pt")
    assert below.startswith("  dead") and below.endswith("…") and len(below) <= 60


def test_names_that_no_cut_tells_apart_stand_whole() -> None:
    # They differ in three places, too far apart for any cut.
    far = ["x" * 120, "y" * 120, "z" * 120, "w" * 120]
    names = [
        "".join(part + letter for part, letter in zip(far, letters, strict=True))
        for letters in ("aaae", "abae", "babe")
    ]
    assert told_apart(names, 40) is None
    rows = [Cell(name) for name in names]
    table = Table([Column("checkpoint", Kind.name), Column("accuracy", right=True)], [[row, "12.3%"] for row in rows])
    lines = printed(table, 60)
    assert max(map(len, lines)) <= 60
    assert "".join(line for line in lines[1:] if not line.startswith(" ")) == "".join(names)
    assert sum(line.strip() == "12.3%" for line in lines) == 3


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["zoo/run-1/model.pt", "zoo/run-2/model.pt"], ["1/model.pt", "2/model.pt"]),
        (["a" * 20 + "1" + "b" * 20, "a" * 20 + "2" + "b" * 20], ["1", "2"]),
        (["a.pt", "b.pt", "a.pt"], ["a.pt", "b.pt", "a.pt"]),
    ],
)
def test_names_are_cut_where_they_are_alike(names: list[str], shown: list[str]) -> None:
    cut = told_apart(names, 14)
    assert cut is not None and all(part in own and cells(own) <= 14 for part, own in zip(shown, cut, strict=True))
    assert len(set(cut)) == len(set(names))


def test_words_are_wrapped_between_words() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("one " + "x" * 10, 4) == ["one", "xxxx", "xxxx", "xx"]
    assert wrapped("数据 数据", 4) == ["数据", "数据"]
    assert wrapped("one two", None) == ["one two"]


@pytest.mark.parametrize("width", [1, 10, 40])
def test_no_width_is_too_small(width: int) -> None:
    assert max(map(len, printed(predictions(FAMILIES["long"]).table, width))) <= 40
