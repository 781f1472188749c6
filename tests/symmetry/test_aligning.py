"""B brought near to A: never farther away than it was, and counted right, on chains and on labels alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry import GroupElement, Source, labelled
from nfn_cli.symmetry.aligning import Aligned, align_to
from nfn_cli.symmetry.alignment.residuals import Residual
from nfn_cli.symmetry.interpolated import InterpolatedTensors
from nfn_cli.symmetry.moves import Moves, moves_of_labelled
from nfn_cli.symmetry.nearness import overall
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by


def chain(seed: int, activation: str = "relu", width: int = 12) -> Source:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 3))
    return opened(module.state_dict(), activation)


def opened(tensors: dict[str, Tensor], activation: str = "relu") -> Source:
    given = Checkpoint(Path("memory"), "memory", tensors, {}, ordered=True)
    source = read_any(given, Stated(activation, "none"), NetworkTracer())
    assert isinstance(source, Source)
    return source


def distance(found: Aligned, source: Source, reference: Source) -> float:
    """That of the root mean square of layers, from the tensors themselves."""
    moved = transformed_by(source, found.element)
    layers: dict[str, list[float]] = {}
    for name, theirs in reference.checkpoint.tensors.items():
        own = layers.setdefault(name.rpartition(".")[0], [0.0, 0.0])
        own[0] += (moved[name].double() - theirs.double()).square().sum().item()
        own[1] += theirs.double().square().sum().item()
    return float((sum(a / b for a, b in layers.values()) / len(layers)) ** 0.5)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "gelu"])
def test_strangers_come_nearer_and_the_distance_is_that_of_the_new_weights(activation: str, scaled: bool) -> None:
    reference, source = chain(0, activation), chain(1, activation)
    found = align_to(reference, source, scaled=scaled)
    assert found.nearer
    assert 0.3 < found.after < found.before
    assert distance(found, source, reference) == pytest.approx(found.after, rel=1e-5)
    still = Aligned(GroupElement.identity([12, 8]), 0, 0, (), found.moves, 0)
    assert distance(still, source, reference) == pytest.approx(found.before, rel=1e-5)
    assert overall([Residual(layer.layer, layer.after, 0) for layer in found.layers]) == found.after
    if not scaled:
        assert (found.moves.scaled, found.moves.flipped) == (0, 0)


def test_a_difference_that_is_rounding_moves_nothing() -> None:
    reference = chain(0)
    near = opened({name: own * (1 + 1e-7) for name, own in reference.checkpoint.tensors.items()})
    found = align_to(reference, near)
    assert not found.nearer
    assert found.before == found.after > 0
    assert found.moves == Moves(0, 20, 0, 20, 0, 0)


def test_a_layer_of_zeros_has_no_say() -> None:
    assert overall([Residual("a", float("inf"), 0), Residual("b", 0.5, 0)]) == 0.5
    assert overall([Residual("a", float("inf"), 0)]) == 0
    reference = chain(0)
    tensors = {n: torch.zeros_like(t) if n.startswith("4") else t for n, t in reference.checkpoint.tensors.items()}
    disguised = transformed_by(reference, draw_element(reference, Draw(), 1))
    found = align_to(opened(tensors), opened(dict(disguised)))
    assert found.after < 1e-6 < found.before


def test_other_widths_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="its layer 0 is linear 5->12, the other's linear 5->13"):
        align_to(chain(0), chain(1, width=13))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_moves_are_counted_alike_on_labels(activation: str) -> None:
    source = chain(0, activation)
    drawn = draw_element(source, Draw((0.1, 0.9)), 3)
    assert isinstance(drawn, GroupElement)
    stored = source.network.weights.architecture
    found = moves_of_labelled(labelled.chain_element(stored, drawn), labelled.label_chain(stored), 1e-6)
    scaled = 20 if activation == "relu" else 0
    assert (found.neurons, found.scales, found.scaled) == (20, scaled, scaled)
    assert found.moved == sum(int((own != torch.arange(len(own))).sum()) for own in drawn.permutations)
    assert found.flipped == sum(int((own < 0).sum()) for own in drawn.diagonals)


def test_what_leaves_the_range_is_refused() -> None:
    reference = chain(0)
    large = opened({name: own * 1e6 for name, own in reference.checkpoint.tensors.items()})
    half = opened({name: own.half() for name, own in reference.checkpoint.tensors.items()})
    moved = transformed_by(half, GroupElement.identity([12, 8]))
    between = InterpolatedTensors(large, half, moved, 0.5)
    assert not between.statistics
    with pytest.raises(Exception, match=r"tensor '0.weight' would leave the range of float16"):
        between["0.weight"]
