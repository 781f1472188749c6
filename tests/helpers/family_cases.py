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
_OLD = {"use_cache": True, "transformers_version": "4.6.0", "initializer_range": 0.02, "gradient_checkpointing": False}
# As published, at the true size: with fields of old versions, and without those that came later.
PUBLISHED: dict[str, dict[str, Any]] = {
    "GPT-2, 12 layers, 12 heads": {
        **{"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "n_ctx": 1024},
        **{"bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "layer_norm_epsilon": 1e-05},
        **{"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1},
        **{"summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True},
        **{"summary_type": "cls_index", "summary_use_proj": True, "vocab_size": 50257, "_num_labels": 1},
        **{"task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}},
    },
    "BERT for masked tokens, 12 layers, 12 heads": {
        **{"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "directionality": "bidi"},
        **{"hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768, "intermediate_size": 3072},
        **{"layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12},
        **{"num_hidden_layers": 12, "pad_token_id": 0, "pooler_fc_size": 768, "pooler_num_attention_heads": 12},
        **{"pooler_num_fc_layers": 3, "pooler_size_per_head": 128, "pooler_type": "first_token_transform"},
        **{"position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 21128, **_OLD},
        **{"is_decoder": False, "pruned_heads": {}, "add_cross_attention": False, "tie_encoder_decoder": False},
    },
    "T5, 6 layers and 6 decoder layers, 8 heads": {
        **{"architectures": ["T5WithLMHeadModel"], "d_ff": 2048, "d_kv": 64, "d_model": 512, "dropout_rate": 0.1},
        **{"decoder_start_token_id": 0, "eos_token_id": 1, "initializer_factor": 1.0, "is_encoder_decoder": True},
        **{"layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512, "num_heads": 8, "num_layers": 6},
        **{"output_past": True, "pad_token_id": 0, "relative_attention_num_buckets": 32, "vocab_size": 32128},
    },
    "Phi, 32 layers, 32 heads": {
        **{"architectures": ["PhiForCausalLM"], "attention_dropout": 0.0, "embd_pdrop": 0.0, "hidden_act": "gelu_new"},
        **{"hidden_size": 2560, "intermediate_size": 10240, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048},
        **{"model_type": "phi", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32},
        **{"partial_rotary_factor": 0.4, "qk_layernorm": False, "resid_pdrop": 0.1, "rope_scaling": None},
        **{"rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float16", "vocab_size": 51200},
    },
    "GPT-NeoX, 6 layers, 8 heads": {
        **{"architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu"},
        **{"hidden_size": 512, "intermediate_size": 2048, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048},
        **{"model_type": "gpt_neox", "num_attention_heads": 8, "num_hidden_layers": 6, "rotary_emb_base": 10000},
        **{"rotary_pct": 0.25, "tie_word_embeddings": False, "use_parallel_residual": True, "vocab_size": 50304},
        **{"rope_theta": 10000.0, "partial_rotary_factor": 0.25, **_OLD},
    },
    "OPT, 24 layers, 16 heads": {
        **{"_remove_final_layer_norm": False, "activation_dropout": 0.0, "activation_function": "relu"},
        **{"architectures": ["OPTForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 2, "dropout": 0.1},
        **{"do_layer_norm_before": False, "ffn_dim": 4096, "hidden_size": 1024, "init_std": 0.02, "layerdrop": 0.0},
        **{"max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 16, "num_hidden_layers": 24},
        **{"prefix": "</s>", "vocab_size": 50272, "word_embed_proj_dim": 512},
    },
    "Llama, 16 layers, 32 heads in 8 groups": {
        **{"architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "head_dim": 64},
        **{"hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192, "mlp_bias": False},
        **{"max_position_embeddings": 131072, "model_type": "llama", "num_attention_heads": 32},
        **{"num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05},
        **{"rope_theta": 500000.0, "tie_word_embeddings": True, "vocab_size": 128256, "torch_dtype": "bfloat16"},
        "rope_scaling": {
            **{"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3"},
            "original_max_position_embeddings": 8192,
        },
    },
    "Gemma 2, 26 layers, 8 heads in 4 groups": {
        **{"architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attn_logit_softcapping": 50.0},
        **{"cache_implementation": "hybrid", "final_logit_softcapping": 30.0, "head_dim": 256, "vocab_size": 256000},
        **{"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304},
        **{"intermediate_size": 9216, "max_position_embeddings": 8192, "model_type": "gemma2", "rms_norm_eps": 1e-06},
        **{"num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4, "query_pre_attn_scalar": 256},
        **{"rope_theta": 10000.0, "sliding_window": 4096},
    },
    "Qwen2, 24 layers, 14 heads in 2 groups": {
        **{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu", "hidden_size": 896},
        **{"intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2"},
        **{"num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06},
        **{"rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": True, "use_mrope": False},
        **{"use_sliding_window": False, "vocab_size": 151936},
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
    stand_ins: Shapes = {name: (3, 16) for name in (*(hints or _HINTS), *(f"more.{place}" for place in range(999)))}
    found = (family.from_config(config, stand_ins) for family in FAMILIES)
    return next(one for one in found if one is not None)


def own_shapes(config: dict[str, Any], *hints: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors, told by our own module alone."""
    with torch.device("meta"):
        module = own_module(config, *hints).make()
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
