"""`nfn evaluate-inr`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from nfn_cli.cli.head_work import ClassLabels, Inrs, MeasureOptions, measure_head
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import INPUT, MEASURE, InrHead, LargestSeed, OodOption
from nfn_cli.cli.takes import Hidden, option, takes
from nfn_cli.errors import UsageError
from nfn_cli.shipped import CLASSIFY, EDIT


class InrSplit(str, Enum):
    """Which networks are measured on."""

    test = "test"
    train = "train"
    all = "all"


@takes
def evaluate_inr(
    head: InrHead,
    data: Inrs,
    options: MeasureOptions,
    labels: ClassLabels = None,
    split: Annotated[InrSplit, option(INPUT, "Which networks to measure on, by the column split.")] = InrSplit.test,
    limit: Annotated[
        int | None,
        option(INPUT, "Measure on the first N networks. [default: all]", min=1),
        Hidden("--count"),
    ] = None,
    seed: Annotated[int, option(MEASURE, "Decides the random group elements.", min=0, max=LargestSeed)] = 0,
    ood: OodOption = None,
) -> None:
    """Measure a head that classifies or edits INRs.

    One that classifies, on networks as they are and transformed by random permutations, signs and phases. One that
    edits, by the mean squared error of what its networks show, and by how far editing and transforming are from
    commuting.

    Examples:
        nfn evaluate-inr inr-mnist inrs
        nfn evaluate-inr my-editor inrs --limit 500
    """
    from nfn_cli.cli.tables.class_report import print_class_report
    from nfn_cli.cli.tables.edit_report import print_edit_report
    from nfn_cli.learning import EvaluateSettings, evaluate_head
    from nfn_cli.nn import task_of_head

    others, editing = named_folders("--ood", ood), task_of_head(head) == EDIT
    if editing and others:
        raise UsageError("--ood", f"{head} edits, and flags no networks", "leave it out")
    settings = EvaluateSettings(
        split=split.value, count=limit, seed=seed, activation=options.activation, out_of_distribution=others
    )
    task = EDIT if editing else CLASSIFY
    measure_head(
        options,
        lambda on_stage, device: evaluate_head(head, data, labels, settings, device, on_stage, task=task),
        print_edit_report if editing else print_class_report,
    )
