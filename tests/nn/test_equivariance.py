"""Equivariance and invariance of every layer under sampled elements, at any width."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.nn import EquivariantActivation, Layout, MonomialLinear, MonomialNFNSizes, read_fields
from nfn_cli.symmetry import GroupElement, act, sample_element

SIZES = MonomialNFNSizes(channels=6, invariants=5, hidden=8)
BATCH = 4


def features_of(layout: Layout) -> list[int]:
    return [field.features for field in layout.fields]


def read(layout: Layout, point: NetworkWeights) -> list[Tensor]:
    return read_fields(layout, point, dtype=torch.float64)


def element_for(point: NetworkWeights, seed: int = 1, top: float = 1e4) -> GroupElement:
    generator = torch.Generator().manual_seed(seed)
    return sample_element(point.architecture, generator, batch=(BATCH,), scale_range=(1.0, top))


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def test_linear_layers_and_activations_commute_with_the_group(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, BATCH)
    torch.manual_seed(0)
    stack = nn.Sequential(
        MonomialLinear(layout, features_of(layout), features_of(layout)),
        EquivariantActivation(layout.kind),
        MonomialLinear(layout, features_of(layout), features_of(layout)),
    ).double()
    element = element_for(point)
    moved_after = act(element, layout.unpack(stack(layout.pack(point)), small_architecture))
    moved_before = layout.unpack(stack(layout.pack(act(element, point))), small_architecture)
    assert_equal(list(moved_before.tensors.values()), list(moved_after.tensors.values()))


def test_dividing_by_norms_first_is_dividing_last(random_point) -> None:  # type: ignore[no-untyped-def]
    architecture = chain([Layer("a", "linear", 3, 4), Layer("b", "linear", 4, 2)], activation="relu")
    layout, point = Layout.of(architecture), random_point(architecture, BATCH)
    torch.manual_seed(0)
    stack = nn.Sequential(
        MonomialLinear(layout, features_of(layout), [6, 6, 6]),
        EquivariantActivation(layout.kind),
        MonomialLinear(layout, [6, 6, 6], [5, 5, 5]),
    ).double()
    raw = layout.pack(point)
    first, last = stack(read(layout, point))[:2], stack(raw)[:2]
    norms = [torch.linalg.vector_norm(values, dim=-1, keepdim=True) for values in raw[:2]]
    assert_equal(first, [values / norm for values, norm in zip(last, norms, strict=True)])


@pytest.mark.parametrize("activation", ["gelu", "identity"])
def test_activations_without_the_right_group_are_refused(activation: str) -> None:
    architecture = chain([Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 2)], activation=activation)
    with pytest.raises(HeadError, match=f"activation {activation}"):
        Layout.of(architecture)
