"""The temperature: the one of least cross entropy, whatever the logits' size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nfn_cli.learning.temperature import fitted_temperature


def drawn(networks: int = 4_000, classes: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [networks, classes], and classes drawn by their very probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(networks, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("times", [0.2, 1.0, 5.0])
def test_calibrated_logits_are_found_whatever_they_were_multiplied_with(times: float) -> None:
    logits, classes = drawn()
    assert fitted_temperature(logits * times, classes) == pytest.approx(times, rel=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_has_less_cross_entropy(seed: int) -> None:
    logits, classes = drawn(60, 3, seed)
    found = fitted_temperature(logits, classes)
    best = F.cross_entropy(logits.double() / found, classes).item()
    for other in torch.logspace(-1.3, 1.3, 200).tolist():
        assert F.cross_entropy(logits.double() / other, classes).item() >= best - 1e-9


def test_it_stays_within_its_limits() -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert 0.05 <= fitted_temperature(logits, torch.tensor([0, 1])) < 0.1  # always right: as sure as can be told apart
    assert fitted_temperature(logits, torch.tensor([1, 0])) == pytest.approx(20, rel=1e-3)  # never: as little as may be


def test_the_class_is_none_of_its_business() -> None:
    logits, classes = drawn(50)
    found = fitted_temperature(logits, classes)
    assert torch.equal((logits / found).argmax(1), logits.argmax(1))
    assert fitted_temperature(logits + 7, classes) == pytest.approx(found, rel=1e-5)
