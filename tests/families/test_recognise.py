"""What is recognised of names, shapes and a configuration, and what is refused, in one line."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from family_cases import CONFIGS, PUBLISHED, own_shapes

from nfn_cli.architectures.families import recognise
from nfn_cli.errors import ArchitectureError

_LLAMA = CONFIGS["Llama"]
_ATTENTION = "model.layers.0.self_attn"


def _refusal(shapes: dict[str, tuple[int, ...]], config: dict[str, Any] | None) -> str:
    with pytest.raises(ArchitectureError) as caught:
        recognise(shapes, config, subject="folder")
    told = str(caught.value)
    assert "\n" not in told and told.startswith("folder: ") and "; " in told
    return told


@pytest.mark.parametrize("name", CONFIGS)
def test_its_own_names_are_recognised(name: str) -> None:
    found = recognise(own_shapes(CONFIGS[name]), CONFIGS[name])
    assert found.family == name
    assert found.text.startswith(name) and "2 " in found.text


def test_the_text_tells_heads_and_groups() -> None:
    found = recognise(own_shapes(_LLAMA), _LLAMA)
    assert found.text == "Llama, 2 layers, 4 heads in 2 groups of one key-value head"
    alone = {**_LLAMA, "num_key_value_heads": 1, "num_hidden_layers": 1}
    assert recognise(own_shapes(alone), alone).text == "Llama, 1 layer, 4 heads on one key-value head"


def test_ties_are_told_and_may_be_missing() -> None:
    config = {**_LLAMA, "tie_word_embeddings": True}
    shapes = own_shapes(config)
    found = recognise(shapes, config)
    assert found.ties == (("model.embed_tokens.weight", "lm_head.weight"),)
    del shapes["lm_head.weight"]
    assert recognise(shapes, config).ties == found.ties
    assert "lm_head.weight is missing" in _refusal(shapes, _LLAMA)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_are_known(name: str) -> None:
    config = PUBLISHED[name]
    assert recognise(own_shapes(config), config).text.startswith(name.partition(":")[0])


def test_stored_constants_may_be_there() -> None:
    shapes = own_shapes(_LLAMA) | {f"{_ATTENTION}.rotary_emb.inv_freq": (2,)}
    assert recognise(shapes, _LLAMA).family == "Llama"
    assert f"{_ATTENTION}.bias is no tensor" in _refusal(shapes | {f"{_ATTENTION}.bias": (2,)}, _LLAMA)


def test_a_value_head_is_read_beside_the_logits() -> None:
    shapes = own_shapes(_LLAMA) | {"v_head.summary.weight": (1, 16), "v_head.summary.bias": (1,)}
    found = recognise(shapes, _LLAMA)
    assert found.text.startswith("Llama with a value head")
    module = found.make()
    logits, values = module(*found.inputs(2, "cpu")[0])
    assert logits.shape == (2, 6, 17) and values.shape == (2, 6, 1)
    trunk = {name.removeprefix("model."): tensor for name, tensor in module.state_dict().items() if "head" not in name}
    bare = recognise({name: tuple(tensor.shape) for name, tensor in trunk.items()}, {**_LLAMA, "architectures": None})
    hidden = bare.make()
    hidden.load_state_dict(trunk)
    last = hidden(*found.inputs(2, "cpu")[0])
    assert torch.allclose(module.get_submodule("v_head.summary")(last), values)
    assert torch.allclose(module.get_submodule("lm_head")(last), logits)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_act": "prelu"}, "'hidden_act' of config.json is 'prelu'"),
        ({"rope_scaling": {"type": "su", "factor": 2.0}}, "'type' of its rotary positions is 'su'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "twist": 1}}, "'twist' of its rotary positions"),
        ({"rope_scaling": {"type": "linear"}}, "has no 'factor'"),
        ({"partial_rotary_factor": 0.5}, "'partial_rotary_factor'"),
        ({"use_cross_attention": True}, "'use_cross_attention' of config.json is True: not supported"),
        ({"add_cross_attention": True}, "'add_cross_attention' of config.json is True: not supported"),
        ({"pruned_heads": {"0": [1]}}, "'pruned_heads'"),
        ({"attention_sinks": 4}, "'attention_sinks' of config.json is not known"),
        ({"quantization_config": {"bits": 4}}, "quantized"),
        ({"num_key_value_heads": 3}, "4 heads are no 3 groups"),
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, "16 entries of its stream are no 3 heads"),
        ({"num_attention_heads": True}, "'num_attention_heads' of config.json is True"),
        ({"num_attention_heads": None}, "has no 'num_attention_heads'"),
        ({"hidden_size": 10**30}, "'hidden_size' of config.json is 10"),
        ({"hidden_size": 2**24}, "is 17×16, and 17×16777216 in Llama"),
        ({"num_hidden_layers": 2_000}, "more than there are tensors"),
        ({"num_hidden_layers": 1}, "model.layers.1.self_attn.q_proj.weight is no tensor of Llama, 1 layer"),
        ({"attention_bias": True}, f"{_ATTENTION}.q_proj.bias is missing"),
        ({"num_attention_heads": 2, "head_dim": 8}, f"{_ATTENTION}.k_proj.weight is 8×16, and 16×16 in Llama"),
        ({"rms_norm_eps": float("nan")}, "'rms_norm_eps'"),
        ({"rms_norm_eps": 10**400}, "'rms_norm_eps'"),
        ({"model_type": "llamb"}, "model type 'llamb' is no known family"),
        ({"model_type": ["llama"]}, "is no known family"),
        ({"model_type": "own", "auto_map": {"AutoModel": "own.Model"}}, "'auto_map') is never run"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in _refusal(own_shapes(_LLAMA), {**_LLAMA, **changes})


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        ("GPT-2", {"add_cross_attention": True}, "'add_cross_attention' of config.json is True"),
        ("BERT", {"is_decoder": True}, "'is_decoder'"),
        ("BERT", {"position_embedding_type": "relative_key"}, "'position_embedding_type'"),
        ("BERT", {"tie_word_embeddings": False}, "'tie_word_embeddings'"),
        ("Gemma", {"use_bidirectional_attention": True}, "'use_bidirectional_attention'"),
        ("Gemma 2", {"layer_types": ["full_attention"]}, "'layer_types'"),
        ("GPT-NeoX", {"rope_theta": 5.0}, "not 'rope_theta', which means the same"),
        ("Qwen2", {"layer_types": ["sliding_attention", "full_attention"]}, "no window is told"),
        ("T5", {"feed_forward_proj": "gated-maxout"}, "'feed_forward_proj'"),
        ("T5", {"is_gated_act": True}, "'is_gated_act'"),
        ("Mixtral", {"num_experts_per_tok": 4}, "'num_experts_per_tok'"),
        ("Mixtral", {"num_local_experts": 4000}, "more than there are tensors"),
        ("ViT", {"patch_size": 64}, "larger than a picture"),
        ("ViT", {"image_size": [32, 32, 32]}, "neither a size nor two"),
        ("ViT (timm)", {"model_args": {"block_fn": "ParallelThingsBlock"}}, "'block_fn' of model_args is not known"),
        ("ViT (timm)", {"model_args": {"norm_layer": "rmsnorm"}}, "'norm_layer' of model_args is not known"),
        ("ViT (timm)", {"model_args": {"global_pool": "map"}}, "'global_pool' of model_args is 'map'"),
        ("ViT (timm)", {"architecture": "vit_base_patch16_rpn_224"}, "is no known network of timm"),
        ("MLP-Mixer (timm)", {"model_args": {"mlp_ratio": [1, 2, 3]}}, "'mlp_ratio'"),
    ],
)
def test_what_changes_the_function_is_never_ignored(family: str, changes: dict[str, Any], said: str) -> None:
    assert said in _refusal(own_shapes(CONFIGS[family]), {**CONFIGS[family], **changes})


def test_tensors_without_a_configuration_are_refused() -> None:
    assert "whose heads are in no tensor; put its config.json beside" in _refusal(own_shapes(_LLAMA), None)
    assert "no known family" in _refusal({"a.weight": (2, 3)}, None)
    assert "no known family" in _refusal({"a.weight": (2, 3)}, {})


def test_code_that_a_configuration_names_is_not_followed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(f"open({os.fspath(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    config = {**_LLAMA, "auto_map": {"AutoModelForCausalLM": "own.Model"}, "trust_remote_code": True}
    assert recognise(own_shapes(_LLAMA), config).family == "Llama"
    _refusal(own_shapes(_LLAMA), {**config, "model_type": "own"})
    assert not (tmp_path / "ran").exists()
