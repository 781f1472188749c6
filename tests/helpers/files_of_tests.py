"""Test files as modules: some hold what other tests need of a kind, such as how to write or read its files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).parents[1]


def imported(file: Path) -> ModuleType:
    """The module of a test file."""
    spec = importlib.util.spec_from_file_location(f"tests_of_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
