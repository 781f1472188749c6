"""What stands in rows: values with the digits that mean something, and names that need not be text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

_ESCAPE = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")


def plain_values(row: Any) -> dict[str, Any]:
    """The fields of a row with six digits after the point, or, of smaller numbers, six in all.

    Beyond them a float32 prediction means nothing, and devices differ.
    """
    values = asdict(row)
    for name, value in values.items():
        if isinstance(value, float):
            values[name] = rounded(value)
    return values


def rounded(value: float) -> float:
    """Six digits after the point, or, of smaller numbers, six in all."""
    return round(value, 6) if abs(value) >= 1e-3 else float(f"{value:.6g}")


def pairs(values: Mapping[str, float]) -> str:
    """A mapping in one cell: `name:number`, separated by blanks."""
    return " ".join(f"{name}:{value:g}" for name, value in values.items())


def as_utf8(text: str) -> bytes:
    r"""UTF-8. A file's name need not be text: what UTF-8 cannot hold is written as an escape, as on stdout.

    >>> as_utf8("a-\udcff.pt")
    b'a-\\udcff.pt'
    """
    return text.encode("utf-8", "backslashreplace")


def unescaped(text: str) -> str:
    r"""A name with the characters whose escapes `as_utf8` may have written.

    >>> ascii(unescaped("a-\\udcff.pt"))
    "'a-\\udcff.pt'"
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
