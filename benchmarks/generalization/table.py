"""Print the table, from the cache alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TextIO

from agreement import tau, tau_difference
from methods import METHODS
from results import Cache, Ranking, Result
from rich.console import Console
from rich.table import Table
from settings import SETTINGS, Setting

from nfn_cli.errors import DataError
from nfn_cli.learning import Estimate

_WIDTH = 160


def print_table(cache: Cache, ours: str, stream: TextIO) -> None:
    """Print τ of every method in every setting, its cost, and by how much `ours` is better.

    Raises:
        DataError: the cache is empty or damaged.
    """
    methods, settings = present(cache)
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)
    console.print(_main_table(cache, methods, settings))
    console.print(_footnote(cache, methods), soft_wrap=True)
    others = [name for name in methods if name != ours]
    if ours in methods and others:
        console.print()
        console.print(_differences(cache, ours, others, settings))


def present(cache: Cache) -> tuple[list[str], list[Setting]]:
    """The methods and settings that have results, in the order of the table.

    Raises:
        DataError: there are none.
    """
    methods = [name for name in METHODS if any(result.method == name for result in cache.results.values())]
    settings = [setting for setting in SETTINGS.values() if any(cache.of(name, setting.name) for name in methods)]
    if not methods:
        raise DataError(cache.folder, "no results are kept here", "give --relu and --tanh to make some")
    return methods, settings


def rankings(cache: Cache, method: str, setting: Setting) -> list[Ranking]:
    """The predictions of a cell, a ranking for each seed; empty where it has no result."""
    return [cache.ranking(result) for result in cache.of(method, setting.name)]


def _main_table(cache: Cache, methods: Sequence[str], settings: Sequence[Setting]) -> Table:
    table = _table("Kendall's tau", settings)
    for title in ("parameters", "training", "forward"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in methods:
        found = [result for setting in settings for result in cache.of(name, setting.name)]
        cells = [rankings(cache, name, setting) for setting in settings]
        table.add_row(METHODS[name].title, *(_shown(tau(cell)) if cell else "" for cell in cells), *_cost(found))
    return table


def _differences(cache: Cache, ours: str, others: Sequence[str], settings: Sequence[Setting]) -> Table:
    table = _table(f"{METHODS[ours].title} better by", settings)
    for name in others:
        pairs = [(rankings(cache, ours, setting), rankings(cache, name, setting)) for setting in settings]
        shown = [_shown(tau_difference(mine, theirs), "+") if mine and theirs else "" for mine, theirs in pairs]
        table.add_row(f"than {METHODS[name].title}", *shown)
    return table


def _table(title: str, settings: Sequence[Setting]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, no_wrap=True)
    for setting in settings:
        table.add_column(setting.title, no_wrap=True)
    return table


def _shown(estimate: Estimate, sign: str = "") -> str:
    """The figure, and below it the interval."""
    return f"{estimate.value:{sign}.3f}\n[{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


def _cost(results: Sequence[Result]) -> tuple[str, str, str]:
    parameters = max((result.parameters for result in results if result.parameters is not None), default=None)
    # Settings that share a fit have it counted once.
    fits = {(result.seed, result.fit): result.fit_seconds for result in results}
    seeds = len({result.seed for result in results})
    forward = fmean(result.forward_ms for result in results)
    return (
        "-" if parameters is None else f"{parameters:,}",
        f"{sum(fits.values()) / seeds:,.0f} s",
        f"{forward:,.0f} ms",
    )


def _footnote(cache: Cache, methods: Sequence[str]) -> str:
    results = list(cache.results.values())
    # The counts of each activation are those of its first result, less the copies.
    firsts = {result.activation: result for result in reversed(results)}
    sizes = "; ".join(
        f"{activation}: {_uncopied(first.train, first.fit):,} networks trained on,"
        f" {_uncopied(first.test, first.setting):,} of {first.test_runs:,} test runs"
        for activation, first in sorted(firsts.items())
    )
    invariant = ", ".join(METHODS[name].title for name in methods if METHODS[name].invariant)
    lines = [
        "95 % intervals by bootstrap over runs. Under U[1, s] and flips every network appears twice, as it is and moved"
        " by a random element (permutations, with scales from U[1, s] or signs), for training and for testing.",
        f"Without moved copies, {sizes}; {results[0].epochs} epochs (half as many with copies), {results[0].batch_size}"
        " networks a step. training: processor time of the fits of the row, on one core. forward: 1,000 networks,"
        " reading their tensors included.",
    ]
    if invariant:
        lines.append(
            f"To {invariant} a network and its moved copy are the same up to rounding: fitted once an activation,"
            " without moved copies, and measured in every setting."
        )
    return "\n".join(lines)


def _uncopied(networks: int, setting: str) -> int:
    return networks // 2 if SETTINGS[setting].moved else networks
