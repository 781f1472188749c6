"""Random elements of each family's gauges leave the real class's function alone, in float64."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from family_cases import CASES, Case
from float64_library import InFloat64, tensors_of
from moved_families import traced
from networks_of_tests import loaded

from nfn_cli.symmetry.labelled.gauges import act_by, sample_turns

groups = loaded("families/test_groups.py")
_FAST = ("LlamaForCausalLM", "GPTNeoXForCausalLM")
# What a family's networks can be turned by, at least.
_GROUPS = {
    "LlamaForCausalLM": {"orthogonal", "linear", "phases"},
    "LlamaForCausalLM tied, with biases": {"linear", "phases"},
    "LlamaModel": {"linear", "phases"},
    "MistralForCausalLM": {"orthogonal", "linear", "phases"},
    "Qwen2ForCausalLM": {"orthogonal", "linear", "phases"},
    "Qwen3ForCausalLM": {"orthogonal", "linear"},
    "GemmaForCausalLM": {"linear", "phases"},
    "PhiForCausalLM": {"levelled", "linear", "phases"},
    "Olmo2ForCausalLM": {"linear"},
    "GPTNeoXForCausalLM": {"levelled", "linear", "phases"},
    "GPT2LMHeadModel": {"linear"},
    "GPT2LMHeadModel scaled by layer, untied": {"levelled", "linear"},
    "OPTForCausalLM": {"linear"},
    "BertModel": {"linear"},
    "T5EncoderModel": {"linear"},
    "T5ForConditionalGeneration version 1.1": {"orthogonal", "linear"},
    "ViTForImageClassification": {"levelled", "linear"},
}


@pytest.mark.parametrize("case", groups._slow([case for case in CASES if str(case) in _GROUPS], _FAST))
def test_transformers(transformers: ModuleType, case: Case) -> None:
    with InFloat64():
        real, found = groups._transformer(transformers, case)
        state = {name: tensor.clone() for name, tensor in real.state_dict().items()}
        turns = sample_turns(traced(found), torch.Generator().manual_seed(1))
        assert {turn.known.action.group for turn in turns} == _GROUPS[str(case)]
        before = tensors_of(groups._call(real, found, names_decoder=True))
        for some in ([turns[0]], [turns[-1]], turns):
            after = act_by(some, state)
            assert any(not torch.equal(after[name], state[name]) for name in state)
            real.load_state_dict(after)
            for was, now in zip(before, tensors_of(groups._call(real, found, names_decoder=True)), strict=True):
                assert float((now - was).abs().max() / was.abs().max()) < 1e-11


def test_a_rotation_of_a_tied_network_is_none(transformers: ModuleType) -> None:
    """The matrix that the head shares with the embedding cannot take the last norm's gains in."""
    case = next(case for case in CASES if str(case) == "LlamaForCausalLM tied, with biases")
    _, found = groups._transformer(transformers, case)
    turns = sample_turns(traced(found), torch.Generator().manual_seed(1))
    assert "orthogonal" not in {turn.known.action.group for turn in turns}
