"""Each module is exported without its weights, and has no state but its parameters."""

from __future__ import annotations

import pytest
import torch
from family_cases import CONFIGS, own_module

_LIKE_OTHERS = ("Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma 2", "Phi", "OLMo 2", "DeiT", "ViT (timm)")


def _unread(module: torch.nn.Module, exported: torch.export.ExportedProgram) -> list[str]:
    """Names of parameters that no operator reads, by none of their names."""
    names = exported.graph_signature.inputs_to_parameters
    read = {names[node.name] for node in exported.graph.nodes if node.name in names and node.users}
    own = dict(module.named_parameters(remove_duplicate=False))
    tensors_read = {id(own[name]) for name in read}
    return [name for name, parameter in own.items() if id(parameter) not in tensors_read]


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
    # A tensor that is not read would stay behind when the others move.
    assert _unread(module, exported) == []
    # What lay in memory beside the parameters would be of one device, and have no name in a file.
    assert not exported.constants and set(exported.state_dict) <= set(module.state_dict())


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("BERT", ("cls.predictions.transform.dense.weight", "pooler.dense.weight")),
        ("BERT", ("cls.predictions.transform.dense.weight", "cls.seq_relationship.weight", "pooler.dense.weight")),
        ("BERT", ("qa_outputs.weight", "pooler.dense.weight")),
        ("ViT", ("classifier.weight", "pooler.dense.weight")),
    ],
)
def test_a_pooler_beside_other_heads_is_read(name: str, hints: tuple[str, ...]) -> None:
    found = own_module(CONFIGS[name], *hints)
    with torch.device("meta"):
        module = found.make().eval()
    assert "pooler.dense.weight" in module.state_dict()
    assert _unread(module, torch.export.export(module, *found.inputs(1, "meta"), strict=False)) == []
