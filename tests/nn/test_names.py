"""The registries of tasks, kinds of heads and edits: known without torch, and each entry leads to what it names."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import nfn_cli.nn
from nfn_cli.nn import kind_of, sizes_of
from nfn_cli.nn.kinds import load_kind
from nfn_cli.nn.names import EDITS, HEAD_KINDS, TASKS, kinds_of
from nfn_cli.nn.tasks import Details, Task, load_task


def test_names_are_known_without_torch() -> None:
    program = "import sys; from nfn_cli.nn.names import EDITS, HEAD_KINDS, TASKS; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_that_of_its_name(name: str) -> None:
    task = load_task(name)
    assert isinstance(task, Task) and task.name == name and issubclass(task.details, Details)
    assert task.fitted_by == TASKS[name].fitted_by
    assert kinds_of(name)


@pytest.mark.parametrize("name", HEAD_KINDS)
def test_a_kind_has_sizes_of_its_own_file(name: str) -> None:
    kind, sizes = load_kind(name), sizes_of(name)
    assert is_dataclass(kind.sizes) and type(sizes) is kind.sizes
    assert kind_of(sizes) == name
    assert HEAD_KINDS[name].task in TASKS


def test_kinds_of_a_task_come_in_the_order_of_the_registry() -> None:
    assert [kinds_of(task) for task in TASKS] == [
        {name: kind for name, kind in HEAD_KINDS.items() if kind.task == task} for task in TASKS
    ]
    assert list(kinds_of("predict-accuracy")) == ["monomial-probe", "monomial-nfn", "any-classifier", "monomial-any"]


def test_sizes_take_what_the_kind_has_and_leave_the_rest() -> None:
    sizes = sizes_of("monomial-editor", channels=5, context=3, equivariant_layers=None)
    assert sizes.channels == 5 and sizes.equivariant_layers == load_kind("monomial-editor").sizes().equivariant_layers
    assert "context" not in {field.name for field in fields(sizes)}


def test_every_file_of_the_folder_of_edits_is_an_edit() -> None:
    folder = Path(nfn_cli.nn.__file__).parent / "inr" / "edits"
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert files == set(EDITS)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_a_picture_and_keeps_its_shape(name: str) -> None:
    import torch

    picture = torch.rand(2, 1, 12, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = EDITS[name](picture)
    assert found.shape == picture.shape and found.abs().max() <= 1
    assert not torch.allclose(found, picture, atol=0.05)
    assert EDITS[name].description and EDITS[name].description[0].islower()


def test_public_names_are_there_and_hidden_by_no_file_of_the_package() -> None:
    source = Path(nfn_cli.nn.__file__)
    files = {path.stem for path in source.parent.iterdir()}
    (block,) = (own for own in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(own, ast.If))
    names = [alias.name for own in block.body if isinstance(own, ast.ImportFrom) for alias in own.names]
    assert names and not files.intersection(names) and set(names) <= set(dir(nfn_cli.nn))
    assert all(getattr(nfn_cli.nn, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nfn_cli.nn.nothing  # noqa: B018
