"""Monomial-Editor: its changes of the weights commute with permutations, signs and phase shifts."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn.sine import MonomialEditor, MonomialEditorSizes
from nfn_cli.symmetry import act, sample_element

OMEGA = 30.0


def siren(*sizes: int) -> Architecture:
    layers = [Layer(str(i), "linear", sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
    return chain(layers, activation="sin", omega_0=OMEGA)


def random_point(architecture: Architecture, networks: int, seed: int = 0) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        spec.name: torch.randn(networks, *spec.shape, generator=generator, dtype=torch.float64) / 4
        for spec in architecture.tensors
    }
    return NetworkWeights(architecture, tensors)


def rows(point: NetworkWeights) -> list[torch.Tensor]:
    return [point.tensors[spec.name] for spec in point.architecture.tensors]


ARCHITECTURES = [siren(2, 5, 1), siren(2, 5, 4, 3), siren(3, 4, 6, 5, 2)]


@pytest.mark.parametrize("messages", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_changes_move_with_the_weights(architecture: Architecture, messages: bool) -> None:
    torch.manual_seed(0)
    module = MonomialEditor(architecture, MonomialEditorSizes(channels=4, messages=messages)).double()
    point = random_point(architecture, 5)
    module.fit_normalisation(rows(point))
    element = sample_element(architecture, torch.Generator().manual_seed(2), batch=(5,), phase=True)

    def edited(own: NetworkWeights) -> NetworkWeights:
        changes = module(rows(own))
        names = [spec.name for spec in architecture.tensors]
        new = {name: tensor + change for name, tensor, change in zip(names, rows(own), changes, strict=True)}
        return NetworkWeights(architecture, new)

    one, other = act(element, edited(point)), edited(act(element, point))
    for before, ours, theirs in zip(rows(point), rows(one), rows(other), strict=True):
        assert ours.shape == before.shape
        assert (ours - theirs).abs().max() < 1e-10
    assert all((change.abs().amax() > 1e-6) for change in module(rows(point)))


def test_a_fresh_editor_changes_little() -> None:
    architecture = siren(2, 32, 32, 1)
    torch.manual_seed(0)
    module = MonomialEditor(architecture, MonomialEditorSizes())
    tensors = [values.float() for values in rows(random_point(architecture, 20))]
    module.fit_normalisation(tensors)
    for change, tensor in zip(module(tensors), tensors, strict=True):
        assert 0 < change.square().mean().sqrt() < 0.01 * tensor.square().mean().sqrt()
