"""From logits to accuracies with an interval."""

from __future__ import annotations

import torch

from nfn_cli.nn.calibrated_accuracy import Calibration


def fitted() -> Calibration:
    calibration = Calibration()
    calibration.curve.copy_(torch.tensor([0.1, 0.5, -0.2]))
    calibration.knots.copy_(torch.tensor([0.1, 0.1, 0.2, 0.3, 0.5]))
    calibration.radii.copy_(torch.tensor([0.01, 0.03, 0.02, 0.03, 0.05]))
    return calibration


def test_a_fresh_one_is_the_sigmoid_and_knows_nothing() -> None:
    logits = torch.linspace(-9, 9, 50)
    accuracy = Calibration().accuracy(logits)
    assert torch.allclose(accuracy, logits.double().sigmoid(), rtol=0, atol=1e-15)
    assert Calibration().radius(accuracy).eq(1).all()
    assert Calibration().is_sound()


def test_different_logits_stay_in_order() -> None:
    logits = torch.linspace(-9, 9, 2_000)
    assert fitted().accuracy(logits).diff().gt(0).all()


def test_half_widths_are_linear_between_knots_and_constant_beyond() -> None:
    places = torch.tensor([0.0, 0.15, 0.2, 0.4, 0.9], dtype=torch.float64)
    expected = torch.tensor([0.01, 0.025, 0.02, 0.04, 0.05], dtype=torch.float64)
    assert torch.allclose(fitted().radius(places), expected, atol=1e-7)


def test_any_shape_is_read() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).T
    accuracy = fitted().accuracy(logits)
    assert accuracy.shape == fitted().radius(accuracy).shape == (3, 4)
