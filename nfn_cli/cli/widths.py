"""How wide text is on a terminal, and lines that are broken between words."""

from __future__ import annotations

import os
import shutil
import unicodedata
from typing import TextIO

_EMOJI = "\ufe0f"


def width_of(stream: TextIO) -> int | None:
    """How wide what is written to a stream may be: `COLUMNS`, else the terminal, else as wide as it is (None)."""
    stated = os.environ.get("COLUMNS", "")
    # Digits of other scripts are digits, too, but no shell writes them.
    if stated.isascii() and stated.isdigit() and int(stated[:6]) > 0:
        return int(stated[:6])
    return terminal_width(stream) if stream.isatty() else None


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal that a stream is, or of the one that the program runs in."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns or shutil.get_terminal_size().columns


def wrapped(text: str, width: int | None, *, indent: str = "", cut: bool = True) -> list[str]:
    """Lines of words, none wider than so many cells.

    Args:
        indent: before each line but the first.
        cut: break a word that is wider than a line; else it stands in a line of its own, as wide as it is.
    """
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width is None or cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
            word = indent + word
        while cut and cells(word) > width:
            part = start_of(word, width)
            lines.append(part)
            word = word[len(part) :]
        line = word
    return [*lines, line]


def cells(text: str) -> int:
    """How wide a text is on a terminal, at most: letters of East Asia take two cells, accents none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def start_of(text: str, width: int) -> str:
    """As much of a text as so many cells hold, from its start."""
    used = 0
    for place, letter in enumerate(text):
        used += cells(letter)
        if used > width:
            return text[:place]
    return text


def _width(letter: str) -> int:
    if letter == _EMOJI:  # widens what is before it
        return 1
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
