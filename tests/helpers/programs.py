"""Files of a folder of `benchmarks`, which are programs and no package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Load = Callable[[str], ModuleType]


@contextmanager
def programs_of(folder: Path) -> Iterator[Load]:
    """Import files of a folder by their names; they are forgotten at the end."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        for name in {path.stem for path in folder.glob("*.py")} & (set(sys.modules) - before):
            del sys.modules[name]
