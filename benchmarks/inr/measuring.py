"""Fit a method and measure it, in both columns of the table."""

from __future__ import annotations

import sys

from fitting import Budget, fit, predict
from methods import METHODS
from population import Parts
from results import Answers, Cache, Result
from table import accuracy


def measure(cache: Cache, parts: Parts, name: str, budget: Budget, seed: int) -> None:
    """Fit a method, measure it on the test networks in both columns, and keep the result."""
    fitted = fit(METHODS[name], parts, budget, seed)
    plain, seconds = predict(fitted.reader, parts.test.point)
    moved, again = predict(fitted.reader, parts.moved)
    answers = Answers(parts.test.targets, plain, moved, parts.test.runs)
    result = Result(
        method=name,
        seed=seed,
        population=parts.fingerprint,
        budget=budget.record,
        train=len(parts.train),
        validation=len(parts.validation),
        test=len(parts.test),
        parameters=fitted.parameters,
        epoch=fitted.epoch,
        fit_seconds=fitted.seconds,
        networks_per_second=len(parts.test) / max(min(seconds, again), 1e-9),
    )
    cache.add(result, answers)
    figures = f"{accuracy([answers], 'plain')}, moved {accuracy([answers], 'moved')}"
    print(f"{name}, seed {seed}: {figures}, fit {fitted.seconds:.0f} s", file=sys.stderr)
