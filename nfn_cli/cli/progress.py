"""Progress bars. They go to stderr, and only where somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def advance(bar: tqdm[Any], steps: int) -> None:
    """Move a bar on."""
    bar.update(steps)
