"""The normal form of networks with hostile numbers: finite, the same function, itself, and the same in any order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain, functional_forward
from nfn_cli.symmetry import NormalFormSettings, act, normal_form, sample_element

# Subnormal and normal numbers of float32 and of float64, where squares and products leave the range; signed zeros.
SINGLE = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, -3.0, 1e30, -1e30, 1e-30, 1e-45, -1e-40]
# Beside these, 1e30 could make a factor that float64 does not hold; a file is refused then.
DOUBLE = [*(number for number in SINGLE if abs(number) < 10), 1e-170, -1e-300, 1e-310, 5e-324]
ACTIVATIONS = ["relu", "tanh", "sin", "identity"]
SCALES = ["unit", "balanced"]
FREQUENCY = 1.0
BIASED = {"with biases": True, "without biases": False}
hostile = settings(max_examples=20, deadline=None)


@st.composite
def networks(draw: st.DrawFn, activation: str, biased: bool, among: list[float]) -> NetworkWeights:
    """A small chain of hostile numbers, where some neurons read nothing, are not read, or are copies of others."""
    layers = [
        Layer("a", "linear", 2, 4, has_bias=biased),
        Layer("b", "linear", 4, 3, has_bias=biased),
        Layer("c", "linear", 3, 2, has_bias=biased),
    ]
    architecture = chain(layers, activation=activation, omega_0=FREQUENCY)
    tensors: dict[str, Tensor] = {}
    for spec in architecture.tensors:
        count = torch.Size(spec.shape).numel()
        numbers = draw(st.lists(st.sampled_from(among), min_size=count, max_size=count))
        tensors[spec.name] = torch.tensor(numbers, dtype=torch.float64).reshape(spec.shape)
        if spec.name.endswith("bias") and not biased:
            tensors[spec.name].zero_()
    for layer, reader in (("a", "b"), ("b", "c")):
        size = len(tensors[f"{layer}.bias"])
        odd = draw(st.sampled_from(["nothing", "zero row", "zero column", "copy"]))
        first, second = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        if odd == "zero row":
            tensors[f"{layer}.weight"][first] = 0.0
            tensors[f"{layer}.bias"][first] = -0.0
        if odd == "zero column":
            tensors[f"{reader}.weight"][:, first] = -0.0
        if odd == "copy":
            factor = draw(st.sampled_from([1.0, 2.0])) if activation in ("relu", "identity") else 1.0
            tensors[f"{layer}.weight"][second] = factor * tensors[f"{layer}.weight"][first]
            tensors[f"{layer}.bias"][second] = factor * tensors[f"{layer}.bias"][first]
    return NetworkWeights(architecture, tensors)


def outputs(point: NetworkWeights) -> Tensor:
    inputs = torch.randn(8, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return functional_forward(point, inputs)


def bound(point: NetworkWeights) -> Tensor:
    """What outputs could be if nothing cancelled; rounding is small next to that."""
    architecture = chain(point.architecture.layers, activation="identity")
    inputs = torch.randn(8, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64).abs()
    return functional_forward(
        NetworkWeights(architecture, {name: t.abs() for name, t in point.tensors.items()}), inputs
    )


def normal(point: NetworkWeights, scale: Any) -> NetworkWeights:
    return act(normal_form(point, NormalFormSettings(scale)).element, point)


every_kind = [
    pytest.mark.parametrize("scale", SCALES),
    pytest.mark.parametrize("biased", BIASED.values(), ids=BIASED),
    pytest.mark.parametrize("activation", ACTIVATIONS),
]


def on_every_kind(test: Any) -> Any:
    for mark in every_kind:
        test = mark(test)
    return test


@on_every_kind
@hostile
@given(data=st.data())
def test_it_is_finite_and_the_function_stays(activation: str, biased: bool, scale: str, data: st.DataObject) -> None:
    point = data.draw(networks(activation, biased, DOUBLE))
    found = normal(point, scale)
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())
    assert ((outputs(found) - outputs(point)).abs() <= 1e-11 * bound(point) + 1e-290).all()


@on_every_kind
@hostile
@given(data=st.data())
def test_what_is_normal_stays(activation: str, biased: bool, scale: str, data: st.DataObject) -> None:
    once = normal(data.draw(networks(activation, biased, SINGLE)), scale)
    twice = normal(once, scale)
    assert all(torch.equal(twice.tensors[name], tensor) for name, tensor in once.tensors.items())


@on_every_kind
@hostile
@given(data=st.data(), seed=st.integers(0, 1000))
def test_the_order_of_the_neurons_does_not_matter(
    activation: str, biased: bool, scale: str, data: st.DataObject, seed: int
) -> None:
    point = data.draw(networks(activation, biased, SINGLE))
    generator = torch.Generator().manual_seed(seed)
    shuffle = sample_element(point.architecture, generator, scale=False, flip=False)
    expected, found = normal(point, scale), normal(act(shuffle, point), scale)
    names = list(expected.tensors)
    for group, sets in enumerate(normal_form(point, NormalFormSettings(scale)).duplicates):  # type: ignore[arg-type]
        if sets:
            # Copies are ordered by the sizes of what reads them; where those are the same, their readers may still
            # differ, and all that follows with them.
            names = names[: 2 * group + 2]
            break
    for name in names:
        tensor = expected.tensors[name]
        assert ((found.tensors[name] - tensor).abs() <= 1e-11 * tensor.abs()).all()
