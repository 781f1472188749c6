"""The cache of the Hugging Face Hub, whose checkpoints are links into a store that its snapshots share. No torch here.

<root>/blobs/<hash of the content>
<root>/snapshots/<revision>/model.safetensors -> ../../blobs/<hash of the content>
"""

from __future__ import annotations

import os
from pathlib import Path

SHARED = "a cache that other snapshots share"


def blobs_of(folder: Path) -> Path | None:
    """Where the links in a snapshot's folder may lead: the blobs of its own cache, and nothing below them.

    Args:
        folder: of a snapshot, or below one; a real path, without links.

    Returns:
        None for a folder that is in no snapshot, or whose cache keeps its blobs behind a link.
    """
    for snapshots in folder.parents:
        blobs = snapshots.parent / "blobs"
        # A checkpoint may have a folder `snapshots` of its own, but then no blobs beside it.
        if snapshots.name == "snapshots" and os.path.lexists(blobs):
            return blobs if os.path.isdir(blobs) and not os.path.islink(blobs) else None
    return None


def is_blob(path: Path) -> bool:
    """Whether a path is that of a blob, or of a link to one: a file to read, never to change."""
    if not os.path.lexists(path):
        return False
    folder = Path(os.path.realpath(path)).parent
    return folder.name == "blobs" and os.path.isdir(folder.parent / "snapshots")
