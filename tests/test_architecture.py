"""Each room imports only rooms below it, by the table in docs/architecture.md; what says "No torch" imports none."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "nfn_cli"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MODULE = re.compile(rf"{PACKAGE}(\.\w+)+\.?")
HEAVY = {"torch", "numpy", "safetensors", "scipy"}


@dataclass(frozen=True)
class Import:
    """An import: the module, the line, and whether it is done as soon as its own module is imported."""

    module: str
    line: int
    at_once: bool


def rooms_of(page: str) -> list[list[str]]:
    """The paths of each room, from the top of the table."""
    rows = re.findall(rf"^\| (`{PACKAGE}/[^|]*) \|", page, re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


ROOMS = rooms_of(PAGE)


def room_of(path: str) -> int | None:
    """Which room a file of the package is in, counted from the top; None if no row of the table names its folder."""
    for place, paths in enumerate(ROOMS):
        if any(own == path or (own.endswith("/") and path.startswith(own)) for own in paths):
            return place
    return len(ROOMS) - 1 if path.count("/") == 1 else None


def imports_of(source: str, package: str) -> Iterator[Import]:
    """All imports in a file, wherever they are, and the names of this package's modules in its strings.

    Args:
        package: that the file is in, for relative imports.
    """
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(source), True)]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(f"{module}.{alias.name}", node.lineno, at_once) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            yield Import(node.value.rstrip("."), node.lineno, False)
        else:
            at_once = at_once and not _runs_later(node)
            waiting += ((below, at_once) for below in ast.iter_child_nodes(node))


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def forbidden_imports(root: Path) -> list[str]:
    """Each import of a room above the own one, in a folder with the package, with its file and line."""
    found = []
    for file in sorted((root / PACKAGE).rglob("*.py")):
        path = file.relative_to(root).as_posix()
        own = room_of(path)
        if own is None:
            found.append(f"{path}: in no room of the table")
            continue
        package = ".".join(path.split("/")[:-1])
        for imported in imports_of(file.read_text(encoding="utf-8"), package):
            other = _room_of_module(imported.module)
            if other is not None and other < own:
                found.append(f"{path}:{imported.line}: {imported.module} is in a room above ({ROOMS[other][0]})")
    return found


def _room_of_module(module: str) -> int | None:
    """The room of a module, or of a name in one; None for what is no module of a room."""
    package, _, below = module.partition(".")
    if package != PACKAGE or below == "__version__":
        return None
    name = below.partition(".")[0]
    room = room_of(f"{PACKAGE}/{name}/__init__.py")
    if room is None and not (ROOT / PACKAGE / f"{name}.py").exists():
        name = "__init__"  # a name of the front door
    return room_of(f"{PACKAGE}/{name}.py") if room is None else room


def test_the_table_names_each_folder_and_file() -> None:
    assert len(ROOMS) == 11 and ROOMS[-1] == [f"{PACKAGE}/*.py"]
    for path in (path for paths in ROOMS[:-1] for path in paths):
        assert (ROOT / path).exists(), path
    folders = {path.parent.name for path in (ROOT / PACKAGE).glob("*/*.py")}
    assert {f"{PACKAGE}/{name}/" for name in folders} <= {path for paths in ROOMS for path in paths}


def test_no_room_imports_one_above_it() -> None:
    assert forbidden_imports(ROOT) == []


PLANTED = {
    "at the top": ("symmetry/action.py", "from nfn_cli.nn import load_head"),
    "in a function": ("checkpoints/deep/read.py", "def read():\n    from nfn_cli.architectures import chain"),
    "for type checkers": ("zoo/labels.py", "if TYPE_CHECKING:\n    from nfn_cli.learning.fitting import fit"),
    "of a whole module": ("learning/fitting.py", "import os, nfn_cli.scoring.local as local"),
    "of a room": ("nn/head.py", "from nfn_cli import zoo"),
    "beside": ("pictures/render.py", "from nfn_cli.symmetry.action import act"),
    "relative": ("architectures/read.py", "from ..symmetry import action"),
    "relative, of a room": ("architectures/families/gpt2.py", "from ... import cli"),
    "by name": ("architectures/read.py", "import_module('nfn_cli.symmetry.action')"),
    "by a name in parts": ("architectures/read.py", "import_module(f'nfn_cli.symmetry.{name}')"),
    "from the ground": ("errors.py", "from nfn_cli.checkpoints.printable import printable"),
    "of the front door": ("cli/app.py", "from nfn_cli import score"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_import_of_a_room_above_is_found(name: str, tmp_path: Path) -> None:
    path, line = PLANTED[name]
    planted = tmp_path / PACKAGE / path
    planted.parent.mkdir(parents=True)
    planted.write_text(f'"""A file."""\n\n{line}\n')
    (found,) = forbidden_imports(tmp_path)
    assert found.startswith(f"{PACKAGE}/{path}:")


def test_other_imports_are_allowed(tmp_path: Path) -> None:
    planted = tmp_path / PACKAGE / "nn" / "deep" / "layer.py"
    planted.parent.mkdir(parents=True)
    lines = (
        "from __future__ import annotations",
        "import torch, nfn_cli.errors",
        "from nfn_cli import __version__, errors",
        "from nfn_cli.nn.head import Head",
        "from .. import head",
        "from nfn_cli.symmetry import act",
        "import_module('nfn_cli.checkpoints.read')",
        "'nfn_cli.zoo is not imported by a sentence'",
    )
    planted.write_text("\n".join(lines))
    assert forbidden_imports(tmp_path) == []


def test_a_folder_that_is_no_room_is_found(tmp_path: Path) -> None:
    (tmp_path / PACKAGE / "misc").mkdir(parents=True)
    (tmp_path / PACKAGE / "misc" / "tools.py").write_text("import os\n")
    assert forbidden_imports(tmp_path) == [f"{PACKAGE}/misc/tools.py: in no room of the table"]


def heavy_at_once(source: str) -> set[str]:
    """The heavy packages that a file imports as soon as it is imported."""
    return {own.module.split(".")[0] for own in imports_of(source, PACKAGE) if own.at_once} & HEAVY


def test_no_file_of_the_command_line_imports_torch_at_once() -> None:
    files = sorted((ROOT / PACKAGE / "cli").rglob("*.py"))
    assert len(files) > 20
    assert [file.name for file in files if heavy_at_once(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch", {"torch"}),
        ("try:\n    from torch.nn import functional\nexcept ImportError:\n    pass", {"torch"}),
        ("class A:\n    import numpy as np", {"numpy"}),
        ("if TYPE_CHECKING:\n    import torch", set()),
        ("def run():\n    from torch import Tensor", set()),
        ("from nfn_cli.checkpoints.torch_format import read_torch", set()),
    ],
)
def test_which_imports_are_done_at_once(source: str, found: set[str]) -> None:
    assert heavy_at_once(source) == found


def test_what_says_that_it_needs_no_torch_needs_none() -> None:
    said = []
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "No torch" in text and "No torch" in (ast.get_docstring(ast.parse(text)) or ""):
            said.append(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    assert {f"{PACKAGE}.checkpoints.formats.registry", f"{PACKAGE}.architectures.families.registry"} <= set(said)
    program = (
        "import sys\nfrom importlib import import_module\nfor name in sys.argv[1:]:\n    import_module(name)\n"
        "    assert 'torch' not in sys.modules, name"
    )
    done = subprocess.run([sys.executable, "-c", program, *said], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
