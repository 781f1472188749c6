"""Measure a head on labelled networks, whatever its task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nfn_cli.learning.out_of_distribution import read_out_of_distribution
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.tasks import LEARNING_TASKS
from nfn_cli.nn import load_head


def evaluate_head(
    name: str,
    data: Path,
    labels: Path | None = None,
    settings: EvaluateSettings | None = None,
    device: str = "cpu",
    on_stage: Callable[[str], None] = lambda stage: None,
    *,
    task: str | None = None,
) -> Any:
    """Measure a head (a shipped name or a folder) on labelled networks.

    With `split="test"` only the networks count that the head's fit kept for testing, so that a zoo it was fitted on can
    be given whole; for networks it never saw use `split="all"`.

    In one process, the same head, data and settings give the same report bit for bit. That of `train_head`, or of
    another process, is repeated up to rounding, see `AccuracyTask.output`: R² and errors within 1e-7 (2e-9 was measured
    where products were summed in another order), and the drift, which is itself of rounding, within 1e-6.

    Args:
        data, labels: as in `train_head`.
        on_stage: called with what comes next, such as `reading`.
        task: the one that the head must be for; None takes any.

    Returns:
        The report of the head's task: `EvaluationReport`, `ClassReport` or `EditReport`.

    Raises:
        HeadError, DataError, CheckpointError, ArchitectureError: unusable head or data.
    """
    settings = settings or EvaluateSettings()
    on_stage("reading")
    head = load_head(name, device, task=task)
    learning, accepted = LEARNING_TASKS[head.config.kind.task], head.config.accepted
    read_other = partial(learning.read_other, settings=settings, activation=accepted.activation)
    others = read_out_of_distribution(settings.out_of_distribution, accepted, read_other)
    networks = learning.read(data, labels, settings, head)
    if settings.split != "all":
        networks = learning.part_of(networks, settings.split, head, data)
    networks = networks.first(settings.count)
    learning.require_measurable(networks, head, data)
    return learning.measure(head, networks, settings, others, on_stage=on_stage)
