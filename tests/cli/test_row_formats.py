"""Every command that scores writes every format of rows, and continues those that can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from files_of_tests import TESTS, imported
from safetensors.torch import save_file

from nfn_cli.architectures import Layer, chain
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ClassDetails,
    CoordinateProbeSizes,
    Head,
    HeadConfig,
    MonomialNFNSizes,
)
from nfn_cli.row_formats import RESUMABLE, SUFFIXES, ScoreFormat, listed
from nfn_cli.scoring import ClassRow, ScoreRow
from nfn_cli.scoring.columns import columns_of

Nfn = Callable[..., Any]
ROWS = {"predict-accuracy": ScoreRow, "classify-inr": ClassRow}
INR = chain([Layer("0", "linear", 2, 5), Layer("1", "linear", 5, 1)], activation="sin")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head for each command, of random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("heads")
    config = HeadConfig(Accepted.of(INR), MonomialNFNSizes(4, 1, 4, 8, 0.0), AccuracyDetails())
    head = Head("predict-accuracy", config, config.new_model().eval())
    head.model.calibration.radii.fill_(0.3)
    head.save(folder / "predict-accuracy", "")
    classes = HeadConfig(
        Accepted.of(INR), CoordinateProbeSizes(side=8, channels=2), ClassDetails(("cat", "polar bear"))
    )
    Head("classify-inr", classes, classes.new_model().eval()).save(folder / "classify-inr", "")
    return folder


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two networks, and a file that is none, by names that are short enough for a table."""
    monkeypatch.chdir(tmp_path)
    paths = [Path(name) for name in ("a.safetensors", "b.safetensors", "c.safetensors")]
    for path in paths[:2]:
        tensors = {spec.name: torch.randn(*spec.shape) for spec in INR.tensors}
        save_file(tensors, path, {"activation": "sin", "omega_0": "30", "chain": "true"})
    paths[2].write_bytes(b"")
    return paths


def rows_of(path: Path, format: str) -> list[dict[str, Any]]:
    """The rows of a file, by the reader in the format's test."""
    return list(imported(TESTS / "scoring" / "formats" / f"test_{format}.py").rows_of(path))


@pytest.mark.parametrize("format", [own.value for own in ScoreFormat])
@pytest.mark.parametrize("command", ROWS)
def test_every_command_writes_every_format_and_continues_it(
    command: str, format: str, nfn: Nfn, heads: Path, zoo: list[Path], tmp_path: Path
) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"rows.{'txt' if format == 'table' else format}"
    common = ["--head", heads / command, "--format", format, "-o", out]
    finished = nfn(command, zoo[0], zoo[2], *common)
    assert (finished.code, finished.out) == (1, ""), finished.err
    kind = ROWS[command]
    if format == "table":
        assert out.read_text().count("a.safetensors") == 1
    else:
        rows = rows_of(out, format)
        columns = columns_of(kind) if format in RESUMABLE else [own.name for own in fields(kind)]
        assert [list(row) for row in rows] == [columns] * 2
        assert [row["path"] for row in rows] == [str(zoo[0]), str(zoo[2])]
        assert rows[0]["head"] == command and "the file is empty" in rows[1]["error"]
        if command == "classify-inr":
            assert float(rows[0]["distance"]) >= 0
        else:
            assert 0 <= float(rows[0]["accuracy"]) <= 1
    finished = nfn(command, *zoo, *common, "--resume")
    if format in RESUMABLE:
        assert finished.code == 1 and "1 scored, 0 failed, 2 skipped (1 of them failed before)" in finished.err
        assert [row["path"] for row in rows_of(out, format)] == [str(zoo[place]) for place in (0, 2, 1)]
    else:
        assert finished.code == 2 and f"only {listed(RESUMABLE)} are continued" in finished.err
    zoo[0].touch()  # its row is taken out of the others
    zoo[2].write_bytes(zoo[1].read_bytes())
    if format in RESUMABLE:
        assert nfn(command, *zoo, *common, "--resume").code == 0
        assert sorted(row["path"] for row in rows_of(out, format)) == sorted(map(str, zoo))


