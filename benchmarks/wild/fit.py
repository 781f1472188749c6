"""Fit the shipped head for any classifier to stored statistics, measure it, and write its folder with its card.

    python benchmarks/wild/fit.py --out models/any-classifier --cache fits --workers 2

`statistics/` holds what the head reads of two zoos of `nfn zoo wild` (`wild-1.npz`, `wild-2.npz`), whose weights were
not kept, and of networks that no fit sees: those of `second_trainer.py` and of `tutorials.py`. The fits (the head, and
one without each fifth of the runs, each task and each family) take about an hour of processor time. `--cache` keeps
finished ones, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from statistics_file import read_statistics

from nfn_cli.learning.any_classifier.card import any_card
from nfn_cli.learning.any_classifier.fits import Told, run_fits
from nfn_cli.learning.any_classifier.folds import Fold, folds_of
from nfn_cli.learning.any_classifier.report import measure_any
from nfn_cli.learning.any_classifier.settings import AnySettings, any_fit_settings
from nfn_cli.learning.any_classifier.train import head_of_fits
from nfn_cli.learning.splits import positions
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers, listed_classifiers, read_classifiers

_HERE = Path(__file__).resolve().parent
_STATISTICS = _HERE / "statistics"
_TESTS = _HERE.parents[1] / "tests" / "wild"
_ZOOS = ("wild-1.npz", "wild-2.npz")
_OTHERS = {"a second trainer": "second-trainer.npz", "tutorial networks": "tutorials.npz"}
_SPLIT_SEED = 0
_EPOCHS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="keeps finished fits")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    networks = read_statistics([_STATISTICS / name for name in _ZOOS])
    settings = AnySettings(fit=any_fit_settings(epochs=_EPOCHS), split_seed=_SPLIT_SEED, workers=arguments.workers)
    parts = {part: positions(networks.runs, part, _SPLIT_SEED) for part in ("train", "calibration", "test")}
    folds = folds_of(networks, parts["train"], parts["calibration"], settings.fit.fit.seed)
    told = list(_told(networks, folds, settings, arguments.cache))
    usable = {*parts["train"], *parts["calibration"]}
    head, left_out = head_of_fits(arguments.out, networks, told, usable, settings, _record(networks, folds, settings))
    others = {name: read_statistics([_STATISTICS / file]) for name, file in _OTHERS.items()}
    tests = read_classifiers(listed_classifiers([_TESTS]))
    others["other runs of the second zoo (`tests/wild`)"] = tests
    report = measure_any(
        head,
        networks.select(parts["test"]),
        others=others,
        moved=tests,
        workers=arguments.workers,
        on_stage=lambda stage: print(stage, file=sys.stderr),
    )
    head.save(arguments.out, any_card(head, replace(report, left_out=left_out)))
    print((arguments.out / "README.md").read_text(encoding="utf-8"))


def _told(
    networks: LabelledClassifiers, folds: list[Fold], settings: AnySettings, cache: Path
) -> Iterator[tuple[Fold, Told]]:
    """What the model of every fit says; those that the cache has are not run."""
    cache.mkdir(parents=True, exist_ok=True)
    _require_same(cache / "made-of.txt", repr((networks.runs, networks.targets.tolist(), folds, settings.fit)))
    missing = [(number, fold) for number, fold in enumerate(folds) if not (cache / f"{number}.pt").exists()]
    for number, told in run_fits(networks, missing, settings.fit, workers=settings.workers):
        torch.save(dict(vars(told)), cache / f"{number}.pt")
        print(f"{folds[number].name}: fitted", file=sys.stderr)
    for number, fold in enumerate(folds):
        yield fold, Told(**torch.load(cache / f"{number}.pt", weights_only=True))


def _require_same(record: Path, made_of: str) -> None:
    """Check that the fits of a cache are these."""
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    if record.exists() and record.read_text() != digest:
        sys.exit(f"{record.parent}: holds other fits; give another --cache")
    record.write_text(digest)


def _record(networks: LabelledClassifiers, folds: list[Fold], settings: AnySettings) -> dict[str, Any]:
    """What the card needs to know."""
    return {
        "data": list(_ZOOS),
        "labels": None,
        **asdict(settings.fit.fit),
        "activation": None,
        "networks": len(networks),
        "runs": len(set(networks.runs)),
        "architectures": len(set(networks.architectures)),
        "column": "test_accuracy",
        "run_column": "run",
        "split_seed": _SPLIT_SEED,
        "left_out": sorted({fold.way for fold in folds} - {""}),
        "commands": [
            f"python benchmarks/wild/fit.py --out models/any-classifier --cache fits --workers {settings.workers}",
            "nfn evaluate any-classifier tests/wild --split all",
        ],
    }


if __name__ == "__main__":
    main()
