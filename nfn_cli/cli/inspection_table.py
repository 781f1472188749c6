"""Inspections as a table for people, as lines in a pipe (one a layer) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.cli.fitting import Fitting
from nfn_cli.cli.fitting import clean as _clean
from nfn_cli.cli.options import Format
from nfn_cli.cli.output import write_rows
from nfn_cli.cli.tensor_table import (
    ShownTensors,
    TensorRow,
    refusal_line,
    tensor_heading,
    tensor_rows,
    tensor_table,
)
from nfn_cli.nn import Accepted
from nfn_cli.symmetry import GroupFacts, Inspection, LayerFacts

if TYPE_CHECKING:
    from rich.table import Table

_MOST_PLACES = 12  # named in the table; JSON and the lines of a pipe have all


@dataclass(frozen=True)
class HeadFacts:
    """Whether a shipped head reads a network.

    Attributes:
        reason: why it does not.
        assumes: the activation under which it does, where nobody tells the network's.
        other_layers: whether it is for networks of other layers, which where some head reads this one says little.
    """

    name: str
    accepts: bool
    reason: str | None = None
    assumes: str | None = None
    other_layers: bool = False


@dataclass(frozen=True)
class Inspected:
    """One file: what was found, and the shipped heads; or why it cannot be read.

    Attributes:
        tensors: where they are to be shown; of a file that cannot be read, where it opens.
    """

    path: str
    inspection: Inspection | None = None
    heads: tuple[HeadFacts, ...] = ()
    error: str | None = None
    tensors: ShownTensors | None = None

    @classmethod
    def of(cls, path: Path, inspection: Inspection, accepted: Mapping[str, Accepted]) -> Inspected:
        """An inspection beside what every head says of it."""
        return cls(str(path), inspection, tuple(_head(name, own, inspection) for name, own in accepted.items()))

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        tensors = {} if self.tensors is None else {"tensors": self.tensors.to_records()}
        if self.inspection is None:
            opened = {} if self.tensors is None else {"format": self.tensors.format}
            return {"path": self.path, "error": self.error} | opened | tensors
        record = asdict(self.inspection)
        del record["architecture"]
        return record | {"path": self.path, "heads": [asdict(head) for head in self.heads], "error": None} | tensors


@dataclass(frozen=True)
class LayerRow:
    """A line in a pipe: one layer, with what is the same for the whole file before it.

    Attributes:
        outputs, inputs, kernel, flatten: `kernel` is such as 3x3; `flatten` the positions of each neuron before.
        batchnorm: name of the BatchNorm behind the layer.
        group: such as G_16^{>0}; empty for the last layer, as all behind it but `heads` and `error`.
        dead: places with commas. duplicates: sets of places such as `3=7`, with commas.
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


def write_inspections(
    rows: Sequence[Inspected], format: Format | None, stream: TextIO, *, by_tensor: bool = False
) -> None:
    """Write inspections to a stream: JSON, a table, or by default a table on a terminal and lines elsewhere.

    Args:
        by_tensor: the lines are tensors (`TensorRow`), not layers (`LayerRow`).
    """
    if format is Format.json:
        stream.write(json.dumps([row.to_record() for row in rows], indent=2, ensure_ascii=False) + "\n")
        return
    if by_tensor:
        lines = [line for row in rows for line in tensor_rows(row.path, row.tensors, row.error)]
        write_rows(lines, TensorRow, lambda _: _tables(rows), format, stream)
        return
    write_rows(list(_layer_rows(rows)), LayerRow, lambda _: _tables(rows), format, stream)


def _head(name: str, accepted: Accepted, inspection: Inspection) -> HeadFacts:
    architecture = inspection.architecture
    if inspection.activation is None:
        architecture = architecture.with_activation(accepted.activation)
    reason = accepted.mismatch(architecture)
    if reason is None and inspection.left:
        reason = f"it has more than layers ({', '.join(inspection.left)}), which no head knows"
    assumes = accepted.activation if reason is None and inspection.activation is None else None
    alike = Accepted.of(architecture).layers == accepted.layers
    return HeadFacts(name, reason is None, reason, assumes, not alike)


def _layer_rows(rows: Iterable[Inspected]) -> Iterator[LayerRow]:
    for row in rows:
        if row.inspection is None:
            yield LayerRow(row.path, error=row.error)
            continue
        facts = row.inspection
        for layer in facts.layers:
            group = layer.group
            yield LayerRow(
                row.path,
                facts.format,
                facts.activation,
                facts.activation_source,
                facts.pool,
                facts.orbit_dimension,
                layer.name,
                layer.kind,
                layer.inputs,
                layer.outputs,
                "x".join(map(str, layer.kernel)) or None,
                layer.flatten,
                layer.bias,
                layer.batchnorm,
                layer.dtype,
                layer.parameters,
                group.symbol if group else None,
                group.imbalance_median if group else None,
                group.imbalance_largest if group else None,
                ",".join(map(str, group.dead)) if group else None,
                ",".join(_joined(group.duplicates)) if group else None,
                ",".join(head.name for head in row.heads if head.accepts),
                facts.read_as,
                facts.assumed,
            )


def _joined(sets: Iterable[Sequence[int]]) -> list[str]:
    return ["=".join(map(str, places)) for places in sets]


