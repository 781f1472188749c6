"""How a command over many files ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer


def counted(files: int) -> str:
    """Such as `1 file that does` or `12 files that do`."""
    return "1 file that does" if files == 1 else f"{files:,} files that do"


def leave_with(errors: Sequence[str | None], notes: Sequence[str] = ()) -> None:
    """Print notes and errors, a line each, on stderr; leave with 1 if some files failed, with 3 if all did.

    Args:
        errors: of every file, None where it did not fail.
    """
    sys.stdout.flush()
    failed = [error for error in errors if error is not None]
    for line in (*notes, *failed):
        print(f"nfn: {line}", file=sys.stderr)
    if failed:
        raise typer.Exit(3 if len(failed) == len(errors) else 1)
