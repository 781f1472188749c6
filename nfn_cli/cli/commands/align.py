"""`nfn align`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.destinations import check_element, planned
from nfn_cli.cli.failures import print_note
from nfn_cli.cli.options import OUTPUT, FormatOption, OverwriteOption, QuietOption, ReadingOptions
from nfn_cli.cli.rewriting import reading_lines
from nfn_cli.cli.takes import Hidden, argument, option, takes
from nfn_cli.cli.two_networks import read_two, require_files, working
from nfn_cli.errors import UsageError
from nfn_cli.folders import make_folder, remove_empty

if TYPE_CHECKING:
    from torch import Tensor

    from nfn_cli.symmetry.aligning import Aligned

_ALIGN = "Alignment"
_RELATIVES = "the point between two networks is a good one for relatives alone, such as fine-tunes of one base"
_STATISTICS = (
    "BatchNorm's running statistics are interpolated too, and wrong in between: estimate them on data (--data)"
)


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
    data: Annotated[
        str | None,
        option(
            _ALIGN,
            "Inputs on which BatchNorm's statistics are estimated for the point between: an .npz archive with an array "
            "x as the network takes it, or images as nfn zoo takes them (an archive, digits, ...).",
            metavar="FILE",
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
    from nfn_cli.symmetry.aligning import align_to
    from nfn_cli.symmetry.interpolated import InterpolatedTensors
    from nfn_cli.symmetry.rewriting import write_moved
    from nfn_cli.symmetry.sources import transformed_by, write_element
    from nfn_cli.symmetry.statistics import estimated_statistics

    if interpolate is not None and not 0 <= interpolate <= 1:
        raise UsageError("--interpolate", f"{interpolate:g} is not between A and B", "give a number from 0 to 1")
    if data is not None and interpolate is None:
        raise UsageError("--data", "B aligned has its own statistics", "give --interpolate as well, or leave it out")
    full = group is AlignedBy.full
    if full and not scale:
        raise UsageError("--no-scale", "a rotation is no permutation", "leave out --group full")
    if full and save_element is not None:
        raise UsageError("--save-element", "a rotation is no element of the group", "leave out --group full")
    require_files("align", path, other)
    plan = planned([other], output)
    (each,) = plan.destinations
    if save_element is not None:
        check_element(save_element, overwrite=overwrite, target=each.target)
    reading.stated()  # a wrong option leaves no folder
    made = make_folder(plan.folder) if plan.folder is not None else []
    try:
        with working(quiet, path, other, interrupted="nothing was written") as progress:
            require_writable(each.target, overwrite=overwrite)
            inputs = None if data is None else _inputs(data)
            two = read_two(path, other, reading, progress, gauges=full)
            reference, source = two.first, two.second
            found = align_to(reference, source, two.watch, scaled=scale, full=full)
            moved = transformed_by(found.acts_on(source), found.element)
            between = None if interpolate is None else InterpolatedTensors(reference, source, moved, interpolate)
            if between is not None and data is not None and inputs is not None:
                progress.stage("estimating statistics")
                between.put(estimated_statistics(source, between, inputs, reading.tracer(), data))
            with_config = plan.folder is not None
            kept = write_moved(source, between or moved, each.target, overwrite=overwrite, with_config=with_config)
            if save_element is not None:
                write_element(source, found.element, save_element, overwrite=overwrite)
    finally:
        remove_empty(made)
    row = AlignedRow(
        str(each.source),
        str(reference.checkpoint.path),
        str(each.target),
        found.before,
        found.after,
        **asdict(found.moves),
        rounding=moved.rounding,
        turned="; ".join(found.turned) or None,
        interpolated=interpolate,
        data=data,
        kept=", ".join(kept) or None,
        read_as=source.reading.text,
        assumed=source.reading.assumed,
        left=", ".join(source.reading.left) or None,
    )
    if layers:
        write_rows([LayerRow(**asdict(own)) for own in found.layers], LayerRow, layers_table, format, sys.stdout)
    else:
        write_rows([row], AlignedRow, aligned_table, format, sys.stdout)
    sys.stdout.flush()
    if not quiet:
        print_note(_summary(found))
    lines = reading_lines([(row.read_as, row.assumed)])
    if reference.reading.assumed != source.reading.assumed and reference.reading.assumed:
        lines.append(f"assumed of {reference.checkpoint.path}: {reference.reading.assumed}")
    if between is not None and interpolate is not None and 0 < interpolate < 1:
        lines.append(_RELATIVES)
        lines += [_STATISTICS] if between.statistics and data is None else []
    for line in lines:
        print_note(line)


def _inputs(data: str) -> Tensor:
    from nfn_cli.zoo.inputs import load_inputs

    return load_inputs(data)


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
