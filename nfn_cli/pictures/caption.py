"""What stands under a picture."""

from __future__ import annotations

from dataclasses import dataclass

INK = (30, 30, 30)


@dataclass(frozen=True)
class Caption:
    """A line of text, and its colour as red, green and blue from 0 to 255."""

    text: str
    colour: tuple[int, int, int] = INK


def one_line(text: str) -> str:
    r"""The text with unprintable characters, such as line breaks and control characters, written as ?.

    >>> one_line("zoo\n\x1b[2J.pt")
    'zoo??[2J.pt'
    """
    return "".join(c if c.isprintable() else "?" for c in text)
