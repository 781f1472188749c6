"""Fields gather every number of a weight space once, and give it back."""

from __future__ import annotations

import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn import Layout


def test_unpack_inverts_pack(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, 3)
    back = layout.unpack(layout.pack(point), small_architecture)
    assert list(back.tensors) == list(point.tensors)
    assert all(torch.equal(back.tensors[name], tensor) for name, tensor in point.tensors.items())


def test_every_number_is_in_exactly_one_field(small_architecture: Architecture) -> None:
    layout = Layout.of(small_architecture)
    count = small_architecture.parameter_count
    numbered, start = {}, 0
    for spec in small_architecture.tensors:
        size = torch.Size(spec.shape).numel()
        numbered[spec.name] = torch.arange(start, start + size).reshape(1, *spec.shape)
        start += size
    fields = layout.pack(NetworkWeights(small_architecture, numbered))
    assert sorted(torch.cat([field.flatten() for field in fields]).tolist()) == list(range(count))


def test_a_flattened_axis_gives_every_neuron_its_own_positions() -> None:
    architecture = chain([Layer("a", "conv", 1, 2, (1,)), Layer("b", "linear", 6, 1, (), 3)], activation="relu")
    weight = torch.arange(6.0).view(1, 1, 6)
    tensors = {
        spec.name: weight if spec.name == "b.weight" else torch.zeros(1, *spec.shape) for spec in architecture.tensors
    }
    fields = Layout.of(architecture).pack(NetworkWeights(architecture, tensors))
    rows = next(field for field in fields if field.abs().sum() > 0)
    assert rows[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_fields_do_not_depend_on_hidden_widths(small_cnn) -> None:  # type: ignore[no-untyped-def]
    assert Layout.of(small_cnn("relu", 16)) == Layout.of(small_cnn("relu", 5))
    assert Layout.of(small_cnn("tanh", 16)) == Layout.of(small_cnn("tanh", 5))
    assert Layout.of(small_cnn("tanh", 16)) != Layout.of(small_cnn("relu", 16))
