"""The heads that come with the package. No torch here: the command line completes their names."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def models_folder() -> Path:
    """`models/` inside the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_heads() -> list[str]:
    """Names of the shipped heads, sorted."""
    folder = models_folder()
    return sorted(path.parent.name for path in folder.glob("*/config.yaml")) if folder.is_dir() else []
