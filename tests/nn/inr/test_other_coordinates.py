"""A change of coordinates is a change of the first layer, exactly."""

from __future__ import annotations

import torch

from nfn_cli.nn.inr.other_coordinates import Changes, in_other_coordinates, random_affine
from nfn_cli.nn.inr.sine_chain import sine_values


def test_changed_networks_show_the_changed_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 2), (4,), (3, 4), (3,), (1, 3), (1,)]
    tensors = [torch.randn(5, *shape, generator=generator, dtype=torch.float64) / 4 for shape in shapes]
    places, changes = torch.rand(7, 2, generator=generator, dtype=torch.float64), Changes(0.3, 0.2, 0.1, mirror=True)
    torch.manual_seed(1)
    changed = in_other_coordinates(tensors, changes)
    torch.manual_seed(1)
    affine, moved = random_affine(5, changes, torch.device("cpu"))
    there = places @ affine.double().mT + moved.double()[:, None]
    expected = torch.stack([sine_values([t[i : i + 1] for t in tensors], there[i], 30.0)[0] for i in range(5)])
    assert (sine_values(changed, places, 30.0) - expected).abs().max() < 1e-12
    assert (affine.det() < 0).any() and (affine.det() > 0).any()  # some are mirrored


def test_no_change_leaves_networks_alone() -> None:
    tensors = [torch.randn(2, 4, 2), torch.randn(2, 4)]
    for changed, tensor in zip(in_other_coordinates(tensors, Changes(0.0, 0.0, 0.0)), tensors, strict=True):
        assert torch.allclose(changed, tensor)
