"""The groups of traced networks as trees for people, as lines in a pipe (one a block) and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from nfn_cli.cli.options import Format
from nfn_cli.cli.output import write_rows
from nfn_cli.cli.tables.columns import Columns, digits, rows_table, yes_or_no
from nfn_cli.cli.tables.layout import Block, Blocks, Cell, Column, Facts, Kind, Table, Words
from nfn_cli.symmetry.kinship.signature import Signature
from nfn_cli.symmetry.labelled import Proof
from nfn_cli.symmetry.labelled.inspection import BlockFacts, LabelledInspection

_INDENT = "  "


@dataclass(frozen=True)
class LabelledInspected:
    """One file of a traced network: what was found, or why it cannot be read.

    Attributes:
        format: such as safetensors. dtypes: of its tensors.
        read_as: the module as which it was read.
        proof: with --prove.
        assumed: what was taken for granted in reading it.
        signature: of a network that is not so large that reading all its weights would take long.
    """

    path: str
    inspection: LabelledInspection | None = None
    format: str | None = None
    dtypes: tuple[str, ...] = ()
    read_as: str | None = None
    proof: Proof | None = None
    error: str | None = None
    assumed: str | None = None
    signature: Signature | None = None

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        if self.inspection is None:
            return {"path": self.path, "error": self.error}
        record: dict[str, Any] = {"path": self.path, "format": self.format, "dtypes": list(self.dtypes)}
        record |= {"read_as": self.read_as, "assumed": self.assumed} | asdict(self.inspection)
        record["orbit_dimension"] = self.inspection.orbit_dimension
        record["signature"] = None if self.signature is None else asdict(self.signature)
        if self.proof is not None:
            parts = [asdict(row) | {"passed": row.passed} for row in self.proof.rows]
            record["proof"] = {"proven": self.proof.proven, "rows": parts}
        return record | {"error": None}


@dataclass(frozen=True)
class LabelledRow:
    """A line in a pipe: one block or gauge, with what is the same for the whole file before it.

    Attributes:
        signs: how many free ones the whole group has. log10_permutations: of how many permutations.
        moved, left: tensors that the group moves, and that it leaves as they are.
        depth: in how many blocks it is.
        kind: stream, heads, neurons or gauge.
        name: of the module that makes the neurons; of a gauge, where it is.
        group: such as Sym(64); of a gauge, what it is.
        times: how many such groups there are.
        block_scales, block_signs: free ones at its units; of a gauge, its dimension and nothing.
        tensors: how many tensors it moves. moves: their names.
    """

    path: str
    format: str | None = None
    read_as: str | None = None
    parameters: int | None = None
    log10_permutations: float | None = None
    orbit_dimension: int | None = None
    signs: int | None = None
    moved: int | None = None
    left: int | None = None
    proven: bool | None = None
    depth: int | None = None
    kind: str | None = None
    name: str | None = None
    group: str | None = None
    times: int | None = None
    block_scales: int | None = None
    block_signs: int | None = None
    tensors: int | None = None
    moves: str | None = None
    error: str | None = None


def write_traced(rows: Sequence[LabelledInspected], format: Format | None, stream: TextIO) -> None:
    """Write inspections to a stream: trees, or by default trees on a terminal and lines elsewhere."""
    write_rows(list(_rows(rows)), LabelledRow, lambda _: _blocks(rows), format, stream)


def _rows(inspections: Sequence[LabelledInspected]) -> Iterator[LabelledRow]:
    """A line for each block and gauge; one with the file's facts alone where there is neither."""
    for own in inspections:
        facts = own.inspection
        if facts is None:
            yield LabelledRow(own.path, error=own.error)
            continue
        proven = None if own.proof is None else own.proof.proven
        sizes = (facts.parameters, facts.log10_permutations, facts.orbit_dimension)
        shared = (own.path, own.format, own.read_as, *sizes, facts.signs, facts.moved, facts.left, proven)
        for depth, block in _walk(facts.rows):
            names = ",".join(block.tensors)
            counts = (block.times, block.scales, block.signs, block.tensor_count)
            yield LabelledRow(*shared, depth, block.kind, block.name, block.group, *counts, names)
        for gauge in facts.gauges:
            yield LabelledRow(*shared, 0, "gauge", gauge.where, gauge.kind, gauge.times, gauge.dimension)
        if not facts.rows and not facts.gauges:
            yield LabelledRow(*shared)


def _blocks(inspections: Sequence[LabelledInspected]) -> Blocks:
    """One tree below the other; files that cannot be read are reported on stderr only."""
    blocks: list[Block] = []
    for own in inspections:
        if own.inspection is None:
            continue
        if blocks:
            blocks.append(Words(""))
        facts = own.inspection
        size = "" if facts.parameters is None else f"{facts.parameters:,} parameters"
        parts = [own.path, own.format or "", ", ".join(own.dtypes), size]
        blocks.append(Words("  ".join(part for part in parts if part), "bold"))
        if facts.rows:
            blocks.append(_tree(facts.rows))
        if facts.gauges:
            blocks += [Words(""), rows_table(facts.gauges, _GAUGES)]
        blocks += [Words(""), _totals(own, facts)]
        if own.proof is not None:
            blocks += [Words(""), rows_table(own.proof.rows, _PROOF)]
    return Blocks(blocks)


