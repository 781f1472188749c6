"""Tables for people: a row takes a line, whatever the width; and words that are wrapped.

Where room is short, in this order: cells take their short form, names are cut in the middle, a note goes below its
row, and columns are dropped, the least important first. Numbers are never cut, and names that differ look different.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TextIO

from nfn_cli.cli.widths import cells, start_of, wrapped
from nfn_cli.phrases import escaped

# Every column of every table, the most important first: they are dropped from the end. The first line says what a row
# is of, and always stays. A column that is not here stays, too.
ALWAYS = ("checkpoint", "layer", "block", "tensor", "check", "rank")
IMPORTANCE = (
    *ALWAYS,
    *(
        "class",
        "accuracy",
        "verdict",
        "relation",
        "family",
        "guess",
        "written to",
        "size",
        "shape",
        "same",
        "passed",
        "note",
    ),
    *("before", "after"),
    *("as they are", "mean squared error", "all", "probability", "90 % interval", "aligned", "deviation"),
    *("of those that have learned", "group", "parameters", "zeros", "norm", "dtype"),
    *("change", "rounding", "imbalance", "permuted", "tolerance", "samples"),
    *("moved", "scaled", "flipped"),
    *("scales", "tensors", "times", "moves"),
    *("most changed", "score", "distance"),
    *("head", "with", "residual", "entropy", "next", "of"),
)
_GAP = 2
_NARROWEST = 40  # what is laid out for less is wider than that
_NAME, _OTHER = 28, 16  # cells that are left of what is cut: of a row's own name or of words, of another name
_CUT = "…"

Line = list[tuple[str, str]]  # pieces of text, each with its style


class Kind(Enum):
    """What may become of a column's cells where room is short."""

    whole = "nothing"
    name = "cut in the middle; those that differ look different"
    other = "cut in the middle"
    words = "cut at the end"
    note = "put below the row, and cut at the end"


@dataclass(frozen=True)
class Cell:
    """A text, a style of rich's, and a text for where room is short."""

    text: str
    style: str = ""
    short: str | None = None


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        right: flush right, as numbers are.
        short: its name where room is short.
    """

    name: str
    kind: Kind = Kind.whole
    right: bool = False
    short: str | None = None


class Block(Protocol):
    """What is printed for people."""

    def lines(self, width: int | None) -> Iterator[Line]:
        """Its lines, none wider than `width` cells; None is any width."""


@dataclass(frozen=True)
class Blocks:
    """Blocks one below the other."""

    blocks: Sequence[Block]

    def lines(self, width: int | None) -> Iterator[Line]:
        """See `Block`."""
        for block in self.blocks:
            yield from block.lines(width)


@dataclass(frozen=True)
class Words:
    """A text, wrapped between words; a word that is wider than all the room is folded."""

    text: str
    style: str = ""

    def lines(self, width: int | None) -> Iterator[Line]:
        """See `Block`."""
        for line in wrapped(escaped(self.text), width):
            yield [(line, self.style)]


@dataclass(frozen=True)
class Facts:
    """Names in bold, and beside each its text, wrapped."""

    facts: Sequence[tuple[str, Cell]]

    def lines(self, width: int | None) -> Iterator[Line]:
        """See `Block`."""
        indent = max((len(name) for name, _ in self.facts), default=0) + _GAP
        room = None if width is None else max(_NARROWEST, width) - indent
        for name, cell in self.facts:
            for number, line in enumerate(wrapped(escaped(cell.text), room)):
                key = "" if number else name
                yield [(key, "bold"), (" " * (indent - len(key)), ""), (line, cell.style)]


@dataclass(frozen=True)
class Table:
    """Rows of cells under the columns' names.

    Attributes:
        option: of the command, shows all columns.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]] = ()
    option: str = "--format json"

    def lines(self, width: int | None) -> Iterator[Line]:
        """See `Block`."""
        columns = [_Filled(own, [_clean(row[i]) for row in self.rows]) for i, own in enumerate(self.columns)]
        room = None if width is None else max(_NARROWEST, width)
        yield from _laid_out([own for own in columns if own.is_used()], room, self.option)


