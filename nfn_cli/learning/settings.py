"""What to fit and what to measure, as far as all tasks share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from nfn_cli.learning.member_fit import FitSettings

Report = TypeVar("Report")
Split = Literal["train", "test", "all"]


@dataclass(frozen=True)
class TrainSettings(Generic[Report]):
    """How to fit a head; every task has settings of its own besides.

    Attributes:
        task: the name of the task, of which the class decides.
        kind: of head; None takes the usual one.
        sizes: of each member; None takes the usual ones of `kind`, and others decide the kind.
        members: networks in the head's ensemble.
        fit: the budget; its seed decides everything but which networks are held out.
        activation: of all networks, over what their files say.
        out_of_distribution: folders of other populations by their names, to measure how many of their networks the head
            flags; they do not change the head.
    """

    task: ClassVar[str]

    kind: str | None = None
    sizes: Any = None
    members: int = 1
    fit: FitSettings = field(default_factory=FitSettings)
    activation: str | None = None
    out_of_distribution: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateSettings:
    """What to measure a head on; a task ignores what it does not use.

    Attributes:
        split: the networks that count: by the runs that the head's fit held out for testing, or of a zoo of INRs by the
            column `split`.
        count: as many of them, the first ones; None takes all.
        scale_range: of the random elements' scales, log-uniform.
        samples: random elements for each network.
        seed: decides the random elements.
        column, run_column: of the CSV file, with the accuracy and the training run; None takes the one of the fit.
        activation: of all networks, over what their files say.
        out_of_distribution: as in `TrainSettings`.
    """

    split: Split = "test"
    count: int | None = None
    scale_range: tuple[float, float] = (1.0, 1e4)
    samples: int = 1
    seed: int = 0
    column: str = "test_accuracy"
    run_column: str | None = None
    activation: str | None = None
    out_of_distribution: Mapping[str, Path] = field(default_factory=dict)
