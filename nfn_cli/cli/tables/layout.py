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
    *("class", "accuracy", "written to", "size", "shape", "same", "passed", "note"),
    *("as they are", "mean squared error", "all", "probability", "90 % interval", "aligned", "deviation"),
    *("of those that have learned", "group", "parameters", "zeros", "norm", "dtype"),
    *("change", "rounding", "imbalance", "permuted", "tolerance", "samples"),
    *("scales", "tensors", "times", "moves"),
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
        """Its lines, none wider than so many cells; None is any width."""


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
        rows = [[_clean(cell) for cell in row] for row in self.rows]
        used = [i for i, column in enumerate(self.columns) if column.name in ALWAYS or _used(column, rows, i)]
        plan = _Plan([self.columns[i] for i in used], [[row[i] for i in used] for row in rows])
        yield from plan.lines(None if width is None else max(_NARROWEST, width), self.option)


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


class _Plan:
    """A table's columns without those that nobody uses; `lines` chooses which of them fit."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        self._columns, self._rows = columns, rows
        droppable = [i for i, column in enumerate(columns) if column.name in IMPORTANCE and column.name not in ALWAYS]
        self._order = sorted(droppable, key=lambda i: -IMPORTANCE.index(columns[i].name))

    def lines(self, width: int | None, option: str) -> Iterator[Line]:
        everything = range(len(self._columns))
        notes = [i for i in everything if self._columns[i].kind is Kind.note]
        for dropped in range(len(self._order) + 1):
            gone = self._order[:dropped]
            for below in ([], notes) if notes else ([],):
                if set(below) & set(gone):
                    continue
                shown = [i for i in everything if i not in gone and i not in below]
                for short in (False, True):
                    texts = self._texts(shown, width, short=short)
                    if texts is not None:
                        yield from self._written(shown, texts, below, width)
                        yield from self._more(gone, width, option)
                        return
        yield from self._names_apart(width, option)

    def _texts(self, shown: Sequence[int], width: int | None, *, short: bool) -> list[list[str]] | None:
        """The cells of every column as they are shown, its name first; None if they do not fit."""
        columns = [self._columns[i] for i in shown]
        texts = [
            [_head(self._columns[i], short=short), *(_text(row[i], short=short) for row in self._rows)] for i in shown
        ]
        natural = [max(map(cells, own)) for own in texts]
        if width is None or sum(natural) + _GAP * (len(shown) - 1) <= width:
            return texts
        least = [min(size, _least(column, own)) for size, column, own in zip(natural, columns, texts, strict=True)]
        spare = width - sum(least) - _GAP * (len(shown) - 1)
        if spare < 0:
            return None
        while spare and least != natural:
            for place, size in enumerate(natural):
                if spare and least[place] < size:
                    least[place] += 1
                    spare -= 1
        for place, column in enumerate(columns):
            cut = _cut_to(column, texts[place], least[place])
            if cut is None:
                return None
            texts[place] = cut
        return texts

    def _written(
        self, shown: Sequence[int], texts: Sequence[Sequence[str]], below: Sequence[int], width: int | None
    ) -> Iterator[Line]:
        widths = [max(map(cells, own)) for own in texts]
        for number in range(len(self._rows) + 1):
            line: Line = []
            for place, i in enumerate(shown):
                text = texts[place][number]
                blank = " " * (widths[place] - cells(text))
                style = self._rows[number - 1][i].style if number else "bold"
                line += [(" " * (_GAP if place else 0), "")]
                line += [(blank, ""), (text, style)] if self._columns[i].right else [(text, style), (blank, "")]
            yield line
            for i in below if number else ():
                cell = self._rows[number - 1][i]
                if cell.text:
                    room = None if width is None else width - _GAP
                    yield [(" " * _GAP, ""), (_cut_end(cell.text, room), cell.style)]

    def _more(self, gone: Sequence[int], width: int | None, option: str) -> Iterator[Line]:
        if not gone or not self._rows:
            return
        names = f" ({', '.join(self._columns[i].name for i in sorted(gone))})"
        count = "1 column more" if len(gone) == 1 else f"{len(gone)} columns more"
        told = [f"{count}{own}: widen the terminal, or {option}" for own in (names, "")]
        yield from Words(next((own for own in told if width is None or len(own) <= width), told[1]), "dim").lines(width)

    def _names_apart(self, width: int | None, option: str) -> Iterator[Line]:
        """Names that no cut tells apart stand whole, above the rest of their rows."""
        place = next(i for i, column in enumerate(self._columns) if column.kind is Kind.name)
        rest = [i for i in range(len(self._columns)) if i != place]
        others = _Plan([self._columns[i] for i in rest], [[row[i] for i in rest] for row in self._rows])
        lines = list(others.lines(None if width is None else width - _GAP, option)) if rest else []
        head, *lines = lines or [[]]
        name = self._columns[place].name
        if width is not None and cells(name) + _GAP + sum(cells(text) for text, _ in head) > width:
            yield [(name, "bold")]
            name = ""
        yield [(name, "bold"), (" " * _GAP, ""), *head]
        for number, row in enumerate(self._rows):
            for text in wrapped(row[place].text, width):
                yield [(text, row[place].style)]
            if number < len(lines):
                yield [(" " * _GAP, ""), *lines[number]]
        yield from lines[len(self._rows) :]


def _clean(cell: Cell | str) -> Cell:
    if isinstance(cell, str):
        return Cell(escaped(cell))
    return Cell(escaped(cell.text), cell.style, None if cell.short is None else escaped(cell.short))


def _used(column: Column, rows: Sequence[Sequence[Cell]], place: int) -> bool:
    """What no row has takes no room; above no rows, all columns stand but the notes."""
    return any(row[place].text for row in rows) if rows else column.name != "note"


def _head(column: Column, *, short: bool) -> str:
    return escaped(column.short if short and column.short is not None else column.name)


def _text(cell: Cell, *, short: bool) -> str:
    return cell.short if short and cell.short is not None else cell.text


def _least(column: Column, texts: Sequence[str]) -> int:
    """Cells that a column needs at least."""
    if column.kind in (Kind.name, Kind.words):
        return _NAME
    if column.kind is Kind.other:
        return max(_OTHER, cells(texts[0]))
    return max(map(cells, texts))


def _cut_to(column: Column, texts: Sequence[str], width: int) -> list[str] | None:
    """A column's texts in so many cells; None where different names would look alike."""
    if column.kind is Kind.name:
        head, *names = texts
        told = told_apart(names, width)
        return None if told is None else [_cut_middle(head, width), *told]
    cut = _cut_end if column.kind is Kind.words else _cut_middle
    return [cut(text, width) for text in texts]


def told_apart(names: Sequence[str], width: int) -> list[str] | None:
    """Names in so many cells each, cut so that different ones look different; None where no cut does this."""
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
    """A text in so many cells; of what is left, that share stands before the cut."""
    if cells(text) <= width:
        return text
    head = start_of(text, int((width - 1) * share))
    return head + _CUT + _end(text, width - 1 - cells(head))


def _cut_end(text: str, width: int | None) -> str:
    return text if width is None or cells(text) <= width else start_of(text, width - 1).rstrip() + _CUT


def _end(text: str, width: int) -> str:
    """As much of a text as so many cells hold, from its end; no accent without its letter."""
    used = 0
    place = len(text)
    while place > 0 and used + cells(text[place - 1]) <= width:
        place -= 1
        used += cells(text[place])
    while place < len(text) and cells(text[place]) == 0:
        place += 1
    return text[place:]
