"""`nfn verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import check_element
from nfn_cli.cli.failures import print_note
from nfn_cli.cli.options import OUTPUT, Format, FormatOption, OverwriteOption, QuietOption, ReadingOptions, head_option
from nfn_cli.cli.takes import argument, option, takes
from nfn_cli.cli.two_networks import read_two, watch_of, working
from nfn_cli.errors import DifferentError, HeadError, UsageError
from nfn_cli.shipped import CLASSIFY, PREDICT

if TYPE_CHECKING:
    from nfn_cli.symmetry import Check, Watch
    from nfn_cli.symmetry.sources import AnySource

_DIFFERENT = DifferentError.exit_code
_ORBIT = "Along the orbit of A alone"


@takes
def verify(
    path: Annotated[Path, argument("A", "A checkpoint.")],
    reading: ReadingOptions,
    other: Annotated[Path | None, argument("B", "Another one, to be compared with it.")] = None,
    samples: Annotated[
        int | None, option(_ORBIT, "Random group elements. [default: 8, fewer of a large network]", min=1)
    ] = None,
    seed: Annotated[int, option(_ORBIT, "Decides the random elements and inputs.")] = 0,
    head: Annotated[str | None, head_option(PREDICT, CLASSIFY, help="the shipped one that reads A, if any")] = None,
    save_element: Annotated[
        Path | None, option(OUTPUT, "Save the element that brings A to B, or as near as possible.")
    ] = None,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Test whether two checkpoints are one network.

    With B, whether it is A in other coordinates: the element that brings A to B is recovered, and the difference that
    remains is printed for every layer: with permutations alone, and with scales and signs as well. Without B, whether A
    computes the same along its orbit: random elements act on it; its outputs must not change, nor the prediction of a
    head that reads it.

    Exit codes: 0 the same function, 1 another one (always, if the layers differ), 2 wrong usage, 3 the question has
    no answer: a file that cannot be read, or that says too little.

    Examples:
        nfn verify model.safetensors normal.safetensors
        nfn verify model.safetensors --samples 32
    """
    if other is None:
        if save_element is not None:
            raise UsageError("--save-element", "needs a second checkpoint", "give A and B")
        _along_orbit(path, reading, samples, seed, head, format, quiet=quiet)
        return
    if head is not None:
        raise UsageError("--head", "does not apply to two checkpoints", "leave it out, or give A alone")
    if reading.input_shape is not None and reading.model is None:
        raise UsageError("--input-shape", "does not apply to two checkpoints", "leave it out, or give A alone")
    if save_element is not None:
        check_element(save_element, overwrite=overwrite)
    _two(path, other, reading, save_element, format, overwrite=overwrite, quiet=quiet)


def _along_orbit(
    path: Path,
    reading: ReadingOptions,
    samples: int | None,
    seed: int,
    head: str | None,
    format: Format | None,
    *,
    quiet: bool,
) -> None:
    """Whether a network computes the same along its orbit."""
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.tables.verified_table import CheckRow, checks_table
    from nfn_cli.symmetry import Source
    from nfn_cli.symmetry.verification import check_orbit, check_traced_orbit, read_alone, require_there

    stated, tracer = reading.stated(), reading.tracer()
    require_there(path)
    notes: list[str] = []

    def checked(alone: AnySource, watch: Watch) -> list[Check]:
        if not isinstance(alone, Source):
            return check_traced_orbit(alone, samples=samples, seed=seed, watch=watch)
        from nfn_cli.nn.orbit_reader import reader_of

        return check_orbit(
            alone,
            samples=samples,
            seed=seed,
            reader=reader_of(alone, head),
            shape=reading.shape,
            model=reading.model,
            watch=watch,
            on_note=notes.append,
        )

    with working(quiet, path) as progress:
        alone = read_alone(path, stated, tracer)
        if head is not None and not isinstance(alone, Source):
            raise HeadError(path, f"heads read chains, and this is {alone.reading.text}", "leave out --head")
        checks = checked(alone, watch_of(progress, "samples"))
    rows = [CheckRow(c.name, c.samples, c.deviation, c.tolerance, c.passed) for c in checks]
    write_rows(rows, CheckRow, checks_table, format, sys.stdout)
    failed = ", ".join(row.check for row in rows if not row.passed)
    verdict = f"not preserved: {failed}" if failed else "preserved"
    assumed = [f"assumed: {alone.reading.assumed}"] if alone.reading.assumed else []
    _finish(verdict, alone, passed=not failed, quiet=quiet, assumed=[*assumed, *notes])


def _two(
    path: Path,
    other: Path,
    reading: ReadingOptions,
    save_element: Path | None,
    format: Format | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Whether one network is the other in other coordinates."""
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.tables.verified_table import LayerRow, layers_table
    from nfn_cli.symmetry.comparing import compare_sources
    from nfn_cli.symmetry.sources import write_element
    from nfn_cli.symmetry.verification import require_there

    require_there(path, other)
    try:
        with working(quiet, path, other) as progress:
            two = read_two(path, other, reading, progress)
            found = compare_sources(two.first, two.second, two.watch)
    except DifferentError:
        if format is not None and format is not Format.table:
            write_rows([], LayerRow, layers_table, format, sys.stdout)  # programs read an answer, also this one
        raise
    if save_element is not None:
        write_element(two.first, found.element, save_element, overwrite=overwrite)
    permuted = [left.distance for left in found.permuted] if found.permuted else [None] * len(found.residuals)
    layers = [
        LayerRow(left.layer, alone, left.distance, left.deviation, found.tolerance, left.deviation <= found.tolerance)
        for alone, left in zip(permuted, found.residuals, strict=True)
    ]
    write_rows(layers, LayerRow, layers_table, format, sys.stdout)
    row = max(layers, key=lambda row: row.deviation)
    worst = f" (largest deviation {row.deviation:.1e}, in {row.layer}; tolerance {row.tolerance:.0e})"
    verdict = "same function" if found.same_orbit else "not the same orbit"
    _finish(verdict, two.first, passed=found.same_orbit, quiet=quiet, figures=worst, assumed=two.assumptions)


def _finish(
    verdict: str, source: AnySource, *, passed: bool, quiet: bool, figures: str = "", assumed: Sequence[str] = ()
) -> None:
    """Print the verdict on stderr, apart from the rows, with the network it is about; leave with its exit code.

    Args:
        quiet: where all is well, print only what was assumed.
        assumed: lines on this, and other notes.
    """
    sys.stdout.flush()
    if not (quiet and passed):
        print_note(f"{verdict}, as {source.read_as}{figures}")
    for line in assumed:
        print_note(line)
    if not passed:
        raise typer.Exit(_DIFFERENT)
