"""Figures agree with SciPy and scikit-learn, ties and multiplicities included."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from sklearn.metrics import mean_absolute_error as sklearn_mae
from sklearn.metrics import r2_score
from torch import Tensor

from nfn_cli.learning import kendall_tau, mean_absolute_error, metrics, r_squared

Metric = Callable[..., Tensor]
METRICS: list[Metric] = [kendall_tau, r_squared, mean_absolute_error, metrics.share]


def draw(count: int = 200, *, seed: int = 0, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Correlated truths and predictions, of `levels` values each if given, and so with ties."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(count, generator=generator, dtype=torch.float64)
    predicted = 0.5 * truth + 0.5 * torch.rand(count, generator=generator, dtype=torch.float64)
    if levels:
        truth, predicted = (values.mul(levels).round().div(levels) for values in (truth, predicted))
    return truth, predicted


@pytest.mark.parametrize("levels", [None, 20, 3])
def test_tau_is_scipys_tau_b(levels: int | None) -> None:
    truth, predicted = draw(levels=levels)
    expected = kendalltau(truth, predicted).statistic
    assert 0.3 < expected < 0.9
    assert kendall_tau(truth, predicted).item() == pytest.approx(expected, abs=1e-12)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30),
)
def test_tau_is_scipys_on_any_ties(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (torch.tensor(values) for values in zip(*pairs, strict=True))
    assert kendall_tau(truth, predicted).item() == pytest.approx(kendalltau(truth, predicted).statistic, nan_ok=True)


@pytest.mark.parametrize(("sign", "tau"), [(1, 1.0), (-1, -1.0)])
def test_tau_of_perfect_order_is_one(sign: int, tau: float) -> None:
    truth, _ = draw()
    assert kendall_tau(truth, sign * truth.exp()).item() == pytest.approx(tau)


def test_tau_tells_apart_what_float32_would_not() -> None:
    truth = torch.tensor([0.5, 0.5 + 1e-12, 0.5 + 2e-12], dtype=torch.float64)
    assert kendall_tau(truth, truth.flip(0)).item() == -1


@pytest.mark.parametrize("pairs", [1, 150, 1_000])
def test_blocks_of_pairs_do_not_change_tau(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = draw(levels=10)
    weights = torch.randint(0, 4, (3, 200), generator=torch.Generator().manual_seed(1)).float()
    whole = kendall_tau(truth, predicted, weights)
    monkeypatch.setattr(metrics, "_MOST_PAIRS", pairs)
    assert torch.equal(kendall_tau(truth, predicted, weights), whole)


def test_r_squared_and_mean_absolute_error_are_scikit_learns() -> None:
    truth, predicted = draw()
    assert r_squared(truth, predicted).item() == pytest.approx(r2_score(truth, predicted), abs=1e-12)
    assert mean_absolute_error(truth, predicted).item() == pytest.approx(sklearn_mae(truth, predicted), abs=1e-12)


def test_r_squared_of_the_mean_is_zero_and_of_worse_negative() -> None:
    truth, _ = draw()
    assert r_squared(truth, truth.mean().expand(200)).item() == pytest.approx(0, abs=1e-12)
    assert r_squared(truth, 1 - truth).item() < -1


def test_share_counts_what_is_true() -> None:
    hits = torch.tensor([True, True, False, True])
    assert metrics.share(torch.zeros(4), hits).item() == 0.75


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("levels", [None, 5])
def test_a_multiplicity_counts_a_network_that_often(metric: Metric, levels: int | None) -> None:
    truth, predicted = draw(50, levels=levels)
    weights = torch.randint(0, 4, (4, 50), generator=torch.Generator().manual_seed(2))
    weighted = metric(truth, predicted, weights.float())
    assert weighted.shape == (4,)
    for row, value in zip(weights, weighted, strict=True):
        repeated = metric(truth.repeat_interleave(row), predicted.repeat_interleave(row))
        assert value.item() == pytest.approx(repeated.item(), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_float32_predictions_are_measured_in_float64(metric: Metric) -> None:
    truth, predicted = draw()
    value = metric(truth.float(), predicted.float())
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(metric(truth, predicted).item(), abs=1e-4)


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 0.7])
def test_equal_truths_leave_nothing_to_explain_or_rank(constant: float) -> None:
    truth, (_, predicted) = torch.full((7,), constant, dtype=torch.float64), draw(7)
    assert math.isnan(kendall_tau(truth, predicted).item())
    assert math.isnan(r_squared(truth, predicted).item())


def test_a_draw_of_equal_truths_has_no_r_squared() -> None:
    truth = torch.tensor([0.1, 0.1, 0.7, 0.3], dtype=torch.float64)
    weights = torch.tensor([[3.0, 2.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    values = r_squared(truth, truth + 0.01, weights)
    assert values.isnan().tolist() == [True, True, False]


def test_the_ceiling_is_the_tau_between_halves_with_an_interval_by_run() -> None:
    even, odd = draw()
    runs = [str(place // 4) for place in range(len(even))]
    ceiling = metrics.label_ceiling(even, odd, runs)
    assert ceiling.value == pytest.approx(kendalltau(even, odd).statistic)
    assert ceiling == metrics.bootstrap(kendall_tau, even, odd, runs)
    assert ceiling.low < ceiling.value < ceiling.high


def test_who_knows_the_true_accuracies_reaches_more_than_the_ceiling() -> None:
    """Labels counted on 200 images: the ceiling is low, and higher for labels from more images."""
    generator = torch.Generator().manual_seed(0)
    true = 0.3 + 0.6 * torch.rand(400, generator=generator, dtype=torch.float64)

    def counted(images: int) -> Tensor:
        return torch.binomial(torch.full_like(true, images), true, generator=generator) / images

    even, odd, more_even, more_odd = counted(100), counted(100), counted(5_000), counted(5_000)
    runs = [str(place) for place in range(400)]
    ceiling = metrics.label_ceiling(even, odd, runs).value
    assert ceiling < kendall_tau(even, true) < kendall_tau((even + odd) / 2, true)
    assert metrics.label_ceiling(more_even, more_odd, runs).value > ceiling + 0.1