def _walk(rows: Sequence[BlockFacts], depth: int = 0) -> Iterator[tuple[int, BlockFacts]]:
    for row in rows:
        yield depth, row
        yield from _walk(row.inside, depth + 1)


def _tree(rows: Sequence[BlockFacts]) -> Table:
    columns = (
        Column("block", Kind.name),
        Column("group"),
        Column("times", right=True),
        Column("scales"),
        Column("tensors", right=True),
        Column("moves", Kind.words),
    )
    return Table(columns, list(_lines(rows, None, 0)))


def _lines(rows: Sequence[BlockFacts], around: BlockFacts | None, depth: int) -> Iterator[list[Cell | str]]:
    for row in rows:
        # A block inside another is mostly of the same module: the rest of its name is enough.
        name = row.name if around is None else _beside(row.name, around.name)
        stream = row.kind == "stream"
        of = " of heads" if row.kind == "heads" else ""
        yield [
            Cell(f"{_INDENT * depth}{'stream ' if stream else ''}{name}", "cyan" if stream else ""),
            Cell(f"{row.group}{of}", short=row.group),
            f"{row.times:,} ×",
            _scales(row.scales, row.signs),
            f"{row.tensor_count:,}",
            ", ".join(_short_names(row)),
        ]
        yield from _lines(row.inside, row, depth + 1)


def _beside(name: str, other: str) -> str:
    """A name without the parts that it shares with another one; never without its last."""
    parts, others = name.split("."), other.split(".")
    shared = 0
    while shared < min(len(parts), len(others)) - 1 and parts[shared] == others[shared]:
        shared += 1
    if shared == len(others) - 1 < len(parts) - 1 and parts[shared] == others[shared]:
        shared += 1
    return ".".join(parts[shared:])


def _scales(scales: int, signs: int) -> Cell | str:
    """How many numbers may be multiplied in: any but 0, positive ones alone, ±1 alone."""
    both = min(scales, signs)
    parts = [
        (both, "nonzero", "≠0"),
        (scales - both, "positive", ">0"),
        (signs - both, "sign" if signs - both == 1 else "signs", "±"),
    ]
    shown = [(f"{count:,}", long, short) for count, long, short in parts if count]
    return Cell(
        ", ".join(f"{count} {long}" for count, long, _ in shown),
        short=", ".join(f"{count} {short}" for count, _, short in shown),
    )


def _short_names(row: BlockFacts) -> list[str]:
    """The modules whose tensors a block moves, by the parts of their names that differ."""
    modules = dict.fromkeys(tensor.rpartition(".")[0] or tensor for tensor in row.tensors)
    split = [module.split(".") for module in modules]
    shared = 0
    while all(len(parts) > shared + 1 for parts in split) and len({parts[shared] for parts in split}) == 1:
        shared += 1
    return [".".join(parts[shared:]) for parts in split]


_GAUGES: Columns = {
    Column("not acted on", Kind.words): lambda own: own.kind,
    Column("where", Kind.name): lambda own: own.where,
    Column("times", right=True): lambda own: f"{own.times:,} ×",
    Column("dimension", right=True): lambda own: f"{own.dimension:,}",
}
_PROOF: Columns = {
    Column("check", Kind.name): lambda row: row.what if row.what == "everything" else f"{row.what} {row.where}",
    Column("deviation", right=True): lambda row: digits(row.deviation),
    Column("passed"): lambda row: yes_or_no(row.passed),
}


def _totals(own: LabelledInspected, facts: LabelledInspection) -> Facts:
    shown = [("read as", Cell(own.read_as))] if own.read_as else []
    if own.assumed:
        shown.append(("assumed", Cell(own.assumed)))
    shown.append(("permutations", Cell(_order(facts.log10_permutations))))
    signs = "1 sign" if facts.signs == 1 else f"{facts.signs:,} signs"
    shown.append(("scales", Cell(f"of dimension {facts.scales:,}, and {signs}{_elsewhere(facts)}")))
    shown.append(("orbit", Cell(f"of dimension {facts.orbit_dimension:,}")))
    tensors = "1 tensor" if facts.moved == 1 else f"{facts.moved:,} tensors"
    shown.append(("moves", Cell(f"{tensors}, and leaves {facts.left:,} as they are")))
    if own.signature is not None:
        shown.append(("signature", Cell(str(own.signature))))
    if own.proof is not None:
        verdict = "yes" if own.proof.proven else "no: a part of the group changes the function"
        shown.append(("proven", Cell(verdict, "green" if own.proof.proven else "red")))
    return Facts(shown)


def _order(log10: float) -> str:
    if log10 < 6:
        return f"{round(10**log10):,}"
    return f"10^{log10:,.1f}"


def _elsewhere(facts: LabelledInspection) -> str:
    parts = [
        f"{count:,} {what}"
        for count, what in ((facts.elsewhere_scales, "scales"), (facts.elsewhere_signs, "signs"))
        if count
    ]
    return f" ({' and '.join(parts)} of them at no block)" if parts else ""
