"""`assert_equivariant` and `assert_invariant` pass what commutes with the group, and fail what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn import (
    EquivariantActivation,
    Layout,
    MonomialInvariant,
    MonomialLinear,
    MonomialNFN,
    MonomialNFNSizes,
    act_on_fields,
    assert_equivariant,
    assert_invariant,
)
from nfn_cli.nn.sine import MonomialInr, MonomialInrSizes
from nfn_cli.symmetry import act, sample_element


class Planted(nn.Module):
    """A linear layer that mixes neighbouring neurons of its first field: no permutation leaves that as it is."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        features = [field.features for field in layout.fields]
        self.linear = MonomialLinear(layout, features, features)

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        first, *others = self.linear(fields)
        return [first + 0.01 * first.roll(1, dims=1), *others]


def test_the_layers_commute(small_architecture: Architecture) -> None:
    layout = Layout.of(small_architecture)
    features = [field.features for field in layout.fields]
    channels = [7] * len(features)
    layer = nn.Sequential(MonomialLinear(layout, features, channels), EquivariantActivation(layout.kind))
    assert_equivariant(layer, small_architecture)
    assert_invariant(MonomialInvariant(layout, features, 5), small_architecture)
    assert_invariant(MonomialNFN(layout, MonomialNFNSizes(channels=4, hidden=8)), small_architecture)


def test_a_planted_layer_fails_and_the_element_is_named(small_architecture: Architecture) -> None:
    layout = Layout.of(small_architecture)
    with pytest.raises(
        AssertionError, match=r"not equivariant: deviation .*, more than 1e-09, in the field of .*\n  \S"
    ):
        assert_equivariant(Planted(layout), small_architecture)


def test_what_scales_alone_break_is_found() -> None:
    mlp = chain([Layer("0", "linear", 2, 4), Layer("1", "linear", 4, 3)], activation="relu")
    with pytest.raises(AssertionError, match="diagonals"):
        assert_equivariant(lambda fields: [values.tanh() for values in fields], mlp)
    assert_equivariant(lambda fields: [values.tanh() for values in fields], mlp.with_activation("tanh"))


def test_a_function_that_sees_scales_is_not_invariant() -> None:
    mlp = chain([Layer("0", "linear", 2, 4), Layer("1", "linear", 4, 3)], activation="relu")
    with pytest.raises(AssertionError, match="not invariant: deviation"):
        assert_invariant(lambda point: point.tensors["0.weight"].norm(dim=(1, 2)), mlp, on="weights")
    assert_invariant(lambda point: point.tensors["1.bias"], mlp, on="weights")


def test_zeros_and_numbers_that_are_not_finite_prove_nothing(small_architecture: Architecture) -> None:
    with pytest.raises(AssertionError, match="all outputs are zero"):
        assert_equivariant(lambda fields: [0 * values for values in fields], small_architecture)
    with pytest.raises(AssertionError, match="deviation inf"):
        assert_equivariant(lambda fields: [values / 0 for values in fields], small_architecture)


def test_weights_in_and_weights_out_with_phases() -> None:
    siren = chain(
        [Layer("0", "linear", 2, 5), Layer("1", "linear", 5, 4), Layer("2", "linear", 4, 1)], activation="sin"
    )
    assert_equivariant(lambda point: point, siren, on="weights", phase=True)
    torch.manual_seed(0)
    head = MonomialInr(siren, MonomialInrSizes(channels=4, hidden=8), 3).double().eval()
    names = [spec.name for spec in siren.tensors]
    assert_invariant(lambda point: head([point.tensors[name] for name in names]), siren, on="weights", phase=True)

    def doubled(point: NetworkWeights) -> NetworkWeights:
        return NetworkWeights(siren, {name: 2 * tensor for name, tensor in point.tensors.items()})

    assert_equivariant(doubled, siren, on="weights")  # signs alone
    with pytest.raises(AssertionError, match="not equivariant"):
        assert_equivariant(doubled, siren, on="weights", phase=True)


def test_fields_move_as_the_weights_do(small_architecture: Architecture, random_point) -> None:  # type: ignore[no-untyped-def]
    layout, point = Layout.of(small_architecture), random_point(small_architecture, 3)
    element = sample_element(small_architecture, torch.Generator().manual_seed(0), scale_range=(0.1, 10.0))
    found = act_on_fields(element, layout.pack(point), layout, small_architecture)
    for ours, theirs in zip(found, layout.pack(act(element, point)), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)
