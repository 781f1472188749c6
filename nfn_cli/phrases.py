"""Phrases that several commands share, and text made safe for a terminal."""

from __future__ import annotations

from collections.abc import Callable


def escaped(text: str) -> str:
    r"""A text from a file on one line, with control characters escaped, so that it cannot command a terminal.

    Escapes, line breaks, tabs, and signs that turn the direction of writing become visible.

    >>> print(escaped("a\nb\x1b[2J\u202e.pt"))
    a\nb\x1b[2J\u202e.pt
    """
    return visible(text)


def visible(text: str, keeps: Callable[[str], bool] = lambda character: False) -> str:
    """A text with unprintable characters escaped, except those for which `keeps` is true."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or keeps(c) else ascii(c)[1:-1] for c in text)


def lines_for_terminal(text: str) -> str:
    r"""As `escaped`, but line breaks and tabs stay: for lines meant for programs that are shown in a terminal.

    >>> lines_for_terminal("a\x1b[2J.pt\n")
    'a\\x1b[2J.pt\n'
    """
    return visible(text, "\n\t".__contains__)


def files(number: int) -> str:
    """Such as `1 file` or `1,200 files`."""
    return "1 file" if number == 1 else f"{number:,} files"


def assumption(what: str, number: int, *, head: str | None = None, remedy: str | None = None) -> str:
    """What was assumed of files that do not say it.

    Args:
        number: of files.
        head: that reads them so.
        remedy: where to say it.

    >>> assumption("activation relu", 2, remedy="see --activation")
    'assumed: activation relu (2 files do not say); see --activation'
    """
    reader = f", as head {head} reads it" if head else ""
    text = f"assumed: {what}{reader} ({files(number)} {'does' if number == 1 else 'do'} not say)"
    return f"{text}; {remedy}" if remedy else text
