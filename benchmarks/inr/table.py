"""Print the table as Markdown, from the cache alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal, TextIO

import torch
from methods import METHODS
from results import Answers, Cache
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.metrics import Estimate, bootstrap, share

Column = Literal["plain", "moved"]
_COLUMNS: tuple[Column, ...] = ("plain", "moved")
_HEADS = ("as they are", "moved", "parameters", "fit", "INRs/s")
_AHEAD = ("ours ahead", "ours ahead, moved")


def accuracy(answers: Sequence[Answers], column: Column) -> Estimate:
    """Share of networks classified right, averaged over seeds; 95 % interval by bootstrap over pictures."""
    return bootstrap(share, answers[0].truth, _right(answers, column), answers[0].runs)


def ahead(ours: Sequence[Answers], others: Sequence[Answers], column: Column) -> Estimate:
    """Accuracy of one method less that of another on the same networks; every resample of pictures serves both."""
    difference = _right(ours, column) - _right(others, column)
    return bootstrap(share, ours[0].truth, difference, ours[0].runs)


def print_table(cache: Cache, ours: str, stream: TextIO) -> None:
    """Print accuracies, cost, by how much `ours` is ahead, and whether it leads everywhere.

    Raises:
        DataError: the cache is empty or damaged.
    """
    names = [name for name in METHODS if cache.of(name)]
    if not names:
        raise DataError(cache.folder, "no results are kept here", "give --zoo to make some")
    found = {name: cache.answers(name) for name in names}
    compared = ours in found and len(found) > 1
    heads = ["", *_HEADS, *(_AHEAD if compared else ())]
    print("| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", sep="\n", file=stream)
    behind = []
    for name in names:
        cells = [METHODS[name].title, *(_shown(accuracy(found[name], column)) for column in _COLUMNS)]
        cells += _cost(cache, name)
        if compared and name != ours:
            leads = [ahead(found[ours], found[name], column) for column in _COLUMNS]
            cells += [_shown(lead, "+") for lead in leads]
            if any(lead.low <= 0 for lead in leads):
                behind.append(METHODS[name].title)
        elif compared:
            cells += ["", ""]
        print("| " + " | ".join(cells) + " |", file=stream)
    print("\n" + _footnote(cache), file=stream)
    if compared:
        print("\n" + _verdict(METHODS[ours].title, behind), file=stream)


def _right(answers: Sequence[Answers], column: Column) -> Tensor:
    """The share of seeds that classify a network right, float64 [networks]."""
    return torch.stack([(getattr(own, column) == own.truth).double() for own in answers]).mean(0)


def _shown(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _cost(cache: Cache, name: str) -> list[str]:
    results = cache.of(name)
    seconds = fmean(result.fit_seconds for result in results)
    rate = fmean(result.networks_per_second for result in results)
    return [f"{results[0].parameters:,}", f"{seconds:,.0f} s", f"{rate:,.0f}"]


def _footnote(cache: Cache) -> str:
    first = next(iter(cache.results.values()))
    seeds = len({result.seed for result in cache.results.values()})
    return (
        f"{first.train:,} training networks, {first.validation:,} validating, {first.test:,} test networks;"
        f" {first.budget['epochs']} epochs, {first.budget['batch_size']} networks a step, {seeds} seed(s)."
        " 95 % intervals by bootstrap over pictures. Moved: after random permutations, signs and phases, in float64."
        " Times are of one processor core; INRs/s from tensors to classes."
    )


def _verdict(title: str, behind: Sequence[str]) -> str:
    if behind:
        return f"{title} leads all but these by more than the interval of the paired difference: {', '.join(behind)}."
    return f"{title} leads every other row in both columns by more than the 95 % interval of the paired difference."