def print_blocks(blocks: Iterable[Block], stream: TextIO, *, width: int | None) -> None:
    """Write blocks to a stream, in colours where it is a terminal that has them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for block in blocks:
        for line in block.lines(width):
            text = Text.assemble(*line)
            text.rstrip()
            console.print(text, soft_wrap=True)


@dataclass(frozen=True, eq=False)
class _Filled:
    """A column with its cells."""

    column: Column
    cells: Sequence[Cell]

    def is_used(self) -> bool:
        """An empty column takes no room; of a table without rows, all columns are shown but the notes."""
        if self.column.name in ALWAYS:
            return True
        return any(cell.text for cell in self.cells) if self.cells else self.column.name != "note"

    def texts(self, *, short: bool) -> list[str]:
        """Its name and its cells, in their short form where they have one."""
        forms = [(self.column.name, self.column.short), *((cell.text, cell.short) for cell in self.cells)]
        return [escaped(own if short and own is not None else text) for text, own in forms]


def _laid_out(columns: Sequence[_Filled], width: int | None, option: str) -> Iterator[Line]:
    """The lines of a table, with the columns that fit."""
    droppable = [own for own in columns if own.column.name in IMPORTANCE and own.column.name not in ALWAYS]
    droppable.sort(key=lambda own: -IMPORTANCE.index(own.column.name))
    for dropped in range(len(droppable) + 1):
        gone = droppable[:dropped]
        kept = [own for own in columns if own not in gone]
        notes = [own for own in kept if own.column.kind is Kind.note]
        for below in ([], notes) if notes else ([],):
            shown = [own for own in kept if own not in below]
            for short in (False, True):
                texts = _fitted(shown, width, short=short)
                if texts is not None:
                    yield from _written(shown, texts, below, width)
                    yield from _dropped([own for own in columns if own in gone], width, option)
                    return
    yield from _names_apart(columns, width, option)


def _fitted(shown: Sequence[_Filled], width: int | None, *, short: bool) -> list[list[str]] | None:
    """The texts of every column, cut where need be; None if they do not fit."""
    texts = [own.texts(short=short) for own in shown]
    natural = [max(map(cells, own)) for own in texts]
    if width is None or sum(natural) + _GAP * (len(shown) - 1) <= width:
        return texts
    sizes = [min(size, _least(own.column, text)) for size, own, text in zip(natural, shown, texts, strict=True)]
    spare = width - sum(sizes) - _GAP * (len(shown) - 1)
    if spare < 0:
        return None
    while spare and sizes != natural:
        for number, size in enumerate(natural):
            if spare and sizes[number] < size:
                sizes[number] += 1
                spare -= 1
    cut = [_cut_to(own.column, text, size) for own, text, size in zip(shown, texts, sizes, strict=True)]
    fitting = [text for text in cut if text is not None]
    return fitting if len(fitting) == len(cut) else None


def _written(
    shown: Sequence[_Filled], texts: Sequence[Sequence[str]], below: Sequence[_Filled], width: int | None
) -> Iterator[Line]:
    """The head and the rows, each with its notes below it."""
    widths = [max(map(cells, own)) for own in texts]
    for number, row in enumerate(zip(*texts, strict=True)):
        line: Line = []
        for own, text, size in zip(shown, row, widths, strict=True):
            styled = (text, own.cells[number - 1].style if number else "bold")
            blank = (" " * (size - cells(text)), "")
            line += [(" " * _GAP, "")] if line else []
            line += [blank, styled] if own.column.right else [styled, blank]
        yield line
        for cell in [own.cells[number - 1] for own in below] if number else []:
            if cell.text:
                yield [(" " * _GAP, ""), (_cut_end(cell.text, None if width is None else width - _GAP), cell.style)]


def _dropped(gone: Sequence[_Filled], width: int | None, option: str) -> Iterator[Line]:
    """How many columns are not shown, with their names where there is room, and how to see them."""
    if not gone or not gone[0].cells:
        return
    names = f" ({', '.join(own.column.name for own in gone)})"
    count = "1 column more" if len(gone) == 1 else f"{len(gone)} columns more"
    texts = [f"{count}{own}: widen the terminal, or {option}" for own in (names, "")]
    fitting = next((text for text in texts if width is None or len(text) <= width), texts[1])
    yield from Words(fitting, "dim").lines(width)


def _names_apart(columns: Sequence[_Filled], width: int | None, option: str) -> Iterator[Line]:
    """Names that would look alike however they are cut stand whole, above the rest of their rows."""
    named = next(own for own in columns if own.column.kind is Kind.name)
    rest = [own for own in columns if own is not named]
    head, *lines = list(_laid_out(rest, None if width is None else width - _GAP, option)) if rest else [[]]
    name = named.column.name
    if width is not None and cells(name) + _GAP + sum(cells(text) for text, _ in head) > width:
        yield [(name, "bold")]
        name = ""
    yield [(name, "bold"), (" " * _GAP, ""), *head]
    for number, cell in enumerate(named.cells):
        for text in wrapped(cell.text, width):
            yield [(text, cell.style)]
        if number < len(lines):
            yield [(" " * _GAP, ""), *lines[number]]
    yield from lines[len(named.cells) :]


def _clean(cell: Cell | str) -> Cell:
    if isinstance(cell, str):
        return Cell(escaped(cell))
    return Cell(escaped(cell.text), cell.style, None if cell.short is None else escaped(cell.short))


def _least(column: Column, texts: Sequence[str]) -> int:
    """Cells that a column needs at least."""
    if column.kind in (Kind.name, Kind.words):
        return _NAME
    if column.kind is Kind.other:
        return max(_OTHER, cells(texts[0]))
    return max(map(cells, texts))


def _cut_to(column: Column, texts: Sequence[str], width: int) -> list[str] | None:
    """A column's texts in `width` cells; None where different names would look alike."""
    if column.kind is Kind.name:
        head, *names = texts
        cut_names = distinct_cuts(names, width)
        return None if cut_names is None else [_cut_middle(head, width), *cut_names]
    cut = _cut_end if column.kind is Kind.words else _cut_middle
    return [cut(text, width) for text in texts]


