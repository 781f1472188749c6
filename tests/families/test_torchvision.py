"""Reference modules against torchvision's classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from declared_torchvision import declared_torchvision
from reference_networks import deviation, recognise, shapes_of
from torch import nn

from nfn_cli.architectures.families.by_shapes import from_config, from_shapes
from nfn_cli.architectures.families.fitting import difference
from nfn_cli.architectures.families.refusal import Refusal

torchvision = declared_torchvision()
models: Any = pytest.importorskip("torchvision.models", exc_type=ImportError)


def narrow_vgg(norms: bool) -> nn.Module:
    layers = models.vgg.make_layers([4, "M", 6, 6, "M", 8, "M"], batch_norm=norms)
    network = models.VGG(layers)
    network.classifier = nn.Sequential(
        nn.Linear(8 * 49, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 5)
    )
    return network


def efficient(version: int, depths: tuple[int, ...] = (1, 2, 2, 1, 2, 1, 1)) -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    if version == 2:
        plan = [
            FusedMBConvConfig(1, 3, 1, 8, 8, 2),
            FusedMBConvConfig(4, 3, 2, 8, 16, 2),
            FusedMBConvConfig(4, 3, 2, 16, 16, 1),
            MBConvConfig(4, 3, 2, 16, 24, 2),
            MBConvConfig(6, 5, 1, 24, 24, 1),
            MBConvConfig(6, 3, 2, 24, 32, 2),
        ]
        return EfficientNet(plan, 0.2, num_classes=5, norm_layer=partial(nn.BatchNorm2d, eps=1e-3), last_channel=40)
    rows = ((1, 3, 1, 32, 16), (6, 3, 2, 16, 24), (6, 5, 2, 24, 40), (6, 3, 2, 40, 80), (6, 5, 1, 80, 112))
    rows += ((6, 5, 2, 112, 192), (6, 3, 1, 192, 320))
    plan = [MBConvConfig(*row, depth, width_mult=0.25) for row, depth in zip(rows, depths, strict=True)]
    return EfficientNet(plan, 0.2, num_classes=5)


def conv_next() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 12, 2), CNBlockConfig(12, 16, 1), CNBlockConfig(16, None, 1)], num_classes=5)


def dense() -> nn.Module:
    return models.DenseNet(8, (2, 3, 1, 2), 16, bn_size=2, num_classes=5)


def resnet(*arguments: Any, **keywords: Any) -> nn.Module:
    return models.ResNet(*arguments, num_classes=5, **keywords)


BASIC, BOTTLENECK = models.resnet.BasicBlock, models.resnet.Bottleneck
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "ResNet": (lambda: resnet(BASIC, [2, 1, 1, 2]), "ResNet (torchvision), basic blocks 2, 1, 1, 2"),
    "ResNet, bottleneck": (
        lambda: resnet(BOTTLENECK, [1, 2, 1, 1]),
        "ResNet (torchvision), bottleneck blocks 1, 2, 1, 1",
    ),
    "ResNeXt": (
        lambda: resnet(BOTTLENECK, [1, 1, 1, 1], groups=8, width_per_group=8),
        "ResNeXt (torchvision), 8 groups of 8, bottleneck blocks 1, 1, 1, 1",
    ),
    "WideResNet": (
        lambda: resnet(BOTTLENECK, [1, 1, 1, 1], width_per_group=96),
        "WideResNet (torchvision), bottleneck blocks 1, 1, 1, 1",
    ),
    "VGG": (lambda: narrow_vgg(False), "VGG (torchvision's names), 4 convolutions, 3 linear"),
    "VGG, norms": (lambda: narrow_vgg(True), "VGG (torchvision's names), 4 convolutions and BatchNorms, 3 linear"),
    "DenseNet": (dense, "DenseNet (torchvision), blocks 2, 3, 1, 2"),
    "MobileNetV2": (
        lambda: models.MobileNetV2(num_classes=5, width_mult=0.25),
        "MobileNetV2 (torchvision), 17 blocks",
    ),
    "MobileNetV3 small": (
        lambda: models.mobilenet_v3_small(num_classes=5, width_mult=0.5),
        "MobileNetV3 small (torchvision)",
    ),
    "MobileNetV3 large": (
        lambda: models.mobilenet_v3_large(num_classes=5, width_mult=0.35),
        "MobileNetV3 large (torchvision)",
    ),
    "EfficientNet": (lambda: efficient(1), "EfficientNet version 1 (torchvision), stages 1, 2, 2, 1, 2, 1, 1"),
    "EfficientNet, version 2": (
        lambda: efficient(2),
        "EfficientNet version 2 (torchvision), stages 2, 2, 1, 2, 1, 2",
    ),
    "ConvNeXt": (conv_next, "ConvNeXt (torchvision), blocks 2, 1, 1"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_computes_what_the_class_does(name: str) -> None:
    make, text = NETWORKS[name]
    with torch.device("meta"):
        network = make()
    assert deviation(network, export=name in ("ResNet", "MobileNetV3 small", "ConvNeXt", "DenseNet")) <= 1e-12
    found = recognise(network)
    assert found.text == text
    assert found.assumptions


@pytest.mark.parametrize("name", NETWORKS)
def test_one_tensor_more_less_or_of_another_shape_is_refused_by_name(name: str) -> None:
    with torch.device("meta"):
        shapes = shapes_of(NETWORKS[name][0]())
    names = [name for name in shapes if not name.endswith("num_batches_tracked")]
    bias = [name for name in names if name.endswith("bias")][-3]
    assert bias in refusal({key: shape for key, shape in shapes.items() if key != bias})
    assert bias in refusal(shapes | {bias: (shapes[bias][0] + 1,)})
    assert "blocks.extra" in refusal(shapes | {"blocks.extra": (3,)})


def refusal(shapes: dict[str, tuple[int, ...]]) -> str:
    with pytest.raises(Refusal) as refused:
        assert from_shapes(shapes) is not None
    return str(refused.value)


LIBRARY = "resnet18 resnext50_32x4d vgg16_bn densenet121 mobilenet_v2 mobilenet_v3_large efficientnet_b0 convnext_tiny"
LARGER = "resnet34 resnet152 wide_resnet50_2 vgg11 vgg19 densenet201 efficientnet_b5 efficientnet_b7 efficientnet_v2_s"


@pytest.mark.parametrize("name", [LIBRARY, pytest.param(LARGER, marks=pytest.mark.slow)])
def test_the_library_s_own_networks_are_recognised(name: str) -> None:
    for part in name.split():
        with torch.device("meta"):
            network = getattr(models, part)()
        found = from_shapes(shapes_of(network))
        assert found is not None
        with torch.device("meta"):
            own = found.make()
        assert difference(own, shapes_of(network)) is None
        assert epsilons(own) == epsilons(network)


def epsilons(network: nn.Module) -> list[float]:
    return sorted(module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.LayerNorm))


def test_files_without_counts_of_batches_fit() -> None:
    network = resnet(BASIC, [1, 1, 1, 1])
    shapes = {name: shape for name, shape in shapes_of(network).items() if not name.endswith("num_batches_tracked")}
    found = from_shapes(shapes)
    assert found is not None
    assert set(found.make().state_dict()) == set(shapes)


def test_a_dense_net_with_dots_in_its_names_is_the_same() -> None:
    network = dense()
    old = {
        name.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2."): shape
        for name, shape in shapes_of(network).items()
    }
    found = from_shapes(old)
    assert found is not None
    assert difference(found.make(), old) is None


def test_timm_s_configuration_names_torchvision_s_network() -> None:
    shapes = shapes_of(resnet(BASIC, [1, 1, 1, 1]))
    assert from_config({"architecture": "resnet18"}, shapes) is not None
    assert from_config({"architecture": "resnet50_gelu"}, shapes) is None
    assert from_config({"model_type": "resnet"}, shapes) is None


def test_activations_in_front_of_the_same_layers_are_refused() -> None:
    # One stage of one width: bn1 is as wide as its block's input in either kind of block.
    more = ("layer2", "layer3", "layer4")
    shapes = {
        name: shape for name, shape in shapes_of(resnet(BASIC, [2, 1, 1, 1])).items() if not name.startswith(more)
    }
    shapes["fc.weight"] = (5, 64)
    assert "no block changes its width" in refusal(shapes)


def test_a_mobile_net_of_other_depth_is_refused() -> None:
    # A stride is in no shape, and tells whether a block adds its input.
    network = models.MobileNetV2(inverted_residual_setting=[[1, 16, 1, 1], [6, 16, 2, 2]])
    assert "blocks, not 17" in refusal(shapes_of(network))


def test_norms_of_the_larger_networks_have_the_library_s_epsilon() -> None:
    with torch.device("meta"):
        for depths, eps in (((1, 2, 2, 3, 3, 4, 1), 1e-5), ((3, 5, 5, 7, 7, 9, 3), 1e-3)):  # B0 and B5
            shapes = shapes_of(efficient(1, depths))
            found = from_shapes(shapes)
            assert found is not None
            assert set(epsilons(found.make())) == {eps}
