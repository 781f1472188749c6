"""`nfn evaluate`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from nfn_cli.cli.head_work import AccuracyLabels, MeasureOptions, Networks, measure_head, one_path
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import INPUT, MEASURE, OodOption, PredictHead, WorkersOption, checked_scale_range
from nfn_cli.cli.takes import option, takes
from nfn_cli.shipped import PREDICT


class Split(str, Enum):
    """Which networks are measured on."""

    test = "test"
    all = "all"


@takes
def evaluate(
    head: PredictHead,
    data: Networks,
    options: MeasureOptions,
    labels: AccuracyLabels = None,
    target: Annotated[str, option(INPUT, "Column with the true accuracy.")] = "test_accuracy",
    run_column: Annotated[
        str | None, option(INPUT, "Column with the training run. [default: the one of the head's fit]")
    ] = None,
    split: Annotated[Split, option(INPUT, "Only runs that the head's split keeps for testing, or all.")] = Split.test,
    scale_range: Annotated[
        tuple[float, float], option(MEASURE, "Scales of random elements, log-uniform.", metavar="LOW HIGH")
    ] = (1.0, 1e4),
    samples: Annotated[int, option(MEASURE, "Random group elements a network.", min=1)] = 1,
    seed: Annotated[int, option(MEASURE, "Decides the random elements.")] = 0,
    workers: WorkersOption = None,
    ood: OodOption = None,
) -> None:
    """Measure a head that predicts accuracies.

    Kendall's tau, R2, mean absolute error, coverage of the interval and share flagged, with 95 % bootstrap intervals
    over training runs, of networks as they are and transformed by random elements of their symmetry group; then the
    share flagged of out-of-distribution networks made of these, and of those given.

    A head for any classifier is measured within tasks and families too, where the table has the columns task and
    family, and beside ceilings, where it has even_accuracy and odd_accuracy.

    Examples:
        nfn evaluate my-head zoo
        nfn evaluate small-cnn-relu runs --split all --ood mnist=zoo-mnist
    """
    from nfn_cli.cli.tables.any_report import print_any_report
    from nfn_cli.cli.tables.report import print_report
    from nfn_cli.learning import EvaluateSettings, evaluate_any_head, evaluate_head
    from nfn_cli.nn.choose import load_config, load_head
    from nfn_cli.processors import processors

    settings = EvaluateSettings(
        split="all" if split is Split.all else "test",
        scale_range=checked_scale_range(scale_range),
        samples=samples,
        seed=seed,
        column=target,
        run_column=run_column,
        activation=options.activation,
        out_of_distribution=named_folders("--ood", ood),
    )
    if load_config(head, task=PREDICT).accepted.is_any:
        measure_head(
            options,
            lambda on_stage, device: evaluate_any_head(
                load_head(head, device), data, labels, settings, workers=workers or processors(), on_stage=on_stage
            ),
            print_any_report,
        )
        return
    folder = one_path(data)
    measure_head(
        options,
        lambda on_stage, device: evaluate_head(head, folder, labels, settings, device, on_stage, task=PREDICT),
        print_report,
    )
