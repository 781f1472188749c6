"""Each module is exported without its weights, and has no state but its parameters."""

from __future__ import annotations

import pytest
import torch
from family_cases import CONFIGS, own_module


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_exported_on_the_meta_device(name: str) -> None:
    found = own_module(CONFIGS[name])
    with torch.device("meta"):
        module = found.make().eval()
    assert list(module.buffers()) == []
    args, kwargs = found.inputs(1, "meta")
    exported = torch.export.export(module, args, kwargs, strict=False)
    state = {id(parameter) for parameter in module.parameters()}
    assert {id(parameter) for parameter in exported.parameters()} <= state or len(exported.state_dict) == len(state)
    # What lies in memory beside the parameters would be constants of some device.
    assert not exported.constants
