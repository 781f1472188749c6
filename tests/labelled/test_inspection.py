"""The group on labels as a tree: folded layers, streams, scales where they stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_networks import NETWORKS, attention, batch_norm, rotary
from torch import nn

from nfn_cli.architectures.labels import Gauge, LabelledArchitecture, log10_order
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled.folding import fold, folded_names
from nfn_cli.symmetry.labelled.inspection import BlockFacts, inspect_labelled


class Residual(nn.Module):
    """x + a layer of ReLUs, several times."""

    def __init__(self, layers: int = 3, width: int = 4, hidden: int = 6, other: int = 6) -> None:
        super().__init__()
        self.stem = nn.Linear(3, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(width, size), "down": nn.Linear(size, width)})
            for size in [hidden] * (layers - 1) + [other]
        )
        self.head = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = x + layer["down"](torch.relu(layer["up"](x)))
        return self.head(x)


def traced(module: nn.Module, *shape: int) -> LabelledArchitecture:
    return trace(export(module.eval(), (torch.zeros(shape),)))


def all_rows(rows: tuple[BlockFacts, ...]) -> list[BlockFacts]:
    return [own for row in rows for own in (row, *all_rows(row.inside))]


def test_equal_layers_are_one_row() -> None:
    facts = inspect_labelled(traced(Residual(), 2, 3))
    (layer,) = facts.blocks
    assert (layer.name, layer.group, layer.times, layer.units) == ("layers.0–2.up", "Sym(6)", 3, 18)
    assert layer.tensors == ("layers.0–2.up.weight", "layers.0–2.up.bias", "layers.0–2.down.weight")
    assert (layer.tensor_count, layer.scales, layer.signs) == (9, 18, 0)


def test_a_layer_of_another_size_is_not_folded() -> None:
    facts = inspect_labelled(traced(Residual(other=5), 2, 3))
    assert [(row.name, row.n, row.times) for row in facts.blocks] == [("layers.0–1.up", 6, 2), ("layers.2.up", 5, 1)]


def test_streams_come_first_under_the_first_module_that_writes_them() -> None:
    facts = inspect_labelled(traced(Residual(), 2, 3))
    (stream,) = facts.streams
    assert (stream.name, stream.kind, stream.n, stream.times) == ("stem", "stream", 4, 1)
    assert facts.rows[0] is stream
    # Its own scales are lost at the sums' ends: d at every writer, 1/d at every reader.
    assert (stream.scales, stream.signs) == (4, 4)


def test_neurons_of_a_chain_are_no_stream() -> None:
    facts = inspect_labelled(
        traced(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), 1, 3)
    )
    assert [row.kind for row in facts.rows] == ["neurons", "neurons"]
    assert [row.name for row in facts.rows] == ["0", "2"]  # forward order


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_make_the_whole(name: str) -> None:
    architecture = NETWORKS[name]().architecture
    facts = inspect_labelled(architecture)
    rows = all_rows(facts.rows)
    assert facts.log10_permutations == log10_order(architecture.blocks)
    assert sum(row.scales for row in rows) + facts.elsewhere_scales == architecture.logs.free == facts.orbit_dimension
    assert sum(row.signs for row in rows) + facts.elsewhere_signs == architecture.signs.free
    assert sum(row.units for row in rows) == sum(block.units for block in architecture.blocks)


def test_heads_hold_further_blocks() -> None:
    facts = inspect_labelled(attention(heads=3, size=4).architecture)
    (heads,) = facts.rows
    assert (heads.kind, heads.group, heads.times) == ("heads", "Sym(3)", 1)
    assert [(own.group, own.times, own.units) for own in heads.inside] == [("Sym(4)", 3, 12)] * 2
    # What moves in a head moves with it.
    assert heads.tensor_count == 3
    assert [own.tensor_count for own in heads.inside] == [1, 2]


def test_tensors_of_determined_labels_are_counted_for_those_that_they_follow() -> None:
    facts = inspect_labelled(rotary().architecture)
    (heads,) = facts.rows
    moved = {own.name: own.tensors for own in heads.inside}
    assert moved == {"heads.queries": ("q", "o"), "heads.values": ("v", "o")}


def test_scales_stand_at_the_fewest_units() -> None:
    # A pair of rotary scales is one for all query heads of a key head.
    heads = inspect_labelled(rotary(groups=2, queries=3, size=4).architecture).rows[0]
    assert (heads.scales, heads.signs) == (4, 4)
    assert {own.name: own.scales for own in heads.inside} == {"heads.queries": 0, "heads.values": 8}


def test_tensors_that_stay_are_counted_apart() -> None:
    architecture = traced(Residual(), 2, 3)
    facts = inspect_labelled(architecture)
    assert (facts.moved, facts.left) == (15, 1)  # the head's bias stays
    assert facts.parameters == sum(parameter.numel() for parameter in Residual().parameters())


def test_parameters_of_unknown_shape_are_not_counted() -> None:
    network = batch_norm().architecture
    more = LabelledArchitecture(**{**vars(network), "left": ("count",)})
    assert inspect_labelled(more).parameters is None
    known = inspect_labelled(more, {"count": ()}).parameters
    assert known == inspect_labelled(network).parameters + 1  # type: ignore[operator]


def test_gauges_are_folded() -> None:
    network = batch_norm().architecture
    gauges = (*(Gauge("shift", f"layers.{place}.attn", 5) for place in range(3)), Gauge("shift", "layers.3.attn", 6))
    found = inspect_labelled(LabelledArchitecture(**{**vars(network), "gauges": gauges})).gauges
    assert [(own.where, own.times, own.dimension) for own in found] == [
        ("layers.0–2.attn", 3, 15),
        ("layers.3.attn", 1, 6),
    ]


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["a.0", "a.1", "a.3"], ("a.0–1,3",)),
        (["a.0.b.0", "a.0.b.1", "a.1.b.0", "a.1.b.1"], ("a.0–1.b.0–1",)),
        (["conv1", "conv2"], ("conv1", "conv2")),
        (["a.9", "b", "a.10"], ("a.9–10", "b")),
        (["0", "2"], ("0,2",)),
    ],
)
def test_names_fold_by_one_number(names: list[str], folded: tuple[str, ...]) -> None:
    assert folded_names(names) == folded


def test_other_kinds_are_not_folded() -> None:
    rows = fold(
        [("a.0", 1), ("a.1", 2), ("a.2", 1)],
        lambda row: row[0],
        lambda row: row[1],
        lambda rows, name: (name, rows[0][1]),
    )
    assert rows == [("a.0,2", 1), ("a.1", 2)]


def test_labels_may_be_of_no_block_at_all() -> None:
    network = batch_norm().architecture
    facts = inspect_labelled(LabelledArchitecture(**{**vars(network), "blocks": ()}))
    assert facts.rows == ()
    assert (facts.elsewhere_scales, facts.elsewhere_signs) == (facts.scales, facts.signs)
    assert facts.log10_permutations == 0 and np.isfinite(facts.scales)
