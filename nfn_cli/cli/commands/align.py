"""`nfn align`."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.destinations import Destination, check_element, planned
from nfn_cli.cli.failures import print_note
from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import OUTPUT, FormatOption, OverwriteOption, QuietOption, ReadingOptions
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.rewriting import reading_lines
from nfn_cli.cli.takes import Hidden, argument, option, takes
from nfn_cli.errors import CheckpointError, UsageError
from nfn_cli.folders import make_folder, remove_empty
from nfn_cli.threads import numbers_in, threads_for

if TYPE_CHECKING:
    from nfn_cli.cli.tables.aligned_table import AlignedRow
    from nfn_cli.symmetry.aligning import Aligned
    from nfn_cli.symmetry.sources import AnySource

_ALIGN = "Alignment"
_RELATIVES = "the point between two networks is a good one for relatives alone, such as fine-tunes of one base"
_STATISTICS = "BatchNorm's running statistics are interpolated too, and wrong in between: re-estimate them on data"


class AlignedBy(str, Enum):
    """What B may be moved by."""

    monomial = "monomial"
    full = "full"


@takes
def align(
    path: Annotated[Path, argument("A", "A checkpoint, which stays where it is.")],
    other: Annotated[Path, argument("B", "Another one of the same architecture, to be brought near to A.")],
    # As text: a path forgets the separator at its end.
    output: Annotated[
        str,
        option(OUTPUT, "File to write, or folder for it (NAME/ is one).", "--output", "-o", metavar="PATH"),
        Hidden("--out"),
    ],
    reading: ReadingOptions,
    scale: Annotated[
        bool,
        option(
            _ALIGN,
            "With scales, signs and phases, or with permutations alone, which keep every bit.",
            "--scale/--no-scale",
        ),
    ] = True,
    group: Annotated[
        AlignedBy,
        option(
            _ALIGN,
            "monomial: permutations, scales, signs and phases. full: of transformers, rotations of the stream and "
            "matrices of heads as well.",
        ),
    ] = AlignedBy.monomial,
    interpolate: Annotated[
        float | None,
        option(
            _ALIGN,
            "Write (1 - T) A + T B with B aligned, T from 0 to 1, in place of B. For relatives alone.",
            metavar="T",
        ),
    ] = None,
    layers: Annotated[bool, option(OUTPUT, "Show each layer's distances.", "--layers")] = False,
    save_element: Annotated[Path | None, option(OUTPUT, "Save the group element that was applied to B.")] = None,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring a network near to another along its own orbit.

    B gets other weights and computes the same function: its neurons are permuted, scaled and flipped so that its
    weights come as near to A's as descent finds, never farther than they were. Both files must hold networks of one
    architecture. The new file has the layout, names and dtype of B. A distance is the root mean square of the layers'
    distances |B - A| / |A|. Networks that are no copies of one another need SciPy (extra nfn-cli[match]).

    Examples:
        nfn align base.safetensors tuned.safetensors -o aligned.safetensors
        nfn align one.pt two.pt --interpolate 0.5 -o merged.pt
    """
    from nfn_cli.checkpoints import require_writable
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.tables.aligned_table import AlignedRow, LayerRow, aligned_table, layers_table
    from nfn_cli.symmetry import Watch
    from nfn_cli.symmetry.aligning import align_to
    from nfn_cli.symmetry.sources import read_any, write_element
    from nfn_cli.symmetry.verification import require_there

    if interpolate is not None and not 0 <= interpolate <= 1:
        raise UsageError("--interpolate", f"{interpolate:g} is not between A and B", "give a number from 0 to 1")
    if group is AlignedBy.full:
        if not scale:
            raise UsageError("--no-scale", "a rotation is no permutation", "leave out --group full")
        if save_element is not None:
            raise UsageError("--save-element", "a rotation is no element of the group", "leave out --group full")
    require_there(path, other)
    for given in (path, other):
        if os.path.isdir(given):
            raise CheckpointError(given, "a folder, and align takes two checkpoints", "give a file in it")
    plan = planned([other], output)
    (each,) = plan.destinations
    if save_element is not None:
        check_element(save_element, overwrite=overwrite, target=each.target)
    stated, tracer = reading.stated(), reading.tracer(gauges=group is AlignedBy.full)
    made = make_folder(plan.folder) if plan.folder is not None else []
    try:
        with (
            interrupt_message(lambda: "nothing was written"),
            Progress(quiet=quiet, stage="reading") as progress,
            threads_for(numbers_in(path, other)),
        ):
            require_writable(each.target, overwrite=overwrite)
            reference = read_any(path, stated, tracer)
            source = read_any(other, stated, tracer, like=reference)
            watch = Watch(lambda name, steps: progress.stage(name, steps, "steps"), progress.advance)
            found = align_to(reference, source, watch, scaled=scale, full=group is AlignedBy.full)
            row, notes = _written(
                each, reference, source, found, interpolate, overwrite=overwrite, with_config=plan.folder is not None
            )
            if save_element is not None:
                write_element(source, found.element, save_element, overwrite=overwrite)
    finally:
        remove_empty(made)
    if layers:
        write_rows([LayerRow(**asdict(own)) for own in found.layers], LayerRow, layers_table, format, sys.stdout)
    else:
        write_rows([row], AlignedRow, aligned_table, format, sys.stdout)
    sys.stdout.flush()
    if not quiet:
        print_note(_summary(found))
    for line in [*reading_lines([(row.read_as, row.assumed)]), *notes]:
        print_note(line)


