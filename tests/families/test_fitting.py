"""Names and shapes that strangers wrote: refused in one line, with bounded work, and nothing allocated."""

from __future__ import annotations

import time

import pytest
import torch
from reference_networks import Shapes
from torch import nn

from nfn_cli.architectures.families.by_shapes import from_config, from_shapes
from nfn_cli.architectures.families.fitting import difference
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.scope import Scope

MARKS: dict[str, tuple[str, ...]] = {
    "ResNet": ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "fc.weight"),
    "CIFAR ResNet": ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "linear.weight"),
    "pre-activation": ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "linear.weight"),
    "wide": ("conv1.weight", "block1.layer.0.bn1.weight", "block1.layer.0.conv1.weight", "bn1.weight", "fc.weight"),
    "VGG": ("features.0.weight", "classifier.weight"),
    "DenseNet": ("features.conv0.weight", "features.norm5.weight", "features.denseblock1.x", "classifier.weight"),
    "MobileNetV2": ("features.0.0.weight", "features.1.conv.0.0.weight", "classifier.1.weight"),
    "MobileNetV3": (
        "features.0.0.weight",
        "features.1.block.0.0.weight",
        "classifier.0.weight",
        "classifier.3.weight",
    ),
    "EfficientNet": ("features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight"),
    "ConvNeXt": ("features.0.0.weight", "features.1.0.layer_scale", "classifier.2.weight"),
    "timm": (
        "stem.0.weight",
        "stages.0.blocks.0.conv_dw.weight",
        "stages.0.blocks.0.mlp.fc1.weight",
        "head.fc.weight",
    ),
    "U-Net": (
        "inc.double_conv.0.weight",
        "down1.maxpool_conv.1.double_conv.0.weight",
        "up1.conv.double_conv.0.weight",
        "outc.conv.weight",
    ),
    "LSTM": ("lstm.weight_ih_l0", "lstm.weight_hh_l0", "fc.weight"),
    "policy": ("mlp_extractor.policy_net.0.weight", "action_net.weight", "value_net.weight"),
    "trunk": ("shared.0.weight", "actor.weight", "critic.weight"),
}
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (3,),
    (2, 2),
    (4, 0, 3, 3),
    (4, 4, 3, 3),
    (4, 3, 3, 3),
    (5, 7, 9, 2),
    (2**40, 2**40, 3, 3),
    (2**40, 2**40),
    (1,) * 40,
)


@pytest.mark.parametrize("family", MARKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_marks_of_a_family_with_any_shape_end_in_a_refusal(family: str, shape: tuple[int, ...]) -> None:
    shapes = dict.fromkeys(MARKS[family], shape)
    config = {"model_type": "convnext"}
    for ask in (lambda: from_shapes(shapes), lambda: from_config(config, shapes)):
        try:
            found = ask()
        except Refusal as refusal:
            assert "\n" not in str(refusal)
        else:
            assert found is None


def test_numbers_without_end_and_names_without_end_take_no_time() -> None:
    started = time.process_time()
    shapes: Shapes = {f"layer1.{number}.bn1.weight": (4,) for number in range(20_000)}
    shapes |= {name: (4, 4, 3, 3) for name in MARKS["ResNet"]}
    shapes |= {"a." * 100_000 + "weight": (3,), "b" * 1_000_000: (3,)}
    with pytest.raises(Refusal):
        from_shapes(shapes)
    assert time.process_time() - started < 5


def test_the_first_difference_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    shapes: Shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert difference(network, shapes) is None
    assert difference(network, {name: s for name, s in shapes.items() if "num_batches" not in name}) is None
    assert difference(network, shapes | {"0.bias": (4,)}) == "0.bias is [4] in the file and [3] in the network"
    assert difference(network, shapes | {"2.bias": (4,)}) == "the file has 2.bias, which the network has not"
    del shapes["1.running_var"]
    assert difference(network, shapes) == "the file has no 1.running_var, which the network has"


def test_nothing_is_allocated_for_large_networks() -> None:
    wide = 2**20
    network = torch.nn.Linear(wide, wide, device="meta")
    shapes: Shapes = {f"shared.0.{name}": tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes |= {"actor.weight": (3, wide), "actor.bias": (3,), "critic.weight": (1, wide), "critic.bias": (1,)}
    assert from_shapes(shapes) is not None


def test_a_scope_counts_what_is_numbered_on() -> None:
    scope = Scope({"a.0.w": (1,), "a.1.w": (2, 2), "a.3.w": (1,), "down1.w": (1,), "down2.w": (1,)})
    assert (scope["a"].count(), scope["a"].count(3), scope.count(1, "down")) == (2, 1, 2)
    assert scope["a"].children() == ("0", "1", "3")
    with pytest.raises(Refusal, match=r"a\.1\.w is"):
        scope["a"].shape("1.w", 3)
    with pytest.raises(Refusal, match=r"no a\.2\.w"):
        scope["a"].size("2.w")
