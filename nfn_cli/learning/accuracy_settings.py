"""How to fit a head that predicts accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nfn_cli.learning.accuracy_report import EvaluationReport
from nfn_cli.learning.settings import TrainSettings
from nfn_cli.nn import ForwardPass
from nfn_cli.zoo.labels import RUN_COLUMN


@dataclass(frozen=True)
class AccuracySettings(TrainSettings[EvaluationReport]):
    """How to fit a head that predicts accuracies, see `TrainSettings`.

    Attributes:
        kind: None takes Monomial-Probe where it is known how the networks are run, and Monomial-NFN otherwise.
        level: nominal coverage of the interval.
        split_seed: decides which runs are held out; None takes 0, or for a small population the first seed that gives
            each part enough runs.
        column, run_column: of the CSV file, with the accuracy and the training run.
        forward_pass: how the networks are run; None where the data or their layers say it.
        probe_images: an image set, see `load_images`: the probes of a kind that runs the networks start as its training
            images, class by class, and networks whose recipe pools over all of space are run on images of their size.
        also: folders of other networks of the same runs, such as those of `nfn zoo between`. Those of the training runs
            are fitted to as well; they calibrate and measure nothing.
    """

    task = "predict-accuracy"

    members: int = 4
    level: float = 0.9
    split_seed: int | None = None
    column: str = "test_accuracy"
    run_column: str = RUN_COLUMN
    forward_pass: ForwardPass | None = None
    probe_images: str | None = None
    also: tuple[Path, ...] = ()
