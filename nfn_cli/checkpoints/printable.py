"""Show what an untrusted file says: short, and without characters that could command a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.phrases import visible

_LONGEST = 200


def printable(text: object) -> str:
    r"""Text from a file, for a message.

    >>> print(printable("fc\x1b[2J.weight"))
    fc\x1b[2J.weight
    """
    shown = str(text)
    shown = shown[:_LONGEST] + ("..." if len(shown) > _LONGEST else "")
    return visible(shown, str.isspace)


def printable_list(names: Iterable[object]) -> str:
    """Names from a file with commas, for a message."""
    shown: list[str] = []
    for name in names:
        if sum(map(len, shown)) > _LONGEST:
            return ", ".join([*shown, "..."])
        shown.append(printable(name))
    return ", ".join(shown)


def is_utf8(name: str) -> bool:
    """Whether a file's name is text; the libraries that map files open no others."""
    return not any("\ud800" <= c <= "\udfff" for c in name)
