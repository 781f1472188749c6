"""What rows were made with: another run goes on only if it would make the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.scoring import AccuracyTask, ClassificationTask, EngineSettings
from nfn_cli.scoring.made_with import difference, made_with

Nfn = Callable[..., Any]
FORMATS = ["csv", "jsonl", "parquet"]


@pytest.fixture(params=FORMATS)
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "rows").mkdir()
    return tmp_path / "rows" / f"rows.{request.param}"


@pytest.fixture
def heads(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped heads, to be changed."""
    shutil.copytree(shipped, tmp_path / "package" / "models")
    monkeypatch.setattr("nfn_cli.shipped._PACKAGE", tmp_path / "package")
    return tmp_path / "package" / "models"


def content(path: Path) -> Any:
    return {own: own.read_bytes() for own in sorted(path.iterdir())} if path.is_dir() else path.read_bytes()


def swap(heads: Path, name: str, other: str) -> None:
    """Give a head the weights of another one."""
    shutil.copy(heads / other / "model.safetensors", heads / name / "model.safetensors")


def use_second_head(heads: Path) -> None:
    swap(heads, "a-relu", "b-tanh")


@pytest.mark.parametrize(
    ("first", "then", "change", "told"),
    [
        (["--head", "a-relu"], ["--head", "a-relu"], use_second_head, r"head a-relu@\w+ and not a-relu@\w+;"),
        ([], [], use_second_head, r"head shipped@\w+ and not shipped@\w+;"),
        ([], [], lambda heads: swap(heads, "b-tanh", "a-relu"), r"head shipped@\w+ and not shipped@\w+;"),
        ([], ["--head", "a-relu"], lambda heads: None, r"head shipped@\w+ and not a-relu@\w+;"),
        ([], ["--dtype", "bfloat16"], lambda heads: None, "dtype float32 and not bfloat16;"),
        ([], ["--activation", "relu"], lambda heads: None, "no activation and not relu;"),
        (["--activation", "relu"], [], lambda heads: None, "activation relu and not no activation;"),
    ],
)
def test_rows_made_with_something_else_are_refused_and_left_alone(
    first: list[str], then: list[str], change: Callable[[Path], None], told: str, nfn: Nfn, out: Path, heads: Path,
    save: Callable[..., Path],
) -> None:  # fmt: skip
    a, b = save("a.safetensors"), save("b.safetensors", seed=1)
    assert nfn("predict-accuracy", a, "-o", out, *first).code == 0
    before = content(out)
    change(heads)
    a.touch()  # its row would be taken out
    finished = nfn("predict-accuracy", a, b, "-o", out, "--resume", *then)
    assert (finished.code, finished.out) == (3, "") and finished.err.count("\n") == 1
    assert finished.err.startswith(f"nfn: {out}: its rows were made with ")
    assert re.search(told, finished.err), finished.err
    assert content(out) == before
    assert [own.name for own in out.parent.iterdir()] == [out.name]


def test_rows_made_with_the_same_are_continued_wherever_the_head_lies(
    nfn: Nfn, out: Path, heads: Path, save: Callable[..., Path], tmp_path: Path
) -> None:
    a, b = save("a.safetensors"), save("b.safetensors", seed=1)
    assert nfn("predict-accuracy", a, "-o", out, "--head", "a-relu", "--activation", "ReLU").code == 0
    shutil.copytree(heads / "a-relu", tmp_path / "else" / "a-relu")
    (tmp_path / "else" / "a-relu" / "README.md").write_text("another card")
    again = ["--head", tmp_path / "else" / "a-relu", "--activation", "relu", "--batch-size", 3, "--unordered"]
    finished = nfn("predict-accuracy", a, b, "-o", out, "--resume", *again)
    assert finished.code == 0 and "1 scored, 0 failed, 1 skipped" in finished.err


def test_a_file_of_an_older_version_is_refused(nfn: Nfn, out: Path, shipped: Path, save: Callable[..., Path]) -> None:
    a = save("a.safetensors")
    assert nfn("predict-accuracy", a, "-o", out).code == 0
    if out.suffix == ".csv":
        lines = out.read_text().splitlines()
        out.write_text("".join(line.rpartition(",")[0] + "\n" for line in lines))
    elif out.suffix == ".jsonl":
        row = json.loads(out.read_text())
        del row["made_with"]
        out.write_text(json.dumps(row) + "\n")
    else:
        import pyarrow.parquet

        (part,) = out.iterdir()
        table = pyarrow.parquet.ParquetFile(part).read()
        pyarrow.parquet.write_table(table.drop(["made_with"]), part)
    before = content(out)
    finished = nfn("predict-accuracy", a, "-o", out, "--resume")
    assert (finished.code, finished.err) == (
        3,
        f"nfn: {out}: does not tell what its rows were made with (an older version wrote it); "
        "repeat what made them, choose another --output, or score all again with --overwrite\n",
    )
    assert content(out) == before


def test_what_classes_are_told_counts(shipped: Path) -> None:
    settings = EngineSettings(head=str(shipped / "a-relu"))
    assert made_with(ClassificationTask(3), settings) != made_with(ClassificationTask(2), settings)
    assert (
        difference(made_with(ClassificationTask(3), settings), made_with(ClassificationTask(2), settings))
        == "top 3 and not 2"
    )


def test_a_name_with_blanks_is_one_name(shipped: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped / "a-relu", tmp_path / "my head=ü")
    told = made_with(AccuracyTask(), EngineSettings(head=str(tmp_path / "my head=ü")))
    assert told.count(" ") == 1 and told.isascii()
    assert difference(told, "dtype=float32").startswith("head my head=ü@")


def test_rows_that_tell_nothing_are_of_another_make() -> None:
    assert difference("", "head=a@1f dtype=float32") == "no head and not a@1f, no dtype and not float32"


def test_hash_scores_rows_without_one_again_and_rows_with_one_are_continued_so(
    nfn: Nfn, out: Path, shipped: Path, save: Callable[..., Path]
) -> None:
    a, b = save("a.safetensors"), save("b.safetensors", seed=1)
    assert nfn("predict-accuracy", a, "-o", out).code == 0
    finished = nfn("predict-accuracy", a, "-o", out, "--resume", "--hash")
    assert finished.code == 0 and "skipped" not in finished.err  # one, and it was scored
    finished = nfn("predict-accuracy", a, b, "-o", out, "--resume")
    assert "1 scored, 0 failed, 1 skipped" in finished.err
    finished = nfn("predict-accuracy", a, b, "-o", out, "--resume", "--hash")
    assert "0 scored, 0 failed, 2 skipped" in finished.err
