"""Inspections of chains and of traced networks together, as one command writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from nfn_cli.architectures.traced import dtypes_of, shapes_of
from nfn_cli.cli.options import Format
from nfn_cli.cli.plots import Panel, draw, write_plot
from nfn_cli.cli.tables.inspection_table import Inspected, write_chains
from nfn_cli.cli.tables.labelled_table import LabelledInspected, write_traced
from nfn_cli.scoring.formats import json_text
from nfn_cli.symmetry.kinship.signature import signature_of
from nfn_cli.symmetry.labelled.inspection import inspect_labelled
from nfn_cli.symmetry.labelled.source import LabelledSource
from nfn_cli.symmetry.labelled.trial import prove_traced

AnyInspected = Inspected | LabelledInspected
_DRAWN = 12  # weights in a picture
_MOST = 100_000_000  # weights that are read for a signature: a few seconds


def traced_row(
    path: Path, source: LabelledSource, *, prove: bool, plot: Path | None, overwrite: bool
) -> LabelledInspected:
    """The facts of a traced network; writes its picture where one is asked for."""
    shapes = shapes_of(source.checkpoint)
    dtypes = {
        str(dtype).removeprefix("torch.") for dtype in dtypes_of(source.checkpoint).values() if dtype.is_floating_point
    }
    if plot is not None:
        names = [tensor.name for tensor in source.architecture.tensors if len(tensor.shape) > 1][:_DRAWN]
        write_plot(
            plot, draw([Panel(name, source.checkpoint.tensors[name]) for name in names], path.name), overwrite=overwrite
        )
    weights = sum(math.prod(shape) for shape in shapes.values())
    return LabelledInspected(
        str(path),
        inspect_labelled(source.architecture, shapes),
        source.checkpoint.format,
        tuple(sorted(dtypes)),
        source.reading.text,
        prove_traced(source) if prove else None,
        assumed=source.reading.assumed,
        signature=signature_of(source) if weights <= _MOST else None,
    )


def write_inspections(
    rows: Sequence[AnyInspected], format: Format | None, stream: TextIO, *, by_tensor: bool = False
) -> None:
    """Write inspections: JSON in the order of the files; else chains first, then traced networks."""
    if format is Format.json:
        stream.write(json_text([row.to_record() for row in rows], indent=2) + "\n")
        return
    chains = [row for row in rows if isinstance(row, Inspected)]
    traced = [row for row in rows if isinstance(row, LabelledInspected)]
    if chains or not traced:
        write_chains(chains, format, stream, by_tensor=by_tensor)
    if traced:
        write_traced(traced, format, stream)
