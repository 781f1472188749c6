"""Inspections as a table for people, as lines in a pipe (one a layer) and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from nfn_cli.cli.options import Format
from nfn_cli.cli.output import write_rows
from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Block, Blocks, Cell, Column, Facts, Kind, Words
from nfn_cli.cli.tables.tensor_table import ShownTensors, TensorRow, tensor_heading, tensor_rows, tensor_table
from nfn_cli.nn import Accepted
from nfn_cli.nn.reading_heads import HeadFacts, head_facts
from nfn_cli.symmetry import GroupFacts, Inspection, LayerFacts
from nfn_cli.symmetry.kinship.signature import Signature

_MOST_NEURONS = 12  # named in the table; JSON and the lines of a pipe have all


@dataclass(frozen=True)
class Inspected:
    """One file: what was found, and the shipped heads; or why it cannot be read.

    Attributes:
        tensors: where they are to be shown; of a file that cannot be read, where it opens.
        nearest: where no head reads the network, the one that comes nearest, and why it does not.
        signature: where the activation is known.
    """

    path: str
    inspection: Inspection | None = None
    heads: tuple[HeadFacts, ...] = ()
    error: str | None = None
    tensors: ShownTensors | None = None
    nearest: str | None = None
    signature: Signature | None = None

    @classmethod
    def of(cls, path: Path, inspection: Inspection, accepted: Mapping[str, Accepted]) -> Inspected:
        """An inspection beside what every head says of it."""
        heads, nearest = head_facts(inspection, accepted)
        return cls(str(path), inspection, heads, nearest=nearest)

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        tensors = {} if self.tensors is None else {"tensors": self.tensors.to_records()}
        if self.inspection is None:
            opened = {} if self.tensors is None else {"format": self.tensors.format}
            return {"path": self.path, "error": self.error} | opened | tensors
        record = asdict(self.inspection)
        del record["architecture"]
        record |= {"path": self.path, "heads": [asdict(head) for head in self.heads]}
        signature = None if self.signature is None else asdict(self.signature)
        return record | {"signature": signature, "error": None} | tensors


@dataclass(frozen=True)
class LayerRow:
    """A line in a pipe: one layer, with what is the same for the whole file before it.

    Attributes:
        outputs, inputs, kernel, flatten: `kernel` is such as 3x3; `flatten` the positions of each neuron before.
        batchnorm: name of the BatchNorm after the layer.
        group: such as G_16^{>0}; empty for the last layer, as all fields after it but `heads` and `error`.
        dead: numbers of neurons with commas. duplicates: sets of neurons such as `3=7`, with commas.
        heads: the shipped heads that read the network.
        read_as, assumed: the layers as they were read, and what was taken for granted in this.
    """

    path: str
    format: str | None = None
    activation: str | None = None
    activation_source: str | None = None
    pool: str | None = None
    orbit_dimension: int | None = None
    layer: str | None = None
    kind: str | None = None
    inputs: int | None = None
    outputs: int | None = None
    kernel: str | None = None
    flatten: int | None = None
    bias: bool | None = None
    batchnorm: str | None = None
    dtype: str | None = None
    parameters: int | None = None
    group: str | None = None
    imbalance_median: float | None = None
    imbalance_largest: float | None = None
    dead: str | None = None
    duplicates: str | None = None
    heads: str | None = None
    read_as: str | None = None
    assumed: str | None = None
    error: str | None = None


_FIELDS = {field.name for field in fields(LayerRow)}


def write_chains(rows: Sequence[Inspected], format: Format | None, stream: TextIO, *, by_tensor: bool = False) -> None:
    """Write inspections to a stream: a table, or by default a table on a terminal and lines elsewhere.

    Args:
        by_tensor: the lines are tensors (`TensorRow`), not layers (`LayerRow`).
    """
    if by_tensor:
        lines = [line for row in rows for line in tensor_rows(row.path, row.tensors, row.error)]
        write_rows(lines, TensorRow, lambda _: _tables(rows), format, stream)
    else:
        write_rows(list(_layer_rows(rows)), LayerRow, lambda _: _tables(rows), format, stream)


def _layer_rows(rows: Iterable[Inspected]) -> Iterator[LayerRow]:
    for row in rows:
        if row.inspection is None:
            yield LayerRow(row.path, error=row.error)
            continue
        facts = row.inspection
        for layer in facts.layers:
            group = layer.group
            own: dict[str, Any] = {
                "path": row.path,
                "layer": layer.name,
                "kernel": "x".join(map(str, layer.kernel)) or None,
                "heads": ",".join(head.name for head in row.heads if head.accepts),
                "group": group.symbol if group else None,
                "imbalance_median": group.imbalance_median if group else None,
                "imbalance_largest": group.imbalance_largest if group else None,
                "dead": ",".join(map(str, group.dead)) if group else None,
                "duplicates": ",".join(_joined(group.duplicates)) if group else None,
                "error": None,
            }
            # What is of the layer, else of the whole file, has the column's name there.
            found = {name: getattr(layer if hasattr(layer, name) else facts, name) for name in _FIELDS - own.keys()}
            yield LayerRow(**own, **found)


def _joined(sets: Iterable[Sequence[int]]) -> list[str]:
    return ["=".join(map(str, places)) for places in sets]


def _tables(rows: Sequence[Inspected]) -> Blocks:
    """One below the other; files that do not even open are reported on stderr only."""
    blocks: list[Block] = []
    for row in rows:
        if row.inspection is None and row.tensors is None:
            continue
        if blocks:
            blocks.append(Words(""))
        if row.inspection is None:
            assert row.tensors is not None
            blocks.append(Words(tensor_heading(row.path, row.tensors), "bold"))
            blocks.append(Words(f"no network: {row.tensors.refusal}", "yellow"))
            if row.tensors.facts:
                blocks.append(tensor_table(row.tensors))
            continue
        blocks += [_heading(row.path, row.inspection), rows_table(row.inspection.layers, _LAYERS)]
        blocks.append(_summary(row, row.inspection))
        if row.tensors is not None:
            blocks.append(tensor_table(row.tensors))
    return Blocks(blocks)


def _heading(path: str, facts: Inspection) -> Words:
    parts = [path, facts.format, ", ".join(facts.dtypes), f"{facts.parameters:,} parameters"]
    return Words("  ".join(parts), "bold")


def _extras(layer: LayerFacts) -> str:
    parts = [
        "bias" if layer.bias else "",
        f"BatchNorm {layer.batchnorm}" if layer.batchnorm is not None else "",
        "weight norm" if layer.weight_norm else "",
        *layer.stages,
        f"flatten {layer.flatten}" if layer.flatten > 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _generators(group: GroupFacts) -> Cell:
    """Such as `16 scalings, 16! permutations`; n! stands for itself where it must be short."""
    counts = {"scalings": group.scalings, "signs": group.signs, "phases": group.phases}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    order = f"{group.size}!"
    long, short = ([f"{order} permutations"], [order]) if group.permuted else ([], [])
    return Cell(", ".join([*parts, *long]), short=", ".join([*parts, *short]))


def _imbalance(group: GroupFacts) -> Cell | str:
    if group.imbalance_median is None or group.imbalance_largest is None:
        return ""
    median, largest = f"{group.imbalance_median:.2f}", f"{group.imbalance_largest:.2f}"
    return Cell(f"{median}, at most {largest}", short=f"{median} ≤ {largest}")


_LAYERS: Columns = {
    Column("layer", Kind.name): lambda layer: layer.name,
    Column("size"): lambda layer: layer.describe(),
    Column("with", Kind.words): lambda layer: _extras(layer),
    Column("parameters", right=True, short="params"): lambda layer: f"{layer.parameters:,}",
    Column("group"): lambda layer: layer.group.symbol if layer.group else "",
    Column("of"): lambda layer: _generators(layer.group) if layer.group else "",
    Column("imbalance", right=True): lambda layer: _imbalance(layer.group) if layer.group else "",
}


def _summary(row: Inspected, facts: Inspection) -> Facts:
    """What is known of the whole network, a line each."""
    activation = "unknown"
    if facts.activation is not None:
        omegas = facts.omegas or ((facts.omega_0,) if facts.omega_0 is not None else ())
        frequency = f", ω₀ = {', '.join(f'{omega:g}' for omega in omegas)}" if omegas else ""
        activation = f"{facts.activation}{frequency} (by {facts.activation_source})"
    shown = [("read as", Cell(facts.read_as))]
    if facts.assumed:
        shown.append(("assumed", Cell(facts.assumed, "yellow")))
    if facts.left:
        shown.append(("beside", Cell(", ".join(facts.left))))
    shown.append(("activation", Cell(activation)))
    shown.append(("pooling", Cell(facts.pool or "unknown")))
    shown.append(("orbit", Cell(f"of dimension {facts.orbit_dimension}")))
    dead = _neurons(facts, [[str(neuron) for neuron in group.dead] for group in facts.groups])
    duplicates = _neurons(facts, [_joined(group.duplicates) for group in facts.groups])
    shown += [(name, Cell(named, "yellow")) for name, named in (("dead", dead), ("duplicates", duplicates)) if named]
    if row.signature is not None:
        shown.append(("signature", Cell(str(row.signature))))
    if row.nearest is not None:
        shown.append(("heads", Cell(f"none reads it: {row.nearest}")))
    for head in row.heads:
        if head.accepts:
            condition = f", if its activation is {head.assumes}" if head.assumes is not None else ""
            shown.append(("head", Cell(f"{head.name} reads it{condition}", "green")))
    shown += [("hint", Cell(hint, "yellow")) for hint in facts.hints]
    return Facts(shown)


def _neurons(facts: Inspection, named: Iterable[Sequence[str]]) -> str:
    """Such as `conv1:3,7 fc1:0`."""
    shown = []
    grouped = (layer for layer in facts.layers if layer.group is not None)
    for layer, own in zip(grouped, named, strict=True):
        if own:
            more = f",... ({len(own)} in all)" if len(own) > _MOST_NEURONS else ""
            shown.append(f"{layer.name}:{','.join(own[:_MOST_NEURONS])}{more}")
    return " ".join(shown)
