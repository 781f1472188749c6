"""The interval of a head for any classifier grows with what makes a prediction doubtful."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from nfn_cli.nn.any_classifier.interval import AnyInterval


def interval(terms: tuple[float, ...] = (0.01, 0.05, 0.2, 0.02, 0.1, 0.1), stretch: float = 2.0) -> AnyInterval:
    made = AnyInterval()
    made.terms.copy_(torch.tensor(terms))
    made.factors.copy_(torch.tensor([1.1, stretch]))
    made.ramp.copy_(torch.tensor([0.3, 0.8]))
    return made


def radius(
    own: AnyInterval, accuracy: Tensor | float = 0.5, spread: Tensor | float = 0.3, distance: Tensor | float = 0.2
) -> Tensor:
    values = torch.broadcast_tensors(*(torch.as_tensor(value).double() for value in (accuracy, spread, distance)))
    accuracy, spread, distance = (value.reshape(-1) for value in values)
    return own.radius(accuracy, spread, distance, torch.full((len(accuracy),), 10))


def test_a_fresh_one_is_everything_and_sound() -> None:
    assert AnyInterval().is_sound()
    assert radius(AnyInterval(), torch.rand(9, generator=torch.Generator().manual_seed(0))).eq(1).all()


def test_the_formula() -> None:
    p, spread, distance = 0.7, 0.4, 0.55
    place = (p - 0.1) / 0.9
    uncertain, logit = 4 * place * (1 - place), math.log(p / (1 - p))

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    apart = (sigmoid(logit + spread) - sigmoid(logit - spread)) / 2
    near = 0.01 + 0.05 * uncertain + 0.2 * apart
    far = (0.02 + 0.1 * uncertain + 0.1 * apart) * math.log(1 + distance)
    expected = (near + far) * 1.1 * (1 + 0.5)  # half way up the ramp
    assert radius(interval(), p, spread, distance).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("accuracy", [0.02, 0.1, 0.5, 0.99, 1.0])
def test_it_never_falls_as_distance_or_disagreement_grow(accuracy: float) -> None:
    steps = torch.linspace(0, 5, 400, dtype=torch.float64)
    assert radius(interval(), accuracy, distance=steps).diff().ge(0).all()
    assert radius(interval(), accuracy, spread=steps).diff().ge(0).all()


def test_beyond_the_limit_it_grows_at_least_in_proportion_whatever_was_fitted() -> None:
    flat = interval((0.05, 0, 0, 0, 0, 0), stretch=1.0)
    at = radius(flat, distance=torch.tensor([0.0, 1.0, 2.0, 4.0, 1e6]))
    assert at.tolist() == pytest.approx([0.055, 0.055, 0.11, 0.22, 1.0])


def test_it_is_never_narrower_than_the_noise_of_a_label_nor_wider_than_everything() -> None:
    accuracy = torch.linspace(0, 1, 101, dtype=torch.float64)
    noise = 1.6448 * (accuracy * (1 - accuracy) / 10_000).sqrt()
    found = radius(interval((0,) * 6), accuracy)
    assert (found >= noise).all() and (found > 0).all() and (found < noise + 2e-4).all()
    assert found.max() == pytest.approx(0.008224, abs=1e-5)
    assert radius(interval((9.0,) * 6), accuracy).eq(1).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["accuracy", "spread", "distance"])
def test_what_is_not_finite_gives_everything(name: str, value: float) -> None:
    assert radius(interval((0.01, 0, 0, 0, 0, 0)), **{name: value}).item() == 1


def test_half_widths_are_float64_whatever_comes() -> None:
    values = torch.full((3,), 0.4)
    found = interval().radius(values, values, values, torch.tensor([2, 3, 10]))
    assert found.dtype == torch.float64 and found.shape == (3,)
    # The fewer classes, the nearer 0.4 is to chance.
    assert found.diff().gt(0).all()


def test_a_saved_one_says_the_same_and_holds_float32_alone() -> None:
    other = AnyInterval()
    other.load_state_dict(copy.deepcopy(interval().state_dict()))
    steps = torch.linspace(0, 3, 50)
    assert torch.equal(radius(other, distance=steps), radius(interval(), distance=steps))
    assert {own.dtype for own in other.state_dict().values()} == {torch.float32}
    assert not list(other.parameters())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("terms", [-0.1, 0, 0, 0, 0, 0]),
        ("terms", [math.nan, 0, 0, 0, 0, 0]),
        ("factors", [1, 0.5]),
        ("factors", [-1, 1]),
        ("ramp", [0.5, 0.4]),
        ("ramp", [0, math.inf]),
        ("label", [1.6, 0]),
    ],
)
def test_numbers_that_no_fit_gives_are_not_sound(name: str, values: list[float]) -> None:
    own = interval()
    assert own.is_sound()
    getattr(own, name).copy_(torch.tensor(values))
    assert not own.is_sound()
