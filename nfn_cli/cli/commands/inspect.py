"""`nfn inspect`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import OUTPUT, Checkpoints, FormatOption, QuietOption, ReadingOptions, is_of_reading
from nfn_cli.cli.plots import Panel, PlotOption, check_plot, draw, write_plot
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.takes import option, takes
from nfn_cli.errors import ArchitectureError, NfnError
from nfn_cli.threads import numbers_in, threads_for

if TYPE_CHECKING:
    from nfn_cli.cli.tables.tensor_table import ShownTensors


@takes
def inspect(
    paths: Checkpoints,
    reading: ReadingOptions,
    prove: Annotated[
        bool,
        option(
            "Proof",
            "Run the network on random weights, in float64, before and after every part of its group.",
            "--prove",
        ),
    ] = False,
    tensors: Annotated[
        bool,
        option(
            OUTPUT,
            "Show every tensor as well: shape, dtype, zeros, norm, NaN and Inf. In a pipe, one line a tensor instead of"
            " one a layer; in JSON, under `tensors`.",
            "--tensors",
        ),
    ] = False,
    plot: PlotOption = None,
    format: FormatOption = None,
    overwrite: Annotated[bool, option(OUTPUT, "Replace an existing picture.", "--overwrite")] = False,
    quiet: QuietOption = False,
) -> None:
    """Show layers, symmetries, and which heads read a network.

    For each checkpoint: layers, activation, the group that acts on each layer's neurons, the dimension of its orbit,
    how far its scales are from balance, dead and duplicate neurons. In a pipe, one line a layer. The signature is
    nearly the same for all copies of a network, however disguised: see nfn families.

    For a residual network, a transformer or your own module (--model), the group as a tree: which neurons are permuted
    together, group inside group, repeated layers once. In a pipe, one line a group. --prove tests it.

    If a file opens but no network can be read from it, the table and JSON show its tensors, and why.

    Examples:
        nfn inspect model.safetensors
        nfn inspect runs/ --activation relu --format json
    """
    from nfn_cli.checkpoints import find_checkpoints
    from nfn_cli.cli.inspections import AnyInspected, traced_row, write_inspections
    from nfn_cli.cli.tables.inspection_table import Inspected
    from nfn_cli.cli.tables.tensor_table import ShownTensors
    from nfn_cli.nn import shipped_heads_of
    from nfn_cli.symmetry import inspect_network
    from nfn_cli.symmetry.kinship.signature import signature_of_chains
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import read_to_inspect

    if plot is not None:
        check_plot(plot, paths, overwrite=overwrite)
    accepted = {
        name: config.accepted
        for task in ("predict-accuracy", "classify-inr")
        for name, config in shipped_heads_of(task).items()
    }
    found = find_checkpoints(paths)
    stated = reading.stated()
    # The lines of a pipe are layers: of a file without any they have the error alone.
    opening = tensors or format is not None or sys.stdout.isatty()

    tracer = reading.tracer(gauges=True)

    def inspected(path: Path) -> AnyInspected:
        """A function, so that nothing of a file is in memory when the next one is read."""
        try:
            found = read_to_inspect(path, stated, tracer)
        except NfnError as error:
            if is_of_reading(error):
                raise
            # Another one: this one's traceback holds what was read, and the file is read again.
            refusal = NfnError(error.subject, error.cause, error.remedy)
        else:
            if isinstance(found, LabelledSource):
                return traced_row(path, found, prove=prove, plot=plot, overwrite=overwrite)
            checkpoint, network = found
            if prove:
                cause = f"it is read as the chain {network.reading.network}, which `nfn verify` runs"
                raise ArchitectureError(path, cause, "give its module to prove more (--model)")
            row = Inspected.of(path, inspect_network(checkpoint, network), accepted)
            if row.inspection is not None and row.inspection.activation is not None:
                row = replace(row, signature=signature_of_chains(network.weights))
            if plot is not None:
                panels = [Panel(module.name, module.weight) for module in network.modules]
                write_plot(plot, draw(panels, path.name), overwrite=overwrite)
            return replace(row, tensors=ShownTensors.of(checkpoint)) if tensors else row
        return Inspected(str(path), error=str(refusal), tensors=_opened(path, refusal) if opening else None)

    rows: list[AnyInspected] = []
    with interrupt_message(lambda: "nothing was shown"), Progress(quiet=quiet) as progress:
        for path in progress.each("inspecting", found):
            try:
                with threads_for(numbers_in(path)):
                    rows.append(inspected(path))
            except NfnError as error:  # of the picture
                if is_of_reading(error):
                    raise
                rows.append(Inspected(str(path), error=str(error)))
    write_inspections(rows, format, sys.stdout, by_tensor=tensors)
    leave_with(rows)


def _opened(path: Path, refusal: NfnError) -> ShownTensors | None:
    """The tensors of a file of which no network was read; None where it does not even open."""
    from nfn_cli.checkpoints import open_tensors
    from nfn_cli.cli.tables.tensor_table import ShownTensors

    try:
        return ShownTensors.of(open_tensors(path), refusal)
    except NfnError:
        return None
