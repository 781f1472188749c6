"""How to fit a head for any classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nfn_cli.learning.any_classifier.fit import AnyFitSettings
from nfn_cli.learning.labelled_nfn.fit import BATCH
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAnySizes
from nfn_cli.zoo.labels import RUN_COLUMN


@dataclass(frozen=True)
class AnySettings:
    """How to fit a head for any classifier.

    Attributes:
        fit: the budget of each fit.
        level: nominal coverage of the interval.
        split_seed: decides which runs are held out; None takes 0, or for a small population the first seed that gives
            each part enough runs.
        column, run_column: of the CSV files, with the accuracy and the training run.
        activation: of all networks, over what their files say.
        out_of_distribution: folders of other populations by their names, to measure the head on; they do not change it.
        workers: processes that read networks and fit, at most.
    """

    fit: AnyFitSettings = field(default_factory=AnyFitSettings)
    level: float = 0.9
    split_seed: int | None = None
    column: str = "test_accuracy"
    run_column: str = RUN_COLUMN
    activation: str | None = None
    out_of_distribution: Mapping[str, Path] = field(default_factory=dict)
    workers: int = 1

    @property
    def by_labels(self) -> bool:
        """Whether the head reads networks by labels instead of statistics of them."""
        return isinstance(self.fit.sizes, MonomialAnySizes)


def any_fit_settings(
    kind: str = "any-classifier", *, epochs: int | None = None, seed: int = 0, members: int | None = None
) -> AnyFitSettings:
    """The budget of a fit of a kind of head, with what is given in the place of what is usual."""
    usual = AnyFitSettings()
    if kind == "monomial-any":
        usual = AnyFitSettings(MonomialAnySizes(), replace(usual.fit, batch_size=BATCH))
    sizes = usual.sizes if members is None else replace(usual.sizes, members=members)
    return AnyFitSettings(sizes, replace(usual.fit, epochs=epochs, seed=seed))
