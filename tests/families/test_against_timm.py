"""Our modules against the classes of timm, at random weights."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import declared_torchvision
import pytest
import torch
from float64_library import deviation, randomised
from torch import nn

from nfn_cli.architectures.families import recognise
from nfn_cli.architectures.families.timm_names import named_mixer, named_vit

_SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 4, "img_size": 32, "patch_size": 8, "num_classes": 5}
_NORMED = {"init_values": 0.1, "qk_norm": True, "global_pool": "avg", "reg_tokens": 2}
_BARE = {
    "class_token": False,
    "global_pool": "avg",
    "fc_norm": False,
    "qkv_bias": False,
    "proj_bias": False,
    "img_size": [32, 24],
}
_MIXER = {"embed_dim": 16, "num_blocks": 2, "img_size": 32, "patch_size": 8, "num_classes": 5}


def _compare(theirs: nn.Module, config: dict[str, Any]) -> None:
    theirs = randomised(theirs)
    config = json.loads(json.dumps(config))
    tensors = theirs.state_dict()
    found = recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()}, config)
    ours = found.make().double().eval()
    ours.load_state_dict(tensors)
    (pictures,), _ = found.inputs(2, "cpu")
    with torch.no_grad():
        assert deviation(ours(pictures), theirs(pictures.double())) <= 1e-12


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit_tiny_patch16_224", {}),
        ("vit_tiny_patch16_224", _NORMED),
        ("vit_base_patch32_clip_quickgelu_224", {"num_classes": 0}),
        ("vit_small_patch14_reg4_dinov2", {}),
        ("vit_tiny_patch16_224", {"pos_embed": "none", "global_pool": ""}),
        ("deit_tiny_patch16_224", _BARE),
        ("deit_tiny_distilled_patch16_224", {}),
        ("deit_tiny_distilled_patch16_224", {"num_classes": 0}),
        ("deit3_small_patch16_224", {"mlp_ratio": 2.5}),
    ],
)
def test_vit_and_deit(timm: ModuleType, name: str, changes: dict[str, Any]) -> None:
    arguments = {**_SMALL, **changes}
    theirs = timm.create_model(name, pretrained=False, **arguments)
    prepared = {"input_size": theirs.pretrained_cfg["input_size"], "mean": [0.5, 0.5, 0.5]}
    _compare(theirs, {"architecture": name, "model_args": arguments, "pretrained_cfg": prepared})


@pytest.mark.parametrize("changes", [{}, {"mlp_ratio": [1.0, 2.0], "stem_norm": True, "num_classes": 0}])
def test_mixer(timm: ModuleType, changes: dict[str, Any]) -> None:
    del timm
    arguments = {**_MIXER, **changes}
    theirs = declared_torchvision.imported("timm.models.mlp_mixer").MlpMixer(**arguments)
    _compare(theirs, {"architecture": "mixer_s16_224", "model_args": arguments})


@pytest.mark.parametrize(
    "name",
    ["vit_base_patch16_clip_224", "deit3_medium_patch16_224", "deit_base_distilled_patch16_384", "mixer_b32_224"],
)
def test_a_name_alone_tells_the_network(timm: ModuleType, name: str) -> None:
    assert _same_by_name(timm, name)


@pytest.mark.slow
def test_all_names_tell_their_networks(timm: ModuleType) -> None:
    known = [name for name in timm.list_models() if named_vit(name) or named_mixer(name)]
    assert len(known) > 60
    assert [name for name in known if not _same_by_name(timm, name)] == []


def _same_by_name(timm: ModuleType, name: str) -> bool:
    """Whether heads, norms, activation and pooling are the library's, which shapes do not show; and all shapes are."""
    with torch.device("meta"):
        theirs = timm.create_model(name, pretrained=False)
    config = {"architecture": name, "num_classes": theirs.num_classes, "pretrained_cfg": theirs.pretrained_cfg}
    found = recognise(
        {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}, json.loads(json.dumps(config))
    )
    with torch.device("meta"):
        ours = found.make()
    told = ours.spec
    block = theirs.blocks[0]
    activation = (block.mlp_channels if "mixer" in name else block.mlp).act
    kinds = {"gelu": "GELU", "quick_gelu": "QuickGELU"}
    same = type(activation).__name__ == kinds[told.activation]
    if "mixer" in name:
        return same and told.is_pooled == (theirs.global_pool == "avg") and theirs.norm.eps == ours.norm.eps
    return (
        same
        and told.heads == block.attn.num_heads
        and told.eps == block.norm1.eps
        and told.pool == theirs.global_pool
        and told.has_scales == (type(block.ls1).__name__ == "LayerScale")
        and told.places_skip_tokens == theirs.no_embed_class
    )
