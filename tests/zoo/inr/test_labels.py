"""`labels.csv` of a zoo of INRs: what is written comes back, tables of one's own are read, others refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nfn_cli.errors import DataError
from nfn_cli.zoo import InrRow, read_inr_rows
from nfn_cli.zoo.inr.labels import write_inr_rows

ROWS = [
    InrRow("part-00000.safetensors", 0, "test", 7, 0, 3, 31.25),
    InrRow("part-00000.safetensors", 1, "test", 7, 1, 3, 30.5),
    InrRow("a, b.safetensors", None, "train", 7, 0, 0, None),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_inr_rows(tmp_path, ROWS)
    assert read_inr_rows(tmp_path / "labels.csv") == ROWS
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[0] == "file,index,split,image,fit,label,psnr,run"
    assert lines[1] == "part-00000.safetensors,0,test,7,0,3,31.25,test-7"


def test_fits_to_one_picture_are_one_run() -> None:
    assert ROWS[0].run == ROWS[1].run != ROWS[2].run


def test_a_network_of_an_unknown_picture_is_a_run_of_its_own() -> None:
    packed = [InrRow("zoo.safetensors", place, "train", None, 0, 0, None) for place in range(3)]
    single = [InrRow(f"{name}.pt", None, "train", None, 0, 0, None) for name in "ab"]
    assert len({row.run for row in packed + single}) == 5


def test_a_table_of_ones_own_needs_file_and_label_alone(tmp_path: Path) -> None:
    rows = read_inr_rows(written(tmp_path, "label,file,mood\n2,a.pt,good\n0,sub/b.pt,bad\n"))
    assert rows == [
        InrRow("a.pt", None, "train", None, 0, 2, None),
        InrRow("sub/b.pt", None, "train", None, 0, 0, None),
    ]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read_inr_rows(written(tmp_path, "\ufefffile,label\na.pt,1\n"))[0].file == "a.pt"


@pytest.mark.parametrize(
    "row",
    [
        "a.pt,one,train,,",
        "a.pt,,train,,",
        "a.pt,-1,train,,",
        "a.pt,1.5,train,,",
        "a.pt,1000000000000,train,,",
        "a.pt,1,validation,,",
        ",1,train,,",
        "a.pt,1,train,x,",
        "a.pt,1,train,,first",
        "a.pt",
    ],
)
def test_a_bad_row_is_refused_by_its_line(row: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"file,label,split,index,image\nb.pt,0,train,,\n{row}\n")
    with pytest.raises(DataError) as refused:
        read_inr_rows(path)
    message = str(refused.value)
    assert message.startswith(f"{path}:3: not a row of a zoo of INRs (")
    assert message.endswith("give the columns file, label and split (train, test)")


@pytest.mark.parametrize("header", ["file", "label", "name,class"])
def test_missing_columns_are_refused(header: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a row of a zoo of INRs"):
        read_inr_rows(written(tmp_path, f"{header}\n0,0\n"))


@pytest.mark.parametrize("text", ["", "file,label\n"], ids=["empty", "header alone"])
def test_a_table_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match="the CSV file has no rows"):
        read_inr_rows(path)
    assert read_inr_rows(path, none=True) == []


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_inr_rows(tmp_path / "labels.csv")
