"""`nfn apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.moving import MovedRow, move_files, with_reading
from nfn_cli.cli.options import (
    ActivationOption,
    ChainOption,
    EntryOption,
    FormatOption,
    OmegaOption,
    OverwriteOption,
    PoolOption,
    PrefixOption,
    StrictOption,
    checked_scale_range,
    require_element_name,
)
from nfn_cli.cli.telling import told_by
from nfn_cli.errors import UsageError


def apply(
    path: Annotated[Path, typer.Argument(metavar="IN", help="A checkpoint.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)],
    seed: Annotated[int | None, typer.Option(help="Act with a random element.", show_default=False)] = None,
    element: Annotated[Path | None, typer.Option(help="Act with a saved element.", show_default=False)] = None,
    inverse: Annotated[bool, typer.Option("--inverse", help="Act with the inverse of that element.")] = False,
    scale_range: Annotated[
        tuple[float, float], typer.Option(help="Scales of a random element, log-uniform.", metavar="LOW HIGH")
    ] = (0.1, 10.0),
    scale: Annotated[bool, typer.Option("--scale/--no-scale", help="Random scales.")] = True,
    sign: Annotated[bool, typer.Option("--sign/--no-sign", help="Random signs, and phases of sines.")] = True,
    permute: Annotated[bool, typer.Option("--permute/--no-permute", help="Random order of neurons.")] = True,
    save_element: Annotated[
        Path | None, typer.Option(help="Save the group element that was applied.", show_default=False)
    ] = None,
    activation: ActivationOption = None,
    pool: PoolOption = None,
    omega_0: OmegaOption = None,
    chain: ChainOption = False,
    prefix: PrefixOption = None,
    entry: EntryOption = None,
    strict: StrictOption = False,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Move a network along its orbit: other weights, the same function.

    The element is drawn by --seed or read by --element. The new file has the layout, names and dtype of the old one.
    """
    if (seed is None) == (element is None):
        raise UsageError("nfn apply", "needs one element", "pass either --seed or --element")
    checked_scale_range(scale_range)
    if save_element is not None:
        require_element_name(save_element, overwrite=overwrite)

    told = told_by(activation, pool, omega_0, chain, prefix, entry, strict)

    def work(source_path: Path, target: Path) -> MovedRow:
        import torch

        from nfn_cli.checkpoints import rewrite_checkpoint
        from nfn_cli.symmetry import load_element, move, read_source, sample_element
        from nfn_cli.symmetry import save_element as save

        source = read_source(source_path, told)
        if element is not None:
            chosen = load_element(element, source.stored)
        else:
            assert seed is not None
            chosen = sample_element(
                source.stored,
                torch.Generator().manual_seed(seed),
                scale_range=scale_range,
                scale=scale,
                flip=sign,
                permute=permute,
                phase=sign,
            )
        if inverse:
            chosen = chosen.inverse()
        moved = move(source, chosen)
        kept = rewrite_checkpoint(source.checkpoint, moved, target, overwrite=overwrite)
        if save_element is not None:
            save(save_element, chosen, source.stored, overwrite=overwrite)
        row = MovedRow(
            str(source_path),
            str(target),
            rounding=moved.rounding,
            kept=", ".join(kept) or None,
        )
        return with_reading(row, source.network.reading)

    move_files([path], output, work, format)
