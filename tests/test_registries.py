"""Each entry of each registry works, and has a test file that is named after it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from nfn_cli.architectures.families import FAMILIES, Family, recognise
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.checkpoints import (
    FORMATS,
    CheckpointFormat,
    find_checkpoints,
    open_checkpoint,
    open_tensors,
    read_checkpoint,
    rewrite_checkpoint,
)
from nfn_cli.checkpoints.formats import reader
from nfn_cli.errors import CheckpointError

ROOT = Path(__file__).parent.parent
TENSORS = {"fc1.weight": torch.arange(6.0).reshape(3, 2), "fc1.bias": torch.ones(3), "fc2.weight": torch.eye(3)}


@dataclass(frozen=True)
class Registry:
    """A registry, and how its entries are tested.

    Attributes:
        entries: of the registry.
        called: what an entry is called in the name of its test file, and in this test.
        test_file: the path of that file, with {} for what the entry is called.
        tried: uses an entry, given a folder to work in and its test file.
    """

    entries: Iterable[Any]
    called: Callable[[Any], str]
    test_file: str
    tried: Callable[[Any, Path, Path], None]

    def file(self, entry: Any) -> Path:
        return ROOT / self.test_file.format(self.called(entry))

    def untested(self) -> list[str]:
        """The entries without a test file."""
        return [self.called(entry) for entry in self.entries if not self.file(entry).is_file()]


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_of_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same(found: Any, tensors: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(tensors) and all(torch.equal(found[name], own) for name, own in tensors.items())


def try_format(format: CheckpointFormat, folder: Path, test_file: Path) -> None:
    """Find, read, list and write back a file that the test file's `sample` writes."""
    path = imported(test_file).sample(folder, TENSORS)
    assert find_checkpoints([folder]) == [path]
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.path, checkpoint.format) == (path, format.name)
    assert same(checkpoint.tensors, TENSORS) and same(open_checkpoint(path).tensors, TENSORS)
    assert not format.ordered or list(checkpoint.tensors) == list(TENSORS)
    assert (open_tensors(path).format, same(open_tensors(path).tensors, TENSORS)) == (format.name, True)
    if not format.entries:
        with pytest.raises(CheckpointError, match=f"{format.title} has no entries to choose from"):
            read_checkpoint(path, entry="model")
    if not format.sharded:
        assert hasattr(format.reader(), "rewrite") == format.rewritten
    (folder / "new").mkdir()
    out, doubled = folder / "new" / path.name, {name: own * 2 for name, own in TENSORS.items()}
    if format.rewritten:
        rewrite_checkpoint(checkpoint, doubled, out)
        assert same(read_checkpoint(out).tensors, doubled)
    else:
        with pytest.raises(CheckpointError, match=f"{format.title}, which nfn reads and does not write; save"):
            rewrite_checkpoint(checkpoint, doubled, out)


def try_family(family: Family, folder: Path, test_file: Path) -> None:
    """Recognise the network of the test file; its own family tells it, and no other that might be asked."""
    case = json.loads(test_file.read_text(encoding="utf-8"))
    shapes, config = {name: tuple(shape) for name, shape in case["shapes"].items()}, case.get("config")
    assert recognise(shapes, config).text == case["text"]

    def tells(other: Family) -> bool:
        try:
            return (other.from_shapes(shapes) if config is None else other.from_config(config, shapes)) is not None
        except Refusal:
            return False

    assert [other.name for other in FAMILIES if tells(other)] == [family.name]


def name_of_family(family: Family) -> str:
    """Such as `llama` for `variants.llama`, and `convnext_timm` for one of several in `convnext`."""
    return f"{family.file.rpartition('.')[2]}_{family.prefix}".rstrip("_")


REGISTRIES = {
    "FORMATS": Registry(FORMATS, lambda own: own.file, "tests/checkpoints/formats/test_{}.py", try_format),
    "FAMILIES": Registry(FAMILIES, name_of_family, "tests/families/cases/{}.json", try_family),
}
ENTRIES = [
    pytest.param(own, entry, id=f"{name}-{own.called(entry)}")
    for name, own in REGISTRIES.items()
    for entry in own.entries
]


@pytest.mark.parametrize("name", REGISTRIES)
def test_each_entry_has_a_test_file(name: str) -> None:
    assert REGISTRIES[name].untested() == []


def test_an_entry_without_a_test_file_is_found() -> None:
    formats, families = REGISTRIES["FORMATS"], REGISTRIES["FAMILIES"]
    planted = replace(formats, entries=(*FORMATS, replace(FORMATS[0], file="planted_file")))
    assert planted.untested() == ["planted_file"]
    planted = replace(families, entries=(Family("Planted", "variants.planted"), *FAMILIES))
    assert planted.untested() == ["planted"]


@pytest.mark.parametrize(("registry", "entry"), ENTRIES)
def test_each_entry_works(registry: Registry, entry: Any, tmp_path: Path) -> None:
    registry.tried(entry, tmp_path, registry.file(entry))


@pytest.mark.parametrize("name", REGISTRIES)
def test_names_are_given_once(name: str) -> None:
    registry = REGISTRIES[name]
    for of in (registry.called, lambda own: own.name):
        assert len({of(entry) for entry in registry.entries}) == len(list(registry.entries))


@pytest.mark.parametrize("name", REGISTRIES)
def test_no_test_file_is_left_of_an_entry_that_is_gone(name: str) -> None:
    registry = REGISTRIES[name]
    there = set(ROOT.glob(registry.test_file.format("*")))
    assert there == {registry.file(entry) for entry in registry.entries}


def test_the_page_has_the_table_of_formats() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!format |---).*\|$", page, re.MULTILINE)
    assert rows == [row_of(format) for format in FORMATS]


def row_of(format: CheckpointFormat) -> str:
    files = ", ".join(f"`{'*' * format.sharded}{suffix}`" for suffix in format.suffixes)
    entries, rewritten = ("yes" if own else "no" for own in (format.entries, format.rewritten))
    return f"| {format.name} | {files} | {format.description} | {entries} | {rewritten} |"


def test_a_format_that_is_not_written_back_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format of one function, as a first version of any may be."""

    class Lines:
        """A format with a name and a number a line."""

        @staticmethod
        def read(path: Path, entry: str | None, *, placed: bool) -> reader.Contents:
            pairs = (line.split() for line in path.read_text().splitlines()[1:])
            return reader.Contents({name: torch.full((2, 2), float(number)) for name, number in pairs})

        @staticmethod
        def read_all(path: Path) -> reader.Contents:
            return Lines.read(path, None, placed=False)

    class LinesFormat(CheckpointFormat):
        def reader(self) -> Any:
            return Lines

    planted = LinesFormat("lines", "", "a file of lines", "", (".lines",), begins=b"lines\n", rewritten=False)
    monkeypatch.setattr("nfn_cli.checkpoints.sniff.FORMATS", (*FORMATS, planted))
    monkeypatch.setattr("nfn_cli.checkpoints.formats.registry.FORMATS", (*FORMATS, planted))
    path = tmp_path / "model"
    path.write_text("lines\nfc.weight 2\n")
    expected = {"fc.weight": torch.full((2, 2), 2.0)}
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == open_tensors(path).format == "lines"
    assert same(checkpoint.tensors, expected) and same(open_checkpoint(path).tensors, expected)
    with pytest.raises(CheckpointError, match="a file of lines, which nfn reads and does not write; save the state"):
        rewrite_checkpoint(checkpoint, expected, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [path]
