"""A family as a tree of nested lists. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nfn_cli.cli.pages.document import named, text

_MOST = 40  # copies of one network that are named
_WORDS = {
    "root": "probable root (guess)",
    "derived": "derived (direction a guess)",
    "first": "same network",
    "copy": "copy",
    "disguised": "disguised copy",
    "rounded": "rounded copy",
}


class Node(Protocol):
    """A file in a tree."""

    @property
    def path(self) -> str:
        """Its name."""

    @property
    def of(self) -> str | None:
        """The file above it."""

    @property
    def relation(self) -> str | None:
        """What it is to that."""

    @property
    def distance(self) -> float | None:
        """How far it is from that."""


def family_tree(rows: Sequence[Node]) -> str:
    """The rows of one family, each below the one that it is of."""
    below: dict[str | None, list[Node]] = {}
    for row in rows:
        below.setdefault(row.of, []).append(row)
    parts: list[str] = []
    # A stack and no recursion: a tree may be as deep as a folder is large.
    waiting: list[Node | str] = ["</ul>", *reversed(below.get(None, [])), "<ul>"]
    while waiting:
        own = waiting.pop()
        if isinstance(own, str):
            parts.append(own)
            continue
        children = below.get(own.path, [])
        copies = [child for child in children if child.relation != "derived"]
        shown = [*copies[:_MOST], *(child for child in children if child.relation == "derived")]
        parts.append(f"<li>{_label(own)}")
        waiting.append("</li>")
        if shown:
            hidden = len(copies) - _MOST
            waiting.append("</ul>")
            waiting += [f'<li class="soft">and {hidden:,} copies more</li>'] if hidden > 0 else []
            waiting += [*reversed(shown), "<ul>"]
    return f'<div class="tree">{"".join(parts)}</div>'


def _label(row: Node) -> str:
    relation = row.relation or ""
    distance = "" if row.distance is None else f' <span class="soft small">distance {row.distance:.2g}</span>'
    tag = f'<span class="tag {text(relation)}">{text(_WORDS.get(relation, relation))}</span>'
    return f"{named(row.path)} {tag}{distance}"
