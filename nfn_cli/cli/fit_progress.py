"""The progress bar of a fit, and what an interrupted one leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nfn_cli.cli.program import INTERRUPTED

if TYPE_CHECKING:
    from tqdm import tqdm


class FitBar:
    """On a terminal, a bar that shows how far a fit has come, and its loss."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def start(self, steps: int) -> None:
        """How many steps there will be."""
        self._bar.reset(steps)

    def step(self, loss: float) -> None:
        """A step is done."""
        self._bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
        self._bar.update()

    def skip(self, steps: int) -> None:
        """Steps were done in an earlier sitting."""
        self._bar.update(steps)


@contextmanager
def fit_bar(out: Path, unit: str) -> Iterator[FitBar]:
    """A bar for a fit that writes a head to `out`.

    Raises:
        Exit: interrupted, and the head's folder holds a state to go on from.
        KeyboardInterrupt: interrupted, and there is none.
    """
    from tqdm import tqdm

    from nfn_cli.learning import has_state

    try:
        with tqdm(unit=unit, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
            yield FitBar(bar)
    except KeyboardInterrupt:
        if not has_state(out):
            raise
        print(f"nfn: {out}: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
