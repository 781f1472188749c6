"""`nfn verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import check_element
from nfn_cli.cli.failures import tell
from nfn_cli.cli.interrupts import told_interrupt
from nfn_cli.cli.options import (
    ActivationOption,
    ChainOption,
    EntryOption,
    Format,
    FormatOption,
    InputShapeOption,
    ModelOption,
    OmegaOption,
    OverwriteOption,
    PoolOption,
    PrefixOption,
    QuietOption,
    StrictOption,
    complete_head,
)
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.telling import parsed_shape, told_by
from nfn_cli.errors import DifferentError, UsageError
from nfn_cli.threads import numbers_in, threads_for

if TYPE_CHECKING:
    from nfn_cli.cli.tables.layout import Cell, Table
    from nfn_cli.symmetry.sources import AnySource


_DIFFERENT = DifferentError.exit_code


@dataclass(frozen=True)
class LayerRow:
    """One layer of two networks A and B.

    Attributes:
        permuted: ‖g·A − B‖ / ‖B‖ with the best permutations found; None where SciPy is missing for it.
        aligned: the same with scales, signs and phases as well.
        deviation: of the latter, the largest of one entry, relative to its size.
        same: whether that is rounding.
    """

    layer: str
    permuted: float | None
    aligned: float
    deviation: float
    tolerance: float
    same: bool


@dataclass(frozen=True)
class CheckRow:
    """One thing that has to stay as it is under the group: the largest deviation over all sampled elements."""

    check: str
    samples: int
    deviation: float
    tolerance: float
    passed: bool


def verify(
    path: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(metavar="B", help="Another one, to be compared with it.", show_default=False)
    ] = None,
    save_element: Annotated[
        Path | None, typer.Option(help="Save the element that brings A to B, or nearest to it.", show_default=False)
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="A shipped head's name or a head's folder. [default: the shipped one that reads A, if any]",
            autocompletion=complete_head,
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Random group elements, for A alone. [default: 8, fewer of a large network]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the random elements and inputs, for A alone.")] = 0,
    input_shape: InputShapeOption = None,
    model: ModelOption = None,
    activation: ActivationOption = None,
    pool: PoolOption = None,
    omega_0: OmegaOption = None,
    chain: ChainOption = False,
    prefix: PrefixOption = None,
    entry: EntryOption = None,
    strict: StrictOption = False,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Test whether B is A in other coordinates; or, without B, whether A computes the same along its orbit.

    With B, the element that brings A to B is recovered, and what is left of every layer is printed: with permutations
    alone, and with scales and signs as well. Without B, A is moved by random elements; its outputs must stay, and so
    must the prediction of a head that reads it.

    Exit codes: 0 the same function, 1 another one (networks of different layers are), 2 wrong usage, 3 the question has
    no answer: a file that cannot be read, or that tells too little.
    """
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.verifying import check_orbit, check_traced_orbit, compare_any, read_alone, require_there
    from nfn_cli.symmetry import Source
    from nfn_cli.symmetry.sources import read_any, write_element

    told = told_by(activation, pool, omega_0, chain, prefix, entry, strict)
    tracer = NetworkTracer(model, parsed_shape(input_shape))
    if other is None:
        if save_element is not None:
            raise UsageError("--save-element", "needs a second checkpoint", "give A and B")
        shape = parsed_shape(input_shape)
        require_there(path)
        notes: list[str] = []
        with (
            told_interrupt(lambda: "nothing was decided"),
            Progress(quiet=quiet, stage="reading") as progress,
            threads_for(numbers_in(path)),
        ):
            alone = read_alone(path, told, tracer, head)
            if isinstance(alone, Source):
                checks = check_orbit(
                    alone,
                    samples=samples,
                    seed=seed,
                    head=head,
                    shape=shape,
                    model=model,
                    progress=progress,
                    on_note=notes.append,
                )
            else:
                checks = check_traced_orbit(alone, samples=samples, seed=seed, progress=progress)
        rows = [CheckRow(c.name, c.samples, c.deviation, c.tolerance, c.passed) for c in checks]
        write_rows(rows, CheckRow, _check_table, format, sys.stdout)
        failed = ", ".join(row.check for row in rows if not row.passed)
        verdict = f"not preserved: {failed}" if failed else "preserved"
        _finish(verdict, alone, passed=not failed, quiet=quiet, notes=notes)
        return
    if head is not None:
        raise UsageError("--head", "does not apply to two checkpoints", "leave it out, or give A alone")
    if input_shape is not None and model is None:
        raise UsageError("--input-shape", "does not apply to two checkpoints", "leave it out, or give A alone")
    if save_element is not None:
        check_element(save_element, overwrite=overwrite)
    require_there(path, other)
    try:
        with (
            told_interrupt(lambda: "nothing was decided"),
            Progress(quiet=quiet, stage="reading") as progress,
            threads_for(numbers_in(path, other)),
        ):
            source = read_any(path, told, tracer)
            target = read_any(other, told, tracer, like=source)
            found = compare_any(source, target, progress)
    except DifferentError:
        if format is not None and format is not Format.table:
            write_rows([], LayerRow, _layer_table, format, sys.stdout)  # programs read an answer, also this one
        raise
    if save_element is not None:
        write_element(source, found.element, save_element, overwrite=overwrite)
    permuted = [left.distance for left in found.permuted] if found.permuted else [None] * len(found.residuals)
    layers = [
        LayerRow(left.layer, alone, left.distance, left.deviation, found.tolerance, left.deviation <= found.tolerance)
        for alone, left in zip(permuted, found.residuals, strict=True)
    ]
    write_rows(layers, LayerRow, _layer_table, format, sys.stdout)
    row = max(layers, key=lambda row: row.deviation)
    worst = f" (largest deviation {row.deviation:.1e}, in {row.layer}; tolerance {row.tolerance:.0e})"
    verdict = "same function" if found.same_orbit else "not the same orbit"
    # What was taken for granted of A is said in any case.
    more = [f"assumed of {other}: {target.reading.assumed}"] if target.reading.assumed != source.reading.assumed else []
    notes = more if target.reading.assumed else []
    _finish(verdict, source, passed=found.same_orbit, quiet=quiet, figures=worst, notes=notes)


