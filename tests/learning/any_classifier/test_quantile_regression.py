"""Coefficients are those of the linear program that quantile regression is."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from nfn_cli.learning.any_classifier.quantile_regression import quantile_coefficients


def drawn(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, values whose scale grows with two of them, and weights."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(count, 4, generator=generator, dtype=torch.float64)
    features[:, 0] = 1
    errors = torch.randn(count, generator=generator, dtype=torch.float64).abs()
    values = (0.02 + 0.3 * features[:, 1]) * errors
    return features, values, 0.5 + torch.rand(count, generator=generator, dtype=torch.float64)


def pinball(coefficients: Tensor, features: Tensor, values: Tensor, weights: Tensor, level: float) -> float:
    error = values - features @ coefficients
    return float(weights @ torch.maximum(level * error, (level - 1) * error))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_loss_is_nearly_that_of_the_linear_program(level: float) -> None:
    features, values, weights = drawn(300)
    own = quantile_coefficients(features, values, weights, level)
    count, width = features.shape
    costs = torch.cat([torch.zeros(width), level * weights, (1 - level) * weights])
    equations = torch.cat([features, torch.eye(count).double(), -torch.eye(count).double()], dim=1)
    program = linprog(costs.numpy(), A_eq=equations.numpy(), b_eq=values.numpy(), bounds=(0, None))
    assert pinball(own, features, values, weights, level) <= program.fun * 1.01
    assert (own >= 0).all()


def test_what_grows_is_found_and_what_does_not_stays_near_0() -> None:
    features, values, weights = drawn(5_000)
    constant, grown, *others = quantile_coefficients(features, values, weights, 0.9).tolist()
    # The 90 % quantile of |N(0, 1)| is 1.645.
    assert grown == pytest.approx(0.3 * 1.645, rel=0.05)
    assert constant < 0.05 and max(others) < 0.02


@pytest.mark.parametrize("unit", [1e-6, 1e3])
def test_another_unit_of_the_values_is_another_unit_of_the_coefficients(unit: float) -> None:
    features, values, weights = drawn(500)
    one = quantile_coefficients(features, values, weights, 0.9)
    other = quantile_coefficients(features, values * unit, weights * 7, 0.9)
    assert torch.allclose(other / unit, one, rtol=1e-6, atol=1e-9)


def test_one_value_and_features_that_say_the_same_are_no_obstacle() -> None:
    ones = torch.ones(1, 3, dtype=torch.float64)
    found = quantile_coefficients(ones, torch.tensor([0.2], dtype=torch.float64), torch.ones(1).double(), 0.9)
    assert found.isfinite().all() and float(found.sum()) > 0.2
