"""Intervals come from drawing whole runs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nfn_cli.learning import Estimate, bootstrap, kendall_tau, mean_absolute_error, r_squared
from nfn_cli.learning.metrics import share


def correlated(runs: int = 30, each: int = 10) -> tuple[Tensor, Tensor, list[str]]:
    """Truths, predictions whose error is the same within a run, and the runs."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(runs * each, generator=generator, dtype=torch.float64)
    error = torch.randn(runs, generator=generator, dtype=torch.float64).repeat_interleave(each)
    return truth, truth + 0.1 * error, [f"run {i // each}" for i in range(runs * each)]


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def test_the_value_is_the_metric_itself_and_lies_in_its_interval() -> None:
    truth, predicted, runs = correlated()
    estimate = bootstrap(mean_absolute_error, truth, predicted, runs)
    assert estimate.value == mean_absolute_error(truth, predicted).item()
    assert estimate.low < estimate.value < estimate.high


def test_runs_whose_checkpoints_err_together_widen_the_interval() -> None:
    truth, predicted, runs = correlated()
    by_run = bootstrap(mean_absolute_error, truth, predicted, runs)
    by_checkpoint = bootstrap(mean_absolute_error, truth, predicted, [str(i) for i in range(len(truth))])
    # Ten checkpoints that err alike tell no more than one: the interval is √10 times as wide.
    assert width(by_run) / width(by_checkpoint) == pytest.approx(math.sqrt(10), rel=0.25)


def test_copies_of_checkpoints_tell_nothing_new() -> None:
    truth, predicted, runs = correlated(each=1)
    once = bootstrap(r_squared, truth, predicted, runs)
    copied = bootstrap(r_squared, truth.repeat(3), predicted.repeat(3), runs * 3)
    for figure in ("value", "low", "high"):
        assert getattr(copied, figure) == pytest.approx(getattr(once, figure))


def test_the_interval_has_the_nominal_coverage() -> None:
    generator = torch.Generator().manual_seed(1)
    covered = 0
    for _ in range(200):
        hits = torch.rand(100, generator=generator) < 0.7
        estimate = bootstrap(share, torch.zeros(100), hits, [str(i) for i in range(100)], level=0.9)
        covered += estimate.low <= 0.7 <= estimate.high
    assert 0.83 < covered / 200 < 0.96


def test_a_higher_level_is_a_wider_interval() -> None:
    truth, predicted, runs = correlated()
    assert width(bootstrap(r_squared, truth, predicted, runs, level=0.99)) > width(
        bootstrap(r_squared, truth, predicted, runs, level=0.8)
    )


def test_the_interval_follows_from_the_seed_and_not_from_the_order_of_runs() -> None:
    truth, predicted, runs = correlated()
    one = bootstrap(r_squared, truth, predicted, runs, seed=3)
    assert one == bootstrap(r_squared, truth, predicted, runs, seed=3)
    assert one != bootstrap(r_squared, truth, predicted, runs, seed=4)
    shuffled = torch.randperm(len(truth), generator=torch.Generator().manual_seed(0))
    other = bootstrap(r_squared, truth[shuffled], predicted[shuffled], [runs[i] for i in shuffled], seed=3)
    assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def test_draws_without_a_figure_are_left_out() -> None:
    # A third of all draws take one run alone, whose truths are equal: no rank correlation there.
    truth = torch.tensor([0.1, 0.1, 0.5, 0.5])
    for metric in (kendall_tau, r_squared):
        estimate = bootstrap(metric, truth, torch.tensor([0.2, 0.3, 0.5, 0.4]), ["a", "a", "b", "b"])
        assert math.isfinite(estimate.low) and estimate.low <= estimate.value <= estimate.high


def test_no_draw_with_a_figure_gives_no_interval() -> None:
    estimate = bootstrap(kendall_tau, torch.full((3,), 0.5), torch.rand(3), ["a", "b", "c"])
    assert all(math.isnan(figure) for figure in (estimate.value, estimate.low, estimate.high))


def test_an_estimate_is_shown_with_its_interval() -> None:
    assert str(Estimate(0.91, 0.8999, 0.92)) == "0.910 [0.900, 0.920]"
