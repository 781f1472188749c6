"""Inspections as a table for people, as lines in a pipe (one a layer) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nfn_cli.cli.options import Format
from nfn_cli.cli.output import write_rows
from nfn_cli.nn import Accepted
from nfn_cli.symmetry import GroupFacts, Inspection, LayerFacts

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
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
    """One file: what was found, and the shipped heads; or why it cannot be read."""

    path: str
    inspection: Inspection | None = None
    heads: tuple[HeadFacts, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, path: Path, inspection: Inspection, accepted: Mapping[str, Accepted]) -> Inspected:
        """An inspection beside what every head says of it."""
        return cls(str(path), inspection, tuple(_head(name, own, inspection) for name, own in accepted.items()))

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        if self.inspection is None:
            return {"path": self.path, "error": self.error}
        record = asdict(self.inspection)
        del record["architecture"]
        return record | {"path": self.path, "heads": [asdict(head) for head in self.heads], "error": None}


@dataclass(frozen=True)
class LayerRow:
    """A line in a pipe: one layer, with what is the same for the whole file before it.

    Attributes:
        outputs, inputs, kernel, flatten: `kernel` is such as 3x3; `flatten` the positions of each neuron before.
        batchnorm: name of the BatchNorm behind the layer.
        group: such as G_16^{>0}; empty for the last layer, as all behind it but `heads` and `error`.
        dead: places with commas. duplicates: sets of places such as `3=7`, with commas.
        heads: the shipped heads that read the network.
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
    error: str | None = None


def write_inspections(rows: Sequence[Inspected], format: Format | None, stream: TextIO) -> None:
    """Write inspections to a stream: JSON, a table, or by default a table on a terminal and lines elsewhere."""
    if format is Format.json:
        stream.write(json.dumps([row.to_record() for row in rows], indent=2, ensure_ascii=False) + "\n")
        return
    write_rows(list(_layer_rows(rows)), LayerRow, lambda _: _tables(rows), format, stream)


def _head(name: str, accepted: Accepted, inspection: Inspection) -> HeadFacts:
    architecture = inspection.architecture
    if inspection.activation is None:
        architecture = architecture.with_activation(accepted.activation)
    reason = accepted.mismatch(architecture)
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
            )


def _joined(sets: Iterable[Sequence[int]]) -> list[str]:
    return ["=".join(map(str, places)) for places in sets]


def _tables(rows: Sequence[Inspected]) -> Table:
    """One below the other; files that cannot be read are told on stderr."""
    from rich.table import Table

    whole = Table.grid()
    whole.add_column(overflow="fold")
    for number, row in enumerate(row for row in rows if row.inspection is not None):
        assert row.inspection is not None
        if number:
            whole.add_row("")
        whole.add_row(_heading(row.path, row.inspection))
        layers = row.inspection.layers
        whole.add_row(
            _Fitting(
                (_layer_table(layers), _layer_table(layers, short=True), _layer_table(layers, short=True, bare=True))
            )
        )
        whole.add_row(_summary(row.inspection, row.heads))
    return whole


def _heading(path: str, facts: Inspection) -> str:
    from rich.markup import escape

    parts = [facts.format, ", ".join(facts.dtypes), f"{facts.parameters:,} parameters"]
    return f"[bold]{escape(_clean(path))}[/]  {'  '.join(parts)}"


@dataclass(frozen=True)
class _Fitting:
    """The first of some tables that a terminal is wide enough for; the last one folds its cells if it must."""

    tables: tuple[Table, ...]

    def _chosen(self, console: Console, options: ConsoleOptions) -> Table:
        from rich.measure import Measurement

        room = options.max_width
        wide = options.update(max_width=10_000)
        fitting = (table for table in self.tables if Measurement.get(console, wide, table).maximum <= room)
        return next(fitting, self.tables[-1])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._chosen(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement.get(console, options, self._chosen(console, options))


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
        f"flatten {layer.flatten}" if layer.flatten > 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _generators(group: GroupFacts, short: bool) -> str:
    """Such as `16 scalings, 16! permutations`; n! stands for itself where it must be short."""
    counts = {"scalings": group.scalings, "signs": group.signs, "phases": group.phases}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return ", ".join([*parts, f"{group.size}!" if short else f"{group.size}! permutations"])


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
        frequency = f", ω₀ = {facts.omega_0:g}" if facts.omega_0 is not None else ""
        activation = f"{facts.activation}{frequency} (by {facts.activation_source})"
    table.add_row("activation", activation)
    table.add_row("pooling", facts.pool or "unknown")
    table.add_row("orbit", f"of dimension {facts.orbit_dimension}")
    for name, places in (("dead", _dead(facts)), ("duplicates", _duplicates(facts))):
        if places:
            table.add_row(name, f"[yellow]{escape(places)}[/]")
    some = any(head.accepts for head in heads)
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
    for layer, own in zip(facts.layers, places, strict=False):
        if own:
            more = f",... ({len(own)} in all)" if len(own) > _MOST_PLACES else ""
            shown.append(f"{_clean(layer.name)}:{','.join(own[:_MOST_PLACES])}{more}")
    return " ".join(shown)


def _clean(text: str) -> str:
    """Names from a file, whole, but without characters that could command a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
