"""Sizes of pictures, `HxW`."""

from __future__ import annotations

import re

from nfn_cli.errors import UsageError

_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")


def parsed_size(option: str, text: str, *, most: int) -> tuple[int, int]:
    """Height and width.

    Args:
        most: pixels along a side.

    Raises:
        UsageError: it is no size, or too large.

    >>> parsed_size("--size", "28x32", most=1024)
    (28, 32)
    """
    found = _SIZE.fullmatch(text)
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(1 <= side <= most for side in sides):
        raise UsageError(option, f"{text} is no size", f"give such as 28x28, sides from 1 to {most}")
    return sides
