"""Pictures drawn in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from torch import Tensor


def print_pictures(pictures: Sequence[Tensor], captions: Sequence[str], stream: TextIO) -> None:
    """Draw pictures with captions, in colours where the stream is a terminal that has them.

    Args:
        pictures: see `nfn_cli.pictures.terminal_lines`.
    """
    from rich.console import Console

    from nfn_cli.pictures import terminal_lines

    console = Console(file=stream, highlight=False)
    for line in terminal_lines(pictures, captions, console.width, colours=console.color_system is not None):
        console.print(line, soft_wrap=True)