def distinct_cuts(names: Sequence[str], width: int) -> list[str] | None:
    """Names in `width` cells each, cut so that different ones look different; None where no cut does this."""
    distinct = list(dict.fromkeys(names))
    for share in (1 / 3, 0.0, 1 / 2, 2 / 3):
        cut = {name: _cut_middle(name, width, share) for name in distinct}
        if len(set(cut.values())) == len(distinct):
            return [cut[name] for name in names]
    # Of those that look alike, what they share is cut.
    cut = {name: _cut_middle(name, width) for name in distinct}
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in distinct:
        alike[cut[name]].append(name)
    for group in alike.values():
        if len(group) > 1:
            cut |= dict(zip(group, _cut_around(group, width), strict=True))
    if len(set(cut.values())) < len(distinct):
        return None
    return [cut[name] for name in names]


def _cut_around(names: Sequence[str], width: int) -> list[str]:
    """Names that begin and end alike, cut on either side of where they differ."""
    begin = _shared(names)
    end = _shared([name[begin:][::-1] for name in names])
    own = [name[begin : len(name) - end] for name in names]
    room = width - 2 - max(map(cells, own))
    if room < 0:
        return [f"{_CUT}{_cut_middle(text, width - 2)}{_CUT}" for text in own]
    tail = _end(names[0][len(names[0]) - end :], room)
    head = start_of(names[0][:begin], room - cells(tail))
    return [f"{head}{_CUT}{text}{_CUT}{tail}" for text in own]


def _shared(names: Sequence[str]) -> int:
    """How many letters all begin with."""
    first, last = min(names), max(names)
    differing = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return next(differing, min(len(first), len(last)))


def _cut_middle(text: str, width: int, share: float = 1 / 3) -> str:
    """A text in `width` cells; `share` of what is kept stands before the cut."""
    if cells(text) <= width:
        return text
    head = start_of(text, int((width - 1) * share))
    return head + _CUT + _end(text, width - 1 - cells(head))


def _cut_end(text: str, width: int | None) -> str:
    return text if width is None or cells(text) <= width else start_of(text, width - 1).rstrip() + _CUT


def _end(text: str, width: int) -> str:
    """As much of the end of a text as `width` cells hold; no accent without its letter."""
    used = 0
    place = len(text)
    while place > 0 and used + cells(text[place - 1]) <= width:
        place -= 1
        used += cells(text[place])
    while place < len(text) and cells(text[place]) == 0:
        place += 1
    return text[place:]
