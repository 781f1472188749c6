"""Which networks a fit leaves out: runs, and whole tasks, families or trainers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nfn_cli.learning.any_classifier.measured import places_by_value
from nfn_cli.learning.splits import left_out_positions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

BY_RUN = "run"
ARCHITECTURE = "architecture"
# What a table may say of populations. Fewer values of a column say nothing of yet another one.
WAYS = ("task", "family", "trainer")
FEWEST_VALUES = 3
# Runs, and architectures where nothing else tells populations apart, are dealt into so many folds.
_RUN_FOLDS = 5
_ARCHITECTURE_FOLDS = 10
# A fit to fewer networks says little.
_FEWEST_FITTED = 20


@dataclass(frozen=True)
class Fold:
    """One fit.

    Attributes:
        way: what it leaves out: `run`, a column of the table, or `architecture`; empty for the head itself.
        value: that of the column; empty where several are left out together.
        fitted, asked: positions of the networks that it is fitted to, and that it predicts.
    """

    way: str
    value: str
    fitted: tuple[int, ...]
    asked: tuple[int, ...]

    @property
    def name(self) -> str:
        """For people."""
        return "the head" if not self.way else f"without {self.way} {self.value}".rstrip()


def folds_of(networks: LabelledClassifiers, train: Sequence[int], held_out: Sequence[int], seed: int) -> list[Fold]:
    """The fit of the head, then those that leave out runs, then those that leave out populations.

    Args:
        train, held_out: positions of the training and of the calibration networks.
        seed: deals runs and architectures into folds.
    """
    folds = [Fold("", "", tuple(train), tuple(held_out))]
    runs = [networks.runs[position] for position in train]
    for places in left_out_positions(runs, _RUN_FOLDS, seed):
        absent = {train[place] for place in places}
        folds.append(_fold(BY_RUN, "", train, absent, sorted(absent)))
    for way in ways_of(networks, train):
        values = networks.column(way)
        if way == ARCHITECTURE:
            count = min(_ARCHITECTURE_FOLDS, len(set(values)))
            groups = [("", places) for places in left_out_positions(values, count, seed)]
        else:
            groups = list(places_by_value(values).items())
        folds += [_fold(way, value, train, set(places), places) for value, places in groups]
    return [fold for fold in folds if not fold.way or (len(fold.fitted) >= _FEWEST_FITTED and fold.asked)]


def ways_of(networks: LabelledClassifiers, train: Sequence[int]) -> tuple[str, ...]:
    """The columns that tell populations apart: those of at least three values among the training networks; without
    one, the architecture, if there are as many."""

    def values(way: str) -> set[str]:
        column = networks.column(way)
        return {column[position] for position in train} - {""}

    found = tuple(way for way in WAYS if len(values(way)) >= FEWEST_VALUES)
    return found or ((ARCHITECTURE,) if len(values(ARCHITECTURE)) >= FEWEST_VALUES else ())


def _fold(way: str, value: str, train: Sequence[int], absent: set[int], asked: Sequence[int]) -> Fold:
    return Fold(way, value, tuple(position for position in train if position not in absent), tuple(asked))
