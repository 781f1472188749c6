"""`nfn compare`."""

from __future__ import annotations

import math
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import check_element
from nfn_cli.cli.failures import print_note
from nfn_cli.cli.options import OUTPUT, Format, FormatOption, OverwriteOption, QuietOption, ReadingOptions
from nfn_cli.cli.takes import argument, option, takes
from nfn_cli.cli.two_networks import read_two, require_files, working

if TYPE_CHECKING:
    from nfn_cli.cli.tables.compared_table import ComparedRow
    from nfn_cli.cli.two_networks import Two
    from nfn_cli.symmetry.kinship import Comparison

_OTHER = 1  # the exit code of two networks that are not the same


class Basis(str, Enum):
    """Where B lies when the two are compared."""

    exact = "exact"
    aligned = "aligned"


@takes
def compare(
    path: Annotated[Path, argument("A", "A checkpoint.")],
    other: Annotated[Path, argument("B", "Another one, of the same kind.")],
    reading: ReadingOptions,
    basis: Annotated[
        Basis,
        option(
            "Comparison",
            "Bring B near to A along its orbit first, or compare the weights where they are.",
        ),
    ] = Basis.aligned,
    save_element: Annotated[Path | None, option(OUTPUT, "Save the element that brings B near to A.")] = None,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell what two checkpoints have to do with each other.

    One verdict: the same function; the same after one was rounded to a lower precision; derived (one was fine-tuned,
    merged, pruned or partly replaced, or both come from a third); independent; or nfn cannot tell, and says why. No
    data is needed. Neurons that were permuted, scaled or flipped are brought back first. The table shows how much each
    layer differs, before and after that. With --format json and jsonl, one object holds all of it. Networks that are no
    copies of one another need SciPy (extra nfn-cli[match]).

    Exit codes: 0 the same, also after rounding, 1 derived, independent or unknown, 2 wrong usage, 3 the question has
    no answer: a file that cannot be read, or that says too little.

    Examples:
        nfn compare base.safetensors tuned.safetensors
        nfn compare one.pt two.pt --format json
    """
    from nfn_cli.symmetry.kinship import compare_networks
    from nfn_cli.symmetry.sources import write_element

    require_files("compare", path, other)
    if save_element is not None:
        check_element(save_element, overwrite=overwrite)
    with working(quiet, path, other) as progress:
        two = read_two(path, other, reading, progress, gauges=basis is Basis.aligned)
        found = compare_networks(two.first, two.second, two.watch, basis=basis.value, tracer=reading.tracer())
    saved = save_element if found.element is not None and not found.turned else None
    if saved is not None:
        assert found.element is not None
        write_element(two.second, found.element, saved, overwrite=overwrite)
    _print(found, _row(two, found, basis, saved), format)
    why = "a rotation is no element of the group" if found.turned else "not all of B was aligned to all of A"
    notes = [] if save_element == saved else [f"no element was saved: {why}"]
    _finish(two, found, notes, quiet=quiet)


def _row(two: Two, found: Comparison, basis: Basis, saved: Path | None) -> ComparedRow:
    from nfn_cli.cli.tables.compared_table import ComparedRow, LayerPart

    return ComparedRow(
        path=str(two.first.checkpoint.path),
        other=str(two.second.checkpoint.path),
        verdict=found.verdict.value,
        cause=found.cause,
        score=found.score,
        false_positive_rate=found.false_positive_rate,
        family=found.family,
        models=found.models,
        log10_p=found.log10_p,
        deviation=_finite(found.deviation),
        tolerance=found.tolerance,
        rounded_to=found.rounded_to,
        turned=found.turned,
        part=found.part,
        before=_finite(found.before),
        after=_finite(found.after),
        layers=tuple(LayerPart(own.name, _finite(own.before), _finite(own.changed), own.score) for own in found.layers),
        basis=basis.value,
        read_as=two.first.read_as,
        assumed="; ".join(line.removeprefix("assumed: ") for line in _assumed(two, found)) or None,
        element=None if saved is None else str(saved),
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinite numbers."""
    return value if value is None or math.isfinite(value) else None


def _print(found: Comparison, row: ComparedRow, format: Format | None) -> None:
    """One object for programs that read one, otherwise a line a layer."""
    from nfn_cli.cli.output import write_object, write_rows
    from nfn_cli.cli.tables.compared_table import LayerRow, layers_table

    if format in (Format.json, Format.jsonl):
        write_object(row, format, sys.stdout)
    else:
        layers = [LayerRow(own.name, own.before, own.changed, own.score) for own in found.layers]
        write_rows(layers, LayerRow, layers_table, format, sys.stdout)
    sys.stdout.flush()


def _assumed(two: Two, found: Comparison) -> list[str]:
    return [*two.assumptions, *([f"assumed: {found.assumed}"] if found.assumed else [])]


def _finish(two: Two, found: Comparison, notes: list[str], *, quiet: bool) -> None:
    """Print the verdict on stderr, apart from the rows; leave with its exit code."""
    from nfn_cli.symmetry.kinship.words import in_words

    if not (quiet and found.same):
        print_note(in_words(found, two.first.read_as))
    for line in [*_assumed(two, found), *notes]:
        print_note(line)
    if not found.same:
        raise typer.Exit(_OTHER)