def test_a_new_field_of_a_row_needs_no_list_kept_by_hand() -> None:
    arrow = pytest.importorskip("pyarrow")
    from nfn_cli.scoring.columns import types_of
    from nfn_cli.scoring.formats.parquet_rows import _arrow_type

    told = {name: _arrow_type(arrow, own) for kind in ROWS.values() for name, own in types_of(kind).items()}
    assert told["distance"] == told["accuracy"] == arrow.float64()
    assert told["in_distribution"] == arrow.bool_() and told["bytes"] == arrow.int64()
    assert told["path"] == told["hash"] == told["made_with"] == arrow.string()
    assert told["probabilities"] == arrow.map_(arrow.string(), arrow.float64())
    with pytest.raises(TypeError, match="no column"):
        _arrow_type(arrow, bytes)


def test_a_suffix_that_names_no_format_or_another_one_is_refused_before_any_work(nfn: Nfn, tmp_path: Path) -> None:
    cases: list[tuple[str, list[str], str]] = [
        ("s.xyz", [], f"its suffix .xyz names no format of rows; end it in one of {', '.join(sorted(SUFFIXES))}, or"),
        ("s.csv.gz", [], "its suffix .gz names no format of rows; "),
        ("s", [], "no suffix names the format of its rows; "),
        ("s.safetensors", [], "its suffix .safetensors names no format of rows; "),
        ("s.csv", ["--format", "jsonl"], "its suffix contradicts --format jsonl; change one of the two"),
        ("s.parquet", ["--format", "csv"], "its suffix contradicts --format csv; "),
        ("s.tsv", ["--format", "csv"], "its suffix contradicts --format csv; "),
        ("s.txt", ["--format", "parquet"], "its suffix contradicts --format parquet; "),
        ("s.JSON", ["--format", "table"], "its suffix contradicts --format table; "),
        ("s.safetensors", ["--format", "csv"], "its suffix contradicts --format csv; "),
        ("s.png", ["--format", "json"], "its suffix contradicts --format json; "),
    ]
    for command in ROWS:
        for name, options, told in cases:
            for more in ([], ["--overwrite"], ["--resume"]):
                finished = nfn(command, "missing.pt", "-o", tmp_path / name, *options, *more)
                assert (finished.code, finished.out) == (2, "")
                assert finished.err.startswith(f"nfn: {tmp_path / name}: {told}") and finished.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "format"), [("s.xyz", "csv"), ("s", "jsonl"), ("s.CSV", "csv"), ("s.txt", "json")])
def test_a_format_that_is_given_may_go_under_a_name_that_means_nothing(
    name: str, format: str, nfn: Nfn, heads: Path, zoo: list[Path], tmp_path: Path
) -> None:
    common = ["--head", heads / "predict-accuracy", "--format", format]
    assert nfn("predict-accuracy", zoo[0], "-o", tmp_path / name, *common).code == 0
    assert len(rows_of(tmp_path / name, format)) == 1


@pytest.mark.parametrize("command", ROWS)
def test_a_dash_is_stdout(command: str, nfn: Nfn, heads: Path, zoo: list[Path]) -> None:
    for options in ([], ["--format", "csv"], ["--format", "json", "--overwrite"]):
        plain = nfn(command, zoo[0], "--head", heads / command, *options)
        assert plain.code == 0 and "a.safetensors" in plain.out
        assert nfn(command, zoo[0], "--head", heads / command, *options, "-o", "-") == plain
    assert nfn(command, zoo[0], "-o", "-", "--resume").err.startswith("nfn: --resume: there is no file to continue; ")
    assert nfn(command, zoo[0], "-o", "-", "--format", "parquet").code == 2
    assert not Path("-").exists()


@pytest.mark.parametrize("command", [["verify"], ["apply", "--seed", "1", "-o", "moved.safetensors"]])
def test_an_element_is_not_saved_under_another_formats_name(
    command: list[str], nfn: Nfn, zoo: list[Path], tmp_path: Path
) -> None:
    paths = zoo[:2] if command == ["verify"] else zoo[:1]
    finished = nfn(*command, *paths, "--save-element", "g.pt")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "nfn: g.pt: it is written as a safetensors file; give a name that ends in .safetensors\n"
    assert not Path("g.pt").exists() and not Path("moved.safetensors").exists()
