"""`nfn apply`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import (
    Destination,
    OutputOption,
    SkipExistingOption,
    check_element,
    element_path,
    planned,
    refuse_both,
)
from nfn_cli.cli.moving import MovedRow, check_config, keep_config, move_files, with_reading
from nfn_cli.cli.options import (
    ActivationOption,
    ChainOption,
    EntryOption,
    FormatOption,
    InputShapeOption,
    ModelOption,
    OmegaOption,
    OverwriteOption,
    PoolOption,
    PrefixOption,
    QuietOption,
    StrictOption,
    checked_scale_range,
)
from nfn_cli.cli.telling import parsed_shape, told_by
from nfn_cli.errors import UsageError
from nfn_cli.folders import make_folder, require_place

if TYPE_CHECKING:
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnySource


def apply(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN", help="Checkpoints, or folders of them.", show_default=False)
    ],
    output: OutputOption,
    seed: Annotated[int | None, typer.Option(help="Act with a random element.", show_default=False)] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many copies of each file, into the folder PATH: NAME-0000 moved by --seed, NAME-0001 by --seed + 1"
            " and so on.",
            show_default=False,
        ),
    ] = None,
    element: Annotated[Path | None, typer.Option(help="Act with a saved element.", show_default=False)] = None,
    inverse: Annotated[bool, typer.Option("--inverse", help="Act with the inverse of that element.")] = False,
    scale_range: Annotated[
        tuple[float, float], typer.Option(help="Scales of a random element, log-uniform.", metavar="LOW HIGH")
    ] = (0.1, 10.0),
    scale: Annotated[bool, typer.Option("--scale/--no-scale", help="Random scales.")] = True,
    sign: Annotated[bool, typer.Option("--sign/--no-sign", help="Random signs, and phases of sines.")] = True,
    permute: Annotated[bool, typer.Option("--permute/--no-permute", help="Random order of neurons.")] = True,
    pow2: Annotated[
        bool, typer.Option("--pow2", help="Scales are powers of two, which round no weight; phases stay.")
    ] = False,
    save_element: Annotated[
        Path | None,
        typer.Option(
            help="Save the group element that was applied; of several files in a folder, as NAME.element.safetensors.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    input_shape: InputShapeOption = None,
    activation: ActivationOption = None,
    pool: PoolOption = None,
    omega_0: OmegaOption = None,
    chain: ChainOption = False,
    prefix: PrefixOption = None,
    entry: EntryOption = None,
    strict: StrictOption = False,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move networks along their orbits: other weights, the same function.

    The element is drawn by --seed or read by --element, one for all files; with --count every copy has its own. A new
    file has the layout, names and dtype of the old one.
    """
    refuse_both(skip_existing, overwrite)
    if (seed is None) == (element is None):
        cause = "neither is given" if seed is None else "both are given"
        raise UsageError("--seed, --element", f"{cause}, and one element is needed", "give one of the two")
    if count is not None and element is not None:
        raise UsageError("--count", "one element makes one copy", "give --seed, which draws another for each")
    checked_scale_range(scale_range)
    from nfn_cli.checkpoints import require_folder_name

    plan = planned(paths, output, count)
    one = plan.destinations[0] if len(plan.destinations) == 1 else None
    elements = save_element if one is None or count is not None or (save_element or Path()).is_dir() else None
    if save_element is not None and elements is None and not (skip_existing and one and one.target.exists()):
        check_element(save_element, overwrite=overwrite)
    if elements is not None:
        require_folder_name(str(elements))
        require_place(elements)

    told = told_by(activation, pool, omega_0, chain, prefix, entry, strict)

    shape = parsed_shape(input_shape)

    @lru_cache(maxsize=1)
    def tracer() -> NetworkTracer:
        from nfn_cli.architectures.traced import NetworkTracer

        return NetworkTracer(model, shape)

    @lru_cache(maxsize=1)
    def read(path: Path) -> AnySource:
        """Once for all copies."""
        from nfn_cli.symmetry.sources import read_any

        return read_any(path, told, tracer())

    def work(each: Destination) -> MovedRow:
        from nfn_cli.checkpoints import require_writable, rewrite_checkpoint
        from nfn_cli.symmetry.sources import Draw, draw_element, inverted, read_element, transformed_by, write_element

        source = read(each.source)
        if element is not None:
            chosen = read_element(source, element)
        else:
            assert seed is not None
            chosen = draw_element(source, Draw(scale_range, scale, sign, permute, pow2), seed + each.copy)
        if inverse:
            chosen = inverted(source, chosen)
        saved = element_path(elements, each) if elements is not None else save_element
        if saved is not None and elements is not None:
            make_folder(saved.parent)
            require_writable(saved, overwrite=overwrite)
        moved = transformed_by(source, chosen, exact=pow2)
        if plan.folder is not None:
            check_config(source, each.target)
        kept = rewrite_checkpoint(source.checkpoint, moved, each.target, overwrite=overwrite)
        if plan.folder is not None:
            keep_config(source, each.target)
        if saved is not None:
            write_element(source, chosen, saved, overwrite=overwrite)
        row = MovedRow(
            str(each.source),
            str(each.target),
            rounding=moved.rounding,
            kept=", ".join(kept) or None,
        )
        return with_reading(row, source.reading)

    move_files(plan, work, format, overwrite=overwrite, skip_existing=skip_existing, quiet=quiet)
