"""Each entry of each registry works, and has a test file that is named after it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from files_of_tests import imported
from typer.testing import CliRunner

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
from nfn_cli.cli.app import COMMANDS, make_app
from nfn_cli.errors import CheckpointError
from nfn_cli.learning.tasks import LEARNING_TASKS
from nfn_cli.nn import kind_of, sizes_of
from nfn_cli.nn.inr.edits import Edit
from nfn_cli.nn.names import EDITS, HEAD_KINDS, TASKS, HeadKind, TaskEntry, kinds_of
from nfn_cli.nn.tasks import Task, load_task
from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import Scored, ScoreRow, Stamp
from nfn_cli.scoring.sinks import open_sink
from nfn_cli.zoo.recipes import RECIPES, recipe_for
from nfn_cli.zoo.settings import ZooSettingsBase

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


def try_task(named: tuple[str, TaskEntry], folder: Path, test_file: Path) -> None:
    """It has its parts in both rooms, a command that serves it, one that fits heads for it, and a kind of head."""
    name, entry = named
    task = load_task(name)
    assert isinstance(task, Task) and task.name == name
    assert name in LEARNING_TASKS and kinds_of(name)
    assert name in COMMANDS and entry.fitted_by.removeprefix("nfn ") in COMMANDS


def try_kind(named: tuple[str, HeadKind], folder: Path, test_file: Path) -> None:
    """Its usual sizes lead back to it, and the command that fits it offers it and says what it does."""
    name, kind = named
    assert kind_of(sizes_of(name)) == name
    fit = TASKS[kind.task].fitted_by.removeprefix("nfn ")
    assert offers(fit, name) and f"{name}: {kind.help}" in help_of(fit)


def try_edit(named: tuple[str, Edit], folder: Path, test_file: Path) -> None:
    """Edit gray pictures; commands offer it."""
    name, edit = named
    pictures = torch.rand(2, 1, 12, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = edit(pictures)
    assert found.shape == pictures.shape and found.abs().max() <= 1 and not torch.equal(found, pictures)
    assert all(offers(command, name) for command in ("edit-inr", "train-editor"))


def try_row_format(format: RowFormat, folder: Path, test_file: Path) -> None:
    """Write rows; the test file's `rows_of`, a reader that is not ours, finds them. `--format` offers it."""
    from nfn_cli.cli.output import render_rows
    from nfn_cli.cli.tables.predictions_table import predictions_table

    if format is RowFormat.parquet:
        pytest.importorskip("pyarrow")
    rows = [ScoreRow("a.pt", 0.5, 0.25, 0.75, "h", True), ScoreRow("b.pt", error="b.pt: bad; mend it")]
    path = folder / "rows"
    if format.resumable:
        sink = open_sink(path, format, ScoreRow, "made with")
        sink.write([Scored(row, Stamp(5, "1")) for row in rows])
        sink.close()
    else:
        path.write_text(render_rows(rows, ScoreRow, predictions_table, format), encoding="utf-8")
    assert [row["path"] for row in imported(test_file).rows_of(path)] == ["a.pt", "b.pt"]
    assert format.help and offers("predict-accuracy", format.value) == format.chosen


def try_recipe(settings: type[ZooSettingsBase], folder: Path, test_file: Path) -> None:
    """The test file has settings of its kind; `tests/zoo/test_recipes.py` tries the record and more with them."""
    example = imported(test_file).SETTINGS
    assert type(example) is settings and recipe_for(example).settings is example


def try_command(name: str, folder: Path, test_file: Path) -> None:
    """It tells about itself, and the help of all commands has its summary; `tests/cli/test_help.py` has the rest."""
    assert f"Examples: nfn {name}" in help_of(name)
    assert re.search(rf" {name} [A-Z]", help_of())


def offers(command: str, name: str) -> bool:
    """Whether an option of a command offers a name: its help has `[one|other|third]`, perhaps broken by lines."""
    return re.search(rf"[\[|]{name}[|;\]]", "".join(help_of(command).split())) is not None


@cache
def help_of(*command: str) -> str:
    """The help of a command in one line, with line breaks and the spaces around them as one space."""
    shown = CliRunner().invoke(make_app(), [*command, "--help"], prog_name="nfn", terminal_width=100)
    assert shown.exit_code == 0, shown.output
    return re.sub(r"[ \n]+", " ", shown.output)


def last_name(named: tuple[str, TaskEntry | HeadKind]) -> str:
    """Of a module: `accuracy` for `nfn_cli.nn.tasks.accuracy`."""
    return named[1].module.rpartition(".")[2]


REGISTRIES = {
    "FORMATS": Registry(FORMATS, lambda own: own.file, "tests/checkpoints/formats/test_{}.py", try_format),
    "FAMILIES": Registry(FAMILIES, name_of_family, "tests/families/cases/{}.json", try_family),
    "TASKS": Registry(TASKS.items(), last_name, "tests/nn/tasks/test_{}.py", try_task),
    "HEAD_KINDS": Registry(HEAD_KINDS.items(), last_name, "tests/nn/kinds/test_{}.py", try_kind),
    "EDITS": Registry(EDITS.items(), lambda own: own[0].replace("-", "_"), "tests/nn/inr/edits/test_{}.py", try_edit),
    "ROW_FORMATS": Registry(RowFormat, lambda own: own.value, "tests/scoring/formats/test_{}.py", try_row_format),
    "RECIPES": Registry(RECIPES, lambda own: own.recipe.replace("-", "_"), "tests/zoo/recipes/test_{}.py", try_recipe),
    "COMMANDS": Registry(COMMANDS, lambda own: own.replace("-", "_"), "tests/cli/commands/test_{}.py", try_command),
}
ENTRIES = [
    pytest.param(own, entry, id=f"{name}-{own.called(entry)}")
    for name, own in REGISTRIES.items()
    for entry in own.entries
]


@pytest.mark.parametrize("name", REGISTRIES)
def test_each_entry_has_a_test_file(name: str) -> None:
    assert REGISTRIES[name].untested() == []


PLANTED: dict[str, Any] = {
    "FORMATS": replace(FORMATS[0], file="planted"),
    "FAMILIES": Family("Planted", "variants.planted"),
    "TASKS": ("planted", replace(next(iter(TASKS.values())), module="nfn_cli.nn.tasks.planted")),
    "HEAD_KINDS": ("planted", replace(next(iter(HEAD_KINDS.values())), module="nfn_cli.nn.planted")),
    "EDITS": ("planted", next(iter(EDITS.values()))),
    "ROW_FORMATS": SimpleNamespace(value="planted"),
    "RECIPES": SimpleNamespace(recipe="planted"),
    "COMMANDS": "planted",
}


@pytest.mark.parametrize("name", REGISTRIES)
def test_an_entry_without_a_test_file_is_found(name: str) -> None:
    registry = REGISTRIES[name]
    planted = replace(registry, entries=(*registry.entries, PLANTED[name]))
    assert planted.untested() == ["planted"]


@pytest.mark.parametrize(("registry", "entry"), ENTRIES)
def test_each_entry_works(registry: Registry, entry: Any, tmp_path: Path) -> None:
    registry.tried(entry, tmp_path, registry.file(entry))


@pytest.mark.parametrize("name", REGISTRIES)
def test_names_are_given_once(name: str) -> None:
    registry = REGISTRIES[name]
    names = [registry.called(entry) for entry in registry.entries]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("registry", [FORMATS, FAMILIES], ids=["FORMATS", "FAMILIES"])
def test_what_is_printed_of_an_entry_is_given_once(registry: tuple[Any, ...]) -> None:
    assert len({own.name for own in registry}) == len(registry)


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
