"""Measure a head for any classifier on labelled networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from nfn_cli.architectures import Stated
from nfn_cli.learning.any_classifier.report import AnyReport, measure_any
from nfn_cli.learning.any_classifier.train import read_others
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.tasks.accuracy import positions_of_split, require_spread
from nfn_cli.nn import Head
from nfn_cli.zoo.labels import RUN_COLUMN
from nfn_cli.zoo.listed_classifiers import listed_classifiers, read_classifiers


def evaluate_any_head(
    head: Head,
    data: Sequence[Path],
    labels: Path | None = None,
    settings: EvaluateSettings | None = None,
    *,
    workers: int = 1,
    on_reading: Callable[[int], None] = lambda networks: None,
    on_read: Callable[[int], None] = lambda networks: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AnyReport:
    """Measure a loaded head. Only networks that count are read.

    Args:
        data, labels: as in `listed_classifiers`.
        settings: with `split="test"` only the runs count that the head's fit kept for testing, so that the zoos it was
            fitted on can be given whole; for networks it never saw use `split="all"`.
        on_reading, on_read, on_stage: as in `train_any_head`.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data.
    """
    settings = settings or EvaluateSettings()
    on_stage("reading")
    run_column = settings.run_column or head.config.fitted.get("run_column", RUN_COLUMN)
    rows = listed_classifiers(data, labels, column=settings.column, run_column=run_column)
    if settings.split != "all":
        places = positions_of_split([row.label.run for row in rows], settings.split, head, data[0])
        rows = [rows[place] for place in places]
    rows = rows[: settings.count]
    require_spread(torch.tensor([row.label.target for row in rows]), data[0])
    on_reading(len(rows))
    by_labels = head.config.accepted.by_labels
    networks = read_classifiers(
        rows, Stated(activation=settings.activation), workers=workers, by_labels=by_labels, on_read=on_read
    )
    others = read_others(
        settings.out_of_distribution, settings.column, settings.activation, workers, by_labels=by_labels
    )
    return measure_any(head, networks, settings, others, workers=workers, on_stage=on_stage)
