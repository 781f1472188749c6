"""The page of `nfn families`: trees, a matrix and tables. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nfn_cli.cli.pages.document import document, named, table, text
from nfn_cli.cli.pages.family_tree import family_tree
from nfn_cli.cli.pages.pair_matrix import MOST, Square, pair_matrix

if TYPE_CHECKING:
    from nfn_cli.cli.tables.families_table import FamilyRow, PairRow

_TREES = 200  # families that are drawn
_PAIRS = 2_000  # pairs that are listed
_GUESS = (
    "Which network was first is a guess, by the size of the weights: the roots below, and which way an edge of a tree"
    " points. That two networks are copies is not: an element of the group was found that brings one to"
    " the other."
)
_DISTANCE = "A distance is ‖B − A‖ / ‖A‖ after alignment: the root mean square over the layers."


def families_page(
    rows: Sequence[FamilyRow], pairs: Sequence[PairRow], notes: Sequence[str], guesses: Mapping[int, str]
) -> str:
    """The whole page.

    Args:
        rows: of all files, by family, each behind the one that it is of; then those that failed.
        pairs: that were compared.
        notes: what holds for all, in lines.
        guesses: about each family's root.
    """
    read = [row for row in rows if row.error is None]
    failed = [row for row in rows if row.error is not None]
    families: dict[int, list[FamilyRow]] = {}
    for row in read:
        if row.family is not None and row.relation != "stranger":
            families.setdefault(row.family, []).append(row)
    strangers = [row for row in read if row.relation == "stranger"]
    parts = [_facts(read, failed, len(families)), *(f"<p>{text(note)}</p>" for note in notes)]
    if any(row.guess for row in read):
        parts.append(f'<p class="note">{text(_GUESS)}</p>')
    for number, own in list(families.items())[:_TREES]:
        orbits = len({row.orbit for row in own})
        count = f"{len(own):,} files" + (f", {orbits:,} different networks" if orbits > 1 else ", one network")
        parts.append(f'<h2>Family {number} <span class="soft">{text(count)}</span></h2>')
        if number in guesses:
            parts.append(f'<p class="soft wrap">{text(f"guess: {guesses[number]}")}</p>')
        parts.append(family_tree(own))
    if len(families) > _TREES:
        parts.append(f'<p class="soft">{len(families) - _TREES:,} more families are in the table below.</p>')
    parts += _matrix(read, pairs)
    if strangers:
        parts.append(f'<h2>Strangers <span class="soft">{len(strangers):,}</span></h2>')
        parts.append('<p class="soft">Networks for which no relative was found here.</p>')
    parts += ["<h2>Files</h2>", f'<p class="soft">{text(_DISTANCE)}</p>', _files(read)]
    parts += _compared(pairs)
    if failed:
        parts += ["<h2>Not read</h2>", table([("file", False), ("why", False)], [_failure(row) for row in failed])]
    return document("Families of networks", parts)


def _facts(read: Sequence[FamilyRow], failed: Sequence[FamilyRow], families: int) -> str:
    counts: Mapping[str, int] = {
        "files": len(read),
        "families": families,
        "copies": _count(read, "copy"),
        "disguised copies": _count(read, "disguised"),
        "rounded copies": _count(read, "rounded"),
        "derived": _count(read, "derived"),
        "strangers": _count(read, "stranger"),
        "not read": len(failed),
    }
    shown = [f"<li><b>{count:,}</b>{text(name)}</li>" for name, count in counts.items() if count or name == "families"]
    return f'<ul class="facts">{"".join(shown)}</ul>'


def _count(rows: Sequence[FamilyRow], relation: str) -> int:
    return sum(row.relation == relation for row in rows)


def _matrix(rows: Sequence[FamilyRow], pairs: Sequence[PairRow]) -> list[str]:
    """Of networks that are the first of their orbits; the largest families first."""
    if not pairs:
        return []
    squares = {(pair.path, pair.other): Square(pair.verdict, pair.score) for pair in pairs}
    met = {path for pair in squares for path in pair}
    paths = [row.path for row in rows if row.path in met]
    shown = paths[:MOST]
    inside = set(shown)
    own = {pair: square for pair, square in squares.items() if inside.issuperset(pair)}
    left = f" The first {len(shown)} of {len(paths):,}." if len(paths) > MOST else ""
    about = f"Each network that is no copy against each other one.{left}"
    return ["<h2>Pairs</h2>", f'<p class="soft">{text(about)}</p>', pair_matrix(shown, own)]


def _files(rows: Sequence[FamilyRow]) -> str:
    columns = [
        ("file", False),
        ("family", True),
        ("relation", False),
        ("of", False),
        ("guess", False),
        ("distance", True),
    ]
    columns += [("score", True), ("read as", False)]
    cells = [
        [
            named(row.path),
            "" if row.family is None else str(row.family),
            text(row.relation or ""),
            "" if row.of is None else named(row.of),
            text(row.guess or ""),
            _digits(row.distance),
            "" if row.score is None else f"{row.score:.3f}",
            text(row.read_as or ""),
        ]
        for row in rows
    ]
    return table(columns, cells)


def _compared(pairs: Sequence[PairRow]) -> list[str]:
    """The pairs that are more than independent."""
    told = [pair for pair in pairs if pair.verdict != "independent"]
    if not told:
        return []
    columns = [("one", False), ("other", False), ("verdict", False), ("before", True), ("after", True)]
    columns += [("score", True), ("most changed", False), ("why", False)]
    cells = [
        [
            named(pair.path),
            named(pair.other),
            text(pair.verdict),
            _digits(pair.before),
            _digits(pair.after),
            "" if pair.score is None else f"{pair.score:.3f}",
            "" if pair.changed is None else named(pair.changed),
            text(pair.cause),
        ]
        for pair in told[:_PAIRS]
    ]
    rest = len(pairs) - len(told)
    about = f"{rest:,} more pairs were compared and are independent." if rest else "All that were compared."
    if len(told) > _PAIRS:
        about += f" The first {_PAIRS:,} of {len(told):,}; nfn families --pairs shows all."
    return ["<h2>Relatives</h2>", f'<p class="soft">{text(about)}</p>', table(columns, cells)]


def _failure(row: FamilyRow) -> list[str]:
    return [named(row.path), f'<span class="bad">{text(row.error)}</span>']


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
