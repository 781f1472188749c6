"""Our modules against the classes of transformers, at random weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from family_cases import CASES, Case
from float64_library import InFloat64, deviation, randomised
from safetensors.torch import load_file
from torch import Tensor, nn

from nfn_cli.architectures.families import ReferenceModule, recognise

_WITH_OWN_NAMES = (  # in files, other than in memory
    "MixtralForCausalLM",
    "GPTNeoXForCausalLM",
    "ViTForImageClassification",
    "ViTModel",
    "DeiTForImageClassificationWithTeacher",
)
_SAVED = (*_WITH_OWN_NAMES, "GemmaForCausalLM", "GPT2LMHeadModel", "BertForMaskedLM", "T5ForConditionalGeneration")


def _built(transformers: ModuleType, case: Case) -> tuple[nn.Module, dict[str, Any]]:
    """The library's module and the content of its `config.json`."""
    kind = getattr(transformers, case.name)
    config = kind.config_class(**case.fields, use_cache=False)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    told = json.loads(config.to_json_string()) | {"architectures": [case.name]}
    return kind(config), told


def _loaded(tensors: dict[str, Tensor], config: dict[str, Any]) -> tuple[ReferenceModule, nn.Module]:
    """What is recognised, and its module with a file's tensors; those missing are tied to others, none is too many."""
    found = recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()}, config)
    module = found.make().to(next(iter(tensors.values())).dtype).eval()
    answer = module.load_state_dict(tensors, strict=False)
    tied = [name for group in found.ties for name in group]
    assert not answer.unexpected_keys and set(answer.missing_keys) <= set(tied)
    return found, module


def _call(module: nn.Module, found: ReferenceModule, *, names_decoder: bool = False) -> Any:
    args, kwargs = found.inputs(2, "cpu")
    dtype = next(module.parameters()).dtype
    args = tuple(each.to(dtype) if each.is_floating_point() else each for each in args)
    if names_decoder and len(args) == 2:
        args, kwargs = args[:1], {"decoder_input_ids": args[1]}
    with torch.no_grad():
        outputs = module(*args, **kwargs)
    if len(args) == 2 or "decoder_input_ids" in kwargs:
        # The encoder's states are among the library's outputs of a pair, and no output of ours.
        return getattr(outputs, "logits", getattr(outputs, "last_hidden_state", outputs))
    return outputs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_has_the_names_and_computes_the_function(transformers: ModuleType, case: Case) -> None:
    with InFloat64():
        theirs, config = _built(transformers, case)
        theirs = randomised(theirs)
        found, ours = _loaded(theirs.state_dict(), config)
        assert list(ours.state_dict()) and set(ours.state_dict()) == set(theirs.state_dict())
        assert deviation(_call(ours, found), _call(theirs, found, names_decoder=True)) <= 1e-12


@pytest.mark.parametrize("case", [case for case in CASES if case.name in _SAVED and not case.about], ids=str)
def test_a_saved_file_is_read_by_its_own_names(transformers: ModuleType, case: Case, tmp_path: Path) -> None:
    with InFloat64():
        theirs, _ = _built(transformers, case)
        theirs = randomised(theirs)
        theirs.save_pretrained(tmp_path)
        tensors = load_file(tmp_path / "model.safetensors")
        config = json.loads((tmp_path / "config.json").read_text())
        has_other_names = not set(tensors) <= set(theirs.state_dict())
        assert has_other_names == (case.name in _WITH_OWN_NAMES)
        found, ours = _loaded(tensors, config)
        assert deviation(_call(ours, found), _call(theirs, found, names_decoder=True)) <= 1e-12


@pytest.mark.parametrize("about", ["", "llama3 positions", "linear positions", "dynamic positions", "yarn positions"])
def test_it_computes_the_same_in_float32(transformers: ModuleType, about: str) -> None:
    case = next(case for case in CASES if case.name == "LlamaForCausalLM" and case.about == about)
    theirs, config = _built(transformers, case)
    theirs = randomised(theirs).float()
    found, ours = _loaded(theirs.state_dict(), config)
    assert deviation(_call(ours, found), _call(theirs, found)) <= 1e-5


def test_it_computes_the_same_in_bfloat16(transformers: ModuleType) -> None:
    for name in ("LlamaForCausalLM", "Gemma2ForCausalLM"):
        theirs, config = _built(transformers, next(case for case in CASES if case.name == name))
        for parameter in randomised(theirs).parameters():  # buffers stay in float32, as they do when files are loaded
            parameter.data = parameter.data.bfloat16()
        for buffer in theirs.buffers():
            buffer.data = buffer.data.float()
        found, ours = _loaded(theirs.state_dict(), config)
        assert deviation(_call(ours, found), _call(theirs, found)) <= 1e-2


def test_a_trunk_told_to_be_a_language_model_is_one(transformers: ModuleType) -> None:
    """The first files of GPT-2 have no prefix and no head, and masks of old versions."""
    with InFloat64():
        theirs, config = _built(transformers, next(case for case in CASES if case.name == "GPT2LMHeadModel"))
        theirs = randomised(theirs)
        names = {name.removeprefix("transformer."): tensor for name, tensor in theirs.state_dict().items()}
        del names["lm_head.weight"]
        shapes = {name: tuple(tensor.shape) for name, tensor in names.items()}
        found = recognise({**shapes, "h.0.attn.bias": (1, 1, 32, 32), "h.1.attn.masked_bias": ()}, config)
        ours = found.make().double()
        ours.load_state_dict(names, strict=False)
        assert deviation(_call(ours, found), _call(theirs, found)) <= 1e-12


def test_a_bert_with_names_of_tensorflow(transformers: ModuleType) -> None:
    with InFloat64():
        theirs, config = _built(transformers, next(case for case in CASES if case.name == "BertForPreTraining"))
        theirs = randomised(theirs)
        old = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
            for name, tensor in theirs.state_dict().items()
        }
        found, ours = _loaded(old, config)
        assert deviation(_call(ours, found), _call(theirs, found)) <= 1e-12
