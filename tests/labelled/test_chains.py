"""On chains, labels give the action that axis roles give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, Stage, StageKind, chain
from nfn_cli.symmetry import GroupElement, read_source, sample_element
from nfn_cli.symmetry import act as act_on_roles
from nfn_cli.symmetry import transformed as transformed_roles
from nfn_cli.symmetry.labelled import (
    TransformedTensors,
    act,
    chain_element,
    compose,
    fault,
    label_chain,
    sample,
)

ACTIVATIONS = ["relu", "tanh", "sin", "gelu", "identity"]
SIZES = [("before", 6), ("behind", 6)]


def random_chain(seed: int, activation: str) -> Architecture:
    """Convolutions, a flatten and linear layers of random widths, with a stage somewhere."""
    generator = np.random.default_rng(seed)
    widths = [int(width) for width in generator.integers(2, 7, size=4)]
    kind = list(StageKind)[int(generator.integers(len(StageKind)))]
    place = "behind" if generator.integers(2) else "before"
    stage = Stage("s", kind, widths[1], place, has_bias=kind not in (StageKind.SLOPES, StageKind.GAINS))
    positions = int(generator.integers(2, 5))
    layers = [
        Layer("a", "conv", 2, widths[0], (3, 2)),
        Layer("b", "conv", widths[0], widths[1], (2, 2), stages=(stage,)),
        Layer("c", "linear", widths[1] * positions, widths[2], spatial=positions),
        Layer("d", "linear", widths[2], widths[3], has_bias=bool(generator.integers(2))),
        Layer("e", "linear", widths[3], 3),
    ]
    starts = (0, 3) if seed % 4 == 0 else (0,)
    return chain(layers, activation=activation, pool=None if seed % 2 else "max", starts=starts)


def drawn(architecture: Architecture, seed: int) -> GroupElement:
    return sample_element(architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))


def point(architecture: Architecture, seed: int) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    return NetworkWeights(
        architecture,
        {spec.name: torch.randn(spec.shape, generator=generator).double() for spec in architecture.tensors},
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(12))
def test_labels_act_as_roles_do(seed: int, activation: str) -> None:
    own = random_chain(seed, activation)
    labelled = label_chain(own)
    weights = point(own, seed)
    g, h = drawn(own, 2 * seed), drawn(own, 2 * seed + 1)
    expected = act_on_roles(g, weights).tensors
    found = act(chain_element(own, g), labelled, weights.tensors)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=1e-14, atol=0), name
    assert {name for name in found if torch.equal(found[name], weights.tensors[name])} >= set(labelled.left)
    product = compose(labelled, chain_element(own, g), chain_element(own, h))
    assert np.array_equal(product.goes, chain_element(own, g.compose(h)).goes)
    assert np.allclose(product.logs, chain_element(own, g.compose(h)).logs, atol=1e-12)
    assert np.array_equal(product.signs, chain_element(own, g.compose(h)).signs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(6))
def test_elements_drawn_on_roles_are_of_the_group_on_labels(seed: int, activation: str) -> None:
    own = random_chain(seed, activation)
    labelled = label_chain(own)
    assert fault(chain_element(own, drawn(own, seed)), labelled) is None
    assert fault(sample(labelled, torch.Generator().manual_seed(seed)), labelled) is None


def test_the_groups_are_of_one_size() -> None:
    layers = [Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 4), Layer("c", "linear", 4, 2)]
    counts = {
        name: (label_chain(own).logs.free, label_chain(own).signs.free)
        for name in ACTIVATIONS
        for own in [chain(layers, activation=name)]
    }
    assert counts == {"relu": (7, 0), "tanh": (0, 7), "sin": (0, 7), "gelu": (0, 0), "identity": (7, 7)}


def test_a_file_with_batch_norms_moves_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(80, 6), nn.ReLU(), nn.Linear(6, 2)
    )
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    module[1].running_mean.normal_()
    module[1].running_var.uniform_(0.5, 2)
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    source = read_source(tmp_path / "m.safetensors", activation="relu", pool="none")
    element = drawn(source.stored, 3)
    old = transformed_roles(source, element)
    new = TransformedTensors(
        source.checkpoint.path,
        source.checkpoint.tensors,
        label_chain(source.stored),
        chain_element(source.stored, element),
    )
    assert {"1.running_var", "4.weight"} <= set(new)
    for name in new:
        assert torch.allclose(new[name], old[name], rtol=1e-6, atol=0), name


def test_half_turns_are_refused() -> None:
    own = chain([Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 2)], activation="sin")
    one = GroupElement((torch.arange(3),), (torch.ones(3).double(),), (torch.tensor([0, 1, 0]),))
    with pytest.raises(ValueError, match="half-turns"):
        chain_element(own, one)
    with pytest.raises(ValueError, match="no element of groups"):
        chain_element(own, GroupElement.identity([4]))
