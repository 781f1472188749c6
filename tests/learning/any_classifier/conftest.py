"""A head for any classifier, fitted to a small table once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wild_tables import write_classifiers

from nfn_cli.learning import AnyReport, AnySettings, FitSettings, train_any_head
from nfn_cli.learning.any_classifier.fit import AnyFitSettings
from nfn_cli.nn.any_classifier.any_classifier import AnyClassifierSizes

QUICK = AnySettings(
    fit=AnyFitSettings(
        AnyClassifierSizes(members=1, width=8, hidden=16, dropout=0.0),
        FitSettings(epochs=10, batch_size=16, learning_rate=1e-2),
    )
)


@pytest.fixture(scope="session")
def quick() -> AnySettings:
    """A small head that fits at once."""
    return QUICK


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 networks of three architectures, with tasks, families and halves."""
    return write_classifiers(tmp_path_factory.mktemp("wild") / "zoo", runs=72)


@pytest.fixture(scope="session")
def run_classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 such networks, of which it is known how they are run."""
    return write_classifiers(tmp_path_factory.mktemp("wild") / "run-zoo", runs=60, run=True)


@pytest.fixture(scope="session")
def fitted_run(run_classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnyReport]:
    """A head fitted to these, and what was measured."""
    folder = tmp_path_factory.mktemp("heads") / "run-head"
    brief = replace(QUICK, fit=replace(QUICK.fit, fit=replace(QUICK.fit.fit, epochs=3)))
    return folder, train_any_head([run_classifiers], None, folder, brief)


@pytest.fixture(scope="session")
def fitted_any(classifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnyReport]:
    """A head fitted to them, and what was measured."""
    folder = tmp_path_factory.mktemp("heads") / "any-head"
    return folder, train_any_head([classifiers], None, folder, QUICK)