def _finish(
    verdict: str, source: AnySource, *, passed: bool, quiet: bool, figures: str = "", notes: Sequence[str] = ()
) -> None:
    """Say the verdict where it does not mix with the rows, and of what it speaks; leave with it.

    Args:
        quiet: say nothing of what is as it should be, but for what was assumed.
    """
    from nfn_cli.symmetry import Source

    sys.stdout.flush()
    reading = source.reading
    if isinstance(source, Source):
        chains = f"the chain{'s' * (len(source.stored.starts) > 1)} {reading.network}"
        read_as = f"{chains} with {reading.activation or 'no activation'}"
    else:
        read_as = reading.text
    if not (quiet and passed):
        tell(f"{verdict}, as {read_as}{figures}")
    if reading.assumed:
        tell(f"assumed: {reading.assumed}")
    for note in notes:
        tell(note)
    if not passed:
        raise typer.Exit(_DIFFERENT)


def _layer_table(rows: Iterable[LayerRow]) -> Table:
    from nfn_cli.cli.tables.layout import Column, Kind, Table

    figures = [Column(name, right=True) for name in ("permuted", "aligned", "deviation")]
    return Table(
        [Column("layer", Kind.name), *figures, Column("same")],
        [
            [
                row.layer,
                f"{row.permuted:.1e}" if row.permuted is not None else "-",
                f"{row.aligned:.1e}",
                f"{row.deviation:.1e}",
                _yes(row.same),
            ]
            for row in rows
        ],
    )


def _check_table(rows: Iterable[CheckRow]) -> Table:
    from nfn_cli.cli.tables.layout import Column, Kind, Table

    figures = [Column(name, right=True) for name in ("samples", "deviation", "tolerance")]
    return Table(
        [Column("check", Kind.name), *figures, Column("passed")],
        [
            [row.check, str(row.samples), f"{row.deviation:.1e}", f"{row.tolerance:.0e}", _yes(row.passed)]
            for row in rows
        ],
    )


def _yes(passed: bool) -> Cell:
    from nfn_cli.cli.tables.layout import Cell

    return Cell("yes", "green") if passed else Cell("no", "red")
