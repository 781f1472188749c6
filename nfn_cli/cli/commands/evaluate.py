"""`nfn evaluate`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from nfn_cli.cli.head_work import AccuracyLabels, MeasureOptions, Networks, measure_head
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import INPUT, MEASURE, OodOption, PredictHead, checked_scale_range
from nfn_cli.cli.takes import option, takes
from nfn_cli.shipped import PREDICT


class Split(str, Enum):
    """Which networks count."""

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
    ood: OodOption = None,
) -> None:
    """Measure a head that predicts accuracies.

    Kendall's tau, R2, mean absolute error, coverage of the interval and share flagged, with 95 % bootstrap intervals
    over training runs, of networks as they are and transformed by random elements of their symmetry group; then the
    share flagged of out-of-distribution networks made of these, and of those given.

    Examples:
        nfn evaluate my-head zoo
        nfn evaluate small-cnn-relu runs --split all --ood mnist=zoo-mnist
    """
    from nfn_cli.cli.tables.report import print_report
    from nfn_cli.learning import EvaluateSettings, evaluate_head

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
    measure_head(
        options,
        lambda on_stage, device: evaluate_head(head, data, labels, settings, device, on_stage, task=PREDICT),
        print_report,
    )
