"""The networks that other tests define, by file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

_TESTS = Path(__file__).parent.parent


def loaded(place: str) -> ModuleType:
    """The module of a test file, such as `families/test_torchvision.py`."""
    spec = importlib.util.spec_from_file_location(f"networks_of_{Path(place).stem}", _TESTS / place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
