"""`nfn families`: rows, notes, exit codes, the page."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn_cli.cli.tables.families_table import FamilyRow, PairRow
from nfn_cli.row_formats import Format

Nfn = Callable[..., Any]
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def folder(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network, a copy of it, a disguised one, a disguised child, and a stranger."""
    monkeypatch.chdir(tmp_path)
    for name in ("relu-1.safetensors", "relu-2.safetensors"):
        shutil.copy(SAMPLES / name, tmp_path)
    shutil.copy("relu-1.safetensors", "copy.safetensors")
    nfn("apply", "relu-1.safetensors", "--seed", "1", "-o", "disguised.safetensors", "--quiet")
    torch.manual_seed(0)
    noisy = {own: t + 0.05 * t.std() * torch.randn_like(t) for own, t in load_file("relu-1.safetensors").items()}
    save_file(noisy, "noisy.safetensors", {"activation": "relu"})
    nfn("apply", "noisy.safetensors", "--seed", "2", "-o", "child.safetensors", "--quiet")
    Path("noisy.safetensors").unlink()
    return tmp_path


def by_name(out: str) -> dict[str, dict[str, Any]]:
    return {Path(row["path"]).stem: row for row in json.loads(out)}


def test_a_folder_is_sorted(nfn: Nfn, folder: Path) -> None:
    finished = nfn("families", ".", "--format", "json")
    assert finished.code == 0
    rows = by_name(finished.out)
    assert list(next(iter(rows.values()))) == list(FamilyRow.__dataclass_fields__)
    assert {name: row["family"] for name, row in rows.items()} == {
        **dict.fromkeys(["copy", "relu-1", "disguised", "child"], 1),
        "relu-2": 2,
    }
    assert rows["relu-1"]["relation"] == "copy" and rows["relu-1"]["of"] == "./copy.safetensors"
    assert rows["disguised"]["relation"] == "disguised"
    assert {rows["copy"]["relation"], rows["child"]["relation"]} == {"root", "derived"}
    assert {row["guess"] for row in rows.values()} == {"root", "direction", None}
    assert rows["relu-2"]["relation"] == "stranger" and rows["relu-2"]["guess"] is None
    derived = next(row for row in rows.values() if row["relation"] == "derived")
    assert 0 < derived["distance"] < 0.1 and derived["score"] > 0.5
    assert "5 files, 1 family: 1 copy, 1 disguised copy, 1 derived network, 1 stranger" in finished.err
    assert "is the root is a guess" in finished.err


def test_copies_alone(nfn: Nfn, folder: Path) -> None:
    finished = nfn("families", ".", "--most-pairs", "0", "--format", "json")
    rows = by_name(finished.out)
    assert rows["child"]["relation"] == "stranger" and rows["disguised"]["relation"] == "disguised"
    assert "0 of 3 pairs were compared for kinship" in finished.err


def test_pairs(nfn: Nfn, folder: Path) -> None:
    finished = nfn("families", ".", "--pairs", "--format", "json")
    pairs = json.loads(finished.out)
    assert list(pairs[0]) == list(PairRow.__dataclass_fields__)
    assert sorted(pair["verdict"] for pair in pairs) == ["derived", "independent", "independent"]
    derived = next(pair for pair in pairs if pair["verdict"] == "derived")
    assert derived["after"] <= derived["before"] and derived["changed"] in ("conv1", "conv2", "conv3", "fc")


@pytest.mark.parametrize("format", list(Format))
def test_the_formats_tell_the_same(format: Format, nfn: Nfn, folder: Path) -> None:
    out = nfn("families", ".", "--most-pairs", "0", "--format", format.value).out
    for name in ("copy", "relu-1", "disguised", "child", "relu-2"):
        assert f"{name}.safetensors" in out
    if format is Format.csv:
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["relation"] for row in rows] == ["first", "disguised", "copy", "stranger", "stranger"]


def test_a_file_that_fails_is_a_row_and_exit_code_1(nfn: Nfn, folder: Path) -> None:
    Path("bad.pt").write_bytes(b"nothing")
    finished = nfn("families", ".", "--most-pairs", "0", "--format", "json")
    assert finished.code == 1
    assert by_name(finished.out)["bad"]["error"].startswith("bad.pt: not a checkpoint")
    assert "nfn: bad.pt: not a checkpoint" in finished.err
    assert nfn("families", "bad.pt", "gone.pt").code == 3


def test_wrong_usage(nfn: Nfn, folder: Path) -> None:
    assert nfn("families").code == 2
    assert nfn("families", ".", "--activation", "nonsense").code == 2
    Path("page.html").write_text("mine")
    finished = nfn("families", ".", "--html", "page.html")
    assert finished.code == 2 and Path("page.html").read_text() == "mine"
    assert "page.html: exists already; pass --overwrite" in finished.err


def test_lists_patterns_and_packed_files(nfn: Nfn, folder: Path) -> None:
    Path("list.txt").write_text("relu-1.safetensors\nrelu-2.safetensors\n")
    assert len(json.loads(nfn("families", "--from-file", "list.txt", "--format", "json").out)) == 2
    assert len(json.loads(nfn("families", ".", "--exclude", "c*", "--most-pairs", "0", "--format", "json").out)) == 3
    one, other = (load_file(f"relu-{number}.safetensors") for number in (1, 2))
    packed = {name: torch.stack([tensor, other[name], tensor]) for name, tensor in one.items()}
    save_file(packed, "zoo.safetensors", {"activation": "relu", "nfn.population": "3"})
    finished = nfn("families", "zoo.safetensors", "disguised.safetensors", "--most-pairs", "0", "--format", "json")
    found = {row["path"]: (row["family"], row["relation"]) for row in json.loads(finished.out)}
    assert found == {
        "zoo.safetensors#0": (1, "first"),
        "zoo.safetensors#2": (1, "copy"),
        "disguised.safetensors": (1, "disguised"),
        "zoo.safetensors#1": (2, "stranger"),
    }


class Reader(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "rect"):
            self.open.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read_page(path: str) -> Reader:
    reader = Reader()
    reader.feed(Path(path).read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader


def test_the_page(nfn: Nfn, folder: Path) -> None:
    assert nfn("families", ".", "--html", "page.html", "--quiet").code == 0
    page = read_page("page.html")
    assert not page.links and not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert {"svg", "table", "ul"} <= set(page.tags)
    text = Path("page.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", text) and "url(" not in text
    words = " ".join(page.words)
    assert "probable root (guess)" in words and "derived (direction a guess)" in words
    assert words.count("./relu-2.safetensors") >= 2


def test_names_write_nothing_into_the_page(nfn: Nfn, folder: Path) -> None:
    evil = "<script>alert(1)<!--\"'&\u202egnp"
    shutil.copy("relu-1.safetensors", f"{evil}.safetensors")
    Path(f"{evil}.pt").write_bytes(b"nothing")
    tensors = {name.replace("fc", "<b>fc"): tensor for name, tensor in load_file("relu-2.safetensors").items()}
    save_file(tensors, "named.safetensors", {"activation": "relu"})
    assert nfn("families", ".", "--html", "page.html", "--quiet").code == 1
    page = read_page("page.html")
    assert "script" not in page.tags and "\u202e" not in "".join(page.words)
    assert any("<script>alert(1)<!--\"'&\\u202egnp" in word for word in page.words)
    assert "<b>fc" not in Path("page.html").read_text(encoding="utf-8")
