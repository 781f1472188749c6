"""ResNets with other blocks, or other widths inside of them, are compared on what both have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.symmetry.kinship.shapes import CommonPart, Unmatched, common_part
from nfn_cli.symmetry.labelled.source import LabelledSource, open_labelled
from nfn_cli.symmetry.sources import Draw, draw_element, transformed_by

TRACER = NetworkTracer()
State = dict[str, Tensor]


def resnet(blocks: tuple[int, ...], seed: int, *, shortcut: bool = True, widths: tuple[int, ...] = (4, 8)) -> State:
    generator = torch.Generator().manual_seed(seed)
    found: State = {}

    def conv(name: str, out: int, ins: int, kernel: int) -> None:
        found[f"{name}.weight"] = torch.randn(out, ins, kernel, kernel, generator=generator) / (ins * kernel**2) ** 0.5

    def norm(name: str, size: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{part}"] = torch.rand(size, generator=generator) + 0.5

    conv("conv1", widths[0], 3, 3)
    norm("bn1", widths[0])
    before = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), 1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            conv(f"{name}.conv1", width, before, 3)
            norm(f"{name}.bn1", width)
            conv(f"{name}.conv2", width, width, 3)
            norm(f"{name}.bn2", width)
            if before != width and shortcut:
                conv(f"{name}.shortcut.0", width, before, 1)
                norm(f"{name}.shortcut.1", width)
            before = width
    found["linear.weight"], found["linear.bias"] = torch.randn(5, before, generator=generator), torch.zeros(5)
    return found


def with_blocks(state: State, blocks: list[tuple[int, int]]) -> State:
    """Some blocks, in this order, and all that is no block's."""
    found = {name: own for name, own in state.items() if not name.startswith("layer")}
    counts: dict[int, int] = {}
    for stage, block in blocks:
        new = counts.get(stage, 0)
        counts[stage] = new + 1
        begin = f"layer{stage}.{block}."
        found |= {f"layer{stage}.{new}.{n[len(begin) :]}": own for n, own in state.items() if n.startswith(begin)}
    return found


def noisy(state: State, share: float = 0.1) -> State:
    generator = torch.Generator().manual_seed(9)
    return {
        name: own + share * own.std() * torch.randn(own.shape, generator=generator) * ("running_var" not in name)
        for name, own in state.items()
    }


def opened(state: State) -> LabelledSource:
    found = open_labelled(Checkpoint(Path("memory"), "memory", state, {}, ordered=True), TRACER)
    assert found is not None
    return found


def disguised(state: State) -> LabelledSource:
    source = opened(state)
    return opened(dict(state) | dict(transformed_by(source, draw_element(source, Draw(), 2))))


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_block_copied_and_another_removed(shortcut: bool) -> None:
    whole = resnet((2, 2), 0, shortcut=shortcut)
    child = noisy(with_blocks(whole, [(1, 0), (2, 0), (2, 1), (2, 1)]))
    found = common_part(opened(whole), disguised(child), TRACER)
    assert isinstance(found, CommonPart), found
    gone = [one for one, two in found.layers if two is None]
    new = [two for one, two in found.layers if one is None]
    # The second block of the first stage is gone, and one of two copies is new.
    assert gone == ["layer1.1"]
    assert len(new) == 1 and new[0] in ("layer2.1", "layer2.2")
    assert "blocks were copied" in found.assumed
    assert ("layer2.0", "layer2.0") in found.layers
    assert found.original["layer2.1.bn2.bias"] == "layer2.1.bn2.bias"
    assert dict(found.reference.checkpoint.tensors).keys() == dict(found.source.checkpoint.tensors).keys()


def test_channels_pruned_inside_of_blocks() -> None:
    whole = resnet((1, 1), 0)
    kept = torch.tensor([6, 0, 3, 5, 7])
    child = dict(whole)
    for name in [own for own in whole if own.startswith("layer2.0.") and ("conv1" in own or "bn1" in own)]:
        child[name] = whole[name][kept]
    child["layer2.0.conv2.weight"] = whole["layer2.0.conv2.weight"][:, kept]
    found = common_part(opened(whole), disguised(noisy(child)), TRACER)
    assert isinstance(found, CommonPart), found
    assert found.assumed == "channels inside of layer2.0 are those with the most similar inputs"
    own = found.reference.checkpoint.tensors["layer2.0.conv1.weight"]
    assert torch.equal(own, whole["layer2.0.conv1.weight"][kept.sort().values])
    own = found.reference.checkpoint.tensors["layer2.0.conv2.weight"]
    assert torch.equal(own, whole["layer2.0.conv2.weight"][:, kept.sort().values])


@pytest.mark.parametrize(
    ("child", "cause"),
    [
        (resnet((1, 2), 1), "of the one"),
        (resnet((1, 1), 0, widths=(6, 8)), "differ outside of their blocks"),
        (resnet((1, 1), 0, widths=(4, 12)), "differ outside of their blocks"),
        (resnet((1, 2, 1), 0, widths=(4, 6, 8)), "other numbers of stages"),
        (resnet((1, 2), 0, shortcut=False), "blocks of two kinds"),
    ],
)
def test_what_is_not_matched(child: State, cause: str) -> None:
    found = common_part(opened(resnet((1, 1), 0)), opened(child), TRACER)
    assert isinstance(found, Unmatched)
    assert cause in found.cause
