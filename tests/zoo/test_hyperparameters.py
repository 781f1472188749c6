"""What is drawn for a run: the published ranges and distributions, from the seed and the run's number alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict

import pytest
from scipy import stats

from nfn_cli.zoo import Hyperparameters, draw_hyperparameters

DRAWS = 2_000


@pytest.fixture(scope="module")
def drawn() -> list[Hyperparameters]:
    return [draw_hyperparameters(seed=3, run=run, activation="relu") for run in range(DRAWS)]


@pytest.mark.parametrize(
    ("name", "low", "high"), [("learning_rate", 5e-4, 5e-2), ("l2", 1e-8, 1e-2), ("initialiser_scale", 1e-3, 0.5)]
)
def test_scales_are_log_uniform_in_the_published_range(
    name: str, low: float, high: float, drawn: list[Hyperparameters]
) -> None:
    values = [getattr(run, name) for run in drawn]
    assert low <= min(values) and max(values) <= high
    share = [math.log(value / low) / math.log(high / low) for value in values]
    assert stats.kstest(share, "uniform").pvalue > 0.01


def test_dropout_is_uniform_from_0_to_0_7(drawn: list[Hyperparameters]) -> None:
    values = [run.dropout for run in drawn]
    assert min(values) >= 0 and max(values) <= 0.7
    assert stats.kstest(values, stats.uniform(0, 0.7).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("optimizer", {"adam", "sgd", "rmsprop"}),
        ("initialiser", {"normal", "truncated_normal", "orthogonal", "glorot_normal", "he_normal"}),
        ("train_fraction", {0.1, 0.25, 0.5, 1.0}),
    ],
)
def test_choices_are_equally_likely(name: str, choices: set[object], drawn: list[Hyperparameters]) -> None:
    counts = Counter(getattr(run, name) for run in drawn)
    assert set(counts) == choices
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_hyperparameters_are_independent_of_each_other(drawn: list[Hyperparameters]) -> None:
    names = ["learning_rate", "l2", "dropout", "initialiser_scale", "train_fraction", "seed"]
    for position, one in enumerate(names):
        for other in names[position + 1 :]:
            tau = stats.kendalltau([getattr(run, one) for run in drawn], [getattr(run, other) for run in drawn])
            assert abs(tau.statistic) < 0.06, (one, other)


def test_every_run_has_a_seed_of_its_own(drawn: list[Hyperparameters]) -> None:
    assert len({run.seed for run in drawn}) == DRAWS


def test_a_run_depends_on_seed_and_number_alone() -> None:
    one = draw_hyperparameters(seed=5, run=11, activation="relu", batch_size=64)
    assert one == draw_hyperparameters(seed=5, run=11, activation="relu", batch_size=64)
    other = draw_hyperparameters(seed=5, run=11, activation="tanh", batch_size=32)
    assert asdict(one) | {"activation": "tanh", "batch_size": 32} == asdict(other)
    assert one.learning_rate != draw_hyperparameters(seed=6, run=11, activation="relu").learning_rate
    assert one.learning_rate != draw_hyperparameters(seed=5, run=12, activation="relu").learning_rate


def test_the_zoo_of_a_seed_stays_what_it_is() -> None:
    # The heads that were fitted to a zoo name its seed: another version must not make another zoo of it.
    assert draw_hyperparameters(seed=0, run=0, activation="relu") == Hyperparameters(
        run=0,
        seed=57704336482033,
        activation="relu",
        learning_rate=0.048910068524603965,
        l2=1.3771317470681604e-05,
        dropout=0.1672875396624474,
        optimizer="adam",
        initialiser="truncated_normal",
        initialiser_scale=0.14261856391334612,
        train_fraction=0.1,
        batch_size=64,
    )