def _tables(rows: Sequence[Inspected]) -> Table:
    """One below the other; files that do not even open are told on stderr alone."""
    from rich.table import Table

    whole = Table.grid()
    whole.add_column(overflow="fold")
    for number, row in enumerate(row for row in rows if row.inspection is not None or row.tensors is not None):
        if number:
            whole.add_row("")
        if row.inspection is None:
            assert row.tensors is not None
            whole.add_row(tensor_heading(row.path, row.tensors))
            whole.add_row(refusal_line(row.tensors))
            if row.tensors.facts:
                whole.add_row(tensor_table(row.tensors))
            continue
        whole.add_row(_heading(row.path, row.inspection))
        layers = row.inspection.layers
        whole.add_row(
            Fitting(
                (_layer_table(layers), _layer_table(layers, short=True), _layer_table(layers, short=True, bare=True))
            )
        )
        whole.add_row(_summary(row.inspection, row.heads))
        if row.tensors is not None:
            whole.add_row(tensor_table(row.tensors))
    return whole


def _heading(path: str, facts: Inspection) -> str:
    from rich.markup import escape

    parts = [facts.format, ", ".join(facts.dtypes), f"{facts.parameters:,} parameters"]
    return f"[bold]{escape(_clean(path))}[/]  {'  '.join(parts)}"


def _layer_table(layers: Sequence[LayerFacts], *, short: bool = False, bare: bool = False) -> Table:
    """With `short` in fewer words; `bare` leaves out of what a group consists, which its symbol tells, too."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("size", no_wrap=True)
    table.add_column("with", overflow="fold")
    table.add_column("params" if short else "parameters", justify="right", no_wrap=True)
    table.add_column("group", no_wrap=True)
    if not bare:
        table.add_column("of", overflow="fold")
    table.add_column("imbalance", no_wrap=True)
    for layer in layers:
        group = layer.group
        cells = [_clean(layer.name), layer.describe(), _extras(layer), f"{layer.parameters:,}"]
        if group is not None:
            cells += [group.symbol, *([] if bare else [_generators(group, short)]), _imbalance(group, short)]
        table.add_row(*map(escape, cells))
    return table


def _extras(layer: LayerFacts) -> str:
    parts = [
        "bias" if layer.bias else "",
        f"BatchNorm {_clean(layer.batchnorm)}" if layer.batchnorm is not None else "",
        "weight norm" if layer.weight_norm else "",
        *map(_clean, layer.stages),
        f"flatten {layer.flatten}" if layer.flatten > 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _generators(group: GroupFacts, short: bool) -> str:
    """Such as `16 scalings, 16! permutations`; n! stands for itself where it must be short."""
    counts = {"scalings": group.scalings, "signs": group.signs, "phases": group.phases}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    permutations = [f"{group.size}!" if short else f"{group.size}! permutations"] if group.permuted else []
    return ", ".join([*parts, *permutations])


def _imbalance(group: GroupFacts, short: bool) -> str:
    if group.imbalance_median is None or group.imbalance_largest is None:
        return ""
    return f"{group.imbalance_median:.2f}{' ≤ ' if short else ', at most '}{group.imbalance_largest:.2f}"


def _summary(facts: Inspection, heads: Sequence[HeadFacts]) -> Table:
    """What is known of the whole network, a line each."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    activation = "unknown"
    if facts.activation is not None:
        omegas = facts.omegas or ((facts.omega_0,) if facts.omega_0 is not None else ())
        frequency = f", ω₀ = {', '.join(f'{omega:g}' for omega in omegas)}" if omegas else ""
        activation = f"{facts.activation}{frequency} (by {facts.activation_source})"
    table.add_row("read as", escape(_clean(facts.read_as)))
    if facts.assumed:
        table.add_row("assumed", f"[yellow]{escape(_clean(facts.assumed))}[/]")
    if facts.left:
        table.add_row("beside", escape(_clean(", ".join(facts.left))))
    table.add_row("activation", activation)
    table.add_row("pooling", facts.pool or "unknown")
    table.add_row("orbit", f"of dimension {facts.orbit_dimension}")
    for name, places in (("dead", _dead(facts)), ("duplicates", _duplicates(facts))):
        if places:
            table.add_row(name, f"[yellow]{escape(places)}[/]")
    some = any(head.accepts for head in heads)
    if len({head.reason for head in heads}) == 1 and not some:
        table.add_row("heads", f"none reads it: {escape(_clean(heads[0].reason or ''))}")
        heads = ()
    for head in heads:
        if some and head.other_layers:
            continue
        verdict = "[green]reads it[/]"
        if head.reason is not None:
            verdict = f"does not: {escape(_clean(head.reason))}"
        if head.assumes is not None:
            verdict += f", if its activation is {head.assumes}"
        table.add_row("head", f"{escape(head.name)} {verdict}")
    for hint in facts.hints:
        table.add_row("hint", f"[yellow]{escape(_clean(hint))}[/]")
    return table


def _dead(facts: Inspection) -> str:
    return _placed(facts, [[str(place) for place in group.dead] for group in facts.groups])


def _duplicates(facts: Inspection) -> str:
    return _placed(facts, [_joined(group.duplicates) for group in facts.groups])


def _placed(facts: Inspection, places: Iterable[Sequence[str]]) -> str:
    """Such as `conv1:3,7 fc1:0`."""
    shown = []
    grouped = (layer for layer in facts.layers if layer.group is not None)
    for layer, own in zip(grouped, places, strict=True):
        if own:
            more = f",... ({len(own)} in all)" if len(own) > _MOST_PLACES else ""
            shown.append(f"{_clean(layer.name)}:{','.join(own[:_MOST_PLACES])}{more}")
    return " ".join(shown)
