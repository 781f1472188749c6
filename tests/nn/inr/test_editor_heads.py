"""The shipped heads that edit INRs: complete, small, with honest cards, and equivariant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn import HEAD_KINDS, load_head, models_folder, shipped_heads_of
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import Siren

HEADS = sorted(shipped_heads_of("edit-inr"))


def test_heads_come_in_the_order_of_their_kinds() -> None:
    configs = shipped_heads_of("edit-inr")
    assert {config.details.edit for config in configs.values()} == {"dilate", "erode", "contrast"}
    order = [list(HEAD_KINDS.values()).index(config.kind) for config in configs.values()]
    assert order == sorted(order) and len(set(order)) > 1


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_small_and_its_card_tells_a_gain(name: str) -> None:
    folder: Path = models_folder() / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    edited, before = (re.search(rf"\| {row}[^|]* \| ([\d.e+-]+)", card) for row in ("edited networks", "unedited"))
    assert edited and before and float(edited.group(1)) < float(before.group(1))
    assert (folder / "model.safetensors").stat().st_size < 2e6


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_equivariant(name: str) -> None:
    head = load_head(name)
    architecture = head.config.accepted.example_architecture()
    siren = Siren(head.config.accepted.layers[-1].outputs or 1, 2, len(architecture.layers) - 1)
    values = siren.initial(torch.Generator().manual_seed(0)).double()
    tensors = zip(architecture.tensors, siren.split(values).values(), strict=True)
    point = NetworkWeights(architecture, {spec.name: tensor[None] for spec, tensor in tensors})
    new = head.predict(point)
    assert any(not torch.equal(new.tensors[key], tensor) for key, tensor in point.tensors.items())
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(1,), phase=True)
    one, other = head.predict(act(element, point)), act(element, new)
    size = max(tensor.abs().max().item() for tensor in other.tensors.values())
    for key, tensor in other.tensors.items():
        assert (one.tensors[key] - tensor).abs().max() <= 1e-7 * size
