"""Small networks of each family that is read from `config.json`: a library's class and its configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from nfn_cli.architectures.families import FAMILIES, ReferenceModule, Shapes


@dataclass(frozen=True)
class Case:
    """A class of transformers at a small size.

    Attributes:
        name: of the class.
        fields: of its configuration.
        about: what is special.
    """

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    about: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.about}".strip()


_BASE = {
    "vocab_size": 17,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
_GROUPED = {**_BASE, "num_key_value_heads": 2}
_WIDE = {**_GROUPED, "head_dim": 8}
_TWO_HEADS = {**_BASE, "num_attention_heads": 2}
_GPT2 = {"vocab_size": 17, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32, "pad_token_id": 0}
_OPT = {
    "vocab_size": 17,
    "hidden_size": 16,
    "ffn_dim": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
_T5 = {
    "vocab_size": 17,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 5,
}
_VIT = {
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": [32, 24],
    "patch_size": 8,
}


def _rope(kind: str, **more: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 500.0, **more}}


_LLAMA3 = _rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)

# The first of a family's is the one that other tests take.
CASES = (
    Case("LlamaForCausalLM", _GROUPED),
    Case("LlamaModel", _GROUPED),
    Case("LlamaForSequenceClassification", _GROUPED),
    Case("LlamaForTokenClassification", _GROUPED),
    Case(
        "LlamaForCausalLM",
        {**_BASE, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"},
        "tied, with biases",
    ),
    Case("LlamaForCausalLM", {**_WIDE, **_LLAMA3}, "llama3 positions"),
    Case("LlamaForCausalLM", {**_WIDE, **_rope("linear", factor=2.5)}, "linear positions"),
    Case("LlamaForCausalLM", {**_WIDE, **_rope("dynamic", factor=2.5)}, "dynamic positions"),
    Case(
        "LlamaForCausalLM",
        {**_WIDE, "max_position_embeddings": 4, **_rope("dynamic", factor=2.5)},
        "dynamic positions, stretched",
    ),
    Case(
        "LlamaForCausalLM",
        {**_WIDE, **_rope("yarn", factor=4.0, original_max_position_embeddings=8)},
        "yarn positions",
    ),
    Case("MistralForCausalLM", _GROUPED),
    Case("MistralForCausalLM", {**_GROUPED, "sliding_window": 3}, "window of 3"),
    Case("MistralForCausalLM", {**_GROUPED, "sliding_window": None}, "no window"),
    Case("Qwen2ForCausalLM", _GROUPED),
    Case(
        "Qwen2ForCausalLM",
        {**_GROUPED, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
        "one window",
    ),
    Case("Qwen3ForCausalLM", _WIDE),
    Case("Qwen3ForSequenceClassification", {**_WIDE, "attention_bias": True}),
    Case("GemmaForCausalLM", _WIDE),
    Case("GemmaModel", {**_WIDE, "attention_bias": True}),
    Case("Gemma2ForCausalLM", {**_WIDE, "sliding_window": 3, "query_pre_attn_scalar": 9}),
    Case("Gemma2ForCausalLM", {**_WIDE, "final_logit_softcapping": None, "attn_logit_softcapping": None}, "no caps"),
    Case("PhiForCausalLM", _BASE),
    Case("PhiForCausalLM", {**_TWO_HEADS, "qk_layernorm": True, "tie_word_embeddings": True}, "normed, tied"),
    Case("PhiModel", _BASE),
    Case("Olmo2ForCausalLM", _GROUPED),
    Case("Olmo2ForSequenceClassification", {**_BASE, "attention_bias": True}),
    Case("GPTNeoXForCausalLM", {**_BASE, **_rope("default", partial_rotary_factor=0.5)}),
    Case("GPTNeoXForCausalLM", {**_TWO_HEADS, "use_parallel_residual": False, "attention_bias": False}, "in series"),
    Case("GPTNeoXForTokenClassification", _TWO_HEADS),
    Case("GPTNeoXModel", _TWO_HEADS),
    Case("MixtralForCausalLM", {**_GROUPED, "num_local_experts": 5, "num_experts_per_tok": 2}),
    Case("MixtralModel", {**_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 1}),
    Case("GPT2LMHeadModel", _GPT2),
    Case("GPT2Model", _GPT2),
    Case("GPT2ForSequenceClassification", _GPT2),
    Case("GPT2ForTokenClassification", _GPT2),
    Case(
        "GPT2LMHeadModel",
        {**_GPT2, "scale_attn_by_inverse_layer_idx": True, "n_inner": 20, "tie_word_embeddings": False},
        "scaled by layer, untied",
    ),
    Case("OPTForCausalLM", _OPT),
    Case("OPTModel", _OPT),
    Case("OPTForSequenceClassification", _OPT),
    Case("OPTForCausalLM", {**_OPT, "word_embed_proj_dim": 8, "do_layer_norm_before": False}, "as 350m"),
    Case(
        "OPTForCausalLM",
        {
            **_OPT,
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "activation_function": "gelu",
            "tie_word_embeddings": False,
        },
        "as Galactica",
    ),
    Case("BertModel", _BASE),
    Case("BertForMaskedLM", _BASE),
    Case("BertForSequenceClassification", _BASE),
    Case("BertForTokenClassification", _BASE),
    Case("BertForQuestionAnswering", _BASE),
    Case("BertForPreTraining", _BASE),
    Case("BertForNextSentencePrediction", _BASE),
    Case("T5ForConditionalGeneration", _T5),
    Case("T5EncoderModel", _T5),
    Case("T5Model", {**_T5, "num_decoder_layers": 1}),
    Case(
        "T5ForConditionalGeneration",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "version 1.1",
    ),
    Case("ViTForImageClassification", _VIT),
    Case("ViTModel", _VIT),
    Case("ViTModel", {**_VIT, "pooler_output_size": 6, "pooler_act": "relu", "qkv_bias": False}, "own pooler"),
    Case("DeiTForImageClassification", _VIT),
    Case("DeiTModel", _VIT),
    Case("DeiTForImageClassificationWithTeacher", _VIT),
)

# Configurations as they stand in files, for what needs no library.
_LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-6, "rope_theta": 10_000.0}
_MODEL_ARGS = {"embed_dim": 16, "depth": 2, "num_heads": 4, "img_size": 32, "patch_size": 8}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama": {**_LLAMA, **_GROUPED, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "Mistral": {"model_type": "mistral", **_GROUPED, "sliding_window": 4},
    "Qwen2": {"model_type": "qwen2", **_GROUPED, "use_sliding_window": False},
    "Qwen3": {"model_type": "qwen3", **_WIDE},
    "Gemma": {"model_type": "gemma", **_WIDE},
    "Gemma 2": {"model_type": "gemma2", **_WIDE, "layer_types": ["sliding_attention", "full_attention"]},
    "Phi": {"model_type": "phi", **_BASE, "partial_rotary_factor": 0.5},
    "OLMo 2": {"model_type": "olmo2", **_GROUPED},
    "GPT-NeoX": {"model_type": "gpt_neox", **_BASE, "rotary_pct": 0.5, "rotary_emb_base": 10_000},
    "Mixtral": {"model_type": "mixtral", **_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2},
    "GPT-2": {"model_type": "gpt2", **_GPT2},
    "OPT": {"model_type": "opt", **_OPT},
    "BERT": {"model_type": "bert", **_BASE},
    "T5": {"model_type": "t5", **_T5},
    "ViT": {"model_type": "vit", **_VIT},
    "DeiT": {"model_type": "deit", **_VIT},
    "ViT (timm)": {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "model_args": _MODEL_ARGS},
    "DeiT (timm)": {"architecture": "deit_tiny_distilled_patch16_224", "num_classes": 5, "model_args": _MODEL_ARGS},
    "MLP-Mixer (timm)": {
        "architecture": "mixer_s16_224",
        "num_classes": 5,
        "model_args": {"embed_dim": 16, "num_blocks": 2, "img_size": 32, "patch_size": 8},
    },
}
# Names that tell which prefix and which head a file has.
_HINTS = (
    "model.embed_tokens.weight",
    "gpt_neox.embed_in.weight",
    "transformer.wte.weight",
    "model.decoder.embed_tokens.weight",
    "decoder.hint",
    "bert.embeddings.hint",
    "cls.predictions.transform.dense.weight",
    "vit.embeddings.hint",
    "deit.embeddings.hint",
)


def own_module(config: dict[str, Any], *hints: str) -> ReferenceModule:
    """What a configuration tells of a file of which only some names are known."""
    stand_ins: Shapes = {name: (3, 16) for name in (*(hints or _HINTS), *(f"more.{place}" for place in range(64)))}
    found = (family.from_config(config, stand_ins) for family in FAMILIES)
    return next(one for one in found if one is not None)


def own_shapes(config: dict[str, Any], *hints: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors, told by our own module alone."""
    with torch.device("meta"):
        module = own_module(config, *hints).make()
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
