"""`nfn calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TextIO

from nfn_cli.cli.failures import print_note
from nfn_cli.cli.head_work import MeasureOptions, measure_head
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import (
    HEAD,
    INPUT,
    MEASURE,
    HeadOutputOption,
    OverwriteHeadOption,
    PredictHead,
    refuse_existing,
)
from nfn_cli.cli.takes import option, takes
from nfn_cli.folders import claimed

if TYPE_CHECKING:
    from nfn_cli.learning import IntervalReport


@takes
def calibrate(
    head: PredictHead,
    population: Annotated[
        list[str],
        option(INPUT, "A folder of labelled networks that the head was not fitted to; repeatable.", metavar="NAME=DIR"),
    ],
    output: HeadOutputOption,
    options: MeasureOptions,
    target: Annotated[str, option(INPUT, "Column with the true accuracy.")] = "test_accuracy",
    run_column: Annotated[str, option(INPUT, "Column with the training run.")] = "run",
    seed: Annotated[
        int, option(MEASURE, "Decides how runs are split into the ten folds that measure coverage.", min=0)
    ] = 0,
    members: Annotated[
        int | None,
        option(HEAD, "Keep the first N members alone: faster, with other predictions. [default: all]", min=1),
    ] = None,
    overwrite: OverwriteHeadOption = False,
) -> None:
    """Recalibrate a head's interval on networks of your own.

    The interval is fitted to one or several populations, and measured on each. Predictions and flags do not change, but
    for predictions with --members.
    Coverage is measured on runs that the interval was not fitted to, and on each population with an interval fitted to
    the others alone: what to expect of networks from elsewhere.

    Examples:
        nfn calibrate small-cnn-relu --population mine=runs -o my-head
        nfn calibrate my-head --population a=zoo-a --population b=zoo-b -o wider
    """
    from nfn_cli.learning import IntervalSettings, calibrate_head

    folders = named_folders("--population", population)
    refuse_existing(output, overwrite=overwrite)
    settings = IntervalSettings(seed, target, run_column, options.activation, members)

    def measure(on_stage: Callable[[str], None], device: str) -> IntervalReport:
        return calibrate_head(
            head, folders, output, settings, device=device, on_population=lambda name: on_stage(f"reading {name}")
        )

    with claimed(output):
        measure_head(options, measure, _print)
    if not options.quiet:
        print_note(f"head written to {output}")


def _print(report: IntervalReport, stream: TextIO) -> None:
    from nfn_cli.cli.tables.report import figures_table, print_lines

    coverage, width = [], []
    for own in report.populations:
        measured = (own.before, own.taken_in, own.left_out)
        coverage.append([own.name, *(str(covered.coverage) if covered else "" for covered in measured)])
        width.append([own.name, *(f"{covered.width:.4f}" if covered else "" for covered in measured)])
    columns = ("before", "taken in", "left out")
    radii = ", ".join(f"{radius:.4f} at {at:.1%}" for at, radius in zip(report.knots, report.radii, strict=True))
    if len(set(report.radii)) == 1:  # of few networks
        radii = f"{report.radii[0]:.4f}"
    print_lines(
        stream,
        figures_table("coverage on", columns, coverage),
        figures_table("mean width on", columns, width),
        f"{100 * report.level:.0f} % interval: ± {radii}",
    )
