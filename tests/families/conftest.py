"""The libraries whose classes are compared, imported where they are needed: that takes seconds."""

from __future__ import annotations

from types import ModuleType

import declared_torchvision
import pytest


@pytest.fixture(scope="session")
def transformers() -> ModuleType:
    declared_torchvision.make_importable()
    library = pytest.importorskip("transformers")
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    return declared_torchvision.imported("timm")
