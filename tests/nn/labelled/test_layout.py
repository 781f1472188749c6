"""Fields of networks on labels: every entry in one field, packed and unpacked."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from traced_networks import random_state, traced

from nfn_cli.architectures import Layer, chain
from nfn_cli.nn import Layout
from nfn_cli.nn.labelled import FieldAction, LabelledLayout
from nfn_cli.symmetry.labelled import act, label_chain, sample


@pytest.mark.parametrize("name", ["cnn", "residual", "dense", "tied llama"])
def test_every_entry_is_in_one_field(name: str) -> None:
    architecture = traced(name)
    layout = LabelledLayout.of(architecture, merge=name == "dense")
    state = {
        tensor.name: random_state(architecture)[tensor.name][None] for tensor in architecture.tensors if tensor.uses
    }
    fields = layout.pack(state)
    assert [tuple(values.shape[1:]) for values in fields] == [(*own.sizes, own.features) for own in layout.fields]
    assert layout.entries == sum(tensor.numel() for tensor in state.values())
    back = layout.unpack(fields)
    assert back.keys() == state.keys()
    assert all(torch.allclose(back[key], state[key], rtol=1e-12) for key in state)


@pytest.mark.parametrize("name", ["preactivation", "llama"])
def test_elements_act_on_fields_as_on_tensors(name: str) -> None:
    architecture = traced(name)
    layout = LabelledLayout.of(architecture)
    state = random_state(architecture)
    element = sample(architecture, torch.Generator().manual_seed(1), scale_range=(0.1, 10.0))
    moved = act(element, architecture, state)
    ours = FieldAction(element, layout)(layout.pack({key: own[None] for key, own in state.items()}))
    theirs = layout.pack({key: own[None] for key, own in moved.items()})
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(ours, theirs, strict=True))


def test_the_fields_of_a_chain_are_those_of_its_own_layout() -> None:
    layers = [Layer("0", "conv", 1, 4, (3, 3)), Layer("1", "linear", 36, 5, (), 9), Layer("2", "linear", 5, 2)]
    for activation in ("relu", "tanh"):
        architecture = chain(layers, activation=activation)
        labelled = label_chain(architecture)
        shapes = {spec.name: spec.shape for spec in architecture.tensors}
        layout = LabelledLayout.of(labelled, {name: shapes[name] for name in labelled.left})
        found = {frozenset(piece.name for piece in own.pieces): own.features for own in layout.fields}
        names = [spec.name for spec in architecture.tensors]
        assert found == {
            frozenset(names[place] for place in own.tensors): own.features for own in Layout.of(architecture).fields
        }


def test_what_nothing_moves_has_a_field() -> None:
    layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1)))
    assert sum(own.entries for own in layout.fields) == 9
    assert all(not own.is_scaled and not own.is_signed for own in layout.fields)


def test_grouped_heads_have_nested_coordinates() -> None:
    layout = LabelledLayout.of(traced("llama"))
    query = next(own for own in layout.fields if "q_proj" in own.kind or ".q" in own.kind)
    parents = [own.parent for own in query.coordinates]
    assert any(parent is not None for parent in parents)