def _written(
    each: Destination,
    reference: AnySource,
    source: AnySource,
    found: Aligned,
    share: float | None,
    *,
    overwrite: bool,
    with_config: bool,
) -> tuple[AlignedRow, list[str]]:
    """Write the aligned network, or a point between; the row of it, and lines for stderr."""
    from nfn_cli.cli.tables.aligned_table import AlignedRow
    from nfn_cli.symmetry.interpolated import InterpolatedTensors
    from nfn_cli.symmetry.rewriting import write_moved
    from nfn_cli.symmetry.sources import transformed_by

    moved = transformed_by(found.acts_on(source), found.element)
    between = None if share is None else InterpolatedTensors(reference, source, moved, share)
    kept = write_moved(source, between or moved, each.target, overwrite=overwrite, with_config=with_config)
    notes = []
    if reference.reading.assumed != source.reading.assumed and reference.reading.assumed:
        notes.append(f"assumed of {reference.checkpoint.path}: {reference.reading.assumed}")
    if between is not None and share is not None and 0 < share < 1:
        notes.append(_RELATIVES)
        notes += [_STATISTICS] if between.statistics else []
    row = AlignedRow(
        str(each.source),
        str(reference.checkpoint.path),
        str(each.target),
        found.before,
        found.after,
        **asdict(found.moves),
        rounding=moved.rounding,
        turned="; ".join(found.turned) or None,
        interpolated=share,
        kept=", ".join(kept) or None,
        read_as=source.reading.text,
        assumed=source.reading.assumed,
        left=", ".join(source.reading.left) or None,
    )
    return row, notes


def _summary(found: Aligned) -> str:
    if not found.nearer:
        return f"nothing nearer to A was found than B itself (distance {found.before:.2g})"
    moves = found.moves
    counts = [f"{moves.moved:,} of {moves.neurons:,} neurons moved"]
    for changed, of, what in ((moves.scaled, moves.scales, "scales"), (moves.flipped, moves.signs, "signs")):
        counts += [f"{changed:,} of {of:,} {what} changed"] if of else []
    if found.turned:
        counts.append(f"turned by {'; '.join(found.turned)}")
    return f"{', '.join(counts)}; the distance to A is {found.after:.2g} instead of {found.before:.2g}"
