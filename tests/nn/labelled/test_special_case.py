"""The layers derived from labels are those of a chain, where it is one: shipped heads give the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.nn import MonomialLinear, MonomialNFN, load_head, read_fields
from nfn_cli.nn.labelled import LabelledActivation, LabelledInvariant, LabelledLayout, LabelledLinear
from nfn_cli.symmetry.labelled import label_chain
from nfn_cli.zoo import read_networks

POPULATION = Path(__file__).parents[2] / "population"


def labelled_layout(architecture: Architecture) -> LabelledLayout:
    """Of all tensors of a chain."""
    labelled = label_chain(architecture)
    shapes = {spec.name: spec.shape for spec in architecture.tensors}
    return LabelledLayout.of(labelled, {name: shapes[name] for name in labelled.left})


def places_in_chain(layout: LabelledLayout, member: MonomialNFN, architecture: Architecture) -> list[int]:
    """Which field of the chain's layout each labelled field is."""
    names = [{architecture.tensors[place].name for place in field.tensors} for field in member.layout.fields]
    return [names.index({piece.name for piece in field.pieces}) for field in layout.fields]


def copied(linear: MonomialLinear, layout: LabelledLayout, order: list[int], *sizes: Any) -> LabelledLinear:
    """A chain's layer as one derived from labels."""
    inputs, outputs = ([own[place] for place in order] for own in sizes)
    layer = LabelledLinear(layout, inputs, outputs)
    left = set(layer.weights)
    for term in layer.terms:
        own = linear.maps[order[term.target]]
        assert term.source in (None, term.target)  # no field of a chain reads another one
        with torch.no_grad():
            layer.matrix(term).copy_(own.weight if term.source is not None else own.bias[:, None])
        left.discard(layer.name(term))
    assert not left
    return layer


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_shipped_heads_come_out(activation: str) -> None:
    head = load_head(f"monomial-nfn-{activation}")
    head.model.double()
    point = read_networks(POPULATION / activation).point
    layout = labelled_layout(point.architecture)
    for member in head.model.members:
        order = places_in_chain(layout, member, point.architecture)
        fields = member.standardise(read_fields(member.layout, point, dtype=torch.float64))
        values = [fields[place] for place in order]
        features = [field.features for field in member.layout.fields]
        kind = "relu" if activation == "relu" else "tanh"
        for linear, _ in zip(member.equivariant[::2], member.equivariant[1::2], strict=True):
            channels = [member.channels] * len(features)
            values = LabelledActivation(layout, still=kind)(
                copied(linear, layout, order, features, channels).double()(values)
            )
            features = channels
        invariant = LabelledInvariant(layout, features, member.invariant.affine[0].out_features, unit=True)
        for place, affine in zip(order, invariant.affine, strict=True):
            affine.load_state_dict(member.invariant.affine[place].state_dict())
        pooled = invariant.double()(values).unflatten(1, (len(order), -1))
        found = torch.empty_like(pooled)
        found[:, order] = pooled
        ours: Tensor = member.logits(found.flatten(1))
        theirs = member(read_fields(member.layout, point, dtype=torch.float64))
        assert (ours - theirs).abs().max() < 1e-6
