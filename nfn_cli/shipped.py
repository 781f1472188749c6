"""The heads that come with the package. No torch here: the command line completes their names."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).parent
_TASK = re.compile(r"^task: *([a-z-]+) *$", re.MULTILINE)

# What heads do, as the configuration in their folder says; one that says nothing predicts accuracies.
PREDICT = "predict-accuracy"
CLASSIFY = "classify-inr"
EDIT = "edit-inr"


def models_folder() -> Path:
    """`models/` inside the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_heads() -> list[str]:
    """Names of the shipped heads, sorted."""
    folder = models_folder()
    return sorted(path.parent.name for path in folder.glob("*/config.yaml")) if folder.is_dir() else []


def task_of_shipped(name: str) -> str:
    """What a shipped head does, without reading its whole configuration."""
    found = _TASK.search((models_folder() / name / "config.yaml").read_text(encoding="utf-8"))
    return found[1] if found else PREDICT
