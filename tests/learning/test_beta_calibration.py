"""Predictions are right on average at every height, and keep their order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfn_cli.learning.beta_calibration import fitted_curve
from nfn_cli.nn.calibrated_accuracy import curved


def noisy(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that fall short of the truth the more the higher they are, and accuracies."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, generator=generator).double() - 1
    truth = curved(torch.tensor([0.0, 0.7, -0.1]).double(), logits)
    return logits, (truth + 0.1 * torch.randn(count, generator=generator)).sigmoid()


def bias(logits: Tensor, accuracies: Tensor, chosen: Tensor) -> float:
    return float((logits.sigmoid() - accuracies)[chosen].mean().abs())


def test_the_best_are_no_longer_underrated() -> None:
    curve = fitted_curve(*noisy(2_000))
    logits, accuracies = noisy(4_000, seed=1)
    best = logits > logits.quantile(0.9)
    assert bias(logits, accuracies, best) > 0.05
    assert bias(curved(curve, logits), accuracies, best) < 0.005
    assert bias(curved(curve, logits), accuracies, ~best) < 0.005


@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize("count", [1, 3, 30, 1_000])
def test_the_order_is_kept_whatever_the_accuracies(count: int, turned: int) -> None:
    logits, accuracies = noisy(count)
    curve = fitted_curve(turned * logits, accuracies)
    assert curve.isfinite().all()
    assert curved(curve, torch.linspace(-8, 8, 400).double()).diff().gt(0).all()


def test_of_no_networks_logits_stay_and_of_few_they_move_little() -> None:
    assert torch.equal(fitted_curve(torch.empty(0), torch.empty(0)), torch.zeros(3, dtype=torch.float64))
    few, many = fitted_curve(*noisy(5)), fitted_curve(*noisy(5_000))
    assert few.norm() < 0.5 * many.norm()


def test_halves_do_not_matter_to_the_fit() -> None:
    logits, accuracies = noisy(500)
    one, other = fitted_curve(logits, accuracies), fitted_curve(logits.float(), accuracies.float())
    assert torch.allclose(one, other, atol=1e-4)
    assert one.dtype == other.dtype == torch.float64
