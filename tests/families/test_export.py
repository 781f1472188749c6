"""Each module is exported without its weights, and has no state but its parameters."""

from __future__ import annotations

import pytest
import torch
from family_cases import CONFIGS, own_module

_LIKE_OTHERS = ("Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma 2", "Phi", "OLMo 2", "DeiT", "ViT (timm)")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in _LIKE_OTHERS else ()) for name in CONFIGS]
)
def test_it_is_exported_on_the_meta_device(name: str) -> None:
    found = own_module(CONFIGS[name])
    with torch.device("meta"):
        module = found.make().eval()
    assert list(module.buffers()) == []
    args, kwargs = found.inputs(1, "meta")
    exported = torch.export.export(module, args, kwargs, strict=False)
    # What lay in memory beside the parameters would be of one device, and have no name in a file.
    assert not exported.constants and set(exported.state_dict) <= set(module.state_dict())
