"""One JSON list of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from nfn_cli.scoring.formats.values import plain_values

_UNSEEN = re.compile(r"[^\n -~]")  # JSON breaks lines between values alone


class JsonRows:
    """See `TextFormat`. The list can be written row by row."""

    def text(self, rows: Sequence[Any], columns: Sequence[str], *, first: bool) -> str:
        """See `TextFormat`."""
        items = [json_text(plain_values(row), indent=2).replace("\n", "\n  ") for row in rows]
        if not items:
            return ""
        return ("[" if first else ",") + "\n  " + ",\n  ".join(items)

    def end(self, *, empty: bool) -> str:
        """See `TextFormat`."""
        return "[]\n" if empty else "\n]\n"


FORMAT = JsonRows()


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""JSON with letters of every script, but what could command a terminal as an escape that every parser reads.

    >>> print(json_text({"path": "\u65e5\x9b2J\U000e0001"}))
    {"path": "\u65e5\u009b2J\udb40\udc01"}
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)
