"""Reference modules against classes of transformers and timm."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from declared_torchvision import declared_torchvision
from reference_networks import deviation, recognise, shapes_of
from torch import nn

from nfn_cli.architectures.families.by_shapes import from_config, from_shapes
from nfn_cli.architectures.families.refusal import Refusal

RESNETS: dict[str, dict[str, Any]] = {
    "bottleneck": {},
    "basic": {"layer_type": "basic", "depths": [1, 2], "hidden_sizes": [8, 12]},
    "stride in the first": {"downsample_in_bottleneck": True, "downsample_in_first_stage": True},
    "gelu": {"hidden_act": "gelu"},
}


def imported_transformers() -> Any:
    if find_spec("torchvision") is not None:
        declared_torchvision()  # transformers imports it where it is installed
    return pytest.importorskip("transformers")


def resnet(**fields: Any) -> tuple[nn.Module, dict[str, Any]]:
    transformers = imported_transformers()
    given = {"embedding_size": 8, "hidden_sizes": [16, 32, 48], "depths": [1, 2, 1], "num_labels": 5} | fields
    config = transformers.ResNetConfig(**given)
    return transformers.ResNetForImageClassification(config), config.to_dict()


def convnext(**fields: Any) -> tuple[nn.Module, dict[str, Any]]:
    transformers = imported_transformers()
    given = {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 2, 1, 1], "num_labels": 5} | fields
    config = transformers.ConvNextConfig(**given)
    return transformers.ConvNextForImageClassification(config), config.to_dict()


def timm_convnext(**fields: Any) -> nn.Module:
    declared_torchvision()
    timm = pytest.importorskip("timm.models.convnext")
    return timm.ConvNeXt(num_classes=5, depths=(1, 2, 1, 1), dims=(8, 12, 16, 20), **fields)


@pytest.mark.parametrize("name", RESNETS)
def test_resnet_of_transformers(name: str) -> None:
    network, config = resnet(**RESNETS[name])
    assert deviation(network, config, output=lambda found: found.logits, export=name == "basic") <= 1e-12
    assert not recognise(network, config).assumptions


@pytest.mark.parametrize("fields", [{}, {"layer_scale_init_value": 0.0, "hidden_act": "silu", "layer_norm_eps": 0.1}])
def test_convnext_of_transformers(fields: dict[str, Any]) -> None:
    network, config = convnext(**fields)
    assert deviation(network, config, output=lambda found: found.logits, export=not fields) <= 1e-12
    assert recognise(network, config).text == "ConvNeXt (Hugging Face), blocks 1, 2, 1, 1"


@pytest.mark.parametrize("make", [resnet, convnext])
def test_without_a_configuration_its_defaults_are_assumed(make: Any) -> None:
    network, _ = make()
    assert deviation(network, output=lambda found: found.logits) <= 1e-12
    assert recognise(network).assumptions


@pytest.mark.parametrize("fields", [{}, {"conv_mlp": True}, {"ls_init_value": None}])
def test_convnext_of_timm(fields: dict[str, Any]) -> None:
    network = timm_convnext(**fields)
    assert deviation(network, export=not fields) <= 1e-12
    assert recognise(network).text == "ConvNeXt (timm), blocks 1, 2, 1, 1"
    assert recognise(network).assumptions


def test_timm_s_configuration_tells_the_norms() -> None:
    network = timm_convnext(norm_eps=1e-5)
    config = {"architecture": "convnext_xxlarge.clip_laion2b_soup"}
    assert deviation(network, config) <= 1e-12
    assert not recognise(network, config).assumptions
    assert from_config({"architecture": "test_convnext"}, shapes_of(network)) is None
    with pytest.raises(Refusal, match="model_args"):
        from_config({"architecture": "convnext_tiny", "model_args": {"act_layer": "relu"}}, shapes_of(network))


@pytest.mark.parametrize("fields", [{"use_grn": True}, {"head_hidden_size": 6}, {"stem_type": "overlap"}])
def test_other_convnexts_of_timm_are_refused_or_unknown(fields: dict[str, Any]) -> None:
    shapes = shapes_of(timm_convnext(**fields))
    with pytest.raises(Refusal, match="by its names it is ConvNeXt"):
        from_shapes(shapes)


def test_fields_that_are_not_understood_are_refused() -> None:
    network, config = resnet()
    shapes = shapes_of(network)
    for field, value in (("hidden_act", "quick"), ("hidden_act", 3), ("downsample_in_bottleneck", "yes")):
        with pytest.raises(Refusal, match=field):
            from_config(config | {field: value}, shapes)
    network, config = convnext()
    for wrong in (0, -1.0, "small", True, float("nan")):
        with pytest.raises(Refusal, match="layer_norm_eps"):
            from_config(config | {"layer_norm_eps": wrong}, shapes_of(network))
    assert from_config({"model_type": "llama"}, shapes) is None


@pytest.mark.parametrize("make", [resnet, convnext])
def test_one_tensor_more_less_or_of_another_shape_is_refused_by_name(make: Any) -> None:
    network, config = make()
    shapes = shapes_of(network)
    name = [name for name in shapes if name.endswith("bias")][-3]
    for wrong, told in (
        ({key: shape for key, shape in shapes.items() if key != name}, name),
        (shapes | {name: (999,)}, name),
        (shapes | {"blocks.extra": (3,)}, "blocks.extra"),
    ):
        with pytest.raises(Refusal, match=told):
            from_config(config, wrong)
