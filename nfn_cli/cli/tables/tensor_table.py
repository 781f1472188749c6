"""The tensors of a file as a table for people, as lines in a pipe (one a tensor) and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from nfn_cli.checkpoints import Checkpoint, OpenedFile, TensorFacts, format_named, measure_tensors, natural_key
from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table
from nfn_cli.errors import NfnError


@dataclass(frozen=True)
class ShownTensors:
    """The tensors of a file, in the order in which they are shown.

    Attributes:
        format: name of one of `FORMATS`.
        refusal: why no network was read of them; None where one was.
    """

    format: str
    facts: tuple[TensorFacts, ...]
    refusal: str | None = None

    @classmethod
    def of(cls, file: Checkpoint | OpenedFile, refusal: NfnError | None = None) -> ShownTensors:
        """Measure a file's tensors."""
        facts = measure_tensors(file.tensors, file.unheld if isinstance(file, OpenedFile) else ())
        if not format_named(file.format).ordered:
            # Only PyTorch keeps the module's order; elsewhere 10 may come before 2.
            facts = tuple(sorted(facts, key=lambda own: natural_key(own.name)))
        told = None
        if refusal is not None:
            own = refusal.subject == str(file.path)  # another is a shard, or a sidecar
            told = f"{refusal.cause}; {refusal.remedy}" if own else str(refusal)
        return cls(file.format, facts, told)

    def to_records(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [asdict(own) for own in self.facts]


@dataclass(frozen=True)
class TensorRow:
    """A line in a pipe: one tensor.

    Attributes:
        shape: such as 16x3x3x3, or scalar.
        zeros: how many entries are zero; empty, as `norm`, `nan` and `inf`, where `note` says why.
        norm: empty where an entry is not finite.
        error: why no network was read of the file.
    """

    path: str
    tensor: str | None = None
    shape: str | None = None
    dtype: str | None = None
    zeros: int | None = None
    norm: float | None = None
    nan: int | None = None
    inf: int | None = None
    note: str | None = None
    error: str | None = None


def tensor_rows(path: str, tensors: ShownTensors | None, error: str | None) -> Iterator[TensorRow]:
    """The lines of one file; one with the error alone where it has no tensors, or does not open."""
    if tensors is None or not tensors.facts:
        yield TensorRow(path, error=error)
        return
    for own in tensors.facts:
        shape = _shape(own)
        yield TensorRow(path, own.name, shape, own.dtype, own.zeros, own.norm, own.nan, own.inf, own.note, error)


def tensor_heading(path: str, tensors: ShownTensors) -> str:
    """What stands over the tensors of a file that is no network."""
    facts = tensors.facts
    dtypes = ", ".join(sorted({own.dtype for own in facts}))
    numbers = sum(own.entries or 0 for own in facts if own.note is None)
    count = f"{len(facts):,} tensor{'' if len(facts) == 1 else 's'}"
    parts = [path, tensors.format, dtypes, count, f"{numbers:,} number{'' if numbers == 1 else 's'}"]
    return "  ".join(part for part in parts if part)


def tensor_table(tensors: ShownTensors) -> Table:
    """A row for each tensor."""
    return rows_table(tensors.facts, _COLUMNS)


_COLUMNS: Columns = {
    Column("tensor", Kind.name): lambda own: own.name or "(no name)",
    Column("shape"): lambda own: _shape(own) or "",
    Column("dtype"): lambda own: own.dtype,
    Column("zeros", right=True): lambda own: _share(own),
    Column("norm", right=True): lambda own: "" if own.norm is None else _three_digits(own.norm),
    Column("note", Kind.note): lambda own: Cell(_note(own), "yellow"),
}


def _shape(facts: TensorFacts) -> str | None:
    return None if facts.shape is None else "x".join(map(str, facts.shape)) or "scalar"


def _share(facts: TensorFacts) -> str:
    """How many of the entries are zero: `0%` and `100%` only where none and all are."""
    if facts.zeros is None or not facts.entries:
        return ""
    if facts.zeros in (0, facts.entries):
        return "0%" if facts.zeros == 0 else "100%"
    share = facts.zeros / facts.entries
    if share < 0.001:
        return "<0.1%"
    return ">99.9%" if share > 0.999 else f"{share:.1%}"


def _three_digits(number: float) -> str:
    return f"{number:#.3g}".removesuffix(".") if number else "0"


def _note(facts: TensorFacts) -> str:
    """Such as `3 NaN, 1 Inf`, or why nothing is told."""
    counts = ((facts.nan, "NaN"), (facts.inf, "Inf"))
    return facts.note or ", ".join(f"{count:,} {kind}" for count, kind in counts if count)
